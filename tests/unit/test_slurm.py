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
def logs(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    for name, run, results in (
        ("a", "SLURM run ID: 11-aa\n", "output: results/demo/cells.h5ad"),
        ("b", "SLURM run ID: site_22-bb\n", "output: results/demo/report.html"),
        ("c", "SLURM run ID: 33-cc\n", "output: results/demo2/report.html"),
        ("d", "", "output: results/demo/report.html"),
    ):
        (folder / f"{name}.snakemake.log").write_text(f"host: x\n{run}    {results}\n")
    return folder


def test_only_runs_of_this_study_are_found(logs):
    assert slurm.earlier_runs(logs, "results/demo") == {"11-aa", "site_22-bb"}


def test_nobody_elses_job_is_cancelled(logs, programs, tmp_path):
    queue = tmp_path / "queue"
    queue.write_text("7|11-aa\n8|33-cc\n9|bash\n10|site_22-bb\n")
    write_program(programs / "squeue", f"cat {queue}")
    write_program(programs / "scancel", f'echo "$@" >>{tmp_path}/cancelled; echo "9|bash" >{queue}')
    slurm.end_earlier_jobs("results/demo", logs)
    slurm.end_earlier_jobs("results/demo", logs)
    assert (tmp_path / "cancelled").read_text() == "7 10\n"


def test_a_queue_that_cannot_be_asked_is_told(logs, programs):
    write_program(programs / "squeue", "echo 'squeue: error: no controller' >&2; exit 1")
    with pytest.raises(SystemExit, match="no controller\n.*again"):
        slurm.end_earlier_jobs("results/demo", logs)
    # Who never used SLURM for this study is not asked for it.
    slurm.end_earlier_jobs("results/other", logs)


def test_a_job_that_does_not_end_is_told(logs, programs, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE", 0)
    write_program(programs / "squeue", "echo '7|11-aa'")
    write_program(programs / "scancel", ":")
    with pytest.raises(SystemExit, match="do not end: 7"):
        slurm.end_earlier_jobs("results/demo", logs)


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
