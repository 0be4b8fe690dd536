"""Neighbours, UMAP and Leiden clusters of a branch's embedding, by scanpy."""

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start


def cluster(
    embedding: np.ndarray, n_neighbors: int, resolution: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """UMAP coordinates and Leiden clusters.

    Parameters
    ----------
    embedding
        Shape (n_cells, n_dimensions).
    n_neighbors
        Neighbours of a cell; fewer where there are fewer cells.
    resolution
        Resolution of the clustering.
    seed
        Seed of every step.

    Returns
    -------
    tuple
        Coordinates (n_cells, 2), and the cluster of each cell as a string, "0" the largest.
    """
    import anndata as ad
    import scanpy as sc

    cells = ad.AnnData(obsm={"X": embedding})
    sc.pp.neighbors(
        cells, n_neighbors=min(n_neighbors, cells.n_obs - 1), use_rep="X", random_state=seed
    )
    sc.tl.umap(cells, random_state=seed)
    sc.tl.leiden(cells, resolution=resolution, flavor="igraph", n_iterations=-1, random_state=seed)
    return cells.obsm["X_umap"], cells.obs["leiden"].astype(str).to_numpy()


def main(snakemake):
    log = start(snakemake)
    params = snakemake.params
    table = pd.read_parquet(snakemake.input[0]).set_index("cell")
    umap, clusters = cluster(table.to_numpy(), params.n_neighbors, params.resolution, params.seed)
    log.info("%d cells in %d clusters", len(table), len(set(clusters)))
    coordinates = pd.DataFrame(umap, columns=["umap_1", "umap_2"])
    coordinates.insert(0, "cell", table.index)
    write_table(coordinates, snakemake.output.umap, "{branch}/umap.parquet")
    clusters = pd.DataFrame({"cell": table.index, "cluster": clusters})
    write_table(clusters, snakemake.output.clusters, "{branch}/clusters.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
