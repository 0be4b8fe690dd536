"""The tables that the steps exchange: counts in AnnData, the rest keyed by cell or gene."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# The group of all cells, and the type of a cell that no label fits.
ALL = "all"
UNKNOWN = "unknown"
# The columns of a fitted test that both branches give, in this order.
TEST_COLUMNS = [
    "contrast",
    "group",
    "gene_id",
    "gene_name",
    "log2fc",
    "mean_case",
    "mean_control",
    "score",
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


def log_normalise(counts):
    """Counts scaled to 10,000 a cell and log1p, as a new sparse matrix.

    Parameters
    ----------
    counts
        AnnData with raw counts in `X`; left as it is.

    Returns
    -------
    anndata.AnnData
        Same cells and genes, float32.
    """
    import scanpy as sc

    normal = counts.copy()
    normal.X = normal.X.astype(np.float32)
    sc.pp.normalize_total(normal, target_sum=1e4)
    sc.pp.log1p(normal)
    return normal
