"""How the script of a rule tells why it failed."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from latere import disk, job

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCRIPT = """
import sys
from types import SimpleNamespace
from latere import disk, job

job.start(SimpleNamespace(threads=1, log=[sys.argv[1]], rule="align"))
{body}
"""


def run_script(log, body, *arguments):
    """Exit code and what the script says where its rule's log is not: SLURM's log, a terminal."""
    script = SCRIPT.format(body=body)
    done = subprocess.run(
        [sys.executable, "-c", script, log, *arguments], cwd=SCRIPTS, capture_output=True, text=True
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_output_goes_to_the_log(tmp_path):
    body = "import subprocess; print('ours'); subprocess.run(['echo', 'theirs'])"
    assert run_script(tmp_path / "log", body) == (0, "")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith("INFO align: start, threads: 1")
    assert sorted(lines[1:]) == ["ours", "theirs"]


LIBRARY = """
import logging, warnings
library = logging.getLogger("library")
library.addHandler(logging.StreamHandler())
library.setLevel(logging.INFO)
inner = logging.getLogger("library.inner")
inner.setLevel(logging.INFO)
job.hush("library")
inner.info("a tip")
inner.warning("a warning")
logging.getLogger("librarian").info("of another")
warnings.warn("will change", FutureWarning)
warnings.warn("is odd", UserWarning)
"""


def test_libraries_log_warnings_only_and_once(tmp_path):
    assert run_script(tmp_path / "log", LIBRARY) == (0, "")
    log = (tmp_path / "log").read_text()
    assert "a tip" not in log and "will change" not in log
    assert [log.count(text) for text in ("a warning", "of another", "is odd")] == [1, 1, 1]


def test_an_expected_failure_is_a_sentence(tmp_path):
    status, told = run_script(tmp_path / "log", "job.run(['false'])")
    assert (status, told) == (1, "align: false ended with status 1.\n")
    log = (tmp_path / "log").read_text()
    assert "false ended with status 1." in log
    assert "Traceback" not in log


def test_any_other_failure_is_a_line_and_a_traceback_in_the_log(tmp_path):
    status, told = run_script(tmp_path / "log", "{}['gene']")
    assert (status, told) == (1, "align: KeyError: 'gene'\n")
    assert "Traceback" in (tmp_path / "log").read_text()


def test_a_log_that_takes_nothing_hides_no_reason():
    """/dev/full is a disk without space, and no file can be made beside it on a full disk."""
    status, told = run_script("/dev/full", "job.run(['false'])")
    assert status == 1
    assert told.startswith("align: false ended with status 1.")


@pytest.mark.parametrize("log", ["/proc/log", "/nowhere/log"])
def test_a_log_that_cannot_be_made_is_told(log):
    status, told = run_script(log, "print('never')")
    assert status == 1
    assert told.startswith("align: ") and log in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("error", "served"), [(errno.EMFILE, True), (errno.ENOENT, False), (errno.ESRCH, False)]
)
def test_only_a_caller_that_is_gone_ends_a_job(monkeypatch, error, served):
    """By a shell between, as conda's; where no further file can be opened, nothing is known."""

    def fail(process):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(job, "_status", fail)
    assert job._is_served([os.getpid(), os.getppid(), 1]) == served
    assert not job._is_served([os.getpid(), os.getppid() + 1])


def test_processes_that_end_meanwhile_end_no_search():
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert list(job._descendants(gone.pid)) == []
    with subprocess.Popen(["sleep", "600"]) as child:
        assert child.pid in list(job._descendants(os.getpid()))
        child.kill()


FULL_SCRATCH = """
import tempfile, shutil
from pathlib import Path
job.WRITES_TO[-1] = ("TMPDIR, ", Path(sys.argv[2]))
with tempfile.TemporaryDirectory(dir=sys.argv[2]) as scratch:
    filler = Path(scratch, "filler")
    try:
        with open(filler, "wb") as file:
            while True:
                file.write(bytes(2**16))
                file.flush()
    except OSError:
        pass
    job.run(["false"])
"""


def test_a_full_folder_of_temporary_files_is_named(tmp_path):
    """A tool that fills it says only that it failed, and what it wrote is gone with the job."""
    disk = tmp_path / "scratch"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        status, said = run_script(tmp_path / "log", FULL_SCRATCH, disk)
    finally:
        subprocess.run(["umount", disk], check=True)
    assert status == 1
    expected = "align: false ended with status 1. The disk is full. Nothing can be written to "
    assert said == f"{expected}TMPDIR, {disk}: No space left on device.\n"


def test_a_quota_that_is_used_up_is_a_full_disk(monkeypatch, tmp_path):
    """As the kernel reports it on a file system with quotas, of which there is none here."""

    def refuse(*_, **__):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
    said = disk.why_not_writable(tmp_path)
    assert said == f"The disk is full. Nothing can be written to {tmp_path}: Disk quota exceeded."


def test_why_nothing_more_can_be_written_is_found_out(tmp_path):
    assert disk.why_not_writable(tmp_path) == ""
    # It takes no file from anybody, root or not.
    assert disk.why_not_writable(Path("/proc")).startswith("Nothing can be written to /proc: ")
