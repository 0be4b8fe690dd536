"""Join the counts of all runs, drop cells that fail the limits, and choose the genes.

The limits are those of the configuration; genes are tested if the pseudobulks of at least
two samples hold 10 counts each, and highly variable by scanpy's `seurat_v3` on raw counts
(Stuart et al. 2019), sample by sample.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from latere.errors import StudyError
from latere.job import start

MIN_COUNTS_TESTED = 10
MIN_SAMPLES_TESTED = 2


def name_cells(counts: ad.AnnData, run: str) -> ad.AnnData:
    """Give the cells of a run names that are unique over the study, `<run>_<barcode>`."""
    counts.obs_names = [f"{run}_{barcode}" for barcode in counts.obs_names]
    return counts


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
        counts from genes whose name begins with MT-; 0 where there is no count).
    """
    mitochondrial = counts.var["gene_name"].str.upper().str.startswith("MT-").to_numpy()
    totals = np.asarray(counts.X.sum(axis=1)).ravel()
    share = np.asarray(counts.X[:, mitochondrial].sum(axis=1)).ravel()
    return pd.DataFrame(
        {
            "n_counts": totals.astype(np.int64),
            "n_genes": counts.X.getnnz(axis=1).astype(np.int64),
            "percent_mt": 100
            * np.divide(share, totals, out=np.zeros_like(totals, float), where=totals > 0),
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


def summarise(obs: pd.DataFrame, fails: pd.DataFrame) -> pd.DataFrame:
    """Cells called, failing and kept of each run, with medians of the kept cells."""
    keep = ~fails.any(axis=1)
    by_run = obs["run"].to_numpy()
    table = fails.groupby(by_run, sort=False).sum()
    table.insert(0, "called", fails.groupby(by_run, sort=False).size())
    table["kept"] = keep.groupby(by_run, sort=False).sum()
    kept = obs[keep].groupby("run", sort=False, observed=True)
    for column in ("n_counts", "n_genes", "percent_mt"):
        table[f"median_{column}"] = kept[column].median().round(2)
    table.insert(0, "sample", obs.groupby("run", sort=False, observed=True)["sample"].first())
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
    """The most variable of the tested genes; all of them where there are no more than asked.

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,).
    """
    import scanpy as sc

    chosen = cells.var["tested"].to_numpy().copy()
    if chosen.sum() > n_top:
        figures = sc.pp.highly_variable_genes(
            cells[:, chosen],
            flavor="seurat_v3",
            n_top_genes=n_top,
            batch_key="sample",
            inplace=False,
        )
        chosen[chosen] = figures["highly_variable"].to_numpy()
    return chosen


def main(snakemake):
    log = start(snakemake)
    runs = [name_cells(ad.read_h5ad(path), Path(path).stem) for path in snakemake.input]
    shared = ad.concat(runs, join="inner", merge="same")
    log.info("%d cells of %d runs, %d shared genes", shared.n_obs, len(runs), shared.n_vars)
    shared.X = sp.csr_matrix(shared.X)
    shared.obs = shared.obs.join(cell_figures(shared))
    fails = failing(shared.obs, snakemake.params.limits)
    qc = summarise(shared.obs, fails)
    cells = shared[~fails.any(axis=1).to_numpy()].copy()
    if cells.n_obs == 0:
        raise StudyError(
            "cells", "no cell passes the limits", "See the log and `cells` in the configuration."
        )
    for column in next(iter(snakemake.params.samples.values())):
        values = {name: row[column] for name, row in snakemake.params.samples.items()}
        cells.obs[column] = cells.obs["sample"].map(values)
    cells.var["n_cells"] = cells.X.getnnz(axis=0)
    cells.var["mean_counts"] = np.asarray(cells.X.mean(axis=0)).ravel()
    cells.var["tested"] = tested_genes(cells.X, cells.obs["sample"].to_numpy())
    cells.var["highly_variable"] = highly_variable(
        cells, snakemake.params.limits["n_highly_variable"]
    )
    log.info("%d cells kept, %d genes tested", cells.n_obs, cells.var["tested"].sum())
    cells.write_h5ad(snakemake.output.cells, compression="gzip")
    qc.to_csv(snakemake.output.qc, sep="\t", index=False)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
