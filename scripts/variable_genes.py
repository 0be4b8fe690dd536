"""The most variable genes, sample by sample, by scanpy's `seurat_v3` on raw counts.

After Stuart et al. 2019; samples are joined as Seurat's SelectIntegrationFeatures joins them.
"""

import logging

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem

from latere.contract import write_table
from latere.job import run_script, start
from latere.tables import counts_of, read_counts

# The trend of `seurat_v3` is a local regression. A sample of fewer cells has too few levels of
# expression for it; where a shallow sample has, too, it is taken over more of its genes: scanpy's
# share of them first.
MIN_CELLS_TREND = 100
SPANS = (0.3, 0.5, 0.8)
# With fewer different sums of a gene skmisc's regression may end the whole process.
MIN_LEVELS = 30


def rank_genes(counts: sp.csr_matrix, n_top: int) -> np.ndarray | None:
    """Ranks of the most variable genes among some cells, by scanpy's `seurat_v3`.

    Parameters
    ----------
    counts
        (n_cells, n_genes).
    n_top
        Number of genes that get a rank.

    Returns
    -------
    numpy.ndarray or None
        (n_genes,), NaN for the others; None where no trend can be fitted.
    """
    import scanpy as sc

    levels = np.unique(counts.sum(axis=0)).size
    for span in SPANS if levels >= MIN_LEVELS else ():
        try:
            figures = sc.pp.highly_variable_genes(
                ad.AnnData(counts),
                flavor="seurat_v3",
                n_top_genes=n_top,
                span=span,
                inplace=False,
            )
            return figures["highly_variable_rank"].to_numpy()
        except ValueError as error:
            logging.warning("no trend over a share of %s of the genes: %s", span, error)
    return None


def choose_variable(
    counts: h5py.Group, samples: np.ndarray, testable: np.ndarray, n_top: int
) -> np.ndarray:
    """The most variable of the testable genes, the counts of one sample in memory at a time.

    Ranked by the samples that have at least 100 cells; by all cells together where none has;
    all testable genes where there are fewer than 100 cells, no more genes than asked for, or no
    sample with a trend. The
    ranks of samples are joined as scanpy joins them (Seurat's SelectIntegrationFeatures): genes by
    the median of the ranks in the samples where they are among the first, then by their number.

    Parameters
    ----------
    counts
        A stored CSR matrix, (n_cells, n_genes).
    samples
        Sample of each cell.
    testable
        Boolean, (n_genes,).
    n_top
        Number of genes.

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,).
    """
    if testable.sum() <= n_top or len(samples) < MIN_CELLS_TREND:
        return testable
    sizes = pd.Series(samples).value_counts()
    large = sorted(sizes.index[sizes >= MIN_CELLS_TREND])
    ranks = {}
    for name in large or ["all cells"]:
        rows = samples == name if large else np.ones(len(samples), dtype=bool)
        ranks[name] = rank_genes(read_counts(counts, rows, testable), n_top)
    ranks = pd.DataFrame({name: of for name, of in ranks.items() if of is not None})
    logging.info("%d of %d samples rank genes", ranks.shape[1] if large else 0, len(sizes))
    if ranks.empty:
        return testable
    table = pd.DataFrame({"rank": ranks.median(axis=1), "samples": ranks.notna().sum(axis=1)})
    table = table.sort_values(["rank", "samples"], ascending=[True, False], na_position="last")
    first = np.flatnonzero(testable)[table.index[:n_top]]
    return np.isin(np.arange(len(testable)), first)


def main(snakemake):
    log = start(snakemake)
    with h5py.File(snakemake.input[0]) as file:
        samples = read_elem(file["obs"])["sample"].astype(str).to_numpy()
        var = read_elem(file["var"])
        chosen = choose_variable(
            counts_of(file), samples, var["testable"].to_numpy(), snakemake.params.n_highly_variable
        )
    log.info("%d of %d testable genes", chosen.sum(), var["testable"].sum())
    genes = pd.DataFrame({"gene_id": var.index, "gene_name": var["gene_name"].to_numpy()})
    genes["highly_variable"] = chosen
    write_table(genes, snakemake.output[0], "manual/variable_genes.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
