"""Whether the values of a matrix are raw counts; if not, what they look like."""

import numpy as np
from scipy.sparse import csr_matrix

from latere.counts.hdf5 import form_of, layers_of, open_h5
from latere.counts.sparse import in_parts, to_counts
from latere.errors import StudyError

MOST = 2**31 - 1
# Rows or columns of a matrix that show whether it has counts.
FEW = 100


def fault_of(values) -> str:
    """Why values are not counts, in words; empty if they are.

    Parameters
    ----------
    values
        CSR, cells x genes.
    """
    data = values.data
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


def layers_with_counts(path: str) -> list[str]:
    """Layers with counts, by the first values of each matrix of an .h5ad."""
    import anndata

    found = []
    with open_h5(path) as file:
        for name, place in layers_of(file).items():
            stored = file[place]
            if not hasattr(stored, "shape"):
                stored = anndata.io.sparse_dataset(stored)
            by_column = getattr(stored, "format", "") == "csc"
            some = csr_matrix(stored[:, :FEW] if by_column else stored[:FEW])
            if some.nnz and not fault_of(some):
                found.append(name)
    return found


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
    if not (fault := fault_of(values)):
        return to_counts(values)
    stored = len(files) == 1 and form_of(files[0]) == "h5ad"
    instead = layers_with_counts(files[0]) if stored else []
    fix = "Give the matrix before any normalisation, scaling or correction."
    if instead:
        fix = f"Name a layer with counts in column `layer` of the sheet: {', '.join(instead)}."
    held = f"layer '{layer}'" if layer else "the matrix"
    raise StudyError(where, f"{held} has no raw counts: {fault}", fix, code="not-counts")
