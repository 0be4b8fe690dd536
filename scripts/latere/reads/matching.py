"""How well the first reads of a run fit each chemistry, and which chemistry that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dnaio import SequenceRecord

from latere.errors import StudyError
from latere.reads.chemistry import Chemistry, find_whitelist
from latere.reads.fastq import read_barcodes, read_batches

# The first reads of a run come from the edge of the flow cell and can be poor, so the sample is
# drawn evenly from many more.
RECORDS, SAMPLE = 400_000, 10_000
# Of a chemistry that the sheet names fewer are accepted, with a warning: a user knows the kit. Of
# another list chance and barcodes in common make at most 0.19.
MIN_VALID, MIN_NAMED = 0.5, 0.25
# A share that is this much below another cannot come from lists that have barcodes in common: of
# the lists of 10x no two share more than 11 % (measured on ngs-tools 1.8.6).
CLEARLY = 0.15
# Share of barcodes with an N above which the barcode read is of low quality.
POOR = 0.1


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
    corrected
        Whether barcodes count that STARsolo corrects.
    """

    chemistry: Chemistry
    shares: list[float]
    corrected: bool = False

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
    """Bases at a span (1-based, last base included) of each read of the sample."""
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
        None fits, or several fit and cannot be distinguished.
    """
    ranked = sorted(matches.values(), key=lambda match: match.share, reverse=True)
    open_to = [match for match in ranked if match.chemistry.name in asked]
    needed = MIN_NAMED if len(asked) == 1 and ranked[0].share < MIN_VALID else MIN_VALID
    valid = [match for match in open_to if match.share >= needed]
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
            "The read was trimmed, or the UMI was cut off: give the reads as they were sequenced. "
            "Or the chemistry is another one.",
            code="short-read",
        )
    best = fitting[0]
    close = [match for match in fitting if match.share > best.share - CLEARLY]
    if any(not best.chemistry.differs_in_strand_only(match.chemistry) for match in close[1:]):
        raise StudyError(
            where,
            f"several chemistries fit ({describe(close, mates)})",
            "Name the chemistry in the sheet.",
            code="several-chemistries",
        )
    twice = [mate for mate, share in zip(mates, best.shares, strict=True) if share >= needed]
    if len(twice) > 1:
        raise StudyError(
            where,
            f"{len(twice)} reads carry barcodes of {best.chemistry.name} "
            f"({'; '.join(map(str, twice))})",
            "Two files are the same read: give each read once.",
            code="duplicated-read",
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
    shares = "; ".join(
        f"{mate}: {share:.1%} valid" for mate, share in zip(mates, asked[0].shares, strict=True)
    )
    named = len(asked) == 1
    of = f"of {asked[0].chemistry.name}" if named else "of any chemistry in the table"
    if better:
        return StudyError(
            where,
            f"less than {MIN_VALID:.0%} of the first reads have a barcode {of} ({shares})",
            f"It looks like {describe(better, mates)}: correct the chemistry in the sheet, or "
            "leave it empty.",
            code="wrong-chemistry",
        )
    shortest = min(match.chemistry.barcode_read_length for match in asked)
    if sum(mate.lengths[1] >= shortest for mate in mates) < 2:
        return StudyError(
            where,
            f"no read with barcodes {of} ({shares})",
            "The technical reads were dropped, as in many mirrors of archives: "
            "use the SRA archive or the original FASTQ files.",
            code="no-barcode-read",
        )
    mate = mates[asked[0].at]
    unread = sum("N" in code.decode() for code in parts(mate, asked[0].chemistry.barcode[0]))
    poor = unread / len(mate.sequences)
    fix = "The reads are of another kit or technology: for one of your own, add a row to the table."
    if poor > POOR:
        fix = f"{poor:.0%} of them have an N in it: the barcode read is of low quality."
    if not named and ranked[0].share >= MIN_NAMED:
        name = ranked[0].chemistry.name
        fix += f" If the library is of {name}, name it in the sheet to count what can be counted."
    best = f" ({shares})" if named else f"; at best {describe(ranked[:1], mates)}"
    needed = MIN_NAMED if named else MIN_VALID
    return StudyError(
        where,
        f"less than {needed:.0%} of the first reads have a barcode {of}, even with one base "
        f"corrected as STAR does{best}",
        fix,
        code="unknown-barcodes",
    )


def describe_evidence(matches: list[dict[str, Match]], lane: list[Mate], chosen: list[str]) -> list:
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
            verdict = "fits" if share >= MIN_VALID else "named in the sheet; few barcodes are valid"
            verdict += "; the strand decides" * (len(chosen) > 1)
            verdict += ", with one base corrected" * any(match[name].corrected for match in matches)
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
