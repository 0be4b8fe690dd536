"""The table of chemistries, and STAR with what it says: the same molecules, however they are laid
out in reads, give the same counts."""

import random
import subprocess
from pathlib import Path

import pytest

from latere.errors import StudyError
from latere.reads.chemistry import (
    COLUMNS,
    Chemistry,
    read_chemistries,
    solo_options,
    whitelist_name,
)
from latere.reads.fastq import read_barcodes, reading_command
from latere.reads.star import ALIGNMENT, link_reads, read_log, to_command

TABLE = Path(__file__).resolve().parents[2] / "config" / "chemistries.tsv"
ROW = dict(
    zip(
        COLUMNS,
        ("own", "mine", "1-4", "5-8", "barcode", "Forward", "list.txt", "me"),
        strict=True,
    )
)


@pytest.fixture
def write_table(tmp_path, monkeypatch):
    """Write a table of chemistries, each row a dict of what it has else than `ROW`."""
    monkeypatch.chdir(tmp_path)
    for name in ("list.txt", "two.txt"):
        (tmp_path / name).write_text("ACGT\nTTTT\n")

    def write(*rows, header=COLUMNS):
        lines = [header, *([(ROW | row)[column] for column in COLUMNS] for row in rows)]
        path = tmp_path / "chemistries.tsv"
        path.write_text("# a comment\n" + "".join("\t".join(line) + "\n" for line in lines))
        return path

    return write


def test_table_as_cloned():
    table = read_chemistries(TABLE)
    assert {"10xv1", "10xv2", "10xv3", "10xv4", "10x5pv2", "10xmultiome"} <= set(table)
    lengths = {name: one.barcode_read_length for name, one in table.items()}
    assert (lengths["10xv1"], lengths["10xv2"]) == (14, 26)
    assert lengths["10xv3"] == lengths["10xv4"] == 28
    assert (table["10xv1"].umi_read, table["10xv1"].umi_read_length) == ("own", 10)
    assert [one.strand for one in table.values()].count("Reverse") == 1
    assert table["10xv2"].differs_in_strand_only(table["10x5pv2"])
    assert not table["10xv3"].differs_in_strand_only(table["10xv4"])


def test_rows_of_ones_own(write_table):
    parts = {"barcode": "1-4,9-12", "umi": "13-20", "whitelist": "list.txt, ./two.txt"}
    one, two = read_chemistries(write_table({}, {"chemistry": "parts", **parts})).values()
    assert one == Chemistry("own", ((1, 4),), (5, 8), "barcode", "Forward", ("list.txt",))
    assert two.barcode == ((1, 4), (9, 12)) and two.whitelist_names == ["list", "two"]
    assert two.barcode_read_length == 20


WRONG = {
    "overlap": ({"umi": "4-8"}, "row 3, column 'umi': 1-4 and 4-8 overlap [overlapping-positions]"),
    "parts overlap": (
        {"barcode": "1-4,3-6", "umi": "7-9", "whitelist": "list.txt,two.txt"},
        "column 'barcode': 1-4 and 3-6 overlap",
    ),
    "from zero": ({"barcode": "0-4"}, "[not-positions]"),
    "backwards": ({"umi": "8-5"}, "column 'umi': 8-5 ends before it begins [not-positions]"),
    "long UMI": (
        {"umi": "5-21"},
        "column 'umi': 5-21 has 17 bases [long-barcode]\n  -> ",
    ),
    "UMI in parts": ({"umi": "5-6,7-8"}, "[umi-parts]"),
    "strand": ({"strand": "forward"}, "column 'strand': 'forward' is not Forward or Reverse"),
    "UMI read": ({"umi_read": "R2"}, "[unknown-value]"),
    "no list": ({"whitelist": "no.txt"}, "[unreadable-file]"),
    "list of a part": ({"barcode": "1-2,3-4"}, "[list-number]"),
    "name": ({"chemistry": "auto"}, "column 'chemistry': 'auto'"),
    "list name": ({"whitelist": "a b.txt"}, "'a b.txt' "),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_row_is_told_with_its_place(case, write_table):
    change, message = WRONG[case]
    with pytest.raises(StudyError) as error:
        read_chemistries(write_table(change))
    assert message in str(error.value) and "chemistries.tsv, row 3" in str(error.value)
    assert "\n  -> " in str(error.value)


def test_wrong_table_is_told(write_table, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/list.txt").write_text("AC\n")
    for rows, message in (
        ([{}, {}], r"row 4, column 'chemistry': 'own' .*\[duplicated-name\]"),
        ([{}, {"chemistry": "b", "whitelist": "sub/list.txt"}], r"\[duplicated-list\]"),
        (
            [{}, {"chemistry": "b", "barcode": "1-3"}],
            r" 4 bases .*'list.txt' \[barcode-lengths-differ\]",
        ),
        ([{"umi": "x"}, {"chemistry": "b", "strand": "y"}], "row 4, column 'strand'"),
    ):
        with pytest.raises(StudyError, match=message):
            read_chemistries(write_table(*rows))
    with pytest.raises(StudyError, match=r"'umis' \[unknown-column\]\n  -> Did you mean 'umi'"):
        read_chemistries(write_table(header=[*COLUMNS[:3], "umis", *COLUMNS[4:]]))
    with pytest.raises(StudyError, match="does not exist"):
        read_chemistries(tmp_path / "none.tsv")


def test_name_of_a_list():
    names = [whitelist_name(path) for path in ("a/b.txt.gz", "b.txt", "b.gz", "b.v1")]
    assert names == ["b", "b", "b", "b.v1"]


# Two lists; a barcode is one of each, so that it can be read as one part or as two.
FIRST, SECOND = 8, 6
LIST_SIZE, GENES, LENGTH, MOLECULES = 12, 6, 1500, 3000


@pytest.fixture(scope="module")
def star(tmp_path_factory):
    """A genome of six genes, indexed; molecules as (barcode, UMI, cDNA); and lists of barcodes."""
    folder = tmp_path_factory.mktemp("star")
    draw = random.Random(3)

    def bases(count):
        return "".join(draw.choices("ACGT", k=count))

    genome = [bases(LENGTH) for _ in range(GENES)]
    (folder / "genome.fa").write_text(f">1\n{''.join(genome)}\n")
    (folder / "genes.gtf").write_text(
        "".join(
            f"1\tx\texon\t{at * LENGTH + 101}\t{(at + 1) * LENGTH - 100}\t.\t+\t.\t"
            f'gene_id "g{at}"; transcript_id "t{at}";\n'
            for at in range(GENES)
        )
    )
    words = ["--runMode", "genomeGenerate", "--genomeFastaFiles", folder / "genome.fa"]
    words += ["--sjdbGTFfile", folder / "genes.gtf", "--genomeSAindexNbases", "5"]
    words += ["--genomeDir", folder / "index", "--outFileNamePrefix", f"{folder}/"]
    subprocess.run(["STAR", *map(str, words)], check=True, capture_output=True)
    lists = [[bases(size) for _ in range(LIST_SIZE)] for size in (FIRST, SECOND)]
    whole = [one + two for one in lists[0] for two in lists[1]]
    for name, codes in zip(("first", "second", "whole"), [*lists, whole], strict=True):
        (folder / f"{name}.txt").write_text("\n".join(codes) + "\n")
    molecules = []
    for _ in range(MOLECULES):
        start = draw.randrange(150, LENGTH - 300)
        cdna = draw.choice(genome)[start : start + 90]
        molecules += [(draw.choice(whole), bases(10), cdna)] * draw.choice((1, 1, 2))
    return folder, molecules


def write_lanes(folder, name, reads, end=""):
    """Write reads as two lanes, the first gzipped, and something behind the last read of each."""
    half = len(reads) // 2
    files = []
    for lane, part in enumerate((reads[:half], reads[half:]), start=1):
        path = folder / f"{name}_{lane}.fastq"
        path.write_text(
            "".join(
                f"@s{lane}.{at} {name}\n{read}\n+\n{'F' * len(read)}\n"
                for at, read in enumerate(part)
            )
            + end
        )
        if lane == 1:
            subprocess.run(["gzip", path], check=True)
            path = path.with_name(f"{path.name}.gz")
        files.append(str(path))
    return files


def count(star, folder, chemistry, written, end=""):
    """Matrix of STARsolo: entries by barcode (its parts joined) and gene."""
    source, _ = star
    roles = {role: write_lanes(folder, role, part, end) for role, part in written.items()}
    lists = [source / whitelist for whitelist in chemistry.whitelists]
    reads = link_reads(folder, roles)
    options = (
        ALIGNMENT
        | solo_options(chemistry, lists)
        | {
            "--genomeDir": source / "index",
            "--readFilesIn": [",".join(reads["cdna"]), ",".join(reads["barcode"])],
            "--soloBarcodeReadLength": 0,
            "--soloUMIfiltering": "MultiGeneUMI_CR",
            "--soloUMIdedup": "1MM_CR",
            "--soloCellFilter": "EmptyDrops_CR",
            "--soloFeatures": ["Gene", "GeneFull", "Velocyto"],
        }
    )
    options["--readFilesCommand"] = reading_command(reads, chemistry, folder)
    subprocess.run(to_command(options), cwd=folder, check=True, capture_output=True, timeout=60)
    raw = folder / "Solo.out/Gene/raw"
    codes = (raw / "barcodes.tsv").read_text().replace("_", "").split()
    entries = [line.split() for line in (raw / "matrix.mtx").read_text().splitlines()[3:]]
    return {(codes[int(cell) - 1], int(gene)): int(number) for gene, cell, number in entries}


@pytest.mark.tools("STAR")
def test_same_molecules_in_other_layouts_have_the_same_counts(star, tmp_path):
    _, molecules = star
    cdna = [read for *_, read in molecules]
    found = {}
    for name, barcode, umi, umi_read, lists, reads in (
        ("plain", [[1, 14]], [15, 24], "barcode", ["whole"], {"barcode": "{}{}"}),
        ("umi first", [[13, 26]], [1, 10], "barcode", ["whole"], {"barcode": "{1}TT{0}"}),
        # As 10x v1: the UMI in a read of its own; the barcode read goes on behind the barcode.
        ("own", [[1, 14]], [1, 10], "own", ["whole"], {"barcode": "{}ACGT", "umi": "{1}"}),
        (
            "parts",
            [[1, 8], [12, 17]],
            [18, 27],
            "barcode",
            ["first", "second"],
            {"barcode": "{0[0]}{0[1]}{0[2]}{0[3]}{0[4]}{0[5]}{0[6]}{0[7]}GAG{2}{1}"},
        ),
    ):
        folder = tmp_path / f"it's {name}"
        folder.mkdir()
        chemistry = Chemistry(name, barcode, umi, umi_read, "Forward", [f"{x}.txt" for x in lists])
        written = {
            role: [form.format(code, tag, code[FIRST:]) for code, tag, _ in molecules]
            for role, form in reads.items()
        }
        found[name] = count(star, folder, chemistry, {**written, "cdna": cdna})
    true = {(code, tag, read) for code, tag, read in molecules}
    assert sum(found["plain"].values()) == pytest.approx(len(true), rel=0.01)
    assert found["umi first"] == found["own"] == found["parts"] == found["plain"]


def test_lists_are_read_to_their_last_line(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"\n".join(b"%08d" % at for at in range(300_000)))
    codes = [code for block in read_barcodes(path) for code in block]
    assert len(codes) == 300_000 and {len(code) for code in codes} == {8}


@pytest.mark.tools("STAR")
@pytest.mark.parametrize("umi_read", ["barcode", "own"])
def test_empty_last_lines_end_no_run(star, tmp_path, umi_read):
    """At an empty line STAR stops, and reads no further lane."""
    _, molecules = star
    umi = [15, 24] if umi_read == "barcode" else [1, 10]
    chemistry = Chemistry("a", [[1, 14]], umi, umi_read, "Forward", ["whole.txt"])
    written = {"barcode": [code + tag for code, tag, _ in molecules]}
    if umi_read == "own":
        written = {
            "barcode": [code for code, *_ in molecules],
            "umi": [tag for _, tag, _ in molecules],
        }
    written["cdna"] = [read for *_, read in molecules]
    found = count(star, tmp_path, chemistry, written, end="\n\n")
    assert sum(found.values()) == pytest.approx(len(set(molecules)), rel=0.01)
    assert read_log(tmp_path / "Log.final.out")["reads"] == len(molecules)


@pytest.mark.tools("STAR")
def test_barcodes_with_an_n_are_counted(star, tmp_path):
    """What `latere.reads.correction` counts as valid, STAR counts."""
    _, molecules = star
    single = Chemistry("a", [[1, 14]], [15, 24], "barcode", "Forward", ["whole.txt"])
    parts = Chemistry(
        "p", [[1, 8], [9, 14]], [15, 24], "barcode", "Forward", ["first.txt", "second.txt"]
    )
    cdna, total = [read for *_, read in molecules], len(set(molecules))
    for name, chemistry, step, least, most in (
        ("all", single, 1, 0.99, 1.01),
        ("half in parts", parts, 2, 0.9, 1.01),
        ("all in parts", parts, 1, 0, 0),
    ):
        folder = tmp_path / name
        folder.mkdir()
        barcodes = [
            code + tag if at % step else f"N{code[1:]}{tag}"
            for at, (code, tag, _) in enumerate(molecules)
        ]
        found = count(star, folder, chemistry, {"barcode": barcodes, "cdna": cdna})
        assert least * total <= sum(found.values()) <= most * total
