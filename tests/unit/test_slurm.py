"""Jobs of an earlier run; what waits for the controller. SLURM's commands are made to fail here;
tests/cluster has the real ones."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest

from latere.cluster import slurm
from latere.cluster.executor import NOTICES, Executor

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


# The script, with pauses of a blink.
QUICK = f"""
from importlib.machinery import SourceFileLoader
sbatch = SourceFileLoader("sbatch", "{SBATCH}").load_module()
sbatch.PAUSE = sbatch.LONGEST_PAUSE = 0.05
sbatch.main()
"""


def submit(*words, **options):
    command = [sys.executable, "-W", "ignore", "-B", "-c", QUICK, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def sbatch(programs, tmp_path):
    """Make an sbatch that fails with each of some errors, and then takes the job."""

    def make(*errors):
        lines = [f"echo '{error}' >&2; exit 3" for error in errors]
        cases = "\n".join(f"{number}) {line};;" for number, line in enumerate(lines, 1))
        calls = f"{tmp_path}/calls"
        write_program(
            programs / "sbatch",
            f'echo "$@" >>{calls}; cat >/dev/null\ncase $(wc -l <{calls}) in\n{cases}\n'
            f"*) echo 17;; esac",
        )
        write_program(programs / "squeue", f"echo >>{tmp_path}/looks; cat {tmp_path}/queue")
        write_program(programs / "sacct", "exit 1")
        (tmp_path / "queue").touch()
        return tmp_path / "calls"

    return make


def count(file):
    return len(file.read_text().splitlines()) if file.exists() else 0


@pytest.mark.parametrize(
    "error",
    [
        f"{AWAY} (connect failure)",
        "sbatch: error: Batch job submission failed: Slurm backup controller in standby mode",
        "sbatch: error: QOSGrpSubmitJobsLimit\nsbatch: error: Batch job submission failed: Job "
        "violates accounting/QOS policy",
        "sbatch: error: Batch job submission failed: Resource temporarily unavailable",
    ],
)
def test_sbatch_waits_for_the_controller_and_for_limits(error, sbatch, tmp_path):
    calls = sbatch(error, error)
    done = submit("--comment", "rule_x", "--wrap", "job", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "17\n", "")
    assert count(calls) == 3


def test_sbatch_hands_over_a_script_each_time(programs, tmp_path):
    text = f"""mkdir {tmp_path}/asked 2>/dev/null || exec cat
cat >/dev/null; echo '{AWAY} (connect failure)' >&2; exit 1"""
    write_program(programs / "sbatch", text)
    done = submit("--parsable", "/dev/stdin", input="#!/bin/sh\n")
    assert (done.returncode, done.stdout) == (0, "#!/bin/sh\n")


LOST_ANSWERS = [
    f"{AWAY} (receive failure)",
    "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation",
    "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
]


@pytest.mark.parametrize("error", LOST_ANSWERS)
def test_a_job_that_was_taken_without_an_answer_is_found(error, sbatch, programs, tmp_path):
    calls = sbatch(error)
    # The job shows up at the second look.
    write_program(
        programs / "squeue",
        f"""mkdir {tmp_path}/asked 2>/dev/null && exit
echo "16|rule_x submission=0123"
sed -n 's/.*\\(submission=[0-9a-f]*\\).*/18|rule_x \\1/p' {calls}""",
    )
    done = submit("--comment", "rule_x", "--wrap", "job", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout, done.stderr) == (0, "18\n", "")
    assert count(calls) == 1


def test_a_job_that_was_not_taken_is_submitted_once_more(sbatch, tmp_path):
    calls = sbatch(LOST_ANSWERS[1])
    done = submit("--comment", "rule_x", "--wrap", "job", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, "17\n")
    assert (count(calls), count(tmp_path / "looks")) == (2, 2)


def test_nothing_is_submitted_while_the_queue_does_not_answer(sbatch, programs, tmp_path):
    calls = sbatch(LOST_ANSWERS[1])
    looks = f"{tmp_path}/looks"
    write_program(programs / "squeue", f"echo >>{looks}; test $(wc -l <{looks}) -gt 3")
    done = submit("--comment", "rule_x", "--wrap", "job", stdin=subprocess.DEVNULL)
    assert (done.returncode, count(calls), count(tmp_path / "looks")) == (0, 2, 5)


PERMANENT = [
    "sbatch: error: Batch job submission failed: Invalid account",
    "sbatch: error: invalid partition specified: nowhere",
    "sbatch: error: AssocMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: "
    "Job violates accounting/QOS policy (job submit limit, the size or time limits of users)",
]


@pytest.mark.parametrize("error", PERMANENT)
def test_a_permanent_error_is_shown_at_once(error, sbatch, tmp_path):
    calls = sbatch(error)
    done = submit("--wrap", "job", stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stderr.strip()) == (3, error)
    assert (count(calls), count(tmp_path / "looks")) == (1, 0)


def test_a_limit_that_allows_no_job_is_shown(sbatch):
    """As where the default account has none: nothing in the queue will ever end."""
    error = "sbatch: error: AssocMaxSubmitJobLimit"
    calls = sbatch(*[error] * 9)
    done = submit("--wrap", "job", stdin=subprocess.DEVNULL)
    assert done.returncode == 3 and "key `account`" in done.stderr
    assert count(calls) == 2


@pytest.mark.parametrize("error", [f"{AWAY} (connect failure)", "QOSMaxSubmitJobPerUserLimit"])
def test_sbatch_ends_with_who_called_it(error, sbatch, tmp_path):
    calls = sbatch(*[error] * 9)
    (tmp_path / "queue").write_text("1|\n")
    command = [sys.executable, "-W", "ignore", "-B", "-c", QUICK, "--wrap", "job"]
    caller = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    caller.stdout.close()
    assert caller.wait(60) != 0
    assert count(calls) == 1


def test_a_cancelled_run_ends_submissions_that_wait(sbatch, tmp_path, monkeypatch):
    calls = sbatch(*[f"{AWAY} (connect failure)"] * 99)
    monkeypatch.setenv(NOTICES, "")
    lines = SimpleQueue()
    executor = object.__new__(Executor)
    executor.logger = SimpleNamespace(warning=lines.put)
    executor.lock, executor.active_jobs = threading.Lock(), []
    executor.cancel_jobs = executor.shutdown = lambda *jobs: None
    executor._job_submission_executor = ThreadPoolExecutor()
    executor._read_notices()
    call = executor._job_submission_executor.submit(
        submit, "--comment", "rule_x", "--wrap", "job", stdin=subprocess.DEVNULL
    )
    why = "the controller of SLURM does not answer"
    assert lines.get(timeout=60) == f"rule_x waits to be submitted: {why}"
    assert not call.done()
    executor.cancel()
    assert call.result(60).returncode == 1
    assert count(calls) < 99


def test_no_sbatch_is_told(tmp_path):
    python = Path(sys.executable).parent
    done = submit("--wrap", "job", env={"PATH": f"{SBATCH.parent}:{python}"})
    assert done.returncode == 1
    assert "SLURM's own sbatch is not on the PATH" in done.stderr
