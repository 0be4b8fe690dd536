"""Embedding of the manual branch: counts to 10,000, log1p, PCA on highly variable genes."""

import anndata as ad

from latere.job import start
from latere.tables import embedding_table, log_normalise


def log_pca(cells: ad.AnnData, n_components: int, seed: int) -> ad.AnnData:
    """Principal components of log-normalised counts.

    Parameters
    ----------
    cells
        Raw counts, (n_cells, n_genes), with `highly_variable` in `var`.
    n_components
        Components asked for; fewer where there are fewer cells or genes.
    seed
        Seed of the solver.

    Returns
    -------
    anndata.AnnData
        The highly variable genes, `obsm["X_pca"]` and the explained variance in `uns`.
    """
    import scanpy as sc

    normal = log_normalise(cells)
    normal = normal[:, normal.var["highly_variable"].to_numpy()].copy()
    most = min(normal.shape) - 1
    sc.pp.pca(normal, n_comps=min(n_components, most), mask_var=None, random_state=seed)
    return normal


def main(snakemake):
    log = start(snakemake)
    cells = ad.read_h5ad(snakemake.input[0])
    result = log_pca(cells, snakemake.params.n_components, snakemake.params.seed)
    embedding = embedding_table(result.obs_names, result.obsm["X_pca"])
    embedding.to_parquet(snakemake.output[0], index=False)
    ratio = result.uns["pca"]["variance_ratio"]
    log.info("%d components explain %.1f %% of the variance", len(ratio), 100 * ratio.sum())


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
