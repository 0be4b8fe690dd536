"""Droplets of a run: which hold ambient RNA only, what it is made of, and how much of it each has.

EmptyDrops (Lun et al. 2019, Genome Biol 20:63) and the knee plot are DropletUtils', through rpy2.
"""

import numpy as np
import pandas as pd

# With fewer molecules than this, the typical droplet cannot be distinguished from barcodes that
# come from sequencing errors: those have one or two.
LEAST_LEVEL = 5
# Droplets without a cell differ in how much ambient RNA they caught, but hardly by more than this.
SPREAD = 4
PERMUTATIONS = 10_000  # emptyDrops' own default
# CellRanger's and STARsolo's first step: what has a tenth of the molecules of a rich cell is one.
EXPECTED_CELLS, RICH, POOR = 3000, 0.01, 0.1
# Width, as a ratio, of the steps in which barcodes are counted by their molecules.
STEP = 1.25


def ambient_counts(counts, empty: np.ndarray) -> np.ndarray:
    """Molecules of each gene in empty droplets.

    Parameters
    ----------
    counts
        CSR, barcode x gene.
    empty
        Boolean, by barcode.

    Returns
    -------
    numpy.ndarray
        int64, by gene.
    """
    return counts.T @ empty.astype(np.int64)


def droplet_level(n_counts: np.ndarray) -> float | None:
    """Mean molecules of ambient RNA in a droplet, from droplets without a cell.

    Most barcodes of a raw matrix never were a droplet, but most molecules without a cell lie in
    droplets. So the droplets are sought around the count that half of these molecules lie below:
    their mean is taken over barcodes within `SPREAD` of it, above which cells begin that were not
    called.

    Parameters
    ----------
    n_counts
        Molecules of barcodes that are no cells, by barcode.

    Returns
    -------
    float or None
        None where droplets cannot be distinguished from sequencing errors in barcodes.
    """
    ordered = np.sort(n_counts)
    molecules = np.cumsum(ordered)
    if not molecules.size or not molecules[-1]:
        return None
    middle = ordered[np.searchsorted(molecules, molecules[-1] / 2)]
    if middle < LEAST_LEVEL:
        return None
    near = (ordered >= middle / SPREAD) & (ordered <= middle * SPREAD)
    return float(ordered[near].mean())


def find_knee(n_counts: np.ndarray, lower: int) -> tuple[float, float] | None:
    """Knee and inflection of the curve of molecules over rank, by DropletUtils' `barcodeRanks`.

    Parameters
    ----------
    n_counts
        Molecules, by barcode.
    lower
        Barcodes with this many or fewer are left out.

    Returns
    -------
    tuple of float, or None
        None with fewer than the three different counts that it takes.
    """
    from latere.r import matrix, package

    if np.unique(n_counts[n_counts > lower]).size < 3:
        return None
    # Of the counts it takes the sums only.
    ranks = package("DropletUtils").barcodeRanks(matrix(n_counts[None]), lower=lower)
    points = ranks.slots["metadata"]
    return points.rx2("knee")[0], points.rx2("inflection")[0]


def certain_level(n_counts: np.ndarray, lower: int, knee: float | None) -> float:
    """Molecules from which a barcode is a cell whatever its profile.

    The knee, or a tenth of what the richest barcodes have if that is less. Where few cells have
    many molecules, the knee alone lies among the cells. Cells below it are called only if they
    differ from the ambient RNA, and cells of the type that most of it comes from do not: in the
    demo, a fifth of the blasts of a sample would not be called.

    Parameters
    ----------
    n_counts
        Molecules, by barcode.
    lower
        Barcodes with this many or fewer are taken for empty.
    knee
        As `find_knee` gives it.

    Returns
    -------
    float
        Infinite without a knee, and without barcodes so rich that a tenth of it is above `lower`
        and beyond the crowd of the empty droplets.
    """
    richest = np.sort(n_counts[n_counts > lower])[::-1][:EXPECTED_CELLS]
    tenth = float(richest[int(RICH * richest.size)] * POOR) if richest.size else 0
    outside = tenth > lower and not is_edge(n_counts, tenth)
    return min(knee or np.inf, tenth if outside else np.inf)


def is_edge(n_counts: np.ndarray, level: float) -> bool:
    """Whether a number of molecules is in a crowd of barcodes that goes on below it.

    Then nowhere above it are barcodes as many as around it, on a logarithmic scale.
    """
    steps = np.log(n_counts[n_counts > 0] / level) / np.log(STEP)
    crowd = np.bincount(np.round(steps[steps >= -0.5]).astype(int), minlength=1)
    return crowd[0] == crowd.max()


def empty_drops(counts, lower: int, certain: float, seed: int) -> pd.DataFrame:
    """Which barcodes differ from the ambient RNA, by DropletUtils' `emptyDrops`.

    Parameters
    ----------
    counts
        CSR with sorted indices, barcode x gene.
    lower
        Barcodes with this many molecules or fewer give the ambient RNA and are not tested.
    certain
        Barcodes with this many molecules or more are cells, whatever the test says.
    seed
        Of its permutations.

    Returns
    -------
    pandas.DataFrame
        Total, LogProb, PValue, Limited, FDR, by barcode; NaN where it was not tested.
    """
    from latere.r import package, sparse_columns, start_r

    start_r().r["set.seed"](seed)
    droplets = sparse_columns(counts)
    result = package("DropletUtils").emptyDrops(
        droplets, lower=lower, retain=certain, niters=PERMUTATIONS
    )
    columns = result.slots["listData"]
    return pd.DataFrame({name: np.asarray(columns.rx2(name)) for name in columns.names})
