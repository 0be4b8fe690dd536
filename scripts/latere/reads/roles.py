"""Which read is barcode, UMI, cDNA or index: by content, never by the number of a file."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from latere.errors import StudyError
from latere.reads.chemistry import Chemistry
from latere.reads.correction import correct_lane
from latere.reads.matching import (
    MIN_VALID,
    Match,
    Mate,
    choose,
    describe,
    describe_evidence,
    match_lanes,
    parts,
    read_mate,
)
from latere.reads.names import are_mates, refuse_names

# Sample indices have 8 or 10 bases; the spacer of a multiome library, the longest, 24.
MAX_INDEX_LENGTH = 24
# UMIs are drawn at random; the reads of a sample index are few different ones.
MIN_DISTINCT_UMIS = 0.5
ROLES = ("barcode", "umi", "cdna", "index")


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
        indices, lists the lanes of one after those of the other); evidence (`describe_evidence`).

    Raises
    ------
    StudyError
        The roles or the chemistry cannot be determined, or the lanes do not agree.
    """
    if len({len(lanes) for lanes in files}) != 1:
        counts = ", ".join(str(len(lanes)) for lanes in files) or "none"
        raise StudyError(
            f"run {run}",
            f"the reads have different numbers of lanes ({counts})",
            "List the same lanes in the same order for each read.",
            code="unequal-lanes",
        )
    lanes = [[read_mate(file, run) for file in lane] for lane in zip(*files, strict=True)]
    matches = match_lanes(lanes, chemistries)
    found = []
    for number, (mates, lane) in enumerate(zip(lanes, matches, strict=True), start=1):
        where = f"run {run}, lane {number}"
        check_mates(mates, where)
        if all(match.share < MIN_VALID for match in lane.values()):
            lane |= correct_lane(mates, chemistries)
        close = choose(asked, lane, mates, where)
        if close[0].corrected:
            logging.warning(
                "WARN: %s: %.1f%% of the first reads have a barcode of %s as it is or with one "
                "base corrected, fewer than %.0f%% as it is",
                where,
                100 * close[0].share,
                close[0].chemistry.name,
                100 * MIN_VALID,
            )
        candidates = {match.chemistry.name for match in close}
        roles = roles_of_lane(close[0], mates, where)
        found.append((candidates, roles))
        if candidates != found[0][0]:
            raise StudyError(
                where,
                f"has another chemistry ({describe(close, mates)}) than lane 1 "
                f"({describe([matches[0][one] for one in sorted(found[0][0])], lanes[0])})",
                "The lanes of a run belong to one library: give each library a row of its own.",
                code="lane-chemistries-differ",
            )
        if roles != found[0][1]:
            raise StudyError(
                where,
                f"its reads are {', '.join(roles)}, those of lane 1 {', '.join(found[0][1])}",
                "Its files are swapped: put the files of one read into one column.",
                code="swapped-files",
            )
    chosen = [one for one in chemistries if one in found[0][0]]
    by_role = {
        role: [mate for at, one in enumerate(found[0][1]) if one == role for mate in columns[at]]
        for columns in [list(zip(*lanes, strict=True))]
        for role in ROLES
    }
    evidence = describe_evidence(matches, lanes[0], chosen)
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


def check_mates(mates: list[Mate], where: str) -> None:
    """The files of a lane must begin with the same spot.

    Raises
    ------
    StudyError
        They do not.
    """
    if not are_mates(*(mate.first for mate in mates)):
        raise refuse_names(
            where, "its files begin with", [(mate.file, mate.first) for mate in mates]
        )


def roles_of_lane(match: Match, mates: list[Mate], where: str) -> list[str]:
    """Role of each mate of one lane, as in `ROLES`.

    Raises
    ------
    StudyError
        The roles cannot be determined.
    """
    rest = [at for at in range(len(mates)) if at != match.at]
    longer = [at for at in rest if mates[at].lengths[1] > MAX_INDEX_LENGTH]
    if len(longer) != 1:
        names = ", ".join(str(mates[at]) for at in longer or rest) or "no other file"
        raise StudyError(
            where,
            f"{len(longer)} reads beside the barcode read could be cDNA ({names})",
            "Give one barcode read and one cDNA read; a sample index may be added.",
            code="no-single-cdna-read",
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
        shares = "; ".join(
            f"{mate}: {distinct[at]:.0%} different" if at in distinct else str(mate)
            for at, mate in mates
        )
        raise StudyError(
            where,
            f"{len(found)} reads could be the UMI of {chemistry.name} ({shares or 'no file'})",
            f"Give the read of {chemistry.umi_read_length} bp that holds the UMI, once.",
            code="no-single-umi-read",
        )
    return found[0]
