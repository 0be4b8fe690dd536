"""The genes that rank highest in each test."""

from itertools import islice

import pandas as pd

from latere.report.formats import round_number
from latere.report.inputs import Inputs
from latere.tables import PER_CELL

TOP_GENES = 25
# What ranks the genes of a branch, the first that its table has: heading, and whether the least
# comes first.
RANKED_BY = {
    "pvalue": ("p-value", True),
    "posterior": ("P(change)", False),
    "fdr": ("fdr", True),
}
NUMBERS = ["log2fc", "mean_case", "mean_control"]


def ranking(columns) -> str:
    """The column that ranks the genes of a table."""
    return next(name for name in RANKED_BY if name in columns)


def top_genes(de: pd.DataFrame, n: int) -> list[list]:
    """The genes that rank highest in each group.

    Parameters
    ----------
    de
        Differential expression of one branch and contrast.
    n
        How many genes of a group.

    Returns
    -------
    list of list
        contrast, group, gene_name, gene_id, significant, log2fc, mean_case, mean_control, then
        what ranks them and fdr (once, where that ranks them); numbers to three digits, None where
        a value is missing.
    """
    rank = ranking(de.columns)
    # Ties, such as posterior probabilities of 1: the larger change comes first.
    ranked = de.assign(change=de["log2fc"].abs()).sort_values(
        [rank, "change", "gene_id"], ascending=[RANKED_BY[rank][1], False, True]
    )
    ranked = ranked.groupby("group", sort=False).head(n)
    # Groups stay in the order of the tests.
    order = {group: place for place, group in enumerate(de["group"].unique())}
    ranked = ranked.sort_values("group", key=lambda group: group.map(order), kind="stable")
    text = ["contrast", "group", "gene_name", "gene_id"]
    numbers = list(dict.fromkeys([*NUMBERS, rank, "fdr"]))
    return [
        [*row[:4], bool(row[4]), *(round_number(value) for value in row[5:])]
        for row in ranked[[*text, "significant", *numbers]].itertuples(index=False)
    ]


def headings(columns) -> list[str]:
    """Headings of the numbers of `top_genes`."""
    rank = ranking(columns)
    return list(dict.fromkeys(["log2fc", "case", "control", RANKED_BY[rank][0], "fdr"]))


def collect(inputs: Inputs) -> dict:
    """The top genes of each branch that tests."""
    paths, tables = iter(inputs.files.de), []
    for branch in inputs.testing:
        de = [pd.read_parquet(path) for path in islice(paths, len(inputs.contrasts))]
        rows = [row for table in de for row in top_genes(table, TOP_GENES)]
        columns = de[0].columns if de else ["fdr"]
        tables.append({"name": branch.name, "headings": headings(columns), "rows": rows})
    has_tests = bool(len(inputs.summary))
    return {
        "has_tests": has_tests,
        "n_top": TOP_GENES,
        "per_cell": PER_CELL,
        "drawn": tables if has_tests else None,
    }
