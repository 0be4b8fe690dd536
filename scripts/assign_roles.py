"""Which read is barcode, cDNA or index: by its length and content, never by its file number,
which archives do not keep."""

import gzip
import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from latere.chemistry import barcode_read_length
from latere.errors import StudyError
from latere.job import start

RECORDS = 10_000
MIN_VALID = 0.5
# Sample indices have 8 or 10 bases; the spacer of a multiome library, the longest, 24.
MAX_INDEX_LENGTH = 24


@dataclass(frozen=True)
class Mate:
    """The first records of one FASTQ file.

    Attributes
    ----------
    file
        Path of the file.
    spot
        Name of its first read, without the number of the mate.
    sequences
        The first sequences, at most `RECORDS`.
    """

    file: str
    spot: str
    sequences: tuple[str, ...]

    @property
    def lengths(self) -> tuple[int, int]:
        """Shortest and longest read."""
        lengths = [len(sequence) for sequence in self.sequences]
        return min(lengths), max(lengths)

    def __str__(self):
        shortest, longest = self.lengths
        span = f"{longest}" if shortest == longest else f"{shortest}-{longest}"
        return f"{Path(self.file).name} ({span} bp)"


def read_mate(file: str, run: str, records: int = RECORDS) -> Mate:
    """Read the first records of a FASTQ file, gzipped or plain.

    Raises
    ------
    StudyError
        The file is empty, cut off, or not FASTQ.
    """
    where = f"run {run}, {file}"
    with open(file, "rb") as raw:
        opened = gzip.open if raw.read(2) == b"\x1f\x8b" else open
    try:
        with opened(file, "rt") as text:
            lines = [line.rstrip("\n") for line in islice(text, 4 * records)]
    except (EOFError, OSError, UnicodeDecodeError) as error:
        raise StudyError(where, f"cannot be read ({error})", "Copy the file again.") from None
    if not lines:
        raise StudyError(where, "holds no read", "Give the file that came from the sequencer.")
    if len(lines) % 4 or any(not name.startswith("@") for name in lines[::4]):
        raise StudyError(where, "is not FASTQ", "Give reads as four lines each, gzipped or not.")
    name = lines[0][1:].split()[0]
    if name[-2:-1] in ("/", ".") and name[-1:] in "1234":
        name = name[:-2]
    return Mate(file, name, tuple(lines[1::4]))


def cell_barcodes(mate: Mate, chemistry: dict) -> list[str]:
    """What stands where the chemistry has its barcode, one for each read."""
    start = chemistry["barcode_start"] - 1
    return [sequence[start : start + chemistry["barcode_length"]] for sequence in mate.sequences]


def valid_shares(mates: list[Mate], chemistry: dict, whitelist: Path) -> list[float]:
    """Share of the reads of each mate that begin with a barcode of the list."""
    barcodes = [cell_barcodes(mate, chemistry) for mate in mates]
    with open(whitelist) as lines:
        # The list is long and the reads are few: the list is streamed past them.
        known = {code for codes in barcodes for code in codes}.intersection(map(str.rstrip, lines))
    return [sum(code in known for code in codes) / len(codes) for codes in barcodes]


def find_barcode_read(mates: list[Mate], shares: list[float], chemistry: dict, where: str) -> int:
    """Position of the mate that carries barcode and UMI.

    Raises
    ------
    StudyError
        None does, or more than one.
    """
    needed = barcode_read_length(chemistry)
    name = chemistry["chemistry"]
    figures = "; ".join(
        f"{mate}: {share:.1%} valid" for mate, share in zip(mates, shares, strict=True)
    )
    coded = [at for at, share in enumerate(shares) if share >= MIN_VALID]
    if len(coded) > 1:
        raise StudyError(
            where,
            f"{len(coded)} reads carry barcodes of {name} ({figures})",
            "Two files are the same read: give each read once.",
        )
    if coded:
        shortest, longest = mates[coded[0]].lengths
        if shortest != longest:
            raise StudyError(
                where,
                f"the barcode read {mates[coded[0]]} varies in length",
                "It was trimmed: give the reads as they were sequenced.",
            )
        if longest < needed:
            raise StudyError(
                where,
                f"the barcode read {mates[coded[0]]} is shorter than the {needed} bp of {name}",
                "Check the chemistry in the sheet; else the UMI was cut off.",
            )
        return coded[0]
    if sum(mate.lengths[1] >= needed for mate in mates) < 2:
        raise StudyError(
            where,
            f"no read with barcodes of {name} ({figures})",
            "The technical reads were dropped, as in many mirrors of archives: "
            "take the SRA archive or the original FASTQ files.",
        )
    raise StudyError(
        where,
        f"under {MIN_VALID:.0%} of the first reads have a barcode of {name} ({figures})",
        "Check the chemistry in the sheet: a barcode read has 26 bp in 10x v2, 28 in v3 and v4.",
    )


def roles_of_lane(mates: list[Mate], chemistry: dict, whitelist: Path, where: str):
    """Role of each mate of one lane, and the share of valid barcodes.

    Returns
    -------
    tuple
        ``barcode``, ``cdna`` or ``index`` for each mate; a number in 0 to 1.

    Raises
    ------
    StudyError
        The roles cannot be told.
    """
    shares = valid_shares(mates, chemistry, whitelist)
    barcode = find_barcode_read(mates, shares, chemistry, where)
    rest = sorted(
        (at for at in range(len(mates)) if at != barcode), key=lambda at: mates[at].lengths
    )
    longer = [at for at in rest if mates[at].lengths[1] > MAX_INDEX_LENGTH]
    if len(longer) != 1:
        names = ", ".join(str(mates[at]) for at in longer or rest) or "no other file"
        raise StudyError(
            where,
            f"{len(longer)} reads beside the barcode read could be cDNA ({names})",
            "Give one barcode read and one cDNA read; a sample index may stand beside them.",
        )
    roles = ["index"] * len(mates)
    roles[barcode], roles[longer[0]] = "barcode", "cdna"
    return roles, shares[barcode]


def assign_roles(files: list[list[str]], chemistry: dict, whitelist: Path, run: str) -> dict:
    """Roles of the reads of a run.

    Parameters
    ----------
    files
        For each mate its lanes, in the same order in each.
    chemistry
        Row of the table of chemistries.
    whitelist
        File with one barcode a line.

    Returns
    -------
    dict
        run, chemistry, valid_barcodes (of the first records), lengths (longest read of a role),
        and the files of the roles barcode, cdna and index; lanes in the given order. A role that
        several mates have (two indices) lists the lanes of one after those of the other.

    Raises
    ------
    StudyError
        The roles cannot be told, or the lanes do not agree.
    """
    if len({len(lanes) for lanes in files}) != 1:
        counts = ", ".join(str(len(lanes)) for lanes in files) or "none"
        raise StudyError(
            f"run {run}",
            f"the reads have different numbers of lanes ({counts})",
            "List the same lanes in the same order for each read.",
        )
    mates = [[read_mate(file, run) for file in lanes] for lanes in files]
    first = None
    for number, lane in enumerate(zip(*mates, strict=True), start=1):
        where = f"run {run}, lane {number}"
        if len({mate.spot for mate in lane}) > 1:
            names = "; ".join(f"{Path(mate.file).name}: {mate.spot}" for mate in lane)
            raise StudyError(
                where,
                f"its files begin with different spots ({names})",
                "List the same lanes in the same order for each read.",
            )
        roles, share = roles_of_lane(list(lane), chemistry, whitelist, where)
        first = first or (roles, share)
        if roles != first[0]:
            raise StudyError(
                where,
                f"its reads are {', '.join(roles)}, those of lane 1 {', '.join(first[0])}",
                "Put the files of one read into one column.",
            )
    by_role = {role: [] for role in ("barcode", "cdna", "index")}
    lengths = {}
    for role, lanes in zip(first[0], mates, strict=True):
        by_role[role] += [mate.file for mate in lanes]
        lengths[role] = max(mate.lengths[1] for mate in lanes)
    about = {"run": run, "chemistry": chemistry["chemistry"], "valid_barcodes": round(first[1], 4)}
    return about | {"lengths": lengths} | by_role


def main(snakemake):
    log = start(snakemake)
    files = snakemake.params.mates
    if not files:
        # From an archive: one file a read, in a folder.
        files = [[str(file)] for file in sorted(Path(snakemake.input.reads[0]).glob("*.fastq.gz"))]
    roles = assign_roles(
        files, snakemake.params.chemistry, snakemake.input.whitelist, snakemake.wildcards.run
    )
    log.info("%s", roles)
    Path(snakemake.output[0]).write_text(json.dumps(roles, indent=2) + "\n")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
