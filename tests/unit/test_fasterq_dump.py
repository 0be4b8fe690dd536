"""Archives are unpacked whole: the same reads as fasterq-dump writes, or a reason."""

import gzip
import random
import signal
import subprocess
import sys
import time

import pytest

from fasterq_dump import check_records, check_room, compress, look_into
from latere.errors import StudyError
from simulate_sra import pack

pytestmark = pytest.mark.tools("sharq", "general-loader", "kar", "fasterq-dump", "vdb-dump")
SPOTS, LENGTHS = 500, [8, 26, 91]
# What Snakemake hands to the script, and its call.
CALL = """
import sys
from types import SimpleNamespace as Space
from fasterq_dump import main

archive, folder, log, tmpdir = sys.argv[1:]
main(Space(
    rule="fasterq_dump", input=[archive], output=[folder], log=[log], threads=2,
    wildcards=Space(run="r"), resources=Space(mem_mb=2000, tmpdir=tmpdir),
))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """A whole archive, and one in which the barcode read of a spot is missing."""
    folder = tmp_path_factory.mktemp("archives")
    draw = random.Random(1)
    files = [folder / f"{read}.fastq" for read in (1, 2, 3)]
    with files[0].open("w") as index, files[1].open("w") as barcode, files[2].open("w") as cdna:
        for spot in range(1, SPOTS + 1):
            for read, file in enumerate((index, barcode, cdna)):
                bases = "".join(draw.choices("ACGT", k=LENGTHS[read]))
                name = f"SIM:1:LATERE:1:1101:1000:{spot:08d} {read + 1}:N:0"
                file.write(f"@{name}\n{bases}\n+\n{'F' * LENGTHS[read]}\n")
    pack(*map(str, files), str(folder / "whole.sra"))
    lines = files[1].read_text().splitlines(keepends=True)
    files[1].write_text("".join(lines[:400] + lines[404:]))
    pack(*map(str, files), str(folder / "gap.sra"))
    return folder


@pytest.fixture
def start(root, tmp_path, monkeypatch):
    """Start the script on an archive; its folder for a time is `tmp`."""
    monkeypatch.setenv("PYTHONPATH", str(root / "scripts"))
    (tmp_path / "tmp").mkdir()

    def start(archive, **options):
        words = [archive, tmp_path / "reads", tmp_path / "log", tmp_path / "tmp"]
        return subprocess.Popen([sys.executable, "-c", CALL, *map(str, words)], **options)

    return start


def reads(file):
    """Bases and qualities, without names."""
    opened = gzip.open if file.suffix == ".gz" else open
    with opened(file, "rt") as text:
        lines = text.read().splitlines()
    return lines[1::4], lines[3::4]


def test_reads_are_those_of_a_direct_call(archives, start, tmp_path):
    assert start(archives / "whole.sra").wait() == 0
    words = ["--include-technical", "--split-files", "--temp", tmp_path, "--outdir", tmp_path]
    subprocess.run(["fasterq-dump", *words, archives / "whole.sra"], check=True)
    for read, length in enumerate(LENGTHS, start=1):
        packed = tmp_path / f"reads/whole_{read}.fastq.gz"
        assert reads(packed) == reads(tmp_path / f"whole_{read}.fastq")
        assert {len(bases) for bases in reads(packed)[0]} == {length}
        with gzip.open(packed, "rt") as text:
            names = text.read().splitlines()[::4]
        # Alike for the reads of a spot but for the number of the read.
        assert names == [f"@{spot}/{read}" for spot in range(1, SPOTS + 1)]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_spot_without_one_of_its_reads_is_refused(archives, start, tmp_path):
    """fasterq-dump writes its cDNA into the file of the barcodes, and tells nothing."""
    assert start(archives / "gap.sra").wait() == 1
    log = (tmp_path / "log").read_text()
    assert "gap.sra: has 500 spots, but the numbers of unpacked reads are: gap_1.fastq 500, " in log
    assert "use the original FASTQ files" in log and "Traceback" not in log


def test_half_of_the_reads_is_not_taken_for_all(archives, start, tmp_path, monkeypatch):
    """A tool that stops early, and says that all went well."""
    fake = tmp_path / "bin/fasterq-dump"
    fake.parent.mkdir()
    fake.write_text(
        """#!/bin/sh
        while [ "$1" != --outdir ]; do shift; done
        for read in 1 2 3; do printf '@1\\nA\\n+\\nF\\n' >"$2/whole_$read.fastq"; done
        """
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=":")
    assert start(archives / "whole.sra").wait() == 1
    log = (tmp_path / "log").read_text()
    assert (
        "has 500 spots, but the numbers of unpacked reads are: whole_1.fastq 1, whole_2.fastq 1"
        in log
    )


def test_a_tool_that_fails_fails_the_job(archives, start, tmp_path, monkeypatch):
    (tmp_path / "fasterq-dump").write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / "fasterq-dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    job = start(archives / "whole.sra", stderr=subprocess.PIPE, text=True)
    assert "fasterq-dump ended with status 3" in job.communicate()[1] and job.returncode == 1


def test_a_job_that_is_ended_leaves_nothing_on_the_node(archives, start, tmp_path, monkeypatch):
    fake = tmp_path / "fasterq-dump"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 60\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    job = start(archives / "whole.sra")
    while not (tmp_path / "begun").exists():
        assert job.poll() is None
        time.sleep(0.05)
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    job.send_signal(signal.SIGTERM)
    assert job.wait(10) == 1
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_archive_tells_its_spots_and_the_room_they_need(archives, tmp_path):
    spots, lengths = look_into(archives / "whole.sra")
    assert (spots, lengths) == (SPOTS, LENGTHS)
    check_room(tmp_path, spots, lengths, 2, "run r")
    with pytest.raises(
        StudyError, match=r"run r: .* 1,000,000,000,000 .* 338,625.0 GB.*\[no-space\]"
    ):
        check_room(tmp_path, 10**12, lengths, 8, "run r")


def test_a_compressed_file_makes_room(tmp_path):
    plain, packed = tmp_path / "r_1.fastq", tmp_path / "r_1.fastq.gz"
    text = b"@1/1\nACGT\n+\nFFFF\n" * 300_000
    plain.write_bytes(text)
    assert compress(plain, packed, threads=2) == 300_000
    assert not plain.exists() and gzip.decompress(packed.read_bytes()) == text


def test_no_file_at_all_is_refused():
    with pytest.raises(StudyError, match=r"\[incomplete-spots\]"):
        check_records({}, 5, "run r")
