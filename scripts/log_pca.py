"""Embedding of the manual branch: counts to 10,000, log1p, PCA on highly variable genes."""

import anndata as ad
import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start
from latere.tables import embedding_table, read_normal


def read_variable(path: str, chosen: np.ndarray) -> ad.AnnData:
    """Log-normalised counts of the highly variable genes of all cells.

    Parameters
    ----------
    path
        `cells.h5ad`.
    chosen
        The genes, boolean (n_genes,).
    """
    parts = [
        # No view of `part`: it would keep it in memory until the garbage is collected.
        ad.AnnData(part.X[:, chosen], obs=part.obs[[]])
        for part in read_normal(path)
    ]
    return ad.concat(parts)


def log_pca(normal: ad.AnnData, n_components: int, seed: int) -> None:
    """Principal components of log-normalised counts.

    Parameters
    ----------
    normal
        The highly variable genes, (n_cells, n_genes); gets `obsm["X_pca"]` and the explained
        variance in `uns`.
    n_components
        Components asked for; fewer where there are fewer cells or genes.
    seed
        Seed of the solver.
    """
    import scanpy as sc

    most = min(normal.shape) - 1
    sc.pp.pca(normal, n_comps=min(n_components, most), mask_var=None, random_state=seed)


def main(snakemake):
    log = start(snakemake)
    genes = pd.read_parquet(snakemake.input.genes)
    normal = read_variable(snakemake.input.cells, genes["highly_variable"].to_numpy())
    log_pca(normal, snakemake.params.n_components, snakemake.params.seed)
    embedding = embedding_table(normal.obs_names, normal.obsm["X_pca"])
    write_table(embedding, snakemake.output[0], "{branch}/embedding.parquet")
    ratio = normal.uns["pca"]["variance_ratio"]
    log.info("%d components explain %.1f %% of the variance", len(ratio), 100 * ratio.sum())


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
