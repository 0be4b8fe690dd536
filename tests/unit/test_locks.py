"""Locks of shared files and of a study."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latere import cache
from latere.errors import StudyError
from latere.rerun.lock import STUDY_LOCK, hold_study

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
HOLD = """
import sys, time
from pathlib import Path
from latere.rerun.lock import hold_study

lock = hold_study(Path(sys.argv[1]), "login1")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold(results, seconds):
    """Another process that holds a study."""
    command = [sys.executable, "-c", HOLD, str(results), str(seconds)]
    return subprocess.Popen(command, cwd=SCRIPTS, stdout=subprocess.PIPE, text=True)


def test_a_study_runs_once_at_a_time(tmp_path):
    results = tmp_path / "results/demo"
    other = hold(results, 600)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SystemExit) as error:
            hold_study(results, "here")
        said = str(error.value)
        assert str(results) in said and f"process {other.pid} on host login1" in said
        assert f"started {time.strftime('%Y')}" in said
        # Another study in the same folder.
        hold_study(tmp_path / "results/other", "here").close()
    finally:
        other.kill()  # as `kill -9`: the kernel releases the lock
        other.wait()
    lock = hold_study(results, "here")
    assert f"process {os.getpid()} on host here" in (results / STUDY_LOCK).read_text()
    lock.close()


def test_no_lock_follows_a_link(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / STUDY_LOCK).symlink_to(precious)
    with pytest.raises(SystemExit, match="symbolic link"):
        hold_study(tmp_path, "here")
    (tmp_path / ".index.lock").symlink_to(precious)
    with (
        pytest.raises(StudyError, match=r"\.index\.lock: .*\[symbolic-link\]"),
        cache.exclusive(tmp_path / "index"),
    ):
        pass
    assert precious.read_text() == "mine"


def test_where_nothing_can_be_written_the_first_job_says_so():
    assert hold_study(Path("/proc/results"), "here") is None


def test_a_lock_of_another_user_is_held_by_reading_it(tmp_path, monkeypatch):
    """A clone may be shared by a group; root, who runs tests, may write to any file."""
    results = tmp_path / "results/demo"
    other = hold(results, 600)
    try:
        assert other.stdout.readline() == "held\n"
        real = os.open

        def refuse(path, flags, *rest):
            if flags & os.O_RDWR:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path, flags, *rest)

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(SystemExit, match=f"process {other.pid} on host login1"):
            hold_study(results, "here")
    finally:
        other.kill()
        other.wait()
    hold_study(results, "here").close()
