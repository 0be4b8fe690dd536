"""Compare the branches: calls, fold changes, clusters and cell types.

All branches answer the same question, so a difference in the genes or cells is an error here.
"""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import UNKNOWN

SUMMARY = ["contrast", "group", "branch", "tested", "significant"]
SKIPPED = ["contrast", "group", "reason"]
PAIRS = ["contrast", "group", "branch", "other", "tested", "significant_both"]
PAIRS += ["jaccard", "spearman", "sign_agreement"]
LABELS = ["branch", "other", "n_cells", "clusters", "clusters_other"]
LABELS += ["clusters_adjusted_rand", "typed_both", "unknown_one", "unknown_both", "same_cell_type"]
CALLS = ["contrast", "group", "gene_id", "gene_name", "branch", "log2fc", "fdr", "significant"]
KEY = ["group", "gene_id"]


def check_tests(contrast: str, de: dict[str, pd.DataFrame], design: dict) -> None:
    """Check that each branch tested what the design asks for, and nothing else.

    Parameters
    ----------
    contrast
        Its name.
    de
        Of each branch, its differential expression: group, gene_id, log2fc.
    design
        As `build_design` writes it.

    Raises
    ------
    StudyError
        A branch lacks a group or a gene, has one that was not asked for, or has no fold change.
    """
    fix = "Remove its tests of this contrast and run again."
    asked = {(group, gene) for group, about in design["groups"].items() for gene in about["genes"]}
    for branch, table in de.items():
        where = f"contrast {contrast}, branch {branch}"
        tested = set(table[KEY].itertuples(index=False, name=None))
        if tested != asked or len(tested) != len(table):
            group, gene = min(tested ^ asked, default=("", ""))
            problem = (
                f"{len(asked - tested)} tests of the design are missing and "
                f"{len(tested - asked)} are not in the design, such as group {group}, gene {gene}"
            )
            raise StudyError(where, problem, fix, code="tests-not-of-design")
        if len(missing := table[table["log2fc"].isna()]):
            first = missing.iloc[0]
            problem = f"{len(missing)} tested genes have no log2fc, the first {first['gene_id']}"
            raise StudyError(
                f"{where}, group {first['group']}", problem, fix, code="missing-fold-change"
            )


def compare_pair(one: pd.DataFrame, other: pd.DataFrame) -> dict:
    """Agreement of two branches on the genes of one group.

    Parameters
    ----------
    one, other
        Of each branch, by gene_id: log2fc, significant.

    Returns
    -------
    dict
        tested, significant_both; `jaccard`: called by both over called by any, whatever the sign;
        `spearman`: of log2fc, over all tested genes; `sign_agreement`: of the genes called by both,
        the share with the same sign. NaN where there is nothing to take a share of, or where all
        fold changes of a branch are equal.
    """
    other = other.loc[one.index]
    both = one["significant"] & other["significant"]
    union = int((one["significant"] | other["significant"]).sum())
    log2fc = pd.DataFrame({"one": one["log2fc"], "other": other["log2fc"]})
    same_sign = np.sign(log2fc["one"]) == np.sign(log2fc["other"])
    varies = (log2fc.nunique() > 1).all()
    return {
        "tested": len(one),
        "significant_both": int(both.sum()),
        "jaccard": both.sum() / union if union else np.nan,
        "spearman": log2fc.rank().corr().iloc[0, 1] if varies else np.nan,
        "sign_agreement": same_sign[both].mean() if both.any() else np.nan,
    }


def compare_contrast(contrast: str, de: dict[str, pd.DataFrame]) -> tuple[list, list]:
    """Compare the branches on one contrast.

    Parameters
    ----------
    contrast
        Its name.
    de
        Of each branch, its differential expression.

    Returns
    -------
    tuple
        Rows of the summary, one per group and branch; and rows of `PAIRS`, one per group and pair.
    """
    summary, compared = [], []
    groups = next(iter(de.values()))["group"].unique() if de else []
    for group in groups:
        key = {"contrast": contrast, "group": group}
        genes = {
            branch: table[table["group"] == group].set_index("gene_id")
            for branch, table in de.items()
        }
        for branch, table in genes.items():
            numbers = {"tested": len(table), "significant": int(table["significant"].sum())}
            summary.append({**key, "branch": branch, **numbers})
        for one, other in combinations(de, 2):
            about = compare_pair(genes[one], genes[other])
            compared.append({**key, "branch": one, "other": other, **about})
    return summary, compared


def compare_labels(labels: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Agreement of the clusters and of the cell types, over all cells, by pairs of branches.

    Parameters
    ----------
    labels
        Of each branch: cluster, cell_type, by cell.

    Returns
    -------
    pandas.DataFrame
        `LABELS`, one row per pair; same_cell_type is a share of the cells that both branches typed,
        NaN where there is none: `unknown` agrees with nothing.

    Raises
    ------
    StudyError
        The branches hold different cells.
    """
    from sklearn.metrics import adjusted_rand_score

    rows = []
    for one, other in combinations(labels, 2):
        a, b = labels[one], labels[other]
        if len(a) != len(b) or not a.index.isin(b.index).all():
            problem = f"branches {one} and {other} have different cells"
            raise StudyError(
                "clusters and cell types",
                problem,
                "Remove the results of both branches and run again.",
                code="cells-differ",
            )
        b = b.loc[a.index]
        typed = (a["cell_type"] != UNKNOWN).astype(int) + (b["cell_type"] != UNKNOWN)
        same = a["cell_type"] == b["cell_type"]
        rows.append(
            {
                "branch": one,
                "other": other,
                "n_cells": len(a),
                "clusters": a["cluster"].nunique(),
                "clusters_other": b["cluster"].nunique(),
                "clusters_adjusted_rand": adjusted_rand_score(a["cluster"], b["cluster"]),
                "typed_both": int((typed == 2).sum()),
                "unknown_one": int((typed == 1).sum()),
                "unknown_both": int((typed == 0).sum()),
                "same_cell_type": same[typed == 2].mean(),
            }
        )
    return pd.DataFrame(rows, columns=LABELS)


def join_calls(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """All calls as one long table, small by categories.

    Parameters
    ----------
    tables
        Of each contrast and branch: `CALLS`.
    """
    calls = pd.concat(tables) if tables else pd.DataFrame(columns=CALLS)
    names = ["contrast", "group", "gene_id", "gene_name", "branch"]
    return calls[CALLS].astype(dict.fromkeys(names, "category")).reset_index(drop=True)


def main(snakemake):
    """Read the tables of all branches, compare, write."""
    log = start(snakemake)
    given, output, params = snakemake.input, snakemake.output, snakemake.params
    paths = iter(given.de)
    of_branch = {branch: {c: next(paths) for c in params.contrasts} for branch in params.testing}
    summary, skipped, compared, calls = [], [], [], []
    for contrast, path in zip(params.contrasts, given.designs, strict=True):
        design = json.loads(Path(path).read_text(encoding="utf-8"))
        de = {branch: pd.read_parquet(of[contrast]) for branch, of in of_branch.items()}
        check_tests(contrast, de, design)
        rows, of_pairs = compare_contrast(contrast, de)
        summary, compared = summary + rows, compared + of_pairs
        skipped += [(contrast, *item) for item in design["skipped"].items()]
        calls += [table.assign(branch=branch) for branch, table in de.items()]
    labels = {
        branch: pd.read_parquet(clusters)
        .set_index("cell")
        .join(pd.read_parquet(types).set_index("cell")["cell_type"])
        for branch, clusters, types in zip(
            params.embedding, given.clusters, given.cell_types, strict=True
        )
    }
    write_table(join_calls(calls), output.calls, "comparison/calls.parquet")
    for name, table in (
        ("summary", pd.DataFrame(summary, columns=SUMMARY)),
        ("skipped", pd.DataFrame(skipped, columns=SKIPPED)),
        ("pairs", pd.DataFrame(compared, columns=PAIRS)),
        ("labels", compare_labels(labels)),
    ):
        log.info("\n%s", table.to_string())
        write_table(table, output[name], f"comparison/{name}.tsv", digits=6)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
