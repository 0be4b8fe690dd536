"""The tables that the steps exchange: counts in AnnData, the rest keyed by cell or gene."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# The group of all cells, and the type of a cell that no label fits.
ALL = "all"
UNKNOWN = "unknown"
# What the counts of a cell add up to once they are scaled.
PER_CELL = 1e4
# The layer of counts without ambient RNA.
CORRECTED = "corrected"
# Runs that share a smaller part of their genes use different names of genes.
SAME_GENES = 0.5
# Of 5.5 million entries: written in 0.27 s, read in 0.09 s, 1.5 bytes per entry; with lzf 0.26 s,
# 0.11 s and 4.3 bytes, with gzip as it is by default 0.78 s, 0.12 s and 2.2 bytes.
STORED = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
# Entries of a stored matrix that are read at a time, 32 MB; cells that are normalised at a time.
PART = 1 << 22
CELLS = 5_000
# Columns that hold names: text whatever they look like, and never missing.
NAMES = ("run", "sample", "contrast", "group", "branch", "other", "check", "kind")
# The columns of a fitted test that every branch gives, in this order; then come its own.
TEST_COLUMNS = [
    "design",
    "group",
    "gene_id",
    "gene_name",
    "log2fc",
    "mean_case",
    "mean_control",
    "statistic",
    "fdr",
]


def embedding_table(cells: Sequence[str], values: np.ndarray) -> pd.DataFrame:
    """An embedding as a table.

    Parameters
    ----------
    cells
        Names of the cells, length `n_cells`.
    values
        Shape (n_cells, n_dimensions).

    Returns
    -------
    pandas.DataFrame
        Column `cell`, then `dim_1`, `dim_2`, ...
    """
    names = [f"dim_{number}" for number in range(1, values.shape[1] + 1)]
    table = pd.DataFrame(np.asarray(values, dtype=np.float32), columns=names)
    table.insert(0, "cell", np.asarray(cells, dtype=object))
    return table


def join_tests(design: str, of_group: dict[str, pd.DataFrame], own: Sequence[str]) -> pd.DataFrame:
    """The tests of a design as one table.

    Parameters
    ----------
    design
        Name of the design.
    of_group
        By group: one row per tested gene.
    own
        Columns of the branch beside `TEST_COLUMNS`.

    Returns
    -------
    pandas.DataFrame
        Columns `TEST_COLUMNS`, then `own`; no rows if no group can be tested.
    """
    columns = [*TEST_COLUMNS, *own]
    tables = [table.assign(design=design, group=group) for group, table in of_group.items()]
    return (
        pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    )


def read_tsv(path: str | Path) -> pd.DataFrame:
    """A table of ours: the only missing value is NA, and names stay text.

    Parameters
    ----------
    path
        The TSV.

    Returns
    -------
    pandas.DataFrame
        As it was written, even if a run is named 01 and a sample NA.
    """
    names = dict.fromkeys(NAMES, str)
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values={"NA"}, converters=names)


def read_by_cell(path: str | Path, cells: Sequence[str]) -> pd.DataFrame:
    """A table keyed by cell, in the order of the given cells.

    Raises
    ------
    ValueError
        The table holds other cells than those given.
    """
    table = pd.read_parquet(path).set_index("cell")
    if len(table) != len(cells) or not table.index.isin(cells).all():
        raise ValueError(f"{path} holds other cells than the count matrix")
    return table.loc[list(cells)]


def log_normalise(cells) -> None:
    """Scale counts to 10,000 per cell and log1p, in place.

    Parameters
    ----------
    cells
        AnnData with raw counts in `X`, all genes, float32.
    """
    import scanpy as sc

    sc.pp.normalize_total(cells, target_sum=PER_CELL)
    sc.pp.log1p(cells)


def write_counts(path: str | Path, counts) -> None:
    """Write the counts of a run, small and fast to read.

    Parameters
    ----------
    path
        The .h5ad.
    counts
        AnnData.
    """
    # Not by `write_elem`, whose file has an empty `raw` that anndata can't read in parts.
    counts.write_h5ad(path, compression="gzip", compression_opts=STORED["compression_opts"])


def counts_of(file):
    """The stored matrix with the counts to use: without ambient RNA where it was removed.

    Parameters
    ----------
    file
        An open `cells.h5ad`.

    Returns
    -------
    h5py.Group
        A CSR matrix, (n_cells, n_genes).
    """
    return file[f"layers/{CORRECTED}"] if CORRECTED in file["layers"] else file["X"]


def read_parts(counts, rows: np.ndarray, columns: np.ndarray, n_columns: int):
    """Rows of a stored CSR matrix, some at a time, with reordered columns.

    Parameters
    ----------
    counts
        The group of the matrix in an open .h5ad.
    rows
        Which rows, boolean (n_rows,).
    columns
        New position of each column, (n_columns_stored,); a column with -1 is left out.
    n_columns
        Number of columns of the parts.

    Yields
    ------
    scipy.sparse.csr_matrix
        The next of the rows, sorted indices; about `PART` entries are read for it.
    """
    from scipy.sparse import csr_matrix

    indptr, columns = counts["indptr"][:], columns.astype(np.int32)
    if not rows.any():
        return
    # From the first to the last of the rows: those of a sample are mostly adjacent.
    start, end = np.flatnonzero(rows)[[0, -1]] + [0, 1]
    steps = np.searchsorted(indptr, np.arange(indptr[start] + PART, indptr[end], PART))
    bounds = np.unique([start, *steps, end])
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        if not rows[first:last].any():
            continue
        entries = slice(indptr[first], indptr[last])
        stored = (counts["data"][entries], counts["indices"][entries])
        shape = (last - first, len(columns))
        part = csr_matrix((*stored, indptr[first : last + 1] - entries.start), shape=shape)
        part = part[rows[first:last]]
        moved = columns[part.indices]
        kept = moved >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])[part.indptr]
        part = csr_matrix((part.data[kept], moved[kept], ends), shape=(part.shape[0], n_columns))
        part.sort_indices()
        yield part


def read_counts(counts, rows: np.ndarray, genes: np.ndarray, dtype=None):
    """Part of a stored CSR matrix, in no more memory than the part needs.

    Parameters
    ----------
    counts
        The group of the matrix in an open .h5ad.
    rows, genes
        Which of them, boolean (n_rows,) and (n_genes,).
    dtype
        Type of the values; as stored if None.

    Returns
    -------
    scipy.sparse.csr_matrix
        Shape (rows, genes) of those chosen.
    """
    from scipy.sparse import csr_matrix

    most = int(np.diff(counts["indptr"][:])[rows].sum())
    # Memory is used only as it is filled.
    data = np.empty(most, dtype=dtype or counts["data"].dtype)
    indices = np.empty(most, dtype=np.int32)
    columns = np.where(genes, np.cumsum(genes) - 1, -1)
    lengths, filled = [np.zeros(1, dtype=np.int64)], 0
    for part in read_parts(counts, rows, columns, int(genes.sum())):
        data[filled : filled + part.nnz] = part.data
        indices[filled : filled + part.nnz] = part.indices
        lengths.append(np.diff(part.indptr))
        filled += part.nnz
    indptr = np.cumsum(np.concatenate(lengths))
    shape = (len(indptr) - 1, int(genes.sum()))
    return csr_matrix((data[:filled], indices[:filled], indptr), shape=shape, copy=False)


def read_cells(path: str | Path, genes: str = "", rows: np.ndarray | None = None, dtype=None):
    """The cells of a study, with the counts to use in `X`; nothing else of the file is read.

    Parameters
    ----------
    path
        `cells.h5ad`.
    genes
        A boolean column of `var`, such as `testable`: the genes to read; all if empty.
    rows
        The cells to read, boolean (n_cells,); all if None.
    dtype
        Type of the counts; as stored if None.

    Returns
    -------
    anndata.AnnData
        The cells, with the `obs` and `var` of those chosen.
    """
    import anndata as ad
    import h5py

    with h5py.File(path) as file:
        obs, var = ad.io.read_elem(file["obs"]), ad.io.read_elem(file["var"])
        rows = np.ones(len(obs), dtype=bool) if rows is None else rows
        chosen = var[genes].to_numpy() if genes else np.ones(len(var), dtype=bool)
        counts = read_counts(counts_of(file), rows, chosen, dtype)
    return ad.AnnData(counts, obs=obs[rows], var=var[chosen])


def read_normal(path: str | Path):
    """Log-normalised counts of the cells of a study, some cells at a time.

    Parameters
    ----------
    path
        `cells.h5ad`.

    Yields
    ------
    anndata.AnnData
        The next `CELLS` cells with all genes, as `log_normalise` makes them.
    """
    import anndata as ad
    import h5py

    with h5py.File(path) as file:
        obs, var = ad.io.read_elem(file["obs"]), ad.io.read_elem(file["var"])
        genes, part_of = np.ones(len(var), dtype=bool), np.arange(len(obs)) // CELLS
        for part in range(part_of[-1] + 1):
            counts = read_counts(counts_of(file), part_of == part, genes, np.float32)
            cells = ad.AnnData(counts, obs=obs[part_of == part], var=var)
            log_normalise(cells)
            yield cells
