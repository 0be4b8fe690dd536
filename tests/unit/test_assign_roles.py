"""Roles of reads: by length and content, whatever the order and the names of the files."""

import gzip
import random
from pathlib import Path

import pytest

from assign_roles import assign_roles, read_mate
from latere.chemistry import read_chemistry
from latere.errors import StudyError

ROOT = Path(__file__).resolve().parents[2]
SPOTS = 200


@pytest.fixture(scope="module")
def chemistry():
    return read_chemistry(ROOT / "config" / "chemistries.tsv", "10xv2")


@pytest.fixture(scope="module")
def barcodes():
    draw = random.Random(1)
    return ["".join(draw.choices("ACGT", k=16)) for _ in range(50)]


@pytest.fixture(scope="module")
def whitelist(tmp_path_factory, barcodes):
    path = tmp_path_factory.mktemp("whitelist") / "list.txt"
    path.write_text("\n".join(barcodes) + "\n")
    return path


@pytest.fixture
def write(tmp_path):
    """Write reads to a FASTQ file, gzipped if its name says so."""

    def write(name, reads, lane=1):
        path = tmp_path / name
        lines = [
            f"@L{lane}:{at} x\n{read}\n+\n{'F' * len(read)}\n" for at, read in enumerate(reads)
        ]
        opened = gzip.open if name.endswith(".gz") else open
        with opened(path, "wt") as file:
            file.writelines(lines)
        return str(path)

    return write


@pytest.fixture
def reads(barcodes):
    """Reads of one lane by role."""
    draw = random.Random(2)

    def bases(count):
        return "".join(draw.choices("ACGT", k=count))

    return {
        "index": ["TTTCATGA"] * SPOTS,
        "barcode": [draw.choice(barcodes) + bases(10) for _ in range(SPOTS)],
        "cdna": [bases(91) for _ in range(SPOTS)],
    }


@pytest.mark.parametrize(
    "order",
    [("index", "barcode", "cdna"), ("cdna", "index", "barcode"), ("barcode", "cdna")],
    ids=" ".join,
)
def test_roles_follow_content(order, reads, write, chemistry, whitelist):
    files = [[write(f"x_{at}.fastq.gz", reads[role])] for at, role in enumerate(order, 1)]
    found = assign_roles(files, chemistry, whitelist, "x")
    assert [found[role] for role in order] == files
    assert found["lengths"] == {role: len(reads[role][0]) for role in order}
    assert found["valid_barcodes"] == 1
    assert found["run"] == "x" and found["chemistry"] == "10xv2"


def test_lanes_keep_their_order_and_plain_files_are_read(reads, write, chemistry, whitelist):
    files = [
        [write(f"{role}_{lane}.fastq", reads[role], lane) for lane in (2, 1)]
        for role in ("cdna", "barcode")
    ]
    found = assign_roles(files, chemistry, whitelist, "x")
    assert [found["cdna"], found["barcode"]] == files


def test_barcode_read_sequenced_past_the_umi(reads, write, chemistry, whitelist):
    long = [read + "T" * 124 for read in reads["barcode"]]
    files = [[write("1.fastq.gz", long)], [write("2.fastq.gz", reads["cdna"])]]
    found = assign_roles(files, chemistry, whitelist, "x")
    assert found["barcode"] == files[0] and found["lengths"]["barcode"] == 150


def refuse(files, chemistry, whitelist, *words):
    with pytest.raises(StudyError) as error:
        assign_roles(files, chemistry, whitelist, "SRR1")
    for word in ("SRR1", *words):
        assert word in str(error.value)


def test_technical_reads_dropped(reads, write, chemistry, whitelist):
    files = [[write("1.fastq.gz", reads["index"])], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, chemistry, whitelist, "no read with barcodes", "dropped", "91 bp", "0.0%")


def test_wrong_chemistry(reads, write, chemistry, whitelist):
    wrong = [read[::-1] for read in reads["barcode"]]
    files = [[write("1.fastq.gz", wrong)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, chemistry, whitelist, "under 50%", "chemistry", "1.fastq.gz (26 bp): 0.0%")


def test_share_just_under_half(reads, write, chemistry, whitelist):
    part = reads["barcode"][:99] + ["N" * 26] * 101
    files = [[write("1.fastq.gz", part)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, chemistry, whitelist, "49.5% valid")


def test_longer_umi_than_the_read_holds(reads, write, whitelist):
    longer = read_chemistry(ROOT / "config" / "chemistries.tsv", "10xv3")
    files = [[write("1.fastq.gz", reads["barcode"])], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, longer, whitelist, "26 bp", "shorter than the 28 bp of 10xv3")


def test_trimmed_barcode_read(reads, write, chemistry, whitelist):
    trimmed = [read[: 20 + at % 7] for at, read in enumerate(reads["barcode"])]
    files = [[write("1.fastq.gz", trimmed)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, chemistry, whitelist, "20-26 bp", "trimmed")


def test_same_read_twice(reads, write, chemistry, whitelist):
    files = [[write(f"{at}.fastq.gz", reads["barcode"])] for at in (1, 2)]
    refuse(files, chemistry, whitelist, "2 reads carry barcodes")


def test_no_cdna(reads, write, chemistry, whitelist):
    files = [[write(f"{role}.fastq.gz", reads[role])] for role in ("index", "barcode")]
    refuse(files, chemistry, whitelist, "0 reads beside the barcode read could be cDNA")


def test_two_long_reads(reads, write, chemistry, whitelist):
    files = [[write(f"{role}.fastq.gz", reads[role])] for role in ("barcode", "cdna")]
    files.append([write("more.fastq.gz", reads["cdna"])])
    refuse(files, chemistry, whitelist, "2 reads beside the barcode read", "more.fastq.gz")


def test_lane_with_swapped_files(reads, write, chemistry, whitelist):
    files = [
        [write("1a.fastq.gz", reads["barcode"]), write("1b.fastq.gz", reads["cdna"], 2)],
        [write("2a.fastq.gz", reads["cdna"]), write("2b.fastq.gz", reads["barcode"], 2)],
    ]
    refuse(files, chemistry, whitelist, "lane 2", "cdna, barcode", "barcode, cdna")


def test_lanes_in_different_order(reads, write, chemistry, whitelist):
    files = [
        [write(f"1_{lane}.fastq.gz", reads["barcode"], lane) for lane in (1, 2)],
        [write(f"2_{lane}.fastq.gz", reads["cdna"], lane) for lane in (2, 1)],
    ]
    refuse(files, chemistry, whitelist, "lane 1", "different spots", "L1:0", "L2:0")


def test_different_numbers_of_lanes(reads, write, chemistry, whitelist):
    one = write("1.fastq.gz", reads["barcode"])
    refuse([[one, one], [one]], chemistry, whitelist, "numbers of lanes (2, 1)")


def test_spot_names_may_end_in_the_number_of_the_mate(reads, write, chemistry, whitelist, tmp_path):
    files = [[write(f"{role}.fastq", reads[role])] for role in ("barcode", "cdna")]
    for at, (file,) in enumerate(files, 1):
        path = Path(file)
        path.write_text(path.read_text().replace("@L1:0 x", f"@L1:0/{at} x"))
    assert assign_roles(files, chemistry, whitelist, "x")["barcode"] == files[0]


def test_files_that_cannot_be_read(tmp_path):
    empty, cut, other = tmp_path / "empty.gz", tmp_path / "cut.gz", tmp_path / "other.fastq"
    empty.write_bytes(gzip.compress(b""))
    whole = gzip.compress("".join(f"@{at}\nACGT\n+\nFFFF\n" for at in range(999)).encode())
    cut.write_bytes(whole[: len(whole) // 2])
    other.write_text(">a\nACGT\n>b\nACGT\n")
    for path, word in ((empty, "holds no read"), (cut, "cannot be read"), (other, "not FASTQ")):
        with pytest.raises(StudyError, match=word) as error:
            read_mate(str(path), "SRR1")
        assert "SRR1" in str(error.value) and path.name in str(error.value)
