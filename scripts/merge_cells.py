"""Join the counts of all runs, drop cells that fail the limits, and choose the genes.

The limits are those of the configuration; genes are tested if the pseudobulks of at least
two samples hold 10 counts each, and highly variable by scanpy's `seurat_v3` on raw counts
(Stuart et al. 2019), sample by sample.
"""

import logging

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from latere.errors import StudyError
from latere.job import start

MIN_COUNTS_TESTED = 10
MIN_SAMPLES_TESTED = 2
# The trend of `seurat_v3` is a local regression; a sample of fewer cells has too few levels of
# expression for it, and the regression fails.
MIN_CELLS_TREND = 100
# Below this no neighbourhood, no held-out cells for early stopping: nothing to be learned.
MIN_CELLS = 20


def join_runs(runs: dict[str, ad.AnnData]) -> ad.AnnData:
    """Join the counts of runs over the genes that all have.

    Parameters
    ----------
    runs
        Counts by run, `obs_names` barcodes, `var_names` gene ids, `gene_name` in `var`.

    Returns
    -------
    anndata.AnnData
        Cells named `<run>_<barcode>`; names of genes as the first run has them.

    Raises
    ------
    StudyError
        A run shares no gene with those before it, or two cells get one name.
    """
    shared = None
    for run, counts in runs.items():
        counts.obs_names = [f"{run}_{barcode}" for barcode in counts.obs_names]
        before = shared
        shared = counts.var_names if before is None else before[before.isin(counts.var_names)]
        if len(shared) == 0:
            raise StudyError(
                f"run {run}",
                f"shares none of its {counts.n_vars} genes with the runs before it, "
                f"such as {', '.join(counts.var_names[:3])}",
                "Count all runs against one annotation, or name their genes alike.",
            )
        if before is not None and len(shared) < len(before):
            lost = len(before) - len(shared)
            logging.warning("run %s lacks %d genes of the runs before it: left out", run, lost)
    joined = ad.concat(runs.values(), join="inner", merge="first")
    twice = joined.obs_names[joined.obs_names.duplicated()]
    if len(twice):
        raise StudyError(
            "the sample sheet", f"two runs have a cell {twice[0]}", "Rename one of the runs."
        )
    joined.X = sp.csr_matrix(joined.X)
    return joined


def cell_figures(counts: ad.AnnData) -> pd.DataFrame:
    """QC figures of each cell.

    Parameters
    ----------
    counts
        Raw counts, (n_cells, n_genes), with `gene_name` in `var`.

    Returns
    -------
    pandas.DataFrame
        By cell: n_counts (UMIs), n_genes (genes with a count) and percent_mt (percent of the
        counts from genes whose name begins with MT-; 0 where there is no count, NaN where the
        study names no such gene).
    """
    mitochondrial = counts.var["gene_name"].str.upper().str.startswith("MT-").to_numpy()
    totals = counts.X.sum(axis=1).A1
    percent = 100 * counts.X[:, mitochondrial].sum(axis=1).A1 / np.maximum(totals, 1)
    return pd.DataFrame(
        {
            "n_counts": totals.astype(np.int64),
            "n_genes": counts.X.getnnz(axis=1).astype(np.int64),
            "percent_mt": percent if mitochondrial.any() else np.nan,
        },
        index=counts.obs_names,
    )


def failing(figures: pd.DataFrame, limits: dict) -> pd.DataFrame:
    """Which limit a cell fails; a cell may fail several.

    Returns
    -------
    pandas.DataFrame
        By cell, boolean columns low_counts, low_genes, high_mt.
    """
    return pd.DataFrame(
        {
            "low_counts": figures["n_counts"] < limits["min_counts"],
            "low_genes": figures["n_genes"] < limits["min_genes"],
            "high_mt": figures["percent_mt"] > limits["max_percent_mt"],
        }
    )


def summarise(obs: pd.DataFrame, fails: pd.DataFrame, samples: dict[str, str]) -> pd.DataFrame:
    """Cells called, failing and kept of each run, with medians of the kept cells.

    Parameters
    ----------
    obs
        By cell: run and the figures of `cell_figures`.
    fails
        As `failing` gives it.
    samples
        Sample by run; a run without a cell has its row too.

    Returns
    -------
    pandas.DataFrame
        One row a run.
    """
    keep = ~fails.any(axis=1)
    figures = ["n_counts", "n_genes", "percent_mt"]
    called = fails.assign(called=True, kept=keep).groupby(obs["run"].to_numpy()).sum()
    table = called.reindex(samples, fill_value=0)[["called", *fails, "kept"]]
    medians = obs[keep].groupby("run", observed=True)[figures].median().round(2)
    table = table.join(medians.add_prefix("median_"))
    table.insert(0, "sample", pd.Series(samples))
    return table.rename_axis("run").reset_index()


def tested_genes(counts: sp.csr_matrix, samples: np.ndarray) -> np.ndarray:
    """Genes with enough counts in enough samples to be tested in both branches.

    Parameters
    ----------
    counts
        Shape (n_cells, n_genes).
    samples
        Sample of each cell.

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,): at least 10 counts in each of at least two samples (in the one
        sample where the study has only one).
    """
    names, codes = np.unique(samples, return_inverse=True)
    indicator = sp.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))))
    enough = (indicator @ counts).toarray() >= MIN_COUNTS_TESTED
    return enough.sum(axis=0) >= min(MIN_SAMPLES_TESTED, len(names))


def highly_variable(cells: ad.AnnData, n_top: int) -> np.ndarray:
    """The most variable of the tested genes.

    Ranked by the samples that have at least 100 cells; by all cells together where none has;
    all tested genes where there are fewer than 100 cells, or no more genes than asked for.

    Parameters
    ----------
    cells
        Raw counts, (n_cells, n_genes), with `sample` in `obs` and `tested` in `var`.
    n_top
        Number of genes.

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,).
    """
    import scanpy as sc

    chosen = cells.var["tested"].to_numpy().copy()
    if chosen.sum() <= n_top or cells.n_obs < MIN_CELLS_TREND:
        return chosen
    sizes = cells.obs["sample"].astype(str).value_counts()
    large = sizes.index[sizes >= MIN_CELLS_TREND]
    logging.info("%d of %d samples are large enough to rank genes", len(large), len(sizes))
    ranked = cells[cells.obs["sample"].isin(large).to_numpy() | (len(large) == 0), chosen]
    figures = sc.pp.highly_variable_genes(
        ranked.copy(),
        flavor="seurat_v3",
        n_top_genes=n_top,
        batch_key="sample" if len(large) else None,
        inplace=False,
    )
    chosen[chosen] = figures["highly_variable"].to_numpy()
    return chosen


def check_enough(cells: ad.AnnData, qc: pd.DataFrame) -> None:
    """Stop where there is nothing to analyse.

    Parameters
    ----------
    cells
        The cells that passed, (n_cells, n_genes), with `tested` in `var`.
    qc
        As `summarise` gives it.

    Raises
    ------
    StudyError
        Too few cells passed the limits, or no gene can be tested.
    """
    mend = "See cells/qc.tsv in the log, and `cells` in the configuration."
    if cells.n_obs < MIN_CELLS:
        logging.error("%s", qc.to_string())
        problem = f"{cells.n_obs} of {qc['called'].sum()} called cells pass the limits"
        raise StudyError("the study", f"{problem}; at least {MIN_CELLS} are needed", mend)
    if not cells.var["tested"].any():
        problem = f"no gene has {MIN_COUNTS_TESTED} counts in {MIN_SAMPLES_TESTED} samples"
        raise StudyError("the study", problem, "Add samples, or cells by wider limits.")


def main(snakemake):
    log = start(snakemake)
    samples, of_run = snakemake.params.samples, snakemake.params.runs
    paths = zip(of_run, snakemake.input, strict=True)
    cells = join_runs({run: ad.read_h5ad(path) for run, path in paths})
    log.info("%d cells of %d runs, %d shared genes", cells.n_obs, len(of_run), cells.n_vars)
    cells.obs = cells.obs.join(cell_figures(cells))
    if cells.obs["percent_mt"].isna().any():
        log.warning("no gene is named MT-...: max_percent_mt removes no cell")
    fails = failing(cells.obs, snakemake.params.limits)
    qc = summarise(cells.obs, fails, of_run)
    cells = cells[~fails.any(axis=1).to_numpy()].copy()
    cells.var["tested"] = tested_genes(cells.X, cells.obs["sample"].to_numpy())
    check_enough(cells, qc)
    for column in next(iter(samples.values())):
        values = {name: row[column] for name, row in samples.items()}
        cells.obs[column] = cells.obs["sample"].map(values)
    cells.var["n_cells"] = cells.X.getnnz(axis=0)
    cells.var["mean_counts"] = cells.X.mean(axis=0).A1
    n_top = snakemake.params.limits["n_highly_variable"]
    cells.var["highly_variable"] = highly_variable(cells, n_top)
    log.info("%d cells kept, %d genes tested", cells.n_obs, cells.var["tested"].sum())
    cells.write_h5ad(snakemake.output.cells, compression="gzip")
    qc.to_csv(snakemake.output.qc, sep="\t", index=False, na_rep="NA")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
