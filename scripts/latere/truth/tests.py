"""Tests against the truth of a simulated study: false discoveries, power, fold changes.

Measured, and tuned to nothing: what any branch gets wrong is a result too.
"""

import logging

import numpy as np
import pandas as pd

from latere.branches import AT_EQUAL_STATE, TOTAL
from latere.errors import StudyError
from latere.tables import ALL

POOLED = "cell types, pooled"
TESTS = [
    "contrast",
    "group",
    "branch",
    "question",
    "stated_fdr",
    "tested",
    "true_de",
    "called",
    "false_discoveries",
    "fdp",
    "power",
    "true_large",
    "power_large",
    "rmse",
    "spearman",
    "leak",
    "one_sided",
]
NULL = 1e-6  # a true |log2fc| below this is zero but for rounding
# Where fewer genes than this share are null, a method has little to be wrong about.
MOSTLY_NULL = 0.5
LARGE = 1.0  # |log2fc| of at least 1: a gene that nobody wants to miss


def compare_de(genes: pd.DataFrame) -> dict:
    """Compare the calls of one branch with the true fold changes.

    Parameters
    ----------
    genes
        Tested genes: log2fc, significant, true_log2fc.

    Returns
    -------
    dict
        tested, true_de (true log2fc is not 0), called, false_discoveries (called, but the true
        log2fc is 0 or of the other sign), fdp (of the called), power (of true_de, called with
        the right sign), true_large and power_large (the same for |true log2fc| >= 1). NaN where
        there is nothing to take a share of.
    """
    truth, called = genes["true_log2fc"], genes["significant"].astype(bool)
    is_de, is_large = truth.abs() > NULL, truth.abs() >= LARGE
    right = called & is_de & (np.sign(genes["log2fc"]) == np.sign(truth))
    return {
        "tested": len(genes),
        "true_de": int(is_de.sum()),
        "called": int(called.sum()),
        "false_discoveries": int((called & ~right).sum()),
        "fdp": (called & ~right).sum() / called.sum() if called.any() else np.nan,
        "power": right[is_de].mean() if is_de.any() else np.nan,
        "true_large": int(is_large.sum()),
        "power_large": right[is_large].mean() if is_large.any() else np.nan,
    }


def compare_fold_changes(genes: pd.DataFrame) -> dict:
    """How well the fold changes of one group are estimated, called or not.

    Parameters
    ----------
    genes
        Tested genes: log2fc, true_log2fc.

    Returns
    -------
    dict
        rmse over all tested genes, in log2 units; spearman over the genes that truly differ
        (the others tie at 0), NaN where fewer than two or constant; leak, the share of the true
        change that was taken for a change of composition, NaN where the branch estimates none.
    """
    differ = genes[genes["true_log2fc"].abs() > NULL]
    both, truth = differ[["log2fc", "true_log2fc"]], differ["true_log2fc"]
    varies = (both.nunique() > 1).all()
    taken = differ.get("log2fc_composition")
    return {
        "rmse": float(np.sqrt(np.mean((genes["log2fc"] - genes["true_log2fc"]) ** 2))),
        "spearman": both.rank().corr().iloc[0, 1] if varies else np.nan,
        "leak": np.nan if taken is None or not len(differ) else taken @ truth / (truth @ truth),
    }


def true_fold_changes(expected, sides: dict) -> pd.DataFrame:
    """Log2 fold changes of expected expression, for each group and gene of one contrast.

    The total change is that of mean expression over the cells of a sample, then over the samples
    of a side; so where cell types differ in number (`all`, and `B cell` where blasts join),
    composition is included. The change at equal state is that of the same cell types in the same
    shares, the mean of both sides.

    Parameters
    ----------
    expected
        AnnData, a row per sample and cell type: `X` share of the RNA; `obs`
        sample, cell_type, group, share of the sample's cells.
    sides
        Names of the samples on each side, as `case` and `control`; those that `expected` does
        not know are left out.

    Returns
    -------
    pandas.DataFrame
        group, gene_id, a column for each question, and one_sided: the cell types of the group that
        one side lacks, for which cells of equal state do not exist. Empty where a side has no
        sample with a truth.
    """
    log = logging.getLogger(__name__)
    about = expected.obs
    samples, cell_types = about["sample"].unique(), about["cell_type"].unique()
    known = {side: np.isin(samples, names) for side, names in sides.items()}
    strange = sorted(set().union(*sides.values()) - set(samples))
    if strange:
        log.warning("samples without a truth, left out: %s", ", ".join(strange))
    if not all(mask.any() for mask in known.values()):
        log.warning("a side has no sample with a truth: the contrast is left out")
        return pd.DataFrame(columns=["group", "gene_id", TOTAL, AT_EQUAL_STATE, "one_sided"])
    shape = len(samples), len(cell_types)
    rates = expected.X.reshape(*shape, -1)
    tables = []
    for group in [ALL, *about["group"].unique()]:
        members = about["group"].eq(group) | (group == ALL)
        weights = about["share"].where(members, 0.0).to_numpy().reshape(shape)
        weights /= weights.sum(axis=1, keepdims=True)
        mean = sum(weights[side].mean(axis=0) for side in known.values()) / len(known)
        changes = {}
        for question, shares in (
            (TOTAL, weights),
            (AT_EQUAL_STATE, np.tile(mean, (len(weights), 1))),
        ):
            means = np.einsum("st,stg->sg", shares, rates)
            change = np.log2(
                means[known["case"]].mean(axis=0) / means[known["control"]].mean(axis=0)
            )
            # Equal changes differ by the rounding of the sums, which no rank should depend on.
            changes[question] = change.round(9)
        some = [(weights[side] > 0).any(axis=0) for side in known.values()]
        changes["one_sided"] = ", ".join(cell_types[some[0] != some[1]])
        tables.append(pd.DataFrame({"group": group, "gene_id": expected.var_names, **changes}))
    return pd.concat(tables, ignore_index=True)


def compare_tests(de: pd.DataFrame, truth: pd.DataFrame) -> list[dict]:
    """Compare one branch and contrast with the truth, group by group and over the cell types.

    Parameters
    ----------
    de
        Differential expression of one branch and contrast.
    truth
        True fold changes of that contrast: group, gene_id, true_log2fc, one_sided (empty where it
        does not matter).

    Returns
    -------
    list of dict
        A row per group that the truth knows, then one that pools (`POOLED`) the cell types in
        which most tested genes are null and no cells are on one side only. Where kinds of cells
        join that differ in number, as blasts join the B cells, all genes change, and no call could
        be false but by its sign; and at equal state nothing is known of cells that one side lacks.

    Raises
    ------
    StudyError
        The truth knows a group but not all its tested genes.
    """
    has_truth = de["group"].isin(truth["group"])
    for group in de.loc[~has_truth, "group"].unique():
        logging.getLogger(__name__).warning("group %s has no truth: left out", group)
    keys = ["group", "gene_id"]
    known = de[has_truth].merge(
        truth[[*keys, "true_log2fc", "one_sided"]], on=keys, how="left", validate="one_to_one"
    )
    if known["true_log2fc"].isna().any():
        missing = known.loc[known["true_log2fc"].isna(), "gene_id"]
        raise StudyError(
            "simulated/truth/expected.h5ad",
            f"no true fold change for {len(missing)} tested genes, the first {missing.iloc[0]}",
            code="missing-fold-change",
        )
    groups = dict(list(known.groupby("group", sort=False)))
    null = known["true_log2fc"].abs() <= NULL
    informative = null.groupby(known["group"]).transform("mean") >= MOSTLY_NULL
    pooled = known[informative & (known["group"] != ALL) & (known["one_sided"] == "")]
    if len(pooled):
        groups[POOLED] = pooled
    return [
        {
            "group": group,
            **compare_de(genes),
            **compare_fold_changes(genes),
            "one_sided": genes["one_sided"].iloc[0],
        }
        for group, genes in groups.items()
    ]


def order_tests(rows: list[dict]) -> pd.DataFrame:
    """A table of tests with branches and questions next to each other, group by group.

    Parameters
    ----------
    rows
        contrast, branch, question, group and metrics, by contrast, branch, then question.
    """
    table = pd.DataFrame(rows, columns=TESTS)
    order = table.groupby(["contrast", "group"], sort=False).ngroup()
    return table.iloc[np.argsort(order, kind="stable")]


def compare_contrasts(contrasts: dict, de: dict, expected, fdr: float) -> pd.DataFrame:
    """Compare the tests of all contrasts and branches with the truth.

    Parameters
    ----------
    contrasts
        Names of the samples on each side, by contrast.
    de
        Path of the differential expression, by branch and contrast.
    expected
        As for `true_fold_changes`.
    fdr
        Level at which genes were called.
    """
    rows = []
    for contrast, sides in contrasts.items():
        fold_changes = true_fold_changes(expected, sides)
        for branch, paths in de.items():
            table = pd.read_parquet(paths[contrast])
            for question in (TOTAL, AT_EQUAL_STATE):
                truth = fold_changes.rename(columns={question: "true_log2fc"})
                if question == TOTAL:
                    truth["one_sided"] = ""
                about = {"contrast": contrast, "branch": branch, "question": question}
                # A change of composition is part of the total change: none leaks.
                own = table.drop(columns="log2fc_composition", errors="ignore")
                compared = compare_tests(own if question == TOTAL else table, truth)
                rows += [{**about, "stated_fdr": fdr, **row} for row in compared]
    return order_tests(rows)
