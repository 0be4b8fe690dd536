"""Set-up and Makefile, on a PATH of our own: nothing is installed."""

import os
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
# What make, set-up and our own programs call. No real Python, apt-get, conda, STAR and the like.
BASICS = "bash sh make env dirname sed awk grep cat xargs rm mkdir cp touch find rmdir test wc cut"
PYTHON = """#!/usr/bin/env bash
# Stands for Python: tells the calls, and "installs" by a mark.
echo "python $*" >>"$CALLS"
case "$*" in
    "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip "*"-r "*) cat "${@: -1}" >>"$CALLS" ;;
    "-m pip "*torch*) touch .venv/installed ;;
    "-c "*metadata*) if [ -e .venv/installed ]; then cat >/dev/null; else cat; fi ;;
esac
"""
LOCK = "# A lock.\n" + "".join(
    f"{entry} \\\n    --hash=sha256:{name}1 \\\n    --hash=sha256:{name}2\n"
    for entry, name in (("torch==2.0", "aa"), ("demo==1.0", "bb"), ("rpy2==3.6", "cc"))
)
CONDA = """#!/usr/bin/env bash
echo "${0##*/} $*" >>"$CALLS"
mkdir -p .conda/bin
"""


class Machine:
    """A copy of the set-up, and a PATH with chosen programs only."""

    def __init__(self, folder):
        self.project, self.bin, self.calls = folder / "project", folder / "bin", folder / "calls"
        (self.project / "envs").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / "Makefile", self.project)
        for name in ("setup.sh", "apt.txt"):
            shutil.copy(ROOT / "envs" / name, self.project / "envs")
        (self.project / "envs/requirements.txt").write_text(LOCK)
        for name in BASICS.split():
            (self.bin / name).symlink_to(shutil.which(name))
        self.program("python3", PYTHON)
        self.program("id", "#!/bin/sh\necho 1000\n")

    def program(self, name, text='#!/usr/bin/env bash\necho "${0##*/} $*" >>"$CALLS"\n'):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def root(self):
        self.program("id", "#!/bin/sh\necho 0\n")
        self.program("apt-get")

    def tools(self):
        proofs = [line.split()[1] for line in apt_lines()]
        for proof in proofs:
            self.program(proof.split(":")[-1])

    def make(self, *words):
        return subprocess.run(
            ["make", *words],
            cwd=self.project,
            env={"PATH": str(self.bin), "CALLS": str(self.calls)},
            capture_output=True,
            text=True,
        )

    def called(self):
        return self.calls.read_text() if self.calls.exists() else ""


def apt_lines():
    lines = (ROOT / "envs/apt.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_no_way_is_told_with_its_mend(machine):
    done = machine.make("setup")
    assert done.returncode != 0
    for package, proof in map(str.split, apt_lines()):
        assert (package in done.stderr) == (not proof.startswith("test:"))
    assert "apt-get install" in done.stderr
    assert "conda" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (machine.project / ".venv").exists()


def test_old_python_is_told(machine):
    machine.program("python3", "#!/bin/sh\nexit 1\n")
    done = machine.make("setup")
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr


def test_root_on_debian_gets_packages_then_python(machine):
    machine.root()
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    calls = machine.called()
    assert "apt-get install" in calls
    steps = ["rna-star", "-m venv", "--require-hashes -r", "torch==2.0"]
    assert [calls.index(step) for step in steps] == sorted(calls.index(step) for step in steps)
    # All but torch by their hashes, without what they ask for: the lock has it.
    (by_hash,) = [line for line in calls.splitlines() if "--require-hashes" in line]
    assert "--no-deps" in by_hash
    assert [each for each in ("aa1", "bb1", "bb2", "cc1") if each not in calls] == ["aa1"]


def test_what_only_the_tests_use_comes_with_make_test(machine):
    machine.root()
    machine.make("setup")
    assert "chromium" not in machine.called()
    machine.calls.unlink()
    machine.make("test")
    is_debian = "ID=debian" in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    assert ("chromium" in machine.called()) == is_debian


def test_tools_on_the_path_need_neither_root_nor_apt(machine):
    machine.tools()
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    assert "apt-get" not in machine.called()


def test_second_call_installs_nothing(machine):
    machine.tools()
    machine.make("setup")
    machine.calls.unlink()
    assert machine.make("setup").returncode == 0
    assert "-m venv" not in machine.called()
    assert "-m pip" not in machine.called()


def test_lost_packages_are_mended(machine):
    machine.tools()
    machine.make("setup")
    (machine.project / ".venv/installed").unlink()
    machine.calls.unlink()
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    calls = machine.called()
    assert "--force-reinstall --no-deps --no-deps --require-hashes -r" in calls
    assert calls.index("--hash=sha256:bb1") < calls.index("torch==2.0")
    assert "-m venv" not in machine.called()


def test_failed_install_fails_make(machine):
    machine.tools()
    machine.program("python3", PYTHON.replace("touch .venv/installed", "exit 1"))
    done = machine.make("setup")
    assert done.returncode != 0
    assert "could not be built" in done.stderr


@pytest.mark.parametrize("name", ["conda", "mamba", "micromamba"])
def test_conda_is_used_where_it_is_found(machine, name):
    machine.root()
    machine.program(name, CONDA)
    done = machine.make("setup")
    assert done.returncode == 0, done.stderr
    assert "apt-get" not in machine.called()
    assert "demo==1.0" in machine.called()
    assert "rpy2" not in machine.called()
    # Snakemake needs conda itself; the others install it.
    assert ("conda-forge conda>=" in machine.called()) == (name != "conda")
    assert "--sdm conda" in machine.make("-n", "demo").stdout
    assert "--sdm conda" not in machine.make("-n", "demo", "CONDA=").stdout


def test_without_conda_no_environment_is_asked_for(machine):
    assert "--sdm conda" not in machine.make("-n", "demo").stdout


def test_help_lists_every_target(machine):
    (phony,) = [line for line in (ROOT / "Makefile").read_text().splitlines() if ".PHONY" in line]
    told = machine.make().stdout
    assert [name for name in phony.split()[1:] if f"make {name} " not in told] == []


def test_clean_keeps_other_studies_and_how_they_were_made(machine):
    kept = machine.project / "results/mine/report.html"
    for path in (kept, machine.project / "results/demo/report.html"):
        path.parent.mkdir(parents=True)
        path.touch()
    records = machine.project / "results/.snakemake"
    records.mkdir()
    (machine.project / ".snakemake").mkdir()
    (machine.project / "scripts").mkdir()
    (machine.project / "tests").mkdir()
    assert machine.make("clean").returncode == 0
    assert kept.exists()
    assert not (machine.project / "results/demo").exists()
    assert records.exists() and (machine.project / ".snakemake").exists()
    shutil.rmtree(kept.parent)
    assert machine.make("clean").returncode == 0
    assert not records.exists() and not (machine.project / ".snakemake").exists()


def test_check_names_what_a_python_environment_lacks(tmp_path):
    envs, site = tmp_path / "envs", None
    envs.mkdir()
    shutil.copy(ROOT / "envs/setup.sh", envs)
    lock = "".join(
        f"{entry} \\\n    --hash=sha256:0\n"
        for entry in ("whole==1.0", "older==2.0", "maimed==1.0", "absent==1.0")
    )
    (envs / "requirements.txt").write_text(lock)
    subprocess.run(["python3", "-m", "venv", "--without-pip", ".venv"], cwd=tmp_path, check=True)
    (site,) = tmp_path.glob(".venv/lib/python3*/site-packages")
    for name in ("whole", "older", "maimed"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0+cpu\n")
        (info / "RECORD").write_text(f"{name}.py,,\n")
        (site / f"{name}.py").touch()
    (site / "maimed.py").unlink()
    words = ["bash", "envs/setup.sh", "check"]
    env = {**os.environ, "CONDA": ""}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.stdout.split() == ["older==2.0", "maimed==1.0", "absent==1.0"]


def test_every_package_suits_the_oldest_python():
    """Debian 12 has Python 3.11.2, and set-up takes any 3.11."""
    refused = [
        f"{package.name} {package.version}: Python {needs}"
        for package in metadata.distributions()
        if (needs := package.metadata["Requires-Python"]) and "3.11.0" not in SpecifierSet(needs)
    ]
    assert refused == []
