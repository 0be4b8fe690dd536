"""Barcodes of a count matrix: their names, and whether they are all droplets or cells only."""

import numpy as np
import pandas as pd

from latere.errors import StudyError

SUFFIX = "-1"
# Droplets with at most this many molecules count as empty (default of EmptyDrops).
EMPTY = 100
# No cell is called with fewer molecules, and no run has more cells.
NEARLY_NONE, DROPLETS = 10, 50_000
# With fewer barcodes, their distribution is not informative.
FEW = 100
BINS = 256


def otsu_threshold(values) -> float:
    """The threshold that best splits values in two (Otsu 1979, IEEE Trans SMC 9:62).

    Parameters
    ----------
    values
        Shape (n,), not all equal.

    Returns
    -------
    float
        In the middle of the gap between the two groups, if there is one.
    """
    numbers, edges = np.histogram(values, bins=BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(numbers)[:-1]
    above = numbers.sum() - below
    sum_below = np.cumsum(numbers * centres)[:-1]
    sum_above = (numbers * centres).sum() - sum_below
    between = below * above * (sum_below / below - sum_above / above) ** 2
    # Empty bins score as well as their neighbours: take the middle.
    return float(edges[1:-1][np.isclose(between, between.max(), rtol=1e-12)].mean())


def find_kind(n_counts) -> tuple[str, str]:
    """Whether barcodes are all droplets (raw) or called cells (filtered), by their molecules.

    Raw is a matrix where most barcodes have next to none; or that has more barcodes than a run has
    cells, most of them as poor as empty droplets; or whose molecules per barcode fall into two
    groups with next to nothing between them, of which the poor one is the larger. The limits were
    chosen on the demo's raw matrices without their empty rows, on filtered matrices and gene panels
    of 10x and microwells, and on simulated ones.

    Parameters
    ----------
    n_counts
        Molecules of each barcode.

    Returns
    -------
    str, str
        `raw` or `filtered`, and why.
    """
    number, counts = len(n_counts), n_counts[n_counts > 0]
    if number - len(counts) > number / 2:
        return "raw", f"{number - len(counts):,} of {number:,} barcodes have no molecule"
    if len(counts) < FEW:
        return "filtered", f"only {len(counts):,} barcodes have molecules"
    least, median = counts.min(), np.median(counts)
    if median <= (EMPTY if len(counts) > DROPLETS else NEARLY_NONE):
        reason = f"half of {len(counts):,} barcodes have at most {median:,.0f} molecules"
        return "raw", reason
    if least == counts.max():
        return "filtered", f"all of {len(counts):,} barcodes have {least:,} molecules"
    logs = np.log10(counts)
    threshold = otsu_threshold(logs)
    low, high = np.median(logs[logs <= threshold]), np.median(logs[logs > threshold])
    third = (high - low) / 3
    between = ((logs > low + third) & (logs < high - third)).mean()
    poor = (logs <= threshold).mean()
    reason = (
        f"{poor:.0%} of {len(counts):,} barcodes have about {10**low:,.0f} molecules, the others "
        f"about {10**high:,.0f}, and {between:.1%} lie between"
    )
    if poor > 0.5 and 10**low <= EMPTY and between < 0.05:
        return "raw", reason
    return (
        "filtered",
        f"no crowd of empty droplets: least {least:,}, median {median:,.0f} molecules",
    )


def check_kind(said: str, n_counts, where: str) -> dict:
    """The kind of the barcodes: as in the sheet, unless the data rule it out; else by the data.

    Raises
    ------
    StudyError
        The sheet says raw, and there is no empty droplet.
    """
    kind, reason = find_kind(n_counts)
    facts = {"kind": said or kind, "decided_by": "sheet" if said else "data", "looks": kind}
    if said == "raw" and kind == "filtered" and not (n_counts <= EMPTY).any():
        least = n_counts.min() if len(n_counts) else 0
        problem = (
            "the sheet says `barcodes` raw, but there is no empty droplet: the least of "
            f"{len(n_counts):,} barcodes has {least:,} molecules"
        )
        fix = "Set `barcodes` to filtered, or give the raw matrix."
        raise StudyError(where, problem, fix, code="no-empty-droplets")
    if said and said != kind:
        reason = f"the sheet says {said}, though the data look {kind}: {reason}"
    return facts | {"reason": reason}


def cell_names(barcodes, where: str, kept=slice(None)):
    """Barcodes without the ``-1`` that CellRanger adds, if all have it.

    Parameters
    ----------
    kept
        Which of them are returned, boolean: no names are made of millions of empty droplets.

    Raises
    ------
    StudyError
        A barcode is duplicated.
    """
    all_have = all(str(barcode).endswith(SUFFIX) for barcode in barcodes)
    names = pd.Index(barcodes[kept].astype(str), dtype=object, name="barcode")
    if all_have:
        names = names.str.removesuffix(SUFFIX)
    if not names.is_unique:
        twice = names.duplicated()
        raise StudyError(
            where,
            f"barcode {names[twice][0]} is duplicated, as are {twice.sum() - 1:,} others",
            "Give the cells of one run: a merged matrix needs `subset` or `split` in the sheet.",
            code="duplicated-barcode",
        )
    return names


def given_cells(barcodes, cells, where: str):
    """Which barcodes are cells by their source, boolean.

    Raises
    ------
    StudyError
        A cell is not a barcode of the raw matrix.
    """
    given = barcodes.isin(cells)
    if (missing := len(cells) - given.sum()) > 0:
        problem = f"{missing:,} of its {len(cells):,} cells are not among its raw barcodes"
        fix = "Give the raw and the filtered matrix of the same count."
        raise StudyError(where, problem, fix, code="unknown-cells")
    return given
