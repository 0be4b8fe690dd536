"""Cell types against the truth of a simulated study."""

import numpy as np
import pandas as pd

from latere.truth.cells import EVERY_RUN


def read_lineages(markers, true_cells: pd.DataFrame) -> dict:
    """Lineage by label: as the simulation says, and of any other label as the marker table says.

    Parameters
    ----------
    markers
        Table of marker genes: cell_type, lineage.
    true_cells
        cell_type, lineage.
    """
    known = pd.concat([pd.read_csv(markers, sep="\t", comment="#"), true_cells])
    return dict(zip(known["cell_type"], known["lineage"], strict=True))


def label_accuracy(cell_types: pd.Series, true_cells: pd.DataFrame, lineage_of: dict) -> float:
    """Share of the true single cells whose label lies in their lineage.

    Parameters
    ----------
    cell_types
        Label by cell. A label without a lineage (unassigned) counts as wrong.
    true_cells
        cell, lineage, doublet. Cells that were not kept are left out.
    lineage_of
        Lineage by label.

    Returns
    -------
    float
        NaN where no single cell was kept.
    """
    single = true_cells[~true_cells["doublet"].astype(bool)]
    truth = single.set_index("cell")["lineage"].reindex(cell_types.index).dropna()
    if truth.empty:
        return np.nan
    return float((cell_types.loc[truth.index].map(lineage_of) == truth).mean())


def compare_labels(
    cell_types: dict[str, pd.Series], true_cells: pd.DataFrame, lineage_of: dict
) -> pd.DataFrame:
    """Share of the kept single cells with the right lineage, by run, in all, and by branch.

    Parameters
    ----------
    cell_types
        Of each branch, the cell type by cell.
    true_cells
        run, cell, lineage, doublet.
    lineage_of
        Lineage by cell type.

    Returns
    -------
    pandas.DataFrame
        run, branch, lineage_right.
    """
    of_run = dict(list(true_cells.groupby("run", sort=False))) | {EVERY_RUN: true_cells}
    rows = [
        (run, branch, label_accuracy(types, cells, lineage_of))
        for run, cells in of_run.items()
        for branch, types in cell_types.items()
    ]
    return pd.DataFrame(rows, columns=["run", "branch", "lineage_right"])
