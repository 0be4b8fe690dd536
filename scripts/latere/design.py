"""The design of a test: which samples, which coefficients; the same for both branches."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

# With fewer samples, a side has no variance.
MIN_SAMPLES = 2
# Cells are decoded as at most this many samples of each side of a contrast: the time grows with
# their number, and the mean over more is nearly the same.
MOST_DECODED = 10
# Samples and values that a message names.
SHOWN = 4


def design_matrix(case: Sequence[bool], covariates: Sequence[Sequence[str | float]]) -> np.ndarray:
    """Design of a linear model: intercept, case, and the covariates.

    Parameters
    ----------
    case
        Whether a sample is on the case side; length `n_samples`.
    covariates
        For each covariate, its value in each sample: text is a category, numbers are one column.

    Returns
    -------
    numpy.ndarray
        Shape (n_samples, 2 + columns of covariates). Column 1 is the contrast: its coefficient is
        the log fold change of case over control. Covariates lose the columns that add no rank,
        so that the patient of a paired design fits beside its samples.
    """
    columns = [np.ones(len(case)), np.asarray(case, dtype=float)]
    for values in covariates:
        for candidate in _columns(values):
            if np.linalg.matrix_rank(np.column_stack([*columns, candidate])) > len(columns):
                columns.append(candidate)
    return np.column_stack(columns)


def _columns(values: Sequence[str | float]) -> list[np.ndarray]:
    """A covariate as columns: one for each category but the first, or the numbers standardised.

    Years are far larger than 0 and 1: standardised, the rank of the matrix and the fit are as exact
    as with categories. No coefficient of another column changes.
    """
    if any(isinstance(value, str) for value in values):
        return [
            np.array([value == level for value in values], dtype=float)
            for level in sorted(set(values))[1:]
        ]
    # The mean of equal numbers may differ from them by rounding.
    if len(set(values)) == 1:
        return []
    numbers = np.asarray(values, dtype=float)
    return [(numbers - numbers.mean()) / numbers.std()]


def decoded_as(contrasts: Mapping[str, Mapping[str, Sequence[str]]]) -> list[str]:
    """Samples that cells are decoded as: the first of each side of each contrast.

    Parameters
    ----------
    contrasts
        Names of the samples on each side, by contrast.
    """
    sides = [side for of in contrasts.values() for side in of.values()]
    return sorted({name for side in sides for name in side[:MOST_DECODED]})


def is_estimable(case: Sequence[bool], covariates: Sequence[Sequence[str | float]]) -> bool:
    """Whether the contrast can be separated from the covariates, with a replicate to spare.

    The covariates alone must not span the contrast, and at least one residual degree of
    freedom must be left.
    """
    return not _spans(case, covariates) and _residual(case, covariates) >= 1


def _spans(case: Sequence[bool], covariates: Sequence[Sequence[str | float]]) -> bool:
    """Whether covariates alone say on which side each sample is."""
    without = np.column_stack([np.ones(len(case)), *(c for v in covariates for c in _columns(v))])
    rank = np.linalg.matrix_rank
    return rank(np.column_stack([without, np.asarray(case, dtype=float)])) == rank(without)


def _residual(case: Sequence[bool], covariates: Sequence[Sequence[str | float]]) -> int:
    """Residual degrees of freedom."""
    return len(case) - design_matrix(case, covariates).shape[1]


def why_not_estimable(
    samples: Sequence[str], case: Sequence[bool], covariates: Mapping[str, Sequence[str | float]]
) -> str:
    """Why the contrast cannot be estimated, with the covariates and samples that are the cause.

    Parameters
    ----------
    samples
        Names of the samples.
    case, covariates
        As for `design_matrix`, covariates by name.

    Returns
    -------
    str
        A sentence without a full stop; empty if `is_estimable`.
    """
    if is_estimable(case, list(covariates.values())):
        return ""
    if not _spans(case, list(covariates.values())):
        size = design_matrix(case, list(covariates.values())).shape[1]
        parts = [
            f"'{name}' has {len(set(values))} values"
            if isinstance(values[0], str)
            else f"'{name}' is a number"
            for name, values in covariates.items()
        ]
        listed = f" ({', '.join(parts)})" if parts else ""
        return f"{len(case)} samples leave no replicate for a design of {size} coefficients{listed}"
    # The smallest set that is enough.
    named = next(
        names
        for number in range(1, len(covariates) + 1)
        for names in combinations(covariates, number)
        if _spans(case, [covariates[name] for name in names])
    )
    if len(named) > 1:
        return f"the covariates {', '.join(named)} together separate case from control"
    if isinstance(covariates[named[0]][0], str) and len(set(covariates[named[0]])) == len(case):
        return f"the covariate '{named[0]}' has another value in each of the {len(case)} samples"
    sides = {}
    for sample, is_case, value in zip(samples, case, covariates[named[0]], strict=True):
        sides.setdefault((value, "case" if is_case else "control"), []).append(sample)
    values = [
        f"{value if isinstance(value, str) else f'{value:g}'} only in {side} ({_some(of_side)})"
        for (value, side), of_side in sides.items()
    ]
    return f"the covariate '{named[0]}' separates case from control: {_some(values)}"


def _some(names: Sequence[str]) -> str:
    """The first of many names, and how many more there are."""
    more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return ", ".join([*names[:SHOWN], *more])
