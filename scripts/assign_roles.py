"""Which read is barcode, UMI, cDNA or index, and of which chemistry: by lengths and by the lists
of barcodes, never by the number of a file, which archives do not keep."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from dnaio import SequenceRecord, records_are_mates

from latere.errors import StudyError
from latere.job import run_script, start
from latere.reads.chemistry import Chemistry, find_whitelist, read_chemistries
from latere.reads.fastq import read_barcodes, read_batches

# The first reads of a run come from the edge of the flow cell and can be poor, so the sample is
# taken evenly from many more.
RECORDS, SAMPLE = 400_000, 10_000
MIN_VALID = 0.5
# A share that is this much below another cannot come from lists that have barcodes in common: of
# the lists of 10x no two share more than 11 % (measured on ngs-tools 1.8.6).
CLEARLY = 0.15
# Sample indices have 8 or 10 bases; the spacer of a multiome library, the longest, 24.
MAX_INDEX_LENGTH = 24
# UMIs are drawn at random; the reads of a sample index are few different ones.
MIN_DISTINCT_UMIS = 0.5
POOR = 0.1
ROLES = ("barcode", "umi", "cdna", "index")


@dataclass(frozen=True)
class Mate:
    """The first records of one FASTQ file.

    Attributes
    ----------
    file
        Path of the file.
    first
        Its first record.
    lengths
        Shortest and longest of the first `RECORDS` reads.
    sequences
        At most `SAMPLE` of them, taken evenly.
    """

    file: str
    first: SequenceRecord
    lengths: tuple[int, int]
    sequences: tuple[str, ...]

    def __str__(self):
        shortest, longest = self.lengths
        span = f"{longest}" if shortest == longest else f"{shortest}-{longest}"
        return f"{Path(self.file).name} ({span} bp)"


@dataclass(frozen=True)
class Match:
    """How well one lane fits a chemistry.

    Attributes
    ----------
    chemistry
        The chemistry.
    shares
        By mate, the share of reads with a barcode of its lists.
    """

    chemistry: Chemistry
    shares: list[float]

    @property
    def at(self) -> int:
        """Position of the mate that fits best."""
        return max(range(len(self.shares)), key=self.shares.__getitem__)

    @property
    def share(self) -> float:
        """The share of this mate."""
        return self.shares[self.at]


def read_mate(file: str, run: str, records: int = RECORDS) -> Mate:
    """Read the first records of a FASTQ file.

    Raises
    ------
    StudyError
        The file is empty, cut off, or not FASTQ.
    """
    sequences, first = [], None
    for batch in read_batches(file, run):
        first = first or batch[0]
        sequences += [record.sequence for record in batch]
        if len(sequences) >= records:
            break
    lengths = [len(sequence) for sequence in sequences]
    sample = sequences[:: max(1, len(sequences) // SAMPLE)][:SAMPLE]
    return Mate(file, first, (min(lengths), max(lengths)), tuple(sample))


def parts(mate: Mate, span: Sequence[int]) -> list[bytes]:
    """What stands at a span (1-based, last base included) of each read of the sample."""
    first, last = span
    return [sequence[first - 1 : last].encode() for sequence in mate.sequences]


def match_lanes(
    lanes: list[list[Mate]], chemistries: Mapping[str, Chemistry]
) -> list[dict[str, Match]]:
    """How well each lane fits each chemistry; every list is read once.

    Parameters
    ----------
    lanes
        By lane, its mates.
    chemistries
        By name.

    Returns
    -------
    list
        By lane, the matches by name of the chemistry.
    """
    seen = {}
    for chemistry in chemistries.values():
        for span, whitelist in zip(chemistry.barcode, chemistry.whitelists, strict=True):
            for mate in chain(*lanes):
                seen.setdefault(whitelist, set()).update(parts(mate, span))
    known = {
        whitelist: {
            barcode
            for barcodes in read_barcodes(find_whitelist(whitelist))
            for barcode in found.intersection(barcodes)
        }
        for whitelist, found in seen.items()
    }

    def share(mate, chemistry):
        valid = [
            [code in known[whitelist] for code in parts(mate, span)]
            for span, whitelist in zip(chemistry.barcode, chemistry.whitelists, strict=True)
        ]
        return sum(map(all, zip(*valid, strict=True))) / len(mate.sequences)

    return [
        {
            name: Match(chemistry, [share(mate, chemistry) for mate in mates])
            for name, chemistry in chemistries.items()
        }
        for mates in lanes
    ]


def describe(matches: Sequence[Match], mates: list[Mate]) -> str:
    """Shares of valid barcodes by chemistry, in words."""
    return "; ".join(
        f"{match.chemistry.name}, {match.share:.1%} valid in {mates[match.at]}" for match in matches
    )


def choose(
    asked: Sequence[str], matches: Mapping[str, Match], mates: list[Mate], where: str
) -> list[Match]:
    """The chemistry of one lane: one match, or several whose chemistries differ in strand only.

    Parameters
    ----------
    asked
        The chemistries that it may be of: one by name, or all.
    matches
        By chemistry, all of the table.
    mates
        Of the lane.
    where
        Run and lane, for messages.

    Raises
    ------
    StudyError
        None fits, or several do and cannot be told apart.
    """
    ranked = sorted(matches.values(), key=lambda match: match.share, reverse=True)
    open_to = [match for match in ranked if match.chemistry.name in asked]
    valid = [match for match in open_to if match.share >= MIN_VALID]
    if not valid:
        raise refuse_barcodes(ranked, open_to, mates, where)
    fitting = [
        match
        for match in valid
        if mates[match.at].lengths[0] >= match.chemistry.barcode_read_length
    ]
    if not fitting:
        mate, chemistry = mates[valid[0].at], valid[0].chemistry
        raise StudyError(
            where,
            f"the barcode read {mate} is shorter than the {chemistry.barcode_read_length} bp "
            f"of {chemistry.name}",
            "It was trimmed, or the UMI was cut off: give the reads as they were sequenced. Else "
            "the chemistry is another one.",
        )
    best = fitting[0]
    close = [match for match in fitting if match.share > best.share - CLEARLY]
    if any(not best.chemistry.differs_in_strand_only(match.chemistry) for match in close[1:]):
        raise StudyError(
            where,
            f"several chemistries fit ({describe(close, mates)})",
            "Name the chemistry in the sheet.",
        )
    twice = [mate for mate, share in zip(mates, best.shares, strict=True) if share >= MIN_VALID]
    if len(twice) > 1:
        raise StudyError(
            where,
            f"{len(twice)} reads carry barcodes of {best.chemistry.name} "
            f"({'; '.join(map(str, twice))})",
            "Two files are the same read: give each read once.",
        )
    return close


def refuse_barcodes(
    ranked: list[Match], asked: list[Match], mates: list[Mate], where: str
) -> StudyError:
    """Why no read of a lane has the barcodes that were asked for.

    Parameters
    ----------
    ranked, asked
        Matches of all chemistries of the table, and of those asked for; the best first.
    """
    better = [match for match in ranked if match.share >= MIN_VALID]
    figures = "; ".join(
        f"{mate}: {share:.1%} valid" for mate, share in zip(mates, asked[0].shares, strict=True)
    )
    named = len(asked) == 1
    of = f"of {asked[0].chemistry.name}" if named else "of any chemistry in the table"
    if better:
        return StudyError(
            where,
            f"under {MIN_VALID:.0%} of the first reads have a barcode {of} ({figures})",
            f"It looks like {describe(better, mates)}: correct the chemistry in the sheet, or "
            "empty it.",
        )
    shortest = min(match.chemistry.barcode_read_length for match in asked)
    if sum(mate.lengths[1] >= shortest for mate in mates) < 2:
        return StudyError(
            where,
            f"no read with barcodes {of} ({figures})",
            "The technical reads were dropped, as in many mirrors of archives: "
            "take the SRA archive or the original FASTQ files.",
        )
    mate = mates[asked[0].at]
    unread = sum("N" in code.decode() for code in parts(mate, asked[0].chemistry.barcode[0]))
    poor = unread / len(mate.sequences)
    mend = (
        "The reads are of another kit or technology: for one of your own, add a row to the table."
    )
    if poor > POOR:
        mend = f"{poor:.0%} of them have an N in it: the cycles of the barcode were read badly."
    best = f" ({figures})" if named else f"; at best {describe(ranked[:1], mates)}"
    return StudyError(
        where, f"under {MIN_VALID:.0%} of the first reads have a barcode {of}{best}", mend
    )


def roles_of_lane(match: Match, mates: list[Mate], where: str) -> list[str]:
    """Role of each mate of one lane, as in `ROLES`.

    Raises
    ------
    StudyError
        The roles cannot be told.
    """
    rest = [at for at in range(len(mates)) if at != match.at]
    longer = [at for at in rest if mates[at].lengths[1] > MAX_INDEX_LENGTH]
    if len(longer) != 1:
        names = ", ".join(str(mates[at]) for at in longer or rest) or "no other file"
        raise StudyError(
            where,
            f"{len(longer)} reads beside the barcode read could be cDNA ({names})",
            "Give one barcode read and one cDNA read; a sample index may stand beside them.",
        )
    roles = ["index"] * len(mates)
    roles[match.at], roles[longer[0]] = "barcode", "cdna"
    if match.chemistry.umi_read == "own":
        short = [at for at in rest if at not in longer]
        roles[find_umi_read(match.chemistry, [(at, mates[at]) for at in short], where)] = "umi"
    return roles


def find_umi_read(chemistry: Chemistry, mates: list[tuple[int, Mate]], where: str) -> int:
    """Position of the mate that holds the UMI.

    Parameters
    ----------
    mates
        Position and mate, of those that are neither barcode nor cDNA.

    Raises
    ------
    StudyError
        None can be it, or more than one.
    """
    distinct = {
        at: len(set(parts(mate, chemistry.umi))) / len(mate.sequences)
        for at, mate in mates
        if mate.lengths[0] >= chemistry.umi_read_length
    }
    found = [at for at, share in distinct.items() if share >= MIN_DISTINCT_UMIS]
    if len(found) != 1:
        figures = "; ".join(
            f"{mate}: {distinct[at]:.0%} different" if at in distinct else str(mate)
            for at, mate in mates
        )
        raise StudyError(
            where,
            f"{len(found)} reads could be the UMI of {chemistry.name} ({figures or 'no file'})",
            f"Give the read of {chemistry.umi_read_length} bp that holds the UMI, once.",
        )
    return found[0]


def tell_evidence(matches: list[dict[str, Match]], lane: list[Mate], chosen: list[str]) -> list:
    """For each chemistry of the table, how well the run fits it.

    Parameters
    ----------
    matches
        As `match_lanes` gives them.
    lane
        Mates of the first lane.
    chosen
        Names of the chemistries that the run was found to be of.

    Returns
    -------
    list
        A dict each: chemistry; read (name of the first lane's file that fits best), length (its
        longest read), valid_barcodes (mean over the lanes) and verdict.
    """
    rows = []
    for name, first in matches[0].items():
        share = sum(match[name].shares[first.at] for match in matches) / len(matches)
        mate, needed = lane[first.at], first.chemistry.barcode_read_length
        if name in chosen:
            verdict = "fits" if len(chosen) == 1 else "fits; the strand tells"
        elif share < MIN_VALID:
            verdict = f"under {MIN_VALID:.0%} valid"
        elif mate.lengths[0] < needed:
            verdict = f"needs {needed} bp"
        else:
            verdict = "not what was asked for, or fits less"
        rows.append(
            {
                "chemistry": name,
                "read": Path(mate.file).name,
                "length": mate.lengths[1],
                "valid_barcodes": round(share, 4),
                "verdict": verdict,
            }
        )
    return rows


def assign_roles(
    files: list[list[str]], asked: Sequence[str], chemistries: Mapping[str, Chemistry], run: str
) -> dict:
    """Roles of the reads of a run, and its chemistry.

    Parameters
    ----------
    files
        For each mate its lanes, in the same order in each.
    asked
        Names of the chemistries that it may be of: one, or all.
    chemistries
        All of the table, by name.
    run
        Name of the run.

    Returns
    -------
    dict
        run; candidates (by name the chemistry: one, or several that differ in strand only);
        valid_barcodes (share of the first reads); lengths (shortest and longest read by role);
        the files of each role, lanes in the given order (a role that several mates have, as two
        indices, lists the lanes of one after those of the other); evidence (`tell_evidence`).

    Raises
    ------
    StudyError
        The roles or the chemistry cannot be told, or the lanes do not agree.
    """
    if len({len(lanes) for lanes in files}) != 1:
        counts = ", ".join(str(len(lanes)) for lanes in files) or "none"
        raise StudyError(
            f"run {run}",
            f"the reads have different numbers of lanes ({counts})",
            "List the same lanes in the same order for each read.",
        )
    lanes = [[read_mate(file, run) for file in lane] for lane in zip(*files, strict=True)]
    matches = match_lanes(lanes, chemistries)
    found = []
    for number, (mates, lane) in enumerate(zip(lanes, matches, strict=True), start=1):
        where = f"run {run}, lane {number}"
        if len(mates) > 1 and not records_are_mates(*(mate.first for mate in mates)):
            names = "; ".join(f"{Path(mate.file).name}: {mate.first.id}" for mate in mates)
            raise StudyError(
                where,
                f"its files begin with different spots ({names})",
                "List the same lanes in the same order for each read.",
            )
        close = choose(asked, lane, mates, where)
        candidates = {match.chemistry.name for match in close}
        roles = roles_of_lane(close[0], mates, where)
        found.append((candidates, roles))
        if candidates != found[0][0]:
            raise StudyError(
                where,
                f"it is of another chemistry ({describe(close, mates)}) than lane 1 "
                f"({describe([matches[0][one] for one in sorted(found[0][0])], lanes[0])})",
                "Lanes of one run are of one library: give each library a row of its own.",
            )
        if roles != found[0][1]:
            raise StudyError(
                where,
                f"its reads are {', '.join(roles)}, those of lane 1 {', '.join(found[0][1])}",
                "Its files are swapped: put the files of one read into one column.",
            )
    chosen = [one for one in chemistries if one in found[0][0]]
    by_role = {
        role: [mate for at, one in enumerate(found[0][1]) if one == role for mate in columns[at]]
        for columns in [list(zip(*lanes, strict=True))]
        for role in ROLES
    }
    evidence = tell_evidence(matches, lanes[0], chosen)
    return {
        "run": run,
        "candidates": {one: asdict(chemistries[one]) for one in chosen},
        "valid_barcodes": next(
            row["valid_barcodes"] for row in evidence if row["chemistry"] == chosen[0]
        ),
        "lengths": {
            role: [min(mate.lengths[0] for mate in mates), max(mate.lengths[1] for mate in mates)]
            for role, mates in by_role.items()
            if mates
        },
        **{role: [mate.file for mate in mates] for role, mates in by_role.items()},
        "evidence": evidence,
    }


def main(snakemake):
    log = start(snakemake)
    params = snakemake.params
    files = params.mates
    if not files:
        # From an archive: one file a read, in a folder.
        files = [[str(file)] for file in sorted(Path(snakemake.input.reads[0]).glob("*.fastq.gz"))]
    chemistries = read_chemistries(params.table)
    roles = assign_roles(files, list(params.asked), chemistries, snakemake.wildcards.run)
    for row in roles["evidence"]:
        log.info("%(chemistry)s: %(valid_barcodes).2f in %(read)s, %(verdict)s", row)
    Path(snakemake.output[0]).write_text(json.dumps(roles, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
