"""Roles and chemistry of reads: by length and content, whatever the order and names of files."""

import gzip
import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from latere.errors import StudyError
from latere.reads.chemistry import Chemistry, find_whitelist, read_chemistries
from latere.reads.matching import choose, match_lanes, read_mate
from latere.reads.roles import assign_roles, roles_of_lane

ROOT = Path(__file__).resolve().parents[2]
TABLE = read_chemistries(ROOT / "config" / "chemistries.tsv")
SPOTS = 200


@pytest.fixture(scope="module")
def barcodes():
    draw = random.Random(1)
    return ["".join(draw.choices("ACGT", k=16)) for _ in range(50)]


@pytest.fixture(scope="module")
def table(tmp_path_factory, barcodes):
    """Chemistries as 10x v2 and v3, with short lists that have nothing in common."""
    folder = tmp_path_factory.mktemp("whitelists")
    (folder / "v2.txt").write_text("\n".join(barcodes) + "\n")
    (folder / "v3.txt").write_text("\n".join(code[::-1] for code in barcodes) + "\n")
    v2 = Chemistry("v2", ((1, 16),), (17, 26), "barcode", "Forward", (str(folder / "v2.txt"),))
    v3 = replace(v2, name="v3", umi=(17, 28), whitelists=(str(folder / "v3.txt"),))
    return {"v2": v2, "v3": v3}


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
def test_roles_follow_content(order, reads, write, table):
    files = [[write(f"x_{at}.fastq.gz", reads[role])] for at, role in enumerate(order, 1)]
    for asked in (["v2"], list(table)):
        found = assign_roles(files, asked, table, "x")
        assert [found[role] for role in order] == files
        assert found["lengths"] == {role: [len(reads[role][0])] * 2 for role in order}
        assert found["valid_barcodes"] == 1
        assert found["run"] == "x"
        assert {name: Chemistry(**one).name for name, one in found["candidates"].items()} == {
            "v2": "v2"
        }
    name = Path(found["barcode"][0]).name
    assert found["evidence"] == [
        {
            "chemistry": "v2",
            "read": name,
            "length": 26,
            "valid_barcodes": 1.0,
            "verdict": "fits",
        },
        found["evidence"][1] | {"chemistry": "v3", "valid_barcodes": 0.0},
    ]


def test_lanes_keep_their_order_and_plain_files_are_read(reads, write, table):
    files = [
        [write(f"{role}_{lane}.fastq", reads[role], lane) for lane in (2, 1)]
        for role in ("cdna", "barcode")
    ]
    found = assign_roles(files, ["v2"], table, "x")
    assert [found["cdna"], found["barcode"]] == files


def test_barcode_read_sequenced_past_the_umi(reads, write, table):
    long = [read + "T" * 124 for read in reads["barcode"]]
    files = [[write("1.fastq.gz", long)], [write("2.fastq.gz", reads["cdna"])]]
    found = assign_roles(files, ["v2"], table, "x")
    assert found["barcode"] == files[0] and found["lengths"]["barcode"] == [150, 150]


def refuse(files, table, *words, asked=("v2",)):
    with pytest.raises(StudyError) as error:
        assign_roles(files, asked, table, "SRR1")
    for word in ("SRR1", *words):
        assert word in str(error.value)


def test_technical_reads_dropped(reads, write, table):
    files = [[write("1.fastq.gz", reads["index"])], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, table, "[no-barcode-read]", "v2", "91 bp", "0.0%")
    refuse(files, table, "[no-barcode-read]", asked=table)
    refuse(files[1:], table, "[no-barcode-read]")


def test_wrong_chemistry(reads, write, table):
    wrong = [read[15::-1] + read[16:] + "AC" for read in reads["barcode"]]
    files = [[write("1.fastq.gz", wrong)], [write("2.fastq.gz", reads["cdna"])]]
    message = "% of the first reads have a barcode of v2 (1.fastq.gz (28 bp): 0.0% valid"
    refuse(files, table, message, "It looks like v3, 100.0% valid in 1.fastq.gz (28 bp)")
    assert list(assign_roles(files, list(table), table, "x")["candidates"]) == ["v3"]


def test_barcodes_of_no_list(reads, write, table):
    wrong = ["A" + read for read in reads["barcode"]]
    files = [[write("1.fastq.gz", wrong)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, table, "less than 25%", "[unknown-barcodes]", "1.fastq.gz (27 bp): 0.0%")
    message = (
        "% of the first reads have a barcode of any chemistry in the table, even with one base"
    )
    refuse(files, table, message, "add a row", asked=table)


def test_few_barcodes_are_counted_where_the_sheet_names_the_chemistry(reads, write, table, caplog):
    part = reads["barcode"][:99] + ["N" * 26] * 101
    files = [[write("1.fastq.gz", part)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, table, "49.5% valid", "[unknown-barcodes]", "name it in the sheet", asked=table)
    found = assign_roles(files, ["v2"], table, "x")
    assert found["valid_barcodes"] == 0.495
    assert found["evidence"][0]["verdict"].startswith("named in the sheet; few barcodes")
    assert "WARN: run x, lane 1: 49.5% of the first reads" in caplog.text
    files[0] = [write("3.fastq.gz", part[:49] + ["N" * 26] * 151)]
    refuse(files, table, "less than 25%", "24.5% valid", "76% of them have an N")


def spoil(reads, at, sign):
    """Another base, or N, at some place of some barcodes."""
    return [
        read[:place] + (sign if read[place] != sign else "A") + read[place + 1 :]
        for number, read in enumerate(reads)
        for place in [at(number)]
    ]


@pytest.mark.parametrize(
    ("at", "sign"),
    [
        (lambda number: 0, "N"),
        (lambda number: 15, "N"),
        (lambda number: number % 16, "N"),
        (lambda number: 7, "G"),
    ],
    ids=["first base unread", "last base unread", "any base unread", "one base wrong"],
)
@pytest.mark.parametrize("named", [True, False], ids=["named", "found"])
def test_barcodes_that_star_corrects_are_valid(named, at, sign, reads, write, table, caplog):
    files = [[write("1.fastq.gz", spoil(reads["barcode"], at, sign))]]
    files.append([write("2.fastq.gz", reads["cdna"])])
    found = assign_roles(files, ["v2"] if named else list(table), table, "x")
    assert list(found["candidates"]) == ["v2"] and found["barcode"] == files[0]
    assert found["valid_barcodes"] == 1
    assert found["evidence"][0]["verdict"] == "fits, with one base corrected"
    assert "WARN: run x, lane 1: 100.0% of the first reads" in caplog.text


def test_barcodes_that_star_does_not_correct_are_refused(reads, write, table, tmp_path):
    files = [[write("2.fastq.gz", reads["cdna"])]]
    two = spoil(spoil(reads["barcode"], lambda _: 0, "N"), lambda _: 9, "N")
    refuse([[write("1.fastq.gz", two)], *files], table, "0.0% valid", "100% of them have an N")
    # Two barcodes of the list fit each of them.
    codes = sorted({read[:16] for read in reads["barcode"]})
    (tmp_path / "near.txt").write_text(
        "".join(f"{base}{code[1:]}\n" for code in codes for base in "ACGT")
    )
    near = {"v2": replace(table["v2"], whitelists=(str(tmp_path / "near.txt"),))}
    unread = spoil(reads["barcode"], lambda _: 0, "N")
    refuse([[write("3.fastq.gz", unread)], *files], near, "0.0% valid")


def test_longer_umi_than_the_read_holds(reads, write, table):
    files = [[write("1.fastq.gz", reads["barcode"])], [write("2.fastq.gz", reads["cdna"])]]
    longer = {"v2": replace(table["v2"], umi=(17, 28))}
    refuse(files, longer, "1.fastq.gz (26 bp)", "28 bp of v2 [short-read]")


def test_trimmed_barcode_read(reads, write, table):
    trimmed = [read[: 20 + at % 7] for at, read in enumerate(reads["barcode"])]
    files = [[write("1.fastq.gz", trimmed)], [write("2.fastq.gz", reads["cdna"])]]
    refuse(files, table, "20-26 bp", "26 bp of v2 [short-read]", "trimmed")


def test_chemistries_that_differ_in_strand_only_stay(reads, write, table):
    files = [[write("1.fastq.gz", reads["barcode"])], [write("2.fastq.gz", reads["cdna"])]]
    both = table | {"5p": replace(table["v2"], name="5p", strand="Reverse")}
    found = assign_roles(files, list(both), both, "x")
    assert list(found["candidates"]) == ["v2", "5p"]
    assert found["evidence"][2]["verdict"] == "fits; the strand decides"
    assert list(assign_roles(files, ["5p"], both, "x")["candidates"]) == ["5p"]


def test_chemistries_that_cannot_be_told_apart(reads, write, table):
    files = [[write("1.fastq.gz", reads["barcode"])], [write("2.fastq.gz", reads["cdna"])]]
    short = table | {"short": replace(table["v2"], name="short", umi=(17, 24))}
    message = "several chemistries fit (v2, 100.0% valid"
    refuse(files, short, message, "short, 100.0%", "[several-chemistries]", asked=short)


def test_poor_first_reads_hide_nothing(reads, write, table):
    many = {role: part * 300 for role, part in reads.items()}
    many["barcode"][:12_000] = ["N" * 26] * 12_000
    files = [[write(f"{role}.fastq", many[role])] for role in ("barcode", "cdna")]
    found = assign_roles(files, list(table), table, "x")
    assert found["valid_barcodes"] == pytest.approx(0.8, abs=0.01)
    many["barcode"][:40_000] = ["N" * 26] * 40_000
    files[0] = [write("barcode.fastq", many["barcode"])]
    parts = "33.3% valid", "67% of them have an N", "[unknown-barcodes]"
    refuse(files, table, *parts, asked=table)


def test_barcode_in_parts(reads, write, table, tmp_path):
    lists = [tmp_path / name for name in ("first.txt", "second.txt")]
    codes = [read[:16] for read in reads["barcode"]]
    for path, span in zip(lists, (slice(0, 8), slice(8, 16)), strict=True):
        path.write_text("\n".join(sorted({code[span] for code in codes})) + "\n")
    parts = Chemistry(
        "parts", ((1, 8), (11, 18)), (19, 28), "barcode", "Forward", tuple(map(str, lists))
    )
    made = [f"{read[:8]}GG{read[8:]}" for read in reads["barcode"]]
    files = [[write("1.fastq.gz", reads["cdna"])], [write("2.fastq.gz", made)]]
    found = assign_roles(files, list(both := table | {"parts": parts}), both, "x")
    assert list(found["candidates"]) == ["parts"] and found["barcode"] == files[1]
    # STAR corrects a part to one that it reads without an error elsewhere, and to no other.
    mostly = [*spoil(made[:120], lambda _: 0, "N"), *made[120:]]
    files[1] = [write("3.fastq.gz", mostly)]
    assert assign_roles(files, ["parts"], both, "x")["valid_barcodes"] > 0.8
    files[1] = [write("4.fastq.gz", spoil(made, lambda _: 0, "N"))]
    refuse(files, both, "[unknown-barcodes]", asked=["parts"])


def test_umi_in_a_read_of_its_own(reads, write, table):
    own = {"v1": replace(table["v2"], name="v1", umi=(1, 10), umi_read="own")}
    parts = {
        "index": ["ACGTACGTAC", "TTGTACGTAC"] * (SPOTS // 2),
        "umi": [read[16:] for read in reads["barcode"]],
        "barcode": [read[:16] for read in reads["barcode"]],
        "cdna": reads["cdna"],
    }
    files = {role: write(f"{role}.fastq.gz", part) for role, part in parts.items()}
    found = assign_roles([[file] for file in files.values()], ["v1"], own, "x")
    assert {role: found[role] for role in files} == {role: [file] for role, file in files.items()}
    few = [[files[role]] for role in ("index", "barcode", "cdna")]
    refuse(few, own, "index.fastq.gz (10 bp): 1%", "[no-single-umi-read]", asked=["v1"])


@pytest.fixture(scope="module")
def synthetic():
    """First reads of each chemistry, barcodes drawn from its list: with errors, and a bad start."""
    draw = random.Random(5)

    def bases(count):
        return "".join(draw.choices("ACGT", k=count))

    def sequenced(read, at):
        wrong, lost = (0.003, 0.001) if at > 100 else (0.05, 0.2)
        return "".join(
            "N" if (chance := draw.random()) < lost else bases(1) if chance < lost + wrong else base
            for base in read
        )

    runs = {}
    for name, chemistry in TABLE.items():
        path = find_whitelist(chemistry.whitelists[0])
        with gzip.open(path, "rt") as lines:
            codes = [line.strip() for line in islice(lines, 0, 400_000, 997)]
        form = {"index": "TTTCATGA", "cdna": "{2}", "barcode": "{0}{1}"}
        if chemistry.umi_read == "own":
            form |= {"barcode": "{0}", "umi": "{1}"}
        runs[name] = (
            [
                [
                    sequenced(
                        text.format(
                            draw.choice(codes),
                            bases(chemistry.umi[1] - chemistry.umi[0] + 1),
                            bases(91),
                        ),
                        at,
                    )
                    for at in range(1000)
                ]
                for text in form.values()
            ],
            list(form),
        )
    return runs


@pytest.fixture(scope="module")
def matched(synthetic, tmp_path_factory):
    """Mates of each chemistry, and how they match all of the table."""
    folder = tmp_path_factory.mktemp("synthetic")
    lanes = []
    for name, (mates, roles) in synthetic.items():
        lane = []
        for role, part in zip(roles, mates, strict=True):
            path = folder / f"{name}_{role}.fastq"
            path.write_text("".join(f"@{at}\n{x}\n+\n{x}\n" for at, x in enumerate(part)))
            lane.append(read_mate(str(path), name))
        lanes.append(lane)
    return dict(zip(synthetic, zip(lanes, match_lanes(lanes, TABLE), strict=True), strict=True))


@pytest.mark.parametrize("name", TABLE)
def test_every_chemistry_is_found_from_its_list(name, matched, synthetic):
    mates, matches = matched[name]
    found = choose(list(TABLE), matches, mates, name)
    alike = [one for one, other in TABLE.items() if TABLE[name].differs_in_strand_only(other)]
    assert {match.chemistry.name for match in found} == set(alike)
    assert 0.8 < found[0].share < 0.97
    assert roles_of_lane(found[0], mates, name) == synthetic[name][1]
    assert max(match.share for one, match in matches.items() if one not in alike) < 0.15


def test_same_read_twice(reads, write, table):
    files = [[write(f"{at}.fastq.gz", reads["barcode"])] for at in (1, 2)]
    refuse(files, table, "[duplicated-read]")


def test_no_cdna(reads, write, table):
    files = [[write(f"{role}.fastq.gz", reads[role])] for role in ("index", "barcode")]
    refuse(files, table, "[no-single-cdna-read]")


def test_two_long_reads(reads, write, table):
    files = [[write(f"{role}.fastq.gz", reads[role])] for role in ("barcode", "cdna")]
    files.append([write("more.fastq.gz", reads["cdna"])])
    refuse(files, table, "[no-single-cdna-read]", "more.fastq.gz")


def test_lane_with_swapped_files(reads, write, table):
    files = [
        [write("1a.fastq.gz", reads["barcode"]), write("1b.fastq.gz", reads["cdna"], 2)],
        [write("2a.fastq.gz", reads["cdna"]), write("2b.fastq.gz", reads["barcode"], 2)],
    ]
    refuse(files, table, "lane 2", "cdna, barcode", "barcode, cdna", "[swapped-files]")


def test_lane_of_another_chemistry(reads, write, table):
    other = [read[15::-1] + read[16:] + "AC" for read in reads["barcode"]]
    files = [
        [write("1a.fastq.gz", reads["barcode"]), write("1b.fastq.gz", other, 2)],
        [write("2a.fastq.gz", reads["cdna"]), write("2b.fastq.gz", reads["cdna"], 2)],
    ]
    found = "lane 2: has another chemistry (v3, 100.0% valid in 1b.fastq.gz (28 bp)) than lane"
    refuse(files, table, found, "lane 1 (v2, 100.0% valid in 1a.fastq.gz (26 bp)", asked=table)
    refuse(files, table, "lane 2", "less than 50%", "It looks like v3, 100.0% valid in 1b.fastq.gz")


def test_lanes_in_different_order(reads, write, table):
    files = [
        [write(f"1_{lane}.fastq.gz", reads["barcode"], lane) for lane in (1, 2)],
        [write(f"2_{lane}.fastq.gz", reads["cdna"], lane) for lane in (2, 1)],
    ]
    refuse(files, table, "lane 1", "[read-names-differ]", "L1:0", "L2:0")


def test_different_numbers_of_lanes(reads, write, table):
    one = write("1.fastq.gz", reads["barcode"])
    refuse([[one, one], [one]], table, "(2, 1) [unequal-lanes]")


def test_spot_names_may_end_in_the_number_of_the_mate(reads, write, table):
    files = [[write(f"{role}.fastq", reads[role])] for role in ("barcode", "cdna")]
    for at, (file,) in enumerate(files, 1):
        path = Path(file)
        path.write_text(
            path.read_text(encoding="utf-8").replace("@L1:0 x", f"@L1:0/{at} x"), encoding="utf-8"
        )
    assert assign_roles(files, ["v2"], table, "x")["barcode"] == files[0]
