"""Set the two branches side by side: calls, fold changes, clusters and cell types.

Both branches answer the same question, so a difference in the genes or cells is an error here.
"""

import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.job import run_script, start

SUMMARY = [
    "contrast",
    "group",
    "tested",
    "significant_deep",
    "significant_manual",
    "significant_both",
    "jaccard",
    "spearman",
    "sign_agreement",
]
SKIPPED = ["contrast", "group", "branch", "reason"]
KEY = ["group", "gene_id"]
BRANCHES = ("deep", "manual")


def join_branches(deep: pd.DataFrame, manual: pd.DataFrame, contrast: str) -> pd.DataFrame:
    """Join the genes of both branches in the groups that both tested.

    Parameters
    ----------
    deep, manual
        Differential expression of one contrast, one row a group and gene.
    contrast
        Its name, for the message.

    Returns
    -------
    pandas.DataFrame
        Columns group, gene_id, gene_name, then log2fc, fdr and significant with the suffixes
        `_deep` and `_manual`, and category: both, deep only, manual only or neither.

    Raises
    ------
    StudyError
        A group was tested on other genes in the other branch, or a fold change is missing.
    """
    shared = [group for group in manual["group"].unique() if group in set(deep["group"])]
    for group in shared:
        genes = [set(table.loc[table["group"] == group, "gene_id"]) for table in (deep, manual)]
        if genes[0] != genes[1]:
            raise StudyError(
                f"contrast {contrast}, group {group}",
                f"the branches did not test the same genes: {len(genes[0] - genes[1])} only in "
                f"deep, {len(genes[1] - genes[0])} only in manual",
                "remove the tests of this contrast in both branches and run again.",
            )
    values = [*KEY, "log2fc", "fdr", "significant"]
    manual = manual.loc[manual["group"].isin(shared), [*values, "gene_name"]]
    genes = manual.merge(
        deep[values], on=KEY, how="left", suffixes=("_manual", "_deep"), validate="one_to_one"
    )
    missing = genes[genes[["log2fc_deep", "log2fc_manual"]].isna().any(axis=1)]
    if len(missing):
        first = missing.iloc[0]
        raise StudyError(
            f"contrast {contrast}, group {first['group']}, gene {first['gene_id']}",
            f"a tested gene has no log2fc in a branch ({len(missing)} such genes)",
        )
    is_deep, is_manual = genes["significant_deep"], genes["significant_manual"]
    genes["category"] = np.select(
        [is_deep & is_manual, is_deep, is_manual],
        ["both", "deep only", "manual only"],
        default="neither",
    )
    columns = [f"{name}_{branch}" for name in values[2:] for branch in ("deep", "manual")]
    return genes[[*KEY, "gene_name", *columns, "category"]]


def agreement(genes: pd.DataFrame) -> dict:
    """Agreement of the branches on the genes of one group.

    Parameters
    ----------
    genes
        Rows of `join_branches` of one group.

    Returns
    -------
    dict
        The figures of `SUMMARY`. `jaccard`: called in both over called in any, whatever the
        sign. `spearman`: of log2fc, over all tested genes. `sign_agreement`: of the genes called
        in both, the share with the same sign. A figure without a definition (no gene called, a
        constant fold change) is NaN.
    """
    deep, manual = genes["significant_deep"], genes["significant_manual"]
    both, union = int((deep & manual).sum()), int((deep | manual).sum())
    log2fc = genes[["log2fc_deep", "log2fc_manual"]]
    same_sign = np.sign(log2fc["log2fc_deep"]) == np.sign(log2fc["log2fc_manual"])
    varies = (log2fc.nunique() > 1).all()
    return {
        "tested": len(genes),
        "significant_deep": int(deep.sum()),
        "significant_manual": int(manual.sum()),
        "significant_both": both,
        "jaccard": both / union if union else np.nan,
        "spearman": log2fc.rank().corr().iloc[0, 1] if varies else np.nan,
        "sign_agreement": same_sign[deep & manual].mean() if both else np.nan,
    }


def check_groups(tested: dict, skipped: dict, contrast: str) -> None:
    """See that each group one branch tested is tested, or skipped with a reason, in the other.

    Parameters
    ----------
    tested, skipped
        Of each branch, the names of its groups.
    contrast
        Its name, for the message.

    Raises
    ------
    StudyError
        A group has vanished from a branch.
    """
    for branch, other in (("deep", "manual"), ("manual", "deep")):
        lost = set(tested[other]) - set(tested[branch]) - set(skipped[branch])
        if lost:
            raise StudyError(
                f"contrast {contrast}, branch {branch}",
                f"{sorted(lost)} tested by {other} is neither tested nor skipped with a reason",
            )


def compare_labels(clusters: dict, cell_types: dict) -> pd.DataFrame:
    """Agreement of the clusters and of the cell types, over all cells.

    Parameters
    ----------
    clusters, cell_types
        Of each branch, labels indexed by cell.

    Returns
    -------
    pandas.DataFrame
        One row: n_cells, clusters_deep, clusters_manual, clusters_adjusted_rand,
        same_cell_type (share of cells).

    Raises
    ------
    StudyError
        The branches hold different cells.
    """
    from sklearn.metrics import adjusted_rand_score

    cells = clusters["deep"].index
    for table in (clusters["manual"], cell_types["deep"], cell_types["manual"]):
        if set(table.index) != set(cells):
            raise StudyError("clusters and cell types", "the branches hold different cells")
    deep, manual = clusters["deep"], clusters["manual"].reindex(cells)
    same = cell_types["deep"].reindex(cells) == cell_types["manual"].reindex(cells)
    return pd.DataFrame(
        {
            "n_cells": [len(cells)],
            "clusters_deep": deep.nunique(),
            "clusters_manual": manual.nunique(),
            "clusters_adjusted_rand": adjusted_rand_score(deep, manual),
            "same_cell_type": same.mean(),
        }
    )


def compare_contrast(contrast: str, de: dict, skipped: dict) -> tuple[pd.DataFrame, list[dict]]:
    """Compare the branches on one contrast.

    Parameters
    ----------
    contrast
        Its name.
    de, skipped
        Of each branch: its differential expression, its skipped groups.

    Returns
    -------
    tuple
        The joined genes, and one row of the summary for each group that both branches tested.
    """
    check_groups(
        {branch: table["group"] for branch, table in de.items()},
        {branch: table["group"] for branch, table in skipped.items()},
        contrast,
    )
    genes = join_branches(de["deep"], de["manual"], contrast)
    rows = [
        {"contrast": contrast, "group": group, **agreement(rows)}
        for group, rows in genes.groupby("group", sort=False)
    ]
    return genes, rows


def read_labels(files, table: str, column: str) -> dict:
    """Of each branch, one column of a table keyed by cell."""
    return {
        branch: pd.read_parquet(files[f"{branch}_{table}"]).set_index("cell")[column]
        for branch in BRANCHES
    }


def read_skipped(path, **about) -> pd.DataFrame:
    """Skipped groups and the reasons, with further columns that say whose they are."""
    return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).assign(**about)


def main(snakemake):
    """Read the tables of both branches, compare, write."""
    log = start(snakemake)
    files, output = snakemake.input, snakemake.output
    summary, all_skipped = [], [pd.DataFrame(columns=SKIPPED)]
    for i, contrast in enumerate(snakemake.params.contrasts):
        de = {branch: pd.read_parquet(files[f"{branch}_de"][i]) for branch in BRANCHES}
        skipped = {
            branch: read_skipped(files[f"{branch}_skipped"][i], contrast=contrast, branch=branch)
            for branch in BRANCHES
        }
        genes, rows = compare_contrast(contrast, de, skipped)
        genes.to_parquet(output.genes[i], index=False)
        summary += rows
        all_skipped += [skipped[branch][SKIPPED] for branch in BRANCHES]
    labels = compare_labels(
        read_labels(files, "clusters", "cluster"), read_labels(files, "cell_types", "cell_type")
    )
    for path, table in (
        (output.summary, pd.DataFrame(summary, columns=SUMMARY)),
        (output.skipped, pd.concat(all_skipped)),
        (output.labels, labels),
    ):
        log.info("\n%s", table.to_string())
        table.to_csv(path, sep="\t", index=False, na_rep="NA", float_format="%.6g")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
