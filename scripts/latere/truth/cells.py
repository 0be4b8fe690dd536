"""Called cells, doublets, ambient RNA and counts against the truth of a simulated study."""

import numpy as np
import pandas as pd

from latere.quality import REASONS

EVERY_RUN = "every run"
EVERY_TYPE = "every cell type"
# Kinds of droplets other than one whole cell.
HETEROTYPIC, HOMOTYPIC = "doublet of two types", "doublet of one type"
DAMAGED, EMPTY = "damaged cell", "empty droplet"
NOT_CALLED, KEPT = "not_called", "kept"


def log_correlation(observed: np.ndarray, true: np.ndarray) -> float:
    """Pearson correlation of log1p gene totals.

    Parameters
    ----------
    observed, true
        Molecules of each gene, summed over the same cells, shape (genes,).

    Returns
    -------
    float
        NaN where one of them is constant.
    """
    if np.ptp(observed) == 0 or np.ptp(true) == 0:
        return np.nan
    return float(np.corrcoef(np.log1p(observed), np.log1p(true))[0, 1])


def count_called(called: pd.Index, true_cells: pd.DataFrame) -> dict:
    """Count the called barcodes of one run among its true cells.

    Parameters
    ----------
    called
        The barcodes called cells.
    true_cells
        The cells of the run, doublets among them, by barcode: doublet (bool), n_umis.

    Returns
    -------
    dict
        Counts. A called doublet is not an empty droplet: it counts as true.
        `calling_depth` is the least true n_umis of a called single cell: whatever is that deep
        should have been called. It is taken from the truth, so that the cells that were not
        called are measured on the same scale; and from the shallowest called cell, the
        strictest choice. NaN where no single cell was called.
    """
    is_called = true_cells.index.isin(called)
    single = ~true_cells["doublet"].to_numpy(dtype=bool)
    depth = true_cells["n_umis"].to_numpy()
    calling_depth = depth[is_called & single].min() if (is_called & single).any() else np.nan
    above = single & (depth >= calling_depth)
    return {
        "true_cells": len(true_cells),
        "true_doublets": int((~single).sum()),
        "called": len(called),
        "called_true": int(is_called.sum()),
        "called_doublets": int((is_called & ~single).sum()),
        "called_empty": len(called) - int(is_called.sum()),
        "calling_depth": calling_depth,
        "single_above_depth": int(above.sum()),
        "single_above_depth_called": int((above & is_called).sum()),
    }


def kinds_of(true_cells: pd.DataFrame) -> pd.Series:
    """What is in each droplet with a cell: a cell type, or why it stands for none.

    Parameters
    ----------
    true_cells
        cell_type, second_type (empty for a single cell), doublet, damaged.

    Returns
    -------
    pandas.Series
        `HETEROTYPIC`, `HOMOTYPIC`, `DAMAGED` or the cell type; index of `true_cells`.
    """
    kinds = true_cells["cell_type"].mask(true_cells["damaged"], DAMAGED)
    alike = true_cells["cell_type"] == true_cells["second_type"]
    return kinds.mask(true_cells["doublet"], np.where(alike, HOMOTYPIC, HETEROTYPIC))


def count_doublets(marked: pd.Series, true_cells: pd.DataFrame) -> dict:
    """Count the marked doublets of one run among the called cells that were judged.

    Parameters
    ----------
    marked
        Whether a called barcode is a doublet (nullable boolean, NA where not judged), by barcode.
    true_cells
        As for `kinds_of`, by barcode.

    Returns
    -------
    dict
        marked_doublets, and of the two kinds of true doublets those judged and those marked.
    """
    judged = marked.dropna().astype(bool)
    kinds = kinds_of(true_cells).reindex(judged.index)
    counts = {"marked_doublets": int(judged.sum())}
    for name, kind in (("heterotypic", HETEROTYPIC), ("homotypic", HOMOTYPIC)):
        counts[name] = int((kinds == kind).sum())
        counts[f"{name}_marked"] = int((judged & (kinds == kind)).sum())
    return counts


def count_fates(selection: pd.DataFrame, true_cells: pd.DataFrame) -> pd.DataFrame:
    """What became of each kind of droplet, as the waterfall counts: at the first reason.

    Parameters
    ----------
    selection
        Called cells: cell, reasons (joined by commas, empty if kept).
    true_cells
        As for `kinds_of`, and cell.

    Returns
    -------
    pandas.DataFrame
        One row a kind: whole single cells by type, these together (`EVERY_TYPE`), damaged cells,
        doublets of both kinds, empty droplets that were called. kind, cells, `NOT_CALLED`, one
        column a reason, `KEPT`, share_lost (NaN where there is none).
    """
    kinds = kinds_of(true_cells).set_axis(true_cells["cell"])
    kinds = kinds.reindex(kinds.index.union(selection["cell"], sort=False), fill_value=EMPTY)
    first = selection.set_index("cell")["reasons"].str.partition(",")[0].replace("", KEPT)
    fates = pd.crosstab(kinds, first.reindex(kinds.index, fill_value=NOT_CALLED))
    types = sorted(set(kinds) - {HETEROTYPIC, HOMOTYPIC, DAMAGED, EMPTY})
    fates.loc[EVERY_TYPE] = fates.loc[types].sum()
    rows = [*types, EVERY_TYPE, DAMAGED, HETEROTYPIC, HOMOTYPIC, EMPTY]
    fates = fates.reindex(rows, columns=[NOT_CALLED, *REASONS, KEPT], fill_value=0)
    fates.insert(0, "cells", fates.sum(axis=1))
    fates["share_lost"] = 1 - fates[KEPT] / fates["cells"]
    return fates.rename_axis("kind").reset_index()


def gene_totals(counts, cells: pd.Index, genes: pd.Index) -> np.ndarray:
    """Molecules of each gene over some cells.

    Parameters
    ----------
    counts
        AnnData, cell x gene.
    cells, genes
        Names of the cells to sum over, and of the genes wanted; a gene that `counts` does not
        know has none.

    Returns
    -------
    numpy.ndarray
        Totals, shape (genes,).
    """
    rows = counts.obs_names.get_indexer(cells)
    totals = np.asarray(counts.X[rows].sum(axis=0)).ravel()
    return pd.Series(totals, counts.var_names).reindex(genes, fill_value=0).to_numpy(float)


def compare_runs(
    counts: dict,
    selection: pd.DataFrame,
    ambient: dict,
    true_cells: pd.DataFrame,
    true_counts,
) -> pd.DataFrame:
    """Compare cells, doublets, ambient RNA and counts with the truth, by run and in all.

    Parameters
    ----------
    counts
        AnnData by run, obs_names = barcode.
    selection
        Called cells: run, barcode, doublet.
    ambient
        By run what call_cells tells of ambient RNA: share (of the cells' molecules; None where
        it has no answer).
    true_cells
        run, barcode, cell, sample, cell_type, lineage, doublet, second_type, damaged, n_umis,
        n_ambient.
    true_counts
        AnnData of the true molecules, obs_names = cell.

    Returns
    -------
    pandas.DataFrame
        One row a run, and `EVERY_RUN` last: the counts of `count_called` and `count_doublets`,
        molecules (true) and ambient ones among them (true and estimated) of the called true
        cells, shares of all these, and the correlation of log1p gene totals over the same cells.
    """
    genes = true_counts.var_names
    for of_run in counts.values():
        genes = genes.union(of_run.var_names, sort=False)
    rows, totals = [], {}
    for run, of_run in counts.items():
        cells = true_cells[true_cells["run"] == run].set_index("barcode")
        called = selection[selection["run"] == run].set_index("barcode")
        both = cells.loc[called.index.intersection(cells.index)]
        totals[run] = (
            gene_totals(of_run, both.index, genes),
            gene_totals(true_counts, pd.Index(both["cell"]), genes),
        )
        molecules = both["n_umis"].sum()
        share = np.nan if ambient[run]["share"] is None else ambient[run]["share"]
        rows.append(
            {
                "run": run,
                **count_called(called.index, cells),
                **count_doublets(called["doublet"], cells),
                "molecules": molecules,
                "ambient_molecules": both["n_ambient"].sum(),
                "ambient_estimated": share * molecules,
            }
        )
    table = pd.DataFrame(rows).set_index("run")
    counts = table.select_dtypes("integer").columns.difference(["calling_depth"])
    table.loc[EVERY_RUN] = table.sum(skipna=False).where(table.columns != "calling_depth")
    # Numbers of a row in which one is missing have become floats.
    table[counts] = table[counts].astype(int)
    totals[EVERY_RUN] = tuple(np.sum(list(totals.values()), axis=0))
    found = table["heterotypic_marked"] + table["homotypic_marked"]
    table["share_called_true"] = table["called_true"] / table["called"]
    table["share_true_called"] = table["called_true"] / table["true_cells"]
    table["share_above_depth_called"] = (
        table["single_above_depth_called"] / table["single_above_depth"]
    )
    table["doublet_precision"] = found / table["marked_doublets"]
    table["doublet_recall"] = found / (table["heterotypic"] + table["homotypic"])
    table["heterotypic_recall"] = table["heterotypic_marked"] / table["heterotypic"]
    table["ambient_share"] = table["ambient_molecules"] / table["molecules"]
    table["ambient_share_estimated"] = table["ambient_estimated"] / table["molecules"]
    table["correlation"] = [log_correlation(*totals[run]) for run in table.index]
    return table.reset_index()
