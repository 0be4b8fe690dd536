"""Names of designs and the samples on their sides: contrasts, null splits, one sample left out."""

import re
from itertools import combinations, islice

from latere.errors import StudyError
from latere.reads.chemistry import NAME

# Separates the contrast from the design made of it; no name of a contrast or sample has it.
MARK = "+"
NULL = re.compile(r"null-(case|control)-([1-9][0-9]{0,5})")
WITHOUT = re.compile(rf"without-({NAME.pattern})")
# Of the name of a design.
PATTERN = rf"{NAME.pattern}(?:\{MARK}(?:null-(?:case|control)-[1-9][0-9]*|without-{NAME.pattern}))?"


def contrast_of(design: str) -> str:
    """The contrast that a design is made of."""
    return design.partition(MARK)[0]


def halve(samples: list[str], number: int) -> tuple[list[str], list[str]]:
    """One of the distinct ways to split samples into halves, whose sizes differ by one at most.

    Parameters
    ----------
    samples
        At least two names.
    number
        Which way, from 1; ways are in the order of the names.

    Raises
    ------
    IndexError
        There are fewer ways.
    """
    size = len(samples) // 2
    # With halves of equal size each way would come twice: the first sample stays in one of them.
    fixed = samples[:1] if len(samples) == 2 * size else []
    rest = samples[len(fixed) :]
    # One by one: 30 samples have 78 million ways.
    chosen = next(islice(combinations(rest, size - len(fixed)), number - 1, None), None)
    if chosen is None:
        raise IndexError(number)
    one = [*fixed, *chosen]
    return one, [name for name in samples if name not in one]


def sides_of(design: str, study) -> dict[str, list[str]]:
    """Names of the samples on each side of a design.

    Parameters
    ----------
    design
        The name of a contrast; or with `MARK` behind it `null-case-<n>` or `null-control-<n>`, the
        n-th way to split that side into halves; or `without-<sample>`.
    study
        The study, with its contrasts.

    Returns
    -------
    dict
        `case` and `control`, in the order of the sheet.

    Raises
    ------
    StudyError
        No such design can be made.
    """
    contrast, _, made = design.partition(MARK)
    if contrast not in study.contrasts:
        known = ", ".join(study.contrasts) or "none"
        problem = f"unknown contrast '{contrast}'"
        raise StudyError(f"design {design}", problem, f"Known: {known}.", code="unknown-contrast")
    sides = study.sides(contrast)
    if not made:
        return sides
    if null := NULL.fullmatch(made):
        samples = sides[null[1]]
        try:
            return dict(zip(("case", "control"), halve(samples, int(null[2])), strict=True))
        except IndexError:
            problem = f"the {len(samples)} {null[1]} samples have no split of number {null[2]}"
            fix = "Use a smaller number."
            raise StudyError(f"design {design}", problem, fix, code="unknown-split") from None
    if without := WITHOUT.fullmatch(made):
        if without[1] not in {*sides["case"], *sides["control"]}:
            problem = f"sample '{without[1]}' is not in the contrast"
            fix = "Name one of its samples."
            raise StudyError(f"design {design}", problem, fix, code="unknown-sample")
        return {side: [n for n in names if n != without[1]] for side, names in sides.items()}
    fix = f"Write {contrast}{MARK}null-case-1 or {contrast}{MARK}without-<sample>."
    problem = f"'{made}' is not a kind of design"
    raise StudyError(f"design {design}", problem, fix, code="unknown-design")
