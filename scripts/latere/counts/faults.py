"""Whether the values of a matrix are raw counts; if not, what they look like."""

import os
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from latere.counts.features import matrix_in
from latere.counts.hdf5 import form_of, layers_of, open_h5
from latere.counts.sparse import from_parts, in_parts, to_counts
from latere.errors import StudyError

MOST = 2**31 - 1
# Rows or columns of a matrix that show whether it has counts.
FEW = 100
# Entries of a matrix that is read whole instead.
SMALL = 1 << 18


def fault_of(values) -> str:
    """Why values are not counts, in words; empty if they are.

    Parameters
    ----------
    values
        CSR, cells x genes.
    """
    data = values.data
    if data.dtype.kind not in "biuf":
        return "its values are text, not numbers"
    exact = np.issubdtype(data.dtype, np.floating)
    if exact and in_parts(data, lambda part: ~np.isfinite(part)):
        return "it has values that are not finite (NaN, infinite)"
    fractions = exact and in_parts(data, lambda part: part != np.floor(part))
    if in_parts(data, lambda part: part < 0):
        kind = "it was scaled or corrected" if fractions else "counts are never below 0"
        return f"it has negative values (the least: {data.min():.3g}), so {kind}"
    if fractions:
        return describe_fractions(values)
    largest = data.max() if data.size else 0
    if largest > MOST:
        return f"its largest value, {largest:,.0f}, is above 2^31, which no cell can have"
    limit = 2 ** (np.finfo(data.dtype).nmant + 1) if exact else MOST
    if largest > limit:
        return (
            f"its largest value, {largest:,.0f}, is above {limit:,}, and as {data.dtype} "
            "it is no longer exact"
        )
    return ""


def describe_fractions(values) -> str:
    """What values with fractions look like: log-normalised to a number, scaled, or neither."""
    filled = np.flatnonzero(np.diff(values.indptr))
    some = values[filled[:: max(1, len(filled) // 500)]].astype(np.float64)
    backs = {
        "log-normalised with log1p": np.expm1,
        "log-normalised with log2(x + 1)": lambda x: np.exp2(x) - 1,
        "log-normalised with log10(x + 1)": lambda x: 10**x - 1,
        "normalised, without a logarithm,": lambda x: x,
    }
    with np.errstate(over="ignore", invalid="ignore"):
        for kind, back in backs.items():
            linear = some.copy()
            linear.data = back(some.data)
            sums = np.asarray(linear.sum(axis=1)).ravel()
            if len(sums) > 1 and np.std(sums) < 0.01 * np.mean(sums):
                return f"it looks {kind} to {np.mean(sums):,.0f} per cell"
        for kind, back in backs.items():
            cells = [back(cell.data) for cell in some if len(np.unique(cell.data)) > 2]
            whole = [_are_multiples(cell / cell.min()) for cell in cells]
            if whole and np.mean(whole) > 0.9:
                return f"it looks {kind} by the size of each cell"
    example = values.data[values.data != np.floor(values.data)][0]
    return f"it has fractions such as {example:.3g}, as corrected, imputed or estimated values have"


def _are_multiples(ratios) -> bool:
    return bool(np.isfinite(ratios).all() and np.abs(ratios - ratios.round()).max() < 0.01)


def first_of_h5ad(path: str, place: str, rows=None):
    """Some values of a matrix in an .h5ad.

    Parameters
    ----------
    path, place
        The file, and where the matrix is in it.
    rows
        Numbers of the cells of interest, in their order; all if None.

    Returns
    -------
    csr_matrix
        Cells x genes: all genes of the first cells, or the first genes where they lie together.
    """
    with open_h5(path) as file:
        stored = _as_stored(file[place])
        if getattr(stored, "format", "") != "csc":
            return csr_matrix(stored[:FEW] if rows is None else stored[rows[:FEW]])
    some = _first_genes(path, place, os.stat(path).st_mtime)
    return some if rows is None else some[rows]


def _as_stored(matrix):
    """A matrix in an open .h5ad of which parts can be read."""
    import anndata

    return matrix if hasattr(matrix, "shape") else anndata.io.sparse_dataset(matrix)


@lru_cache(maxsize=1)
def _first_genes(path: str, place: str, changed: float):
    """The first genes of all cells: read once for all runs of a file."""
    with open_h5(path) as file:
        stored = _as_stored(file[place])
        small = len(file[place]["data"]) <= SMALL
        return csr_matrix(stored.to_memory() if small else stored[:, :FEW])


def first_of_h5(path: str):
    """The values of the first barcodes of a 10x .h5, barcodes x features."""
    with open_h5(path) as file:
        group = matrix_in(file, path)
        features, barcodes = (int(size) for size in group["shape"][:])
        indptr = group["indptr"][: FEW + 1]
        data, indices = (group[name][: int(indptr[-1])] for name in ("data", "indices"))
        return from_parts((data, indices, indptr), (min(FEW, barcodes), features), path)


def first_of_mtx(head: bytes, is_whole: bool, shape: tuple[int, int], features: int):
    """The first values of a MatrixMarket file, barcodes x features.

    Parameters
    ----------
    head
        Its first bytes.
    is_whole
        Whether they are all of it.
    shape
        Its rows and columns.
    features
        How many features it has: as many as rows or as columns.
    """
    lines = [line for line in head.split(b"\n") if line.strip() and not line.startswith(b"%")]
    # The first of them has the sizes, and the last may be cut off.
    entries = lines[1:] if is_whole else lines[1:-1]
    values = np.array(b" ".join(entries).split(), dtype=float).reshape(-1, 3)
    if features == shape[0]:
        values = values[:, [1, 0, 2]]
    if not is_whole and len(values):  # so may be the last cell
        values = values[values[:, 0] != values[-1, 0]]
    # Only cells that have a value: there may be any number of others.
    cells, places = np.unique(values[:, 0], return_inverse=True)
    places = (places, values[:, 1].astype(int) - 1)
    return csr_matrix(coo_matrix((values[:, 2], places), shape=(len(cells), features)))


@cache
def layers_with_counts(path: str, changed: float) -> tuple[str, ...]:
    """Layers with counts, by the first values of each matrix of an .h5ad.

    Parameters
    ----------
    path
        The file.
    changed
        Time of its last change.
    """
    with open_h5(path) as file:
        places = layers_of(file)
    some = {name: first_of_h5ad(path, place) for name, place in places.items()}
    return tuple(name for name, values in some.items() if values.nnz and not fault_of(values))


def not_counts(fault: str, files: Sequence[str], layer: str, where: str) -> StudyError:
    """The error of values that are not counts; it names the layers that have counts.

    Parameters
    ----------
    fault
        As `fault_of` gives it.
    files, layer, where
        What they were read from, for the message.
    """
    stored = len(files) == 1 and form_of(files[0]) == "h5ad"
    instead = layers_with_counts(files[0], os.stat(files[0]).st_mtime) if stored else ()
    fix = "Give the matrix before any normalisation, scaling or correction."
    if instead:
        fix = f"Name a layer with counts in column `layer` of the sheet: {', '.join(instead)}."
    held = f"layer '{layer}'" if layer else "the matrix"
    return StudyError(where, f"{held} has no raw counts: {fault}", fix, code="not-counts")


def raw_counts(values, files: list[str], layer: str, where: str):
    """Values as counts, if they are counts.

    Parameters
    ----------
    values
        CSR, barcodes x genes; changed in place.
    files, layer, where
        What they were read from, for the message.

    Returns
    -------
    csr_matrix
        As `to_counts` gives it.

    Raises
    ------
    StudyError
        They are not counts; the message names the layers that have counts.
    """
    if fault := fault_of(values):
        raise not_counts(fault, files, layer, where)
    return to_counts(values)
