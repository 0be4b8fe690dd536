"""Hold the results of a simulated study against its truth: cells, counts, labels, tests.

Measured, and tuned to nothing: what either branch gets wrong is a result too.
"""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import ALL, REASONS

POOLED = "cell types, pooled"
EVERY_RUN = "every run"
EVERY_TYPE = "every cell type"
# Kinds of droplets other than one whole cell.
HETEROTYPIC, HOMOTYPIC = "doublet of two types", "doublet of one type"
DAMAGED, EMPTY = "damaged cell", "empty droplet"
NOT_CALLED, KEPT = "not_called", "kept"
TESTS = [
    "contrast",
    "group",
    "branch",
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
]
NULL = 1e-6  # a true |log2fc| below this is zero but for rounding
# Where fewer genes than this share are null, a method has little to be wrong about.
MOSTLY_NULL = 0.5
LARGE = 1.0  # |log2fc| of at least 1: a gene that nobody wants to miss


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


def compare_de(genes: pd.DataFrame) -> dict:
    """Hold the calls of one branch against the true fold changes.

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
        (the others tie at 0), NaN where fewer than two or constant.
    """
    differ = genes.loc[genes["true_log2fc"].abs() > NULL, ["log2fc", "true_log2fc"]]
    varies = (differ.nunique() > 1).all()
    return {
        "rmse": float(np.sqrt(np.mean((genes["log2fc"] - genes["true_log2fc"]) ** 2))),
        "spearman": differ.rank().corr().iloc[0, 1] if varies else np.nan,
    }


def true_fold_changes(expected, sides: dict) -> pd.DataFrame:
    """Log2 fold changes of expected expression, for each group and gene of one contrast.

    Of mean expression over the cells of a sample, then over the samples of a side; so where
    cell types differ in number (`all`, and `B cell` where blasts join), composition is included.

    Parameters
    ----------
    expected
        AnnData, a row for each sample and in it each cell type: `X` share of the RNA; `obs`
        sample, cell_type, group, share of the sample's cells.
    sides
        Names of the samples on each side, as `case` and `control`; those that `expected` does
        not know are left out.

    Returns
    -------
    pandas.DataFrame
        group, gene_id, log2fc; empty where a side has no sample with a truth.
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
        return pd.DataFrame(columns=["group", "gene_id", "log2fc"])
    shape = len(samples), len(cell_types)
    rates = expected.X.reshape(*shape, -1)
    tables = []
    for group in [ALL, *about["group"].unique()]:
        members = about["group"].eq(group) | (group == ALL)
        weights = about["share"].where(members, 0.0).to_numpy().reshape(shape)
        weights /= weights.sum(axis=1, keepdims=True)
        means = np.einsum("st,stg->sg", weights, rates)
        log2fc = np.log2(means[known["case"]].mean(axis=0) / means[known["control"]].mean(axis=0))
        # Equal changes differ by the rounding of the sums, which no rank should depend on.
        log2fc = log2fc.round(9)
        tables.append(
            pd.DataFrame({"group": group, "gene_id": expected.var_names, "log2fc": log2fc})
        )
    return pd.concat(tables, ignore_index=True)


def compare_tests(de: pd.DataFrame, truth: pd.DataFrame) -> list[dict]:
    """Hold one branch and contrast against the truth, group by group and over the cell types.

    Parameters
    ----------
    de
        Differential expression of one branch and contrast.
    truth
        True fold changes of that contrast: group, gene_id, log2fc.

    Returns
    -------
    list of dict
        A row a group that the truth knows, then one that pools (`POOLED`) the cell types in
        which most tested genes are null. Where kinds of cells join that differ in number, as
        blasts join the B cells, all genes change, and no call could be false but by its sign.

    Raises
    ------
    StudyError
        The truth knows a group but not all its tested genes.
    """
    truth = truth.rename(columns={"log2fc": "true_log2fc"})
    has_truth = de["group"].isin(truth["group"])
    for group in de.loc[~has_truth, "group"].unique():
        logging.getLogger(__name__).warning("group %s has no truth: left out", group)
    keys = ["group", "gene_id"]
    known = de[has_truth].merge(
        truth[[*keys, "true_log2fc"]], on=keys, how="left", validate="one_to_one"
    )
    if known["true_log2fc"].isna().any():
        missing = known.loc[known["true_log2fc"].isna(), "gene_id"]
        raise StudyError(
            "simulated/truth/expected.h5ad",
            f"no true fold change for {len(missing)} tested genes, the first {missing.iloc[0]}",
        )
    groups = dict(list(known.groupby("group", sort=False)))
    null = known["true_log2fc"].abs() <= NULL
    informative = null.groupby(known["group"]).transform("mean") >= MOSTLY_NULL
    pooled = known[informative & (known["group"] != ALL)]
    if len(pooled):
        groups[POOLED] = pooled
    return [
        {"group": group, **compare_de(genes), **compare_fold_changes(genes)}
        for group, genes in groups.items()
    ]


def order_tests(rows: list[dict]) -> pd.DataFrame:
    """A table of tests in which the branches stand next to each other, group by group.

    Parameters
    ----------
    rows
        contrast, branch, group and figures, by contrast, then branch.
    """
    table = pd.DataFrame(rows, columns=TESTS)
    order = table.groupby(["contrast", "group"], sort=False).ngroup()
    return table.iloc[np.argsort(order, kind="stable")]


def compare_runs(
    counts: dict,
    selection: pd.DataFrame,
    ambient: dict,
    true_cells: pd.DataFrame,
    true_counts,
    labels: dict,
    lineage_of: dict,
) -> pd.DataFrame:
    """Hold cells, doublets, ambient RNA, counts and labels against the truth, by run and in all.

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
    labels
        Of each branch, the cell type by cell.
    lineage_of
        Lineage by cell type.

    Returns
    -------
    pandas.DataFrame
        One row a run, and `EVERY_RUN` last: the counts of `count_called` and `count_doublets`,
        molecules (true) and ambient ones among them (true and estimated) of the called true
        cells, shares of all these, the correlation of log1p gene totals over the same cells, and
        for each branch the share of the kept single cells with the right lineage.
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
    table.loc[EVERY_RUN] = table.sum(skipna=False).where(table.columns != "calling_depth")
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
    for branch, cell_types in labels.items():
        table[f"lineage_right_{branch}"] = [
            label_accuracy(
                cell_types,
                true_cells if run == EVERY_RUN else true_cells[true_cells["run"] == run],
                lineage_of,
            )
            for run in table.index
        ]
    return table.reset_index()


def compare_contrasts(contrasts: dict, de: dict, expected, fdr: float) -> pd.DataFrame:
    """Hold the tests of all contrasts and branches against the truth.

    Parameters
    ----------
    contrasts
        Names of the samples on each side, by contrast.
    de
        Paths of the differential expression of each branch, in the order of the contrasts.
    expected
        As for `true_fold_changes`.
    fdr
        Level at which genes were called.
    """
    rows = []
    for number, (contrast, sides) in enumerate(contrasts.items()):
        fold_changes = true_fold_changes(expected, sides)
        for branch, paths in de.items():
            about = {"contrast": contrast, "branch": branch, "stated_fdr": fdr}
            compared = compare_tests(pd.read_parquet(paths[number]), fold_changes)
            rows += [{**about, **row} for row in compared]
    return order_tests(rows)


def main(snakemake):
    """Read results and truth, compare, write."""
    import anndata as ad

    log = start(snakemake)
    files, params, branches = snakemake.input, snakemake.params, ("deep", "manual")
    labels = {
        branch: pd.read_parquet(files[f"{branch}_cell_types"]).set_index("cell")["cell_type"]
        for branch in branches
    }
    true_cells, selection = map(pd.read_parquet, (files.true_cells, files.selection))
    strange = sorted(set(params.runs) - set(true_cells["run"]))
    if strange:
        log.warning("runs without a truth, left out: %s", ", ".join(strange))
    of_run = dict(zip(params.runs, zip(files.counts, files.ambient, strict=True), strict=True))
    of_run = {run: paths for run, paths in of_run.items() if run not in strange}
    true_cells, selection = (table[table["run"].isin(of_run)] for table in (true_cells, selection))
    by_run = compare_runs(
        {run: ad.read_h5ad(counts) for run, (counts, _) in of_run.items()},
        selection,
        {
            run: json.loads(Path(about).read_text(encoding="utf-8"))["ambient"]
            for run, (_, about) in of_run.items()
        },
        true_cells,
        ad.read_h5ad(files.true_counts),
        labels,
        read_lineages(files.markers, true_cells),
    )
    fates = count_fates(selection, true_cells)
    de = {branch: files[f"{branch}_de"] for branch in branches}
    tests = compare_contrasts(params.contrasts, de, ad.read_h5ad(files.expected), params.fdr)
    for table, path in zip((by_run, fates, tests), snakemake.output, strict=True):
        log.info("\n%s", table.to_string())
        table.to_csv(path, sep="\t", index=False, na_rep="NA", float_format="%.6g")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
