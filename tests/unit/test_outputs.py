"""Outputs are whole or not there, and a job notices what was cut off or changed since."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from latere import outputs
from latere.errors import StudyError
from latere.rerun.leftovers import forget_records


@pytest.fixture
def made(tmp_path):
    """A table and a folder as two outputs of a finished job."""
    paths = [str(tmp_path / "tests.tsv"), str(tmp_path / "model")]
    outputs.stage(paths)
    table, folder = map(outputs.place, map(Path, paths))
    table.write_text("gene\tfdr\na\t0.1\nb\t0.2\n")
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/model.pt").write_bytes(bytes(1000))
    outputs.publish(paths)
    return paths


def test_outputs_take_their_names_when_all_are_made(made, tmp_path):
    assert Path(made[0]).read_text(encoding="utf-8").endswith("b\t0.2\n")
    assert (tmp_path / "model/inner/model.pt").stat().st_size == 1000
    assert not any((tmp_path / outputs.MAKING).iterdir())
    outputs.verify(made)


def test_jobs_that_write_to_one_folder_leave_each_other_room(made, tmp_path):
    outputs.stage([str(tmp_path / "other")])
    outputs.stage(made[:1])
    outputs.place(Path(made[0])).touch()
    outputs.publish(made[:1])
    outputs.place(tmp_path / "other").touch()


def test_what_an_earlier_job_left_does_not_get_into_an_output(made, tmp_path):
    left = outputs.place(tmp_path / "model")
    left.mkdir(parents=True)
    (left / "old").touch()
    outputs.stage(made)
    assert not left.exists()


def test_no_record_outlives_what_it_describes(made, tmp_path, monkeypatch):
    """Killed between name and record: the next job must not compare with the old record."""
    outputs.stage(made)
    outputs.place(Path(made[0])).write_text("another")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "_write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        outputs.publish(made[:1])
    outputs.verify(made)


CUTS = {
    "at the end of a line": ("tests.tsv", lambda data: data[: data.rindex(b"b")], "changed-output"),
    "within a line": ("tests.tsv", lambda data: data[:-3], "changed-output"),
    "a file of a folder": ("model/inner/model.pt", lambda data: data[:500], "changed-output"),
    "other content of the same size": (
        "model/inner/model.pt",
        lambda data: b"\1" + data[1:],
        "changed-output",
    ),
    "a file of a folder is gone": ("model/inner/model.pt", None, "unreadable-output"),
}


@pytest.mark.parametrize("case", CUTS)
def test_a_file_that_was_cut_off_is_noticed(case, made, tmp_path):
    name, cut, code = CUTS[case]
    file = tmp_path / name
    if cut:
        file.write_bytes(cut(file.read_bytes()))
    else:
        file.unlink()
    with pytest.raises(StudyError) as error:
        outputs.verify(made)
    assert error.value.where == str(file)
    assert code == error.value.code
    assert f"Remove {tmp_path / name.split('/')[0]} and run again" in error.value.fix


def test_large_files_are_compared_by_size_only(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "MOST", 10)
    path = tmp_path / "reads"
    outputs.stage([str(path)])
    outputs.place(path).write_bytes(bytes(11))
    outputs.publish([str(path)])
    record = json.loads((tmp_path / outputs.RECORDS / "reads.json").read_text())
    assert record == {".": [11, None]}
    outputs.verify([str(path)])
    path.write_bytes(bytes(10))
    with pytest.raises(StudyError, match=r"\[changed-output\]"):
        outputs.verify([str(path)])


def test_files_of_others_and_shared_files_are_not_looked_at(tmp_path):
    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.write_text("one")
    outputs.stage([str(link)])
    outputs.place(link).symlink_to(shared)
    outputs.publish([str(link)])
    shared.write_text("another")
    outputs.verify([str(link), str(shared), str(tmp_path / "nowhere")])


def test_no_record_stays_of_an_output_that_is_gone(made, tmp_path):
    Path(made[0]).unlink()
    forget_records(tmp_path)
    assert [path.name for path in (tmp_path / outputs.RECORDS).iterdir()] == ["model.json"]


def test_a_record_that_is_damaged_is_named(made, tmp_path):
    """As after a power cut, which leaves an empty file."""
    record = tmp_path / outputs.RECORDS / "tests.tsv.json"
    record.write_text("")
    with pytest.raises(StudyError) as error:
        outputs.verify(made)
    assert error.value.where == str(record) and error.value.code == "damaged-record"


SNAKEFILE = """
rule all:
    input: "made/table.tsv"

rule read:
    input: "made/table.tsv", "made/folder"
    output: "read.txt"
    log: "read.log"
    script: "scripts/read.py"

rule make:
    output: "made/table.tsv", directory("made/folder")
    log: "make.log"
    script: "scripts/make.py"
"""
SCRIPT = """
import subprocess, sys, time
from pathlib import Path
from latere.job import run, run_script, start

def main(snakemake):
    start(snakemake)
    Path(snakemake.output[1]).mkdir()
    Path(snakemake.output[0]).write_text("a part")
    Path("child").write_text(str(subprocess.Popen(["sleep", "600"]).pid))
    while not Path("go").exists():
        time.sleep(0.1)
    Path(snakemake.output[0]).write_text("whole")

if __name__ == "__main__":
    run_script(main, snakemake)
"""


READER = """
from pathlib import Path
from latere.job import run_script, start

def main(snakemake):
    start(snakemake)
    Path(snakemake.output[0]).write_text(Path(snakemake.input[0]).read_text())

if __name__ == "__main__":
    run_script(main, snakemake)
"""


@pytest.fixture
def call(tmp_path, root):
    """Start Snakemake on two rules, in a folder of its own."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "scripts/make.py").write_text(SCRIPT)
    (tmp_path / "scripts/read.py").write_text(READER)
    env = os.environ | {"PYTHONPATH": str(root / "scripts")}
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"

    def start(*words):
        command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", *words]
        with (tmp_path / "out").open("w") as out:
            return subprocess.Popen(command, cwd=tmp_path, env=env, stdout=out, stderr=out)

    return start


@pytest.fixture
def running(call, tmp_path):
    """A running Snakemake whose one job waits, and what that job has started."""
    process = call()
    wait_until((tmp_path / "child").exists)
    yield process, tmp_path
    if process.poll() is None:
        process.kill()
        process.wait()


def wait_until(is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return False


def test_a_job_ends_with_its_snakemake_and_leaves_no_output(running):
    """Else it writes its old result over that of the next run, which sees nothing to do."""
    process, folder = running
    child = int((folder / "child").read_text())
    assert is_running(child)
    assert not (folder / "made/table.tsv").exists()
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_running(child))
    (folder / "go").touch()
    time.sleep(1)
    assert not (folder / "made/table.tsv").exists() and not (folder / "made/folder").exists()
    assert "Snakemake has ended" in (folder / "make.log").read_text()


def test_what_a_killed_job_left_hides_nothing_of_the_next(running, call):
    """Its log begins with the start, and a job ends at an input that was cut off."""
    process, folder = running
    child = int((folder / "child").read_text())
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not is_running(child))
    assert any((folder / "made" / outputs.MAKING).iterdir())
    assert call("--unlock").wait(60) == 0
    (folder / "child").unlink()
    (folder / "go").touch()
    assert call("--", "read.txt").wait(60) == 0
    os.kill(int((folder / "child").read_text()), signal.SIGKILL)
    assert "INFO make: start, threads: 1" in (folder / "make.log").read_text().splitlines()[0]
    assert (folder / "read.txt").read_text() == "whole"
    (folder / "read.txt").unlink()
    table = folder / "made/table.tsv"
    times = table.stat()
    table.write_text("who")
    os.utime(table, (times.st_atime, times.st_mtime))
    assert call("--", "read.txt").wait(60) == 1
    assert not (folder / "read.txt").exists()
    said = (folder / "out").read_text()
    assert "read: made/table.tsv: has 3 bytes, but 5 bytes were written" in said
    assert "Traceback" not in (folder / "read.log").read_text()


def test_a_job_whose_snakemake_stays_writes_its_outputs(running):
    process, folder = running
    child = int((folder / "child").read_text())
    (folder / "go").touch()
    assert process.wait(60) == 0
    os.kill(child, signal.SIGKILL)
    assert (folder / "made/table.tsv").read_text() == "whole"
    assert sorted(path.name for path in (folder / "made").iterdir()) == [
        outputs.MAKING,
        outputs.RECORDS,
        "folder",
        "table.tsv",
    ]
