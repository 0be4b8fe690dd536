"""Barcodes that STARsolo corrects, as it is called here (`latere.reads.chemistry.solo_options`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from latere.reads.chemistry import Chemistry, find_whitelist
from latere.reads.fastq import read_barcodes
from latere.reads.matching import Match, Mate, parts

# Reads of a file whose barcodes are corrected: a share of 1,000 has a standard error of 2 points.
READS = 1000


def correct_lane(mates: Sequence[Mate], chemistries: Mapping[str, Chemistry]) -> dict[str, Match]:
    """How well a lane fits each chemistry if barcodes are corrected as STARsolo corrects them.

    A barcode, or each of its parts, is valid as it is, or if exactly one barcode of the list has
    another base in one place; that place is the one of an N if there is one. A part must moreover
    be read without an error by other reads (`1MM`).

    Returns
    -------
    dict
        The matches by name of the chemistry.
    """
    mates = [
        replace(mate, sequences=mate.sequences[:: -(-len(mate.sequences) // READS)])
        for mate in mates
    ]
    codes = {
        name: [[parts(mate, span) for span in chemistry.barcode] for mate in mates]
        for name, chemistry in chemistries.items()
    }
    read = {}
    for name, chemistry in chemistries.items():
        for mate in codes[name]:
            for whitelist, part in zip(chemistry.whitelists, mate, strict=True):
                read.setdefault(whitelist, set()).update(part)
    known = {whitelist: find_known(whitelist, found) for whitelist, found in read.items()}

    def share(mate: list[list[bytes]], chemistry: Chemistry) -> float:
        valid = []
        for whitelist, part in zip(chemistry.whitelists, mate, strict=True):
            exact = known[whitelist].intersection(part)
            allowed = known[whitelist] if len(mate) == 1 else exact
            valid.append(
                [
                    code in exact or sum(near in allowed for near in neighbours(code)) == 1
                    for code in part
                ]
            )
        return sum(map(all, zip(*valid, strict=True))) / len(valid[0])

    return {
        name: Match(chemistry, [share(mate, chemistry) for mate in codes[name]], corrected=True)
        for name, chemistry in chemistries.items()
    }


def neighbours(code: bytes) -> Iterable[bytes]:
    """Barcodes that differ in one base: in the place of the N if there is one; none if several."""
    unknown = code.count(b"N")
    if unknown > 1:
        return
    places = [code.index(b"N")] if unknown else range(len(code))
    for at in places:
        for base in (b"A", b"C", b"G", b"T"):
            if base != code[at : at + 1]:
                yield code[:at] + base + code[at + 1 :]


def find_known(whitelist: str, codes: Iterable[bytes]) -> set[bytes]:
    """Barcodes of a list that were read, exactly or with one other base."""
    wanted = {near for code in codes for near in (code, *neighbours(code))}
    return {
        barcode
        for barcodes in read_barcodes(find_whitelist(whitelist))
        for barcode in wanted.intersection(barcodes)
    }
