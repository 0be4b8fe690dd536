"""Maps of the cells in each branch that embeds, and the agreement of their labels."""

import pandas as pd

from latere.branches import Branch
from latere.report.formats import encode, name_apart, natural_order, records
from latere.report.inputs import Inputs
from latere.tables import UNKNOWN

# A column with more levels is used as a name, not as a colour.
MOST_LEVELS = 40


def draw_points(umaps: dict[str, pd.DataFrame]) -> dict:
    """Where each cell is on the map of each branch: x and y, to three digits."""
    axes = {"x": "umap_1", "y": "umap_2"}
    return {
        branch: {
            axis: umap[column].astype(float).round(3).tolist() for axis, column in axes.items()
        }
        for branch, umap in umaps.items()
    }


def draw_colours(cells: pd.DataFrame, labels: dict[str, pd.DataFrame]) -> list[dict]:
    """What the maps can be coloured by.

    Parameters
    ----------
    cells
        Columns that all branches share, by cell.
    labels
        Of each branch: cell_type, cluster by cell.

    Returns
    -------
    list of dict
        name; is_label; is_shared (do the levels mean the same in all branches?); and either `same`,
        the levels and codes of all branches, or `of`, those of each branch.
    """
    types = pd.concat([of["cell_type"].astype(str) for of in labels.values()])
    levels = natural_order(types.unique())
    colours = [
        {
            "name": column.replace("_", " "),
            "is_label": True,
            "is_shared": column == "cell_type",
            "of": {branch: encode(of[column], shared) for branch, of in labels.items()},
        }
        for column, shared in (("cell_type", levels), ("cluster", None))
    ]
    for name, heading in name_apart(cells.columns, ("cell_type", "cluster")).items():
        if 1 < cells[name].nunique() <= MOST_LEVELS:
            same = encode(cells[name])
            colours.append({"name": heading, "is_label": False, "is_shared": True, "same": same})
    return colours


def count_cell_types(labels: dict[str, pd.DataFrame]) -> list[dict]:
    """Cells of each type in each branch, and in all alike; the most frequent first.

    Cells that all branches call `unknown` do not agree in a type.
    """
    types = pd.DataFrame({branch: of["cell_type"].astype(str) for branch, of in labels.items()})
    alike = (types.nunique(axis=1) == 1) & (types.iloc[:, 0] != UNKNOWN)
    table = types.apply(lambda column: column.value_counts()).fillna(0).astype(int)
    order = table.sum(axis=1).rename("order")
    table["in_all"] = types.loc[alike].iloc[:, 0].value_counts().reindex(table.index).fillna(0)
    table = table.join(order).rename_axis("cell_type").reset_index()
    return records(table.sort_values(["order", "cell_type"], ascending=[False, True]))


def type_columns(branches: list[Branch]) -> list[tuple]:
    """Key, heading and format of the columns of `count_cell_types`."""
    columns = [("cell_type", "cell type", "text")]
    columns += [(branch.name, f"cells, {branch.title}", "count") for branch in branches]
    alike = ("in_all", "same in both" if len(branches) == 2 else "same in all", "count")
    return columns + [alike] * (len(branches) > 1)


def collect(inputs: Inputs) -> dict | None:
    """Maps and labels; None where no branch embeds."""
    if not inputs.embedding:
        return None
    titles = {branch.name: branch.title for branch in inputs.embedding}
    pairs = inputs.label_pairs
    sources = pd.concat([of["source"] for of in inputs.labels.values()]).unique()
    return {
        "label_pairs": records(pairs.assign(pair=name_pairs(pairs, titles))),
        "type_rows": count_cell_types(inputs.labels),
        "type_columns": type_columns(inputs.embedding),
        "sources": list(sources),
        "drawn": {
            "branches": [
                {"name": branch.name, "title": branch.title, "embedding": branch.embedding}
                for branch in inputs.embedding
            ],
            "points": draw_points(inputs.umaps),
            "colours": draw_colours(inputs.cells, inputs.labels),
        },
    }


def name_pairs(table: pd.DataFrame, titles: dict[str, str]) -> pd.Series:
    """Titles of the two branches of each row: branch, other."""
    return table["branch"].map(titles) + " and " + table["other"].map(titles)
