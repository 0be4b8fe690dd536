"""Whether a machine is large enough for the jobs of a study."""

import pytest

from latere.cluster.machine import free_disk, memory, require_room
from latere.cluster.sizes import ARCHIVE_BYTES, Sizes
from latere.errors import StudyError
from latere.study.sheet import Run
from latere.study.study import Study

GB = 1e9
JOBS = [
    *(("prefetch", {"accession": f"SRR{n}"}, 1) for n in (1, 2)),
    *(("fasterq_dump", {"run": f"r{n}"}, 8) for n in (1, 2)),
]


@pytest.mark.parametrize(
    ("line", "files", "expected"),
    [
        ("0::/a/b", {"a/memory.max": "5000\n", "a/b/memory.max": "max\n"}, 5000),
        ("4:memory:/a", {"memory/a/memory.limit_in_bytes": "7000"}, 7000),
        ("4:cpu:/a", {"cpu/a/memory.max": "1"}, None),
        ("0::/gone", {}, None),
    ],
)
def test_memory_of_a_container(tmp_path, line, files, expected):
    (tmp_path / "own").write_text(line + "\n")
    for name, text in files.items():
        file = tmp_path / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    found = memory(tmp_path / "groups", tmp_path / "own")
    assert found == (expected or memory(tmp_path, tmp_path / "none"))


@pytest.fixture
def sizes(tmp_path):
    runs = {f"r{n}": Run(f"r{n}", "s", sra=f"SRR{n}", spots=n * 10**8) for n in (1, 2)}
    config = {"reads": {"keep_archives": True, "keep_fastq": False, "bam": False}}
    return Sizes(Study("big", config, runs, {}), str(tmp_path), str(tmp_path))


def refusal(jobs, sizes, unpacked=6, memory=1e15, disk=1e15):
    try:
        require_room(jobs, sizes, unpacked, memory, disk)
    except StudyError as error:
        return str(error)
    return ""


def test_a_machine_with_room_is_taken(sizes):
    assert refusal(JOBS, sizes) == refusal([], sizes, memory=0, disk=0) == ""


def test_disk_is_what_is_kept_and_the_runs_that_wait(sizes):
    told = refusal(JOBS, sizes, disk=GB)
    assert told.startswith("big: needs more than this machine has: ")
    assert "GB of disk, and 1 are free [machine-too-small]" in told and "memory" not in told
    assert "--profile slurm" in told and "LATERE_ANY_SIZE=1" in told

    def peak(jobs, unpacked):
        return int(refusal(jobs, sizes, unpacked, disk=0).split(" GB of disk")[0].split()[-1])

    archives = peak(JOBS[:2], 1)
    assert archives == pytest.approx(3 * 10**8 * ARCHIVE_BYTES / GB, abs=0.5)
    assert archives < peak(JOBS, 1) < peak(JOBS, 2)


def test_memory_is_that_of_the_largest_job(sizes):
    told = refusal(JOBS, sizes, memory=1e8)
    assert "GB of memory (fasterq_dump) of 0 [machine-too-small]" in told


def test_jobs_of_unknown_size_are_passed_over(sizes):
    runs = {"r1": Run("r1", "s", sra="SRR1")}
    unknown = Sizes(Study("x", sizes.study.config, runs, {}), "nowhere", "nowhere")
    assert refusal(JOBS[:1], unknown, disk=0, memory=0) == ""


def test_this_machine(tmp_path):
    assert memory() > 1e8
    once = free_disk([tmp_path])
    assert once > 0 and free_disk([tmp_path, tmp_path / "not/there"]) < 1.5 * once
