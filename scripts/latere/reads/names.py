"""Names of reads: which reads belong to one spot."""

import re
from pathlib import Path

from dnaio import SequenceRecord, records_are_mates

from latere.errors import StudyError

# Archive, spot and, where it was asked for (fastq-dump --readids), the number of the read.
ARCHIVED = re.compile(r"(\S+?)\.([0-9]+)(?:\.[1-9])?")
MATE = re.compile(r"/[1-9]$")
# A spot of MGI's sequencers: flow cell, lane, column, row and number.
MGI = re.compile(r"\w+L[0-9]+C[0-9]+R[0-9]+")


def are_mates(*reads: SequenceRecord) -> bool:
    """Whether the names of reads are those of one spot.

    Names that `records_are_mates` of dnaio accepts are alike up to a last 1, 2 or 3. So are names
    that end in any other number of the read (`SRR1.7.4`, `x/4`), and names of archives that differ
    if the names that the sequencer gave are the same (`SRR1.7 A:1:22` and `SRR2.7 A:1:22`).
    """
    return (
        len(reads) == 1
        or records_are_mates(*reads)
        or len({_spot(read.name) for read in reads}) == 1
    )


def have_archives_of_their_own(*reads: SequenceRecord) -> bool:
    """Whether reads have the same number in archives that differ.

    The number alone does not show that the reads are of one spot: each archive counts from 1.
    """
    found = [ARCHIVED.fullmatch(read.id) for read in reads]
    if not all(found) or any(_given_name(read.name) for read in reads):
        return False
    archives, spots = ({match[part] for match in found} for part in (1, 2))
    return len(archives) > 1 and len(spots) == 1


def _spot(name: str) -> str | tuple[str, str]:
    """The spot of a read: the sequencer's name of it, if an archive kept it; else its own."""
    first = name.split()[0] if name.strip() else ""
    if archived := ARCHIVED.fullmatch(first):
        return _given_name(name) or (archived[1], archived[2])
    return MATE.sub("", first)


def _given_name(name: str) -> str:
    """The name that the sequencer gave, behind that of an archive; empty where there is none."""
    _, *words = name.split(maxsplit=2)
    given = words[0].partition("#")[0].partition("/")[0] if words else ""
    # Illumina's ends in tile and coordinates.
    _, *numbers = given.rsplit(":", 3)
    coordinates = len(numbers) == 3 and "".join(numbers).isdigit()
    return given if coordinates or MGI.fullmatch(given) else ""


def refuse_names(where: str, what: str, reads: list[tuple[str, SequenceRecord]]) -> StudyError:
    """Reads that should be of one spot have other names.

    Parameters
    ----------
    where, what
        Place, and what holds the reads, for the message.
    reads
        Each file and its read.
    """
    names = "; ".join(f"{Path(file).name}: {read.id}" for file, read in reads)
    if have_archives_of_their_own(*(read for _, read in reads)):
        return StudyError(
            where,
            f"{what} the same number in different archives ({names}), and no name of the "
            "sequencer follows that shows one spot",
            "Where one library was deposited as several archives, give the reads the same "
            "accession (sed '1~4s/^@[^.]*/@SRR1/' on each file). Otherwise put the files of one "
            "archive into one row.",
            code="read-names-differ",
        )
    return StudyError(
        where,
        f"{what} reads of different spots ({names})",
        "List the same lanes in the same order for each read. If they are, files of different "
        "runs were mixed up, or one file was sorted or filtered alone: get them again.",
        code="read-names-differ",
    )
