"""A threshold between two groups of values."""

import numpy as np

BINS = 256


def otsu_threshold(values: np.ndarray) -> float:
    """The threshold that best parts values in two (Otsu 1979, IEEE Trans SMC 9:62).

    Parameters
    ----------
    values
        Shape (n,), not all equal.

    Returns
    -------
    float
        Amid the gap, where values of the two groups lie apart.
    """
    numbers, edges = np.histogram(values, bins=BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(numbers)[:-1]
    above = numbers.sum() - below
    sum_below = np.cumsum(numbers * centres)[:-1]
    sum_above = (numbers * centres).sum() - sum_below
    between = below * above * (sum_below / below - sum_above / above) ** 2
    # Bins without a value do as well as their neighbours: amid them.
    return float(edges[1:-1][np.isclose(between, between.max(), rtol=1e-12)].mean())
