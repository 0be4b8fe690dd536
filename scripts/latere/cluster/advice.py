"""What to ask for on a site in place of what was asked, by what jobs used."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from latere.cluster.requests import (
    LEAST_MEM_MB,
    LEAST_MINUTES,
    MEMORY_MARGIN,
    STEP_MEM_MB,
    TIME_MARGIN,
)


@dataclass(frozen=True)
class Row:
    """A line of the table: a rule, a group as a whole, or a rule inside a group.

    Asked is what the first attempts asked for at most; used is the most that a job used, of cores
    the mean. Unknown is None.
    """

    rule: str
    group: str = ""
    jobs: int = 0
    resubmitted: int = 0
    ended: str = ""
    mem_mb_asked: float | None = None
    mem_mb_used: float | None = None
    minutes_asked: float | None = None
    minutes_used: float | None = None
    cores_asked: float | None = None
    cores_used: float | None = None
    gpus_asked: float | None = None
    gpus_used: float | None = None


def advise(rows: Iterable[Row]) -> dict[str, dict[str, str | int]]:
    """What to write under `resources:` of the site file.

    More, where a job passed its limit; less, where half of it would have been enough. What the
    workflow asks for follows a job's input, what is advised here does not: it fits inputs no larger
    than those of this run.

    Parameters
    ----------
    rows
        The table.

    Returns
    -------
    dict
        Resources by rule.
    """
    advice = {}
    ended = {row.group: row.ended for row in rows if not row.rule}
    for row in rows:
        if not row.rule:
            continue
        peers = [peer for peer in rows if peer.group == row.group and peer.rule and row.group]

        def passed(state: str, figure: str, row=row, peers=peers) -> bool:
            # Of a group that passed its limit, the rule that asks for most: it set the limit.
            most = all(
                (getattr(row, figure) or 0) >= (getattr(peer, figure) or 0) for peer in peers
            )
            return state in ended.get(row.group, row.ended) and most

        wanted = {
            "mem_mb": _wanted(
                row.mem_mb_asked,
                row.mem_mb_used,
                (MEMORY_MARGIN, STEP_MEM_MB, LEAST_MEM_MB),
                passed("OUT_OF_MEMORY", "mem_mb_asked"),
            ),
            "runtime": _wanted(
                row.minutes_asked,
                row.minutes_used,
                (TIME_MARGIN, 1, LEAST_MINUTES),
                passed("TIMEOUT", "minutes_asked"),
            ),
        }
        wanted = {name: f"attempt * {value}" for name, value in wanted.items() if value}
        # In short jobs starting up is most of the time.
        known = row.cores_used is not None and row.cores_asked is not None
        long = (row.minutes_used or 0) >= LEAST_MINUTES
        if known and long and row.cores_used <= row.cores_asked / 2:
            wanted["threads"] = math.ceil(row.cores_used)
        if wanted:
            advice[row.rule] = wanted
    return advice


def _wanted(
    asked: float | None, used: float | None, way: tuple[float, int, int], passed: bool
) -> int | None:
    """What to ask for in place of what was asked; None if that was fair, or is not known.

    Parameters
    ----------
    asked, used
        By the first attempts, and the most of any; None if unknown.
    way
        Asked over used, what it is rounded up to, and what it is at least.
    passed
        Whether a job was ended for it.
    """
    margin, step, least = way
    fair = used and max(least, step * math.ceil(margin * used / step))
    if asked and passed:
        # A job that was ended would have used more than what was measured.
        return max(fair or 0, step * math.ceil(2 * asked / step))
    return fair if asked and fair and 2 * fair <= asked else None
