"""The groups of cells that are tested: labels, or a column that the user gave.

Every branch tests the same groups.
"""

import h5py
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.counts.barcodes import cell_names
from latere.counts.columns import values_by_barcode
from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import ALL, UNKNOWN, read_by_cell
from latere.values import FORMULA_PROBLEM, is_formula


def to_groups(values: pd.Series, name: str) -> pd.Series:
    """Names of groups.

    Parameters
    ----------
    values
        By cell: text, categories or numbers; missing where nothing is known.
    name
        Where they come from, for messages.

    Returns
    -------
    pandas.Series
        Text by cell; `unknown` where nothing is known, which is tested in the group of all cells
        only.

    Raises
    ------
    StudyError
        A group has the name of the group of all cells, or a name that a spreadsheet would run.
    """
    text = values.astype(object).where(values.notna(), UNKNOWN).astype(str).str.strip()
    # R writes NA for what is missing, and so do our own TSVs.
    text = text.mask(text.isin(["", "NA"]), UNKNOWN)
    names = set(text)
    if ALL in names:
        problem = f"a group is called '{ALL}', as the group of all cells is"
        raise StudyError(
            f"groups from {name}", problem, "Rename the group in its source.", code="reserved-name"
        )
    if odd := next(filter(is_formula, sorted(names)), ""):
        problem = f"the name {odd!r} is not valid: {FORMULA_PROBLEM}"
        raise StudyError(
            f"groups from {name}", problem, "Rename the group in its source.", code="formula"
        )
    return text


def read_labels(path: str, cells: pd.Index) -> tuple[pd.Series, str]:
    """Labels or cell types by cell, and where they come from."""
    table = read_by_cell(path, cells)
    column = "cell_type" if "cell_type" in table else "label"
    return table[column], table["source"].iloc[0]


def read_obs(matrices: dict[tuple[str, str], str], column: str) -> tuple[pd.Series, str]:
    """A column of the .h5ad files of the user, by cell, and where it comes from.

    Parameters
    ----------
    matrices
        File by run and subset (``obs_column=value`` of its cells, or empty).
    column
        Its name.
    """
    tables = []
    for (run, subset), path in matrices.items():
        values = values_by_barcode(path, column, subset)
        # Named as `load_counts` names them.
        tables.append(values.set_axis(f"{run}_" + cell_names(values.index, path)))
    return pd.concat(tables), f"column {column} of obs"


def main(snakemake):
    log = start(snakemake)
    name = snakemake.params.name
    with h5py.File(snakemake.input.cells) as file:
        obs = read_elem(file["obs"])
    if path := snakemake.input.get("labels"):
        values, source = read_labels(path, obs.index)
        source = f"{name}: {source}"
    elif matrices := snakemake.input.get("matrices"):
        values, source = read_obs(dict(zip(snakemake.params.subsets, matrices, strict=True)), name)
        if len(missing := obs.index.difference(values.index)):
            problem = f"{len(missing)} cells are not in the .h5ad of their run"
            problem += f", the first is {missing[0]}"
            fix = "Check that this is the file that the counts came from."
            raise StudyError(f"groups from {name}", problem, fix, code="missing-cells")
        values = values.loc[obs.index]
    else:
        values, source = obs[name], f"column {name} of the sheet"
    groups = to_groups(values, name)
    log.info("%s", groups.value_counts().to_string())
    table = pd.DataFrame({"cell": obs.index, "group": groups.to_numpy(), "source": source})
    write_table(table, snakemake.output[0], "groups.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
