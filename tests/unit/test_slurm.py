"""Jobs of an earlier run; what waits for the controller. SLURM's commands are made to fail here;
tests/cluster has the real ones."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from latere import slurm

SBATCH = Path(__file__).resolve().parents[2] / "profiles/slurm/bin/sbatch"
AWAY = "sbatch: error: Batch job submission failed: Unable to contact slurm controller"


def write_program(file, text):
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder first on the PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


@pytest.fixture
def queue(programs, tmp_path, monkeypatch):
    """A queue with jobs of this process, of a dead one, of another folder, of another program."""
    monkeypatch.chdir(tmp_path)
    ours, uuid = slurm.name_run(), "01234567-89ab-cdef-0123-456789abcdef"
    dead = ours.rpartition("_")[0] + "_1000"
    rows = [(7, dead, tmp_path), (8, ours, tmp_path), (9, dead, "/elsewhere")]
    lines = [f"{job}|{name}_{uuid}|{folder}" for job, name, folder in rows]
    file = tmp_path / "queue"
    file.write_text("\n".join([*lines, f"10|bash|{tmp_path}", ""]))
    write_program(programs / "squeue", f"cat {file}")
    cancel = f'echo "$@" >>{tmp_path}/cancelled; sed -i "/^$1|/d" {file}'
    write_program(programs / "scancel", cancel)
    return file


def test_only_jobs_of_a_dead_run_of_this_folder_are_cancelled(queue, tmp_path):
    slurm.end_earlier_jobs(submits=False)
    slurm.end_earlier_jobs(submits=True)
    assert (tmp_path / "cancelled").read_text() == "7\n"


def test_a_run_of_another_host_is_told(queue, tmp_path):
    queue.write_text(queue.read_text().replace(f"7|{slurm.host_name()}", "7|login9"))
    with pytest.raises(SystemExit, match="Snakemake on login9 .*scancel 7"):
        slurm.end_earlier_jobs(submits=True)
    assert not (tmp_path / "cancelled").exists()


def test_a_queue_that_cannot_be_asked_is_told(queue, programs):
    write_program(programs / "squeue", "echo 'squeue: error: no controller' >&2; exit 1")
    with pytest.raises(SystemExit, match="no controller"):
        slurm.end_earlier_jobs(submits=True)
    slurm.end_earlier_jobs(submits=False)


def test_a_job_that_does_not_end_is_told(queue, programs, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE", 0)
    write_program(programs / "scancel", ":")
    with pytest.raises(SystemExit, match="do not end: 7"):
        slurm.end_earlier_jobs(submits=True)


def test_logs_that_snakemake_hides_are_shown(tmp_path, caplog):
    folder = tmp_path / "slurm_logs/rule_x"
    folder.mkdir(parents=True)
    for name in ("1", "2"):
        (folder / f"{name}.log").write_text(f"reason {name}\n")
    errors = [
        f"    log: results/x.log, {folder}/{name}.log (check log file(s) for error details)\n"
        for name in ("1", "2", "3", "1")
    ]
    (tmp_path / "log").write_text("".join(errors) + f"Logfile {folder}/2.log:\nreason 2\n")
    slurm.show_hidden_logs([tmp_path / "log"])
    assert [record.message for record in caplog.records] == [f"Logfile {folder}/1.log:\nreason 1\n"]


def submit(*words, **options):
    return subprocess.run([SBATCH, *words], capture_output=True, text=True, **options)


def test_sbatch_waits_for_the_controller(programs, tmp_path):
    text = f"""mkdir {tmp_path}/asked 2>/dev/null || exec cat - {tmp_path}/args
echo "$@" >{tmp_path}/args; cat >/dev/null
echo '{AWAY} (connect failure)' >&2; exit 1"""
    write_program(programs / "sbatch", text)
    done = submit("--parsable", "/dev/stdin", input="#!/bin/sh\n", timeout=60)
    assert (done.returncode, done.stdout) == (0, "#!/bin/sh\n--parsable /dev/stdin\n")
    assert done.stderr == ""


@pytest.mark.parametrize("error", [f"{AWAY} (receive failure)", "sbatch: error: no such account"])
def test_sbatch_tries_nothing_twice_that_may_have_been_taken(error, programs, tmp_path):
    write_program(programs / "sbatch", f"echo >>{tmp_path}/calls; echo '{error}' >&2; exit 3")
    done = submit("--wrap", "job")
    assert (done.returncode, done.stderr.strip()) == (3, error)
    assert (tmp_path / "calls").read_text() == "\n"


def test_sbatch_ends_with_who_called_it(programs, tmp_path):
    text = f"echo >>{tmp_path}/calls; echo '{AWAY} (connect failure)' >&2; exit 1"
    write_program(programs / "sbatch", text)
    caller = subprocess.Popen(["sh", "-c", f"{SBATCH} --wrap job"], stdout=subprocess.PIPE)
    caller.stdout.close()
    assert caller.wait(60) != 0
    assert (tmp_path / "calls").read_text() == "\n"


def test_no_sbatch_is_told(tmp_path):
    python = Path(sys.executable).parent
    done = submit("--wrap", "job", env={"PATH": f"{SBATCH.parent}:{python}"})
    assert done.returncode == 1
    assert "SLURM's own sbatch is not on the PATH" in done.stderr
