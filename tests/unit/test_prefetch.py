"""NCBI's prefetch against an SRA on this machine: an archive is whole or not there."""

import hashlib
import logging
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import prefetch
from latere.errors import StudyError

LOG = logging.getLogger("prefetch")
SCRIPTS = Path(prefetch.__file__).parent

pytestmark = pytest.mark.tools("prefetch", "vdb-validate")


@pytest.fixture(autouse=True)
def commit(monkeypatch):
    """So small an archive has several points to go on from."""
    monkeypatch.setattr(prefetch, "COMMIT", 30_000)


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "resources/sra/SRR1.sra"


def fetch(path):
    prefetch.fetch("SRR1", path, LOG, pause=0)


def is_whole(path, archive):
    """The archive, and nothing beside it but its lock."""
    return path.read_bytes() == archive and names(path.parent) == [f".{path.name}.lock", path.name]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_a_download_that_is_cut_off_goes_on_from_there(sra, path, caplog):
    # After four empty answers this prefetch gives up.
    sra.cuts = [200_000, 0, 0, 0, 0]
    caplog.set_level(logging.INFO)
    fetch(path)
    assert is_whole(path, sra.content)
    assert [first for _, first in sra.asked] == [0] + 5 * [200_000]
    assert "transfer incomplete" in caplog.text and "SRR1: 399,842 bytes, verified" in caplog.text


def test_what_is_loaded_outlives_the_job(sra, path):
    sra.cuts = [200_000] + [0] * 100
    with pytest.raises(
        StudyError, match=r"SRR1: .*transfer incomplete.*\[download-failed\]"
    ) as told:
        fetch(path)
    assert "resumes" in str(told.value) and not path.exists()
    sra.cuts, sra.asked = [], []
    fetch(path)
    assert is_whole(path, sra.content) and sra.asked[0] == ("SRR1", 200_000)


def test_pauses_between_attempts_grow(sra, path, monkeypatch):
    pauses = []
    clock = SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    monkeypatch.setattr(prefetch, "time", clock)
    sra.knows = []
    with pytest.raises(StudyError, match=r"Cannot resolve accession \( 404 \) \[download-failed\]"):
        prefetch.fetch("SRR1", path, LOG)
    assert pauses == [10, 20, 40, 80, 160] and not path.exists()


def test_an_archive_that_is_there_is_used(sra, path):
    path.parent.mkdir(parents=True)
    path.write_bytes(b"of a colleague")
    fetch(path)
    assert path.read_bytes() == b"of a colleague" and sra.asked == []


def test_another_file_than_the_sra_tells_is_refused(sra, path):
    right, sra.md5 = sra.md5, "0" * 32
    with pytest.raises(StudyError, match=r"failed to verify.*\[corrupt-download\]"):
        fetch(path)
    assert names(path.parent) == [".SRR1.sra.lock"]
    # Left there, prefetch would take it, as its size is right.
    sra.md5 = right
    fetch(path)
    assert is_whole(path, sra.content)
    assert sra.asked == [("SRR1", 0)] * 2


def test_an_archive_damaged_inside_is_refused(sra, path):
    # What the loaders store further behind has no checksum of its own.
    sra.content = sra.content[:50_000] + bytes(100) + sra.content[50_100:]
    sra.md5 = hashlib.md5(sra.content).hexdigest()
    with pytest.raises(StudyError, match=r"vdb-validate ended with status.*\[corrupt-download\]"):
        fetch(path)
    assert names(path.parent) == [".SRR1.sra.lock"]


def test_what_another_left_whole_is_not_trusted(sra, path):
    part = path.with_suffix(".part")
    part.mkdir(parents=True)
    (part / path.name).write_bytes(bytes(len(sra.content)))
    fetch(path)
    assert is_whole(path, sra.content)


def test_a_full_disk_is_told_at_once(sra, path):
    path.parent.mkdir(parents=True)
    small = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", path.parent]
    if subprocess.run(small, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no small disk can be made here")
    try:
        with pytest.raises(StudyError, match=r"The disk is full. .*: No space.*\[no-space\]"):
            fetch(path)
    finally:
        subprocess.run(["umount", path.parent], check=True)
    assert sra.asked == [("SRR1", 0)]


def test_a_download_that_stands_still_is_ended(sra, path, monkeypatch):
    monkeypatch.setattr(prefetch, "TELL", 0.2)
    monkeypatch.setattr(prefetch, "STALL", 0.5)
    sra.cuts, sra.stands = [200_000], True
    fetch(path)
    assert is_whole(path, sra.content)
    assert len(sra.asked) > 1 and sra.asked[1][1] > 0


def test_how_much_is_loaded_is_told(sra, path, monkeypatch, caplog):
    monkeypatch.setattr(prefetch, "TELL", 0.1)
    caplog.set_level(logging.INFO)
    sra.pause = 0.05
    fetch(path)
    assert "0 MB so far, " in caplog.text and "SRR1: 399,842 bytes, verified" in caplog.text


def test_two_that_want_an_archive_at_once_download_it_once(sra, path, caplog):
    caplog.set_level(logging.INFO)
    sra.pause = 0.1
    both = [threading.Thread(target=fetch, args=[path]) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sra.asked == [("SRR1", 0)] and is_whole(path, sra.content)
    assert "SRR1.sra: another job is making it; waiting" in caplog.text and "exists" in caplog.text


def test_a_download_outlives_the_script_and_is_waited_for(sra, path):
    """The script is killed, prefetch goes on: nobody else may write to its file meanwhile."""
    sra.pause = 0.2
    call = "import sys, logging, prefetch, pathlib as p\n"
    call += "prefetch.fetch('SRR1', p.Path(sys.argv[1]), logging.getLogger())"
    job = subprocess.Popen([sys.executable, "-c", call, path], cwd=SCRIPTS)
    while not sra.asked:
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    fetch(path)
    assert is_whole(path, sra.content)
    assert sra.most_under_way == 1
