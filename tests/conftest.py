"""What the tests share: the project, the real data, and how to call Snakemake."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real"


@pytest.fixture(scope="session")
def root() -> Path:
    """The project."""
    return ROOT


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data."""
    if not REAL.is_dir():
        pytest.skip("the real data (../shared/real) are not beside this clone")
    return REAL


def call_snakemake(folder: Path, *words, **options) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder, with the tools of this Python environment on the PATH."""
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    software = os.environ.get("LATERE_SDM", "").split()  # `--sdm conda` where make found conda
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *software, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PATH": tools},
        capture_output=True,
        text=True,
        **options,
    )


@pytest.fixture(scope="session")
def snakemake():
    """`call_snakemake`, which fails no test by itself."""
    return call_snakemake


@pytest.fixture(scope="session")
def copy_project():
    """Copy what makes up the workflow, without results, into a new folder."""

    def copy(folder: Path) -> Path:
        for name in ("Snakefile", "rules", "scripts", "envs", "config", "profiles"):
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy2(source, folder / name)
        (folder / "slurm").symlink_to("profiles/slurm")
        return folder

    return copy
