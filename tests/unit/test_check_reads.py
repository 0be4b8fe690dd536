"""No read reaches STAR that is cut off, broken, out of step or too short: every record is read."""

import gzip
import random
from pathlib import Path

import pytest

from check_reads import check_reads
from latere.errors import StudyError
from latere.reads.fastq import BATCH

SPOTS = 2 * BATCH + 100
SIZES = {"barcode": 26, "cdna": 91, "index": 8}
CHEMISTRY = {
    "name": "v2",
    "barcode": [[1, 16]],
    "umi": [17, 26],
    "umi_read": "barcode",
    "strand": "Forward",
    "whitelists": ["list.txt"],
}


def records(role, lane, spots=SPOTS):
    draw = random.Random(lane)
    size = SIZES[role]
    text = (
        f"@M:{lane}:{at} {role}\n{''.join(draw.choices('ACGT', k=size))}\n+\n{'F' * size}\n"
        for at in range(spots)
    )
    return "".join(text).encode()


def pack(data):
    """Gzip as bcl2fastq and bgzip do, in several members."""
    half = len(data) // 2
    return gzip.compress(data[:half]) + gzip.compress(data[half:])


@pytest.fixture
def roles(tmp_path):
    """Two lanes: one gzipped in several members, one plain."""
    made = {"run": "r1", "candidates": {"v2": CHEMISTRY}, "umi": []}
    for role in SIZES:
        files = [tmp_path / f"{role}_L001.fastq.gz", tmp_path / f"{role}_L002.fastq"]
        files[0].write_bytes(pack(records(role, 1)))
        files[1].write_bytes(records(role, 2))
        made[role] = list(map(str, files))
    return made


def test_whole_reads_are_counted(roles):
    assert check_reads(roles, 2) == {
        "run": "r1",
        "reads": 2 * SPOTS,
        "lanes": [SPOTS, SPOTS],
        "lengths": {role: [size, size] for role, size in SIZES.items()},
    }


def test_gzip_or_not_is_told_by_content(roles):
    for role in SIZES:
        packed, plain = map(Path, roles[role])
        data = packed.read_bytes()
        packed.write_bytes(plain.read_bytes())
        plain.write_bytes(data)
    assert check_reads(roles, 1)["reads"] == 2 * SPOTS


@pytest.mark.parametrize("odd", ["<", "&", " ", "3"])
def test_only_bases_are_bases(roles, odd):
    """FastQC and MultiQC show frequent sequences, the latter as HTML."""
    plain, record = Path(roles["cdna"][1]), BATCH + 7
    lines = plain.read_bytes().split(b"\n")
    lines[4 * record + 1] = lines[4 * record + 1][:-1] + odd.encode()
    plain.write_bytes(b"\n".join(lines))
    with pytest.raises(StudyError, match=rf"record {record + 1} .*'{odd}' .*\[not-a-base\]") as why:
        check_reads(roles, 1)
    assert why.value.where == f"run r1, {plain}"
    lines[4 * record + 1] = lines[4 * record + 1][:-4] + b".n-*"
    plain.write_bytes(b"\n".join(lines))
    assert check_reads(roles, 1)["reads"] == 2 * SPOTS


@pytest.mark.parametrize("end", [b"\n", b"\n" * 3, b"\n" * 300_000], ids=["one", "three", "many"])
def test_empty_last_lines_are_no_reads(roles, end):
    for role in ("cdna", "index"):
        packed, plain = map(Path, roles[role])
        packed.write_bytes(packed.read_bytes() + gzip.compress(end))
        plain.write_bytes(plain.read_bytes() + end)
    assert check_reads(roles, 2)["reads"] == 2 * SPOTS


def test_a_last_read_without_bases_is_a_read(roles):
    path = Path(roles["index"][1])
    whole = path.read_bytes()
    empty = whole[: at(SPOTS, "index")] + b"@M:2:%d x\n\n+\n\n" % (SPOTS - 1)
    for data in (empty, empty + b"\n"):
        path.write_bytes(data)
        assert check_reads(roles, 2)["lengths"]["index"] == [0, 8]


def change(position, new):
    """Put something into the middle of a file."""
    return lambda data: data[:position] + new + data[position:]


def at(record, role="cdna"):
    """Where a record of lane 2 begins, counted from 1."""
    return len(records(role, 2, record - 1))


LATE = 2 * BATCH + 50
# Role whose file of the lane is spoilt, lane, how, and what is told.
SPOILT = {
    "truncated gzip": ("cdna", 1, lambda data: data[:-20], "[truncated-file]"),
    "truncated member": (
        "barcode",
        1,
        lambda data: data + gzip.compress(b"")[:5],
        "[truncated-file]",
    ),
    "damaged gzip": ("cdna", 1, lambda data: data + b"no gzip data", "[damaged-file]"),
    "empty": ("barcode", 2, lambda data: b"", "[no-reads]"),
    "empty gzip": ("barcode", 1, lambda data: gzip.compress(b""), "[no-reads]"),
    "one read less": (
        "cdna",
        2,
        lambda data: data[: at(SPOTS)],
        f"differ in their number of reads ({SPOTS} in barcode_L002.fastq, {SPOTS - 1} in cdna_L00",
    ),
    "index of another length": ("index", 2, lambda data: data[: at(9, "index")], "8 in index_L002"),
    "cut in a record": ("cdna", 2, lambda data: data[:-3], f"record {SPOTS} is broken"),
    "empty lines within": ("cdna", 2, change(at(LATE), b"\n"), f"record {LATE} is broken"),
    "cut before empty lines": ("cdna", 2, lambda data: data + b"@x\n\n\n", "[not-fastq]"),
    "empty lines only": ("cdna", 2, lambda data: b"\n\n\n", "[no-reads]"),
    "no line of bases": ("cdna", 2, change(at(LATE), b"@x\n+\nFFF\n"), f"record {LATE} is broken"),
    "more bases than qualities": (
        "cdna",
        2,
        change(at(LATE), b"@x\nACGT\n+\nFF\n"),
        f"record {LATE} is broken (Length of sequence and qualities differ)",
    ),
    "not FASTQ": ("cdna", 2, lambda data: b">a\nACGT\n", "[not-fastq]"),
    # Any bytes, a carriage return among them.
    "an archive": ("cdna", 2, lambda data: b"NCBI.sra\r\n" + bytes(9000), "[not-fastq]"),
    "Windows line ends": (
        "cdna",
        2,
        lambda data: data.replace(b"\n", b"\r\n"),
        "[windows-line-ends]",
    ),
    "another spot": (
        "cdna",
        2,
        lambda data: data.replace(b"@M:2:%d " % (LATE - 1), b"@M:9:9 "),
        f"spot {LATE} has reads of different spots (barcode_L002.fastq: M:2:{LATE - 1}; "
        "cdna_L002.fastq: M:9:9;",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_spoilt_reads_are_refused(case, roles):
    role, lane, spoil, message = SPOILT[case]
    path = Path(roles[role][lane - 1])
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(StudyError) as error:
        check_reads(roles, 2)
    assert message in str(error.value)
    assert str(error.value).startswith(f"run r1, {path.parent}")
    assert path.name in str(error.value) and "\n  -> " in str(error.value)


def test_short_reads_are_refused(roles):
    for role, size, needed in (("barcode", 25, 26), ("cdna", 0, 1)):
        path = Path(roles[role][1])
        whole = path.read_bytes()
        start, end = at(LATE, role), at(LATE + 1, role)
        name = whole[start:].split(b"\n")[0]
        read = b"%s\n%s\n+\n%s\n" % (name, b"A" * size, b"F" * size)
        path.write_bytes(whole[:start] + read + whole[end:])
        message = f"{path}: record {LATE} has {size} bp; a {role} read needs {needed} bp"
        with pytest.raises(StudyError, match=message):
            check_reads(roles, 1)
        path.write_bytes(whole)


def test_lanes_that_were_shuffled_alone_are_refused(roles):
    path = Path(roles["cdna"][1])
    lines = path.read_bytes().splitlines(keepends=True)
    spots = [b"".join(lines[at : at + 4]) for at in range(0, len(lines), 4)]
    path.write_bytes(b"".join(reversed(spots)))
    with pytest.raises(StudyError, match=r"spot 1 .*\[read-names-differ\]"):
        check_reads(roles, 2)


def test_umi_reads_are_checked_too(roles, tmp_path):
    roles["candidates"]["v2"] = CHEMISTRY | {"umi": [1, 10], "umi_read": "own"}
    roles["umi"], roles["index"] = roles["index"], []
    with pytest.raises(StudyError, match=r"record 1 .* 8 bp.* umi .* 10 bp \[short-read\]"):
        check_reads(roles, 1)
