"""What goes wrong on one machine: two runs of a study, a Snakemake that is killed, a full disk."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

LIST = "reference/whitelists/10x_version2_whitelist.txt"
CORES = ["--cores", "1"]


@pytest.fixture
def project(copy_project, tmp_path):
    return copy_project(tmp_path)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own below the folder of the project, before it is copied there."""
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    yield
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def start(project, tmp_path_factory):
    """Start Snakemake on the barcode list of a study, and end what is left of it."""
    started, logs = [], tmp_path_factory.mktemp("logs")

    def call(study, *words):
        command = [sys.executable, "-m", "snakemake", *CORES, f"--config=study={study}"]
        command += [*words, "--", f"results/{study}/{LIST}"]
        env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        log = logs / f"{len(started)}.out"
        with log.open("w") as out:
            run = subprocess.Popen(command, cwd=project, env=env, stdout=out, stderr=out)
        started.append(run)
        return run, log

    yield call
    for run in started:
        if run.poll() is None:
            for process in (*psutil.Process(run.pid).children(recursive=True), run):
                process.kill()
        run.wait()


def hold(run) -> psutil.Process:
    """Stop the job of a Snakemake once its script runs."""
    end = time.monotonic() + 60
    while time.monotonic() < end and run.poll() is None:
        for process in psutil.Process(run.pid).children(recursive=True):
            try:
                if ".extract_whitelist.py" in " ".join(process.cmdline()[1:2]):
                    process.suspend()
                    return process
            except psutil.Error:
                continue
        time.sleep(0.05)
    raise AssertionError("the job did not start")


def test_a_study_runs_once_at_a_time(start, project):
    """Snakemake 9 removes the locks of all runs in a folder when one of them ends."""
    first, _ = start("one")
    script = hold(first)
    other, log = start("two")
    assert other.wait(120) == 0, log.read_text()
    again, log = start("one")
    assert again.wait(120) == 1
    said = log.read_text()
    assert f"results/one: this study is being run already, by process {first.pid} on host" in said
    assert "Traceback" not in said
    command = [sys.executable, "-m", "snakemake", "plan", "--cores", "1", "--config", "study=one"]
    planned = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert planned.returncode == 0, planned.stderr  # it makes no file
    script.resume()
    assert first.wait(120) == 0
    assert (project / "results/one" / LIST).read_bytes() == (
        project / "results/two" / LIST
    ).read_bytes()


def test_a_full_disk_leaves_no_output_and_is_named_last(small_disk, start, project):
    """Where Snakemake cannot write its records, it asks for write permissions at the end."""
    run, log = start("one")
    assert run.wait(120) == 1
    assert not (project / "results/one" / LIST).exists()
    said = log.read_text()
    assert "extract_whitelist: OSError: [Errno 28] No space left on device" in said
    assert said.splitlines()[-1].startswith(
        "The disk is full. Nothing can be written to results/one"
    )
