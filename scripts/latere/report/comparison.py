"""The branches side by side: genes called, fold changes, and what was not tested."""

from itertools import combinations

import numpy as np
import pandas as pd

from latere.branches import Branch
from latere.report.formats import records
from latere.report.inputs import Inputs
from latere.tables import read_tsv

# Genes of a group that no branch calls and that are drawn: enough to show the cloud, few enough
# to load.
UNCALLED_SHOWN = 1500
KEY = ["contrast", "group"]


def widen(summary: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """A row for each contrast and group: genes tested, and called by each branch as `called_<i>`.

    Parameters
    ----------
    summary
        contrast, group, branch, tested, significant.
    names
        Of the branches, in the order of the columns.
    """
    rows = summary[[*KEY, "tested"]].drop_duplicates(KEY)
    for number, name in enumerate(names):
        called = summary.loc[summary["branch"] == name, [*KEY, "significant"]]
        rows = rows.merge(called.rename(columns={"significant": f"called_{number}"}), on=KEY)
    return rows


def pair_tables(summary: pd.DataFrame, compared: pd.DataFrame, testing: list[Branch]) -> list:
    """A table for each pair of branches that test; for one branch, its calls alone.

    Parameters
    ----------
    summary
        contrast, group, branch, tested, significant.
    compared
        contrast, group, branch, other and the measures of their agreement.
    testing
        The branches.

    Returns
    -------
    list of dict
        branches (titles) and rows.
    """
    if len(testing) == 1:
        rows = widen(summary, [testing[0].name])
        return [{"branches": testing, "rows": records(rows)}]
    tables, of = [], {branch.name: branch for branch in testing}
    for one, other in combinations(of, 2):
        mine = compared[(compared["branch"] == one) & (compared["other"] == other)]
        rows = widen(summary, [one, other]).merge(mine.drop(columns="tested"), on=KEY)
        tables.append({"branches": [of[one], of[other]], "rows": records(rows)})
    return tables


def thin(called: np.ndarray, most: int) -> np.ndarray:
    """Positions of all called genes and of evenly spaced others.

    Parameters
    ----------
    called
        Whether any branch calls a gene, boolean (n_genes,).
    most
        How many of the other genes to keep.
    """
    others = np.flatnonzero(~called)
    if len(others) > most:
        others = others[np.linspace(0, len(others) - 1, most).astype(int)]
    return np.union1d(others, np.flatnonzero(called))


def draw_fold_changes(calls: pd.DataFrame, testing: list[str]) -> dict:
    """Fold changes and calls of all branches that test, by contrast and group.

    Parameters
    ----------
    calls
        contrast, group, gene_id, gene_name, branch, log2fc, significant.
    testing
        Names of the branches.

    Returns
    -------
    dict
        names: gene names; groups: a list of contrast, group, tested, and of the genes shown
        `name` (index in names) and by branch `log2fc` and `called` (0 or 1).
    """
    groups, names = [], {}
    for (contrast, group), rows in calls.groupby(KEY, sort=False, observed=True):
        genes = rows.drop_duplicates("gene_id").set_index("gene_id")["gene_name"]
        parts = rows.groupby("branch", observed=True)
        of = {name: part.set_index("gene_id").loc[genes.index] for name, part in parts}
        called = np.column_stack([of[name]["significant"] for name in testing])
        shown = thin(called.any(axis=1), UNCALLED_SHOWN)
        groups.append(
            {
                "contrast": contrast,
                "group": group,
                "tested": len(genes),
                "name": [names.setdefault(name, len(names)) for name in genes.iloc[shown]],
                "log2fc": {
                    name: of[name]["log2fc"].iloc[shown].astype(float).round(2).tolist()
                    for name in testing
                },
                "called": {
                    name: called[shown, number].astype(int).tolist()
                    for number, name in enumerate(testing)
                },
            }
        )
    return {"names": list(names), "groups": groups}


def collect(inputs: Inputs) -> dict:
    """Tables and fold changes; the latter where two branches or more test."""
    testing = inputs.testing
    has_tests = bool(len(inputs.summary))
    drawn = None
    if has_tests and len(testing) > 1:
        calls = pd.read_parquet(inputs.files.calls)
        drawn = draw_fold_changes(calls, [branch.name for branch in testing])
        drawn["branches"] = [{"name": branch.name, "title": branch.title} for branch in testing]
    compared = read_tsv(inputs.files.pairs)
    return {
        "tables": pair_tables(inputs.summary, compared, testing) if has_tests else [],
        "skipped": records(read_tsv(inputs.files.skipped)),
        "drawn": drawn,
    }
