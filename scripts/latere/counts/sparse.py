"""Sparse counts: read in parts from an .h5ad, and stored as all later steps read them."""

import numpy as np
from scipy.sparse import csr_matrix, hstack, vstack

from latere.counts.hdf5 import DAMAGED, shape_of
from latere.errors import StudyError

# Entries that are tested or read at a time.
CHUNK = 1 << 22


def read_values(matrix, rows):
    """Some rows of a matrix in an open .h5ad; the other rows are read in parts and dropped.

    Parameters
    ----------
    matrix
        Group or dataset: CSR, CSC or dense.
    rows
        Boolean, one per row; or a slice of all of them.

    Returns
    -------
    csr_matrix
        As stored.
    """
    import anndata

    shape = shape_of(matrix)
    dense = hasattr(matrix, "shape")
    stored = matrix if dense else anndata.io.sparse_dataset(matrix)
    if isinstance(rows, slice) and not dense:
        return stored.to_memory().tocsr()
    wanted = np.ones(shape[0], bool) if isinstance(rows, slice) else rows
    by_column = not dense and stored.format == "csc"
    entries = np.prod(shape, dtype=float) if dense else len(matrix["data"])
    lines = shape[1] if by_column else shape[0]
    step = max(1, int(lines * CHUNK / max(entries, 1)))
    blocks = []
    for first in range(0, lines, step):
        part = slice(first, first + step)
        if by_column:
            blocks.append(stored[:, part][wanted])
        elif wanted[part].any():
            blocks.append(csr_matrix(stored[part][wanted[part]]))
    if not blocks:
        return csr_matrix((0, shape[1]), dtype=np.float32)
    return csr_matrix(hstack(blocks, "csc") if by_column else vstack(blocks, "csr"))


def from_parts(parts: tuple, shape: tuple[int, int], path: str):
    """A matrix of the data, indices and indptr of a file.

    Raises
    ------
    StudyError
        They are not those of a matrix of this shape.
    """
    try:
        return check_places(csr_matrix(parts, shape=shape), path)
    except (ValueError, TypeError) as error:
        raise _damaged(path, error) from None


def check_places(values, path: str):
    """The same matrix, whose entries lie within it. scipy does not test this when it reads one.

    Raises
    ------
    StudyError
        They do not.
    """
    try:
        values.check_format(full_check=True)
        # It looks no further where the last row ends before the first.
        if values.indptr[-1] < 0:
            raise ValueError(f"its last row ends at {values.indptr[-1]}")
    except ValueError as error:
        raise _damaged(path, error) from None
    return values


def _damaged(path: str, error: Exception) -> StudyError:
    problem = f"has entries outside its rows and columns ({error})"
    return StudyError(path, problem, DAMAGED, code="damaged-file")


def in_parts(data, test) -> bool:
    """Whether a test is true of any entry; the array is tested in parts."""
    return any(test(data[first : first + CHUNK]).any() for first in range(0, len(data), CHUNK))


def to_counts(values):
    """Values that are counts as int32, in place where their type allows it.

    Parameters
    ----------
    values
        CSR; changed in place.

    Returns
    -------
    csr_matrix
        int32, with sorted indices and no explicit zeros.
    """
    values.data = values.data.astype(np.int32, copy=False)
    values.sum_duplicates()
    values.eliminate_zeros()
    return values


def with_counts(counts, n_counts):
    """The rows that have a count; their values are not copied."""
    indptr = np.append(0, counts.indptr[1:][n_counts > 0]).astype(counts.indptr.dtype)
    shape = (len(indptr) - 1, counts.shape[1])
    return csr_matrix((counts.data, counts.indices, indptr), shape=shape, copy=False)
