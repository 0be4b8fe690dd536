"""What the tests share: the project, the real data, and how to call Snakemake."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sra_server import SraServer

from latere.cache import exclusive
from latere.cluster.make_site import AS_CLONED, render_site

ROOT = Path(__file__).resolve().parents[1]
REAL = ROOT.parent / "shared" / "real"
# The site of who runs the tests is none of theirs.
os.environ.pop("LATERE_SITE", None)
# Two workers on two cores: threads that spin while they wait would hold up those that compute.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_runtest_setup(item):
    """On the conda way a test that calls a tool itself may not find it: it is in a rule's own."""
    needed = [name for mark in item.iter_markers("tools") for name in mark.args]
    lost = [name for name in needed if not shutil.which(name) and not find_spec(name)]
    if lost and os.environ.get("LATERE_SDM"):
        pytest.skip(f"with conda, {', '.join(lost)} are in the environments of rules only")


def pytest_collection_modifyitems(items):
    """The order in which two workers are busy to the end, a file at a time.

    The longest file first: it makes the demo. Meanwhile what needs no demo, then what does; last
    the many short files.
    """
    need_demo = {item.path for item in items if "demo" in item.fixturenames}

    def turn(item):
        folder, file = item.path.parts[-2:]
        return file != "test_faults.py", folder == "unit", item.path in need_demo

    items.sort(key=turn)


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
def demo(root, snakemake, tmp_path_factory, worker_id) -> Path:
    """The executed demo; what is there and up to date is not made again."""
    shared = tmp_path_factory.getbasetemp()
    executed = (shared if worker_id == "master" else shared.parent) / "demo"
    with exclusive(executed):
        if not executed.exists():
            done = snakemake(root, "--configfile", "config/demo/config.yaml", "--cores", "all")
            assert done.returncode == 0, done.stderr[-5000:]
            executed.touch()
    return root / "results/demo"


@pytest.fixture(scope="session")
def packed(tmp_path_factory) -> bytes:
    """A real SRA archive of 8,000 spots of random bases, 400 kB."""
    from latere.simulation.genome import BASES
    from latere.simulation.sequencer import write_reads
    from simulate_sra import TOOLS, pack

    if not all(map(shutil.which, TOOLS)):
        pytest.skip("no sra-tools with its loaders")
    folder = tmp_path_factory.mktemp("packed")
    rng = np.random.default_rng(0)
    bases = [BASES[rng.integers(0, 4, (8000, length))] for length in (8, 26, 91)]
    reads = [str(folder / f"{name}.fastq") for name in ("I1", "R1", "R2")]
    write_reads([bases], reads, 0.003, rng)
    pack(*reads, str(folder / "SRR1.sra"))
    return (folder / "SRR1.sra").read_bytes()


@pytest.fixture
def sra(packed, tmp_path, monkeypatch):
    """The SRA on this machine, as all its tools see it."""
    server = SraServer(packed)
    settings = server.write_settings(tmp_path / "settings.mkfg")
    monkeypatch.setenv("NCBI_SETTINGS", str(settings))
    yield server
    server.close()


@pytest.fixture(scope="session")
def copy_project():
    """Copy what makes up the workflow, as cloned and without results, into a new folder."""

    def copy(folder: Path) -> Path:
        for name in ("Snakefile", "rules", "scripts", "envs", "config", "profiles"):
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, folder / name, ignore=ignored)
            else:
                shutil.copy2(source, folder / name)
        (folder / "profiles/slurm/site.yaml").write_text(render_site(AS_CLONED))
        (folder / "slurm").symlink_to("profiles/slurm")
        return folder

    return copy


@pytest.fixture
def assert_equals_r(tmp_path):
    """Hold a table of the manual branch against an R script that shares none of its code."""

    def check(table, counts, design):
        """By gene: the table; counts of all genes (genes x samples); and the design matrix."""
        counts.to_csv(tmp_path / "counts.tsv", sep="\t")
        pd.DataFrame(design).to_csv(tmp_path / "design.tsv", sep="\t", index=False)
        script = ROOT / "tests/edger.R"
        files = ["counts.tsv", "design.tsv", "result.tsv"]
        subprocess.run(["Rscript", script, *files], cwd=tmp_path, check=True)
        by_r = pd.read_csv(tmp_path / "result.tsv", sep="\t", index_col=0)
        table = table.set_index("gene_id")
        assert set(table.index) == set(by_r.index)  # what filterByExpr keeps
        table = table.loc[by_r.index]
        columns = {"log2fc": "logFC", "pvalue": "PValue", "fdr": "FDR", "statistic": "F"}
        for ours, theirs in (columns | {"mean_case": "mean_case"}).items():
            np.testing.assert_allclose(table[ours], by_r[theirs], rtol=1e-6, atol=1e-12)

    return check
