"""How the script of a rule tells why it failed."""

import subprocess
import sys
from pathlib import Path

import pytest

from latere import job

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCRIPT = """
import sys
from types import SimpleNamespace
from latere import job

job.start(SimpleNamespace(threads=1, log=[sys.argv[1]], rule="align"))
{body}
"""


def run_script(log, body):
    """Exit code and what the script says where its rule's log is not: SLURM's log, a terminal."""
    script = SCRIPT.format(body=body)
    done = subprocess.run(
        [sys.executable, "-c", script, log], cwd=SCRIPTS, capture_output=True, text=True
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_output_goes_to_the_log(tmp_path):
    body = "import subprocess; print('ours'); subprocess.run(['echo', 'theirs'])"
    assert run_script(tmp_path / "log", body) == (0, "")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].endswith("INFO align: start, threads: 1")
    assert sorted(lines[1:]) == ["ours", "theirs"]


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


def test_why_nothing_more_can_be_written_is_found_out(tmp_path):
    assert job.why_not_writable(tmp_path) == ""
    # It takes no file from anybody, root or not.
    assert job.why_not_writable(Path("/proc")).startswith("Nothing can be written to /proc: ")
