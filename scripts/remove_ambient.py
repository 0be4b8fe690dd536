"""Counts of a run's cells without ambient RNA, beside the raw ones.

The ambient RNA in the droplets of similar cells is subtracted from their sum, and the removed
counts are distributed over the cells, as in SoupX (Young & Behjati 2020, GigaScience 9:giaa151;
pysoupx). Its profile and amount in a droplet come from the empty droplets, as `call_cells` writes
them.

Of the candidates, SoupX with this share came closest to the truth on two demo runs, with 2.6 % and
12 % ambient RNA. Of the error that ambient RNA causes in the sums over the cells of a type, 0.63
and 0.28 remain; with DropletUtils' removeAmbience 2.2 to 2.9 and 0.62, DecontX 4.1 and 0.79,
CellSweep 3.0 and 0.33, CellBender 1.07 and 0.45, scAR 14 and 2.8, none of them tuned
(tests/bench/ambient.py).
Above 1, it is better to remove nothing.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from latere.droplets import ambient_counts
from latere.job import run_script, start
from latere.tables import write_counts

# With fewer cells no groups can be found.
LEAST_CELLS = 20
COMPONENTS, VARIABLE_GENES = 20, 2000


def group_cells(counts, seed: int) -> np.ndarray:
    """Groups of like cells, by Leiden clustering of their principal components.

    Parameters
    ----------
    counts
        CSR, cell x gene.
    seed
        Seed of every step.

    Returns
    -------
    numpy.ndarray
        A name by cell; all the same where there are too few cells.
    """
    import anndata as ad
    import scanpy as sc

    cells = ad.AnnData(counts.astype(np.float32))
    sc.pp.filter_genes(cells, min_cells=3)
    if cells.n_obs < LEAST_CELLS or cells.n_vars <= COMPONENTS:
        return np.repeat("0", counts.shape[0])
    sc.pp.normalize_total(cells)
    sc.pp.log1p(cells)
    sc.pp.highly_variable_genes(cells, n_top_genes=VARIABLE_GENES)
    components = min(COMPONENTS, cells.n_obs - 1, int(cells.var["highly_variable"].sum()) - 1)
    sc.pp.pca(cells, n_comps=components, random_state=seed)
    sc.pp.neighbors(cells, random_state=seed)
    sc.tl.leiden(cells, flavor="igraph", n_iterations=2, random_state=seed)
    return cells.obs["leiden"].astype(str).to_numpy()


def remove_ambient(counts, profile: np.ndarray, level: float, groups: np.ndarray, seed: int):
    """Remove the ambient RNA from cells.

    Parameters
    ----------
    counts
        CSR, cell x gene; every cell has a count.
    profile
        Share of the ambient RNA, by gene; sums to 1.
    level
        Its molecules in a droplet.
    groups
        Group of each cell.
    seed
        Fractions of a molecule are rounded by chance, so that sums stay right.

    Returns
    -------
    scipy.sparse.csr_matrix
        int32, cell x gene; nowhere above `counts`.
    """
    import scipy.sparse as sp
    from pysoupx import SoupChannel, adjust_counts

    genes = pd.RangeIndex(counts.shape[1]).astype(str)
    blocks, rows = [], []
    # Group by group, which takes less memory.
    for number, name in enumerate(np.unique(groups)):
        members = np.flatnonzero(groups == name)
        of_group = counts[members].T
        channel = SoupChannel(
            of_group, of_group, genes, members.astype(str), calc_soup_profile=False
        )
        channel.soup_profile = pd.DataFrame({"est": profile}, index=genes)
        channel.meta_data["rho"] = np.minimum(1, level / channel.meta_data["nUMIs"])
        corrected = adjust_counts(
            channel,
            clusters=dict.fromkeys(channel.cells, name),
            round_to_int=True,
            seed=seed + number,
            verbose=0,
        )
        blocks.append(corrected.T.astype(np.int32))
        rows.append(members)
    joined = sp.vstack(blocks, format="csr")[np.argsort(np.concatenate(rows))]
    joined.sort_indices()
    return joined


def main(snakemake):
    import anndata as ad

    log = start(snakemake)
    facts = json.loads(Path(snakemake.input.ambient).read_text(encoding="utf-8"))
    droplets = pd.read_parquet(snakemake.input.droplets)
    called = droplets["called"].to_numpy()
    adata = ad.read_h5ad(snakemake.input.counts)
    cells = adata[called].copy()
    if facts["ambient"]["share"] is None:
        log.warning("nothing is removed: %s", facts["ambient"]["reason"])
    else:
        lower = facts["calling"]["parameters"]["max_empty_counts"]
        ambient = ambient_counts(adata.X, ~called & (droplets["n_counts"] <= lower).to_numpy())
        groups = group_cells(cells.X, snakemake.params.seed)
        level = facts["ambient"]["molecules_per_droplet"]
        before = cells.X.sum()
        cells.X = remove_ambient(
            cells.X, ambient / ambient.sum(), level, groups, snakemake.params.seed
        )
        log.info("%d of %d molecules removed", before - cells.X.sum(), before)
    write_counts(snakemake.output[0], ad.AnnData(cells.X, obs=cells.obs[[]], var=cells.var))


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
