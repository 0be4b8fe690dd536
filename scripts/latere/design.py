"""The design of a test: which samples, which coefficients; the same for both branches."""

from collections.abc import Sequence

import numpy as np

# With fewer samples, a side has no variance.
MIN_SAMPLES = 2


def design_matrix(case: Sequence[bool], covariates: Sequence[Sequence[str]]) -> np.ndarray:
    """Design of a linear model: intercept, case, and the covariates as categories.

    Parameters
    ----------
    case
        Whether a sample is on the case side; length `n_samples`.
    covariates
        For each covariate, its value in each sample.

    Returns
    -------
    numpy.ndarray
        Shape (n_samples, 2 + dummies). Column 1 is the contrast: its coefficient is the
        log fold change of case over control. Covariates lose the columns that add no rank,
        so that the patient of a paired design fits beside its samples.
    """
    columns = [np.ones(len(case)), np.asarray(case, dtype=float)]
    for values in covariates:
        for level in sorted(set(values))[1:]:
            candidate = np.array([value == level for value in values], dtype=float)
            if np.linalg.matrix_rank(np.column_stack([*columns, candidate])) > len(columns):
                columns.append(candidate)
    return np.column_stack(columns)


def is_estimable(case: Sequence[bool], covariates: Sequence[Sequence[str]]) -> bool:
    """Whether the contrast can be separated from the covariates, with a replicate to spare.

    The covariates alone must not span the contrast, and at least one residual degree of
    freedom must be left.
    """
    design = design_matrix(case, covariates)
    rank = np.linalg.matrix_rank
    dummies = [
        [value == level for value in values] for values in covariates for level in set(values)
    ]
    without = np.column_stack([np.ones(len(case)), *np.array(dummies, dtype=float)])
    spanned = rank(np.column_stack([without, design[:, 1]])) == rank(without)
    return not spanned and len(case) - rank(design) >= 1
