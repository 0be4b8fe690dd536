"""Differential expression of the deep branch: scVI's posterior test, mode `change`.

A gene's change is the posterior of its log2 fold change between decoded expression of case
and control cells (Boyeau et al. 2023). Each side is decoded under its own samples: a sample
lies on one side only, so decoding all cells under all samples would take the contrast out
with the batch.
"""

import shutil

import anndata as ad
import numpy as np
import pandas as pd

from latere.job import run_script, start
from latere.tables import ALL, TEST_COLUMNS, read_by_cell, read_cells

# Pairs of posterior draws, a draw of each side: as many as scVI draws of one.
N_PAIRS = 5000
# scVI decodes all cells of a side before it draws from them; more cells than draws add memory,
# not information.
MAX_CELLS = N_PAIRS


def expected_fdr(probability: np.ndarray) -> np.ndarray:
    """Posterior expected false discovery rate of calling a gene and all that rank above it.

    Parameters
    ----------
    probability
        Posterior probability of a change, (n_genes,).

    Returns
    -------
    numpy.ndarray
        Shape (n_genes,): mean of 1 - probability over the genes at least as probable.
    """
    order = np.argsort(-probability, kind="stable")
    running = np.cumsum(1 - probability[order]) / np.arange(1, len(order) + 1)
    # Equal probabilities stand or fall together.
    last = np.searchsorted(-probability[order], -probability[order], side="right") - 1
    fdr = np.empty(len(order))
    fdr[order] = running[last]
    return fdr


def some_cells(member: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Positions of the cells of a side, at random where there are more than are used.

    Parameters
    ----------
    member
        Which cells are on the side, boolean (n_cells,).
    most
        Greatest number of cells.
    seed
        Seed of the choice.

    Returns
    -------
    numpy.ndarray
        Positions in ascending order, at most `most`.
    """
    cells = np.flatnonzero(member)
    if len(cells) <= most:
        return cells
    return np.sort(np.random.default_rng(seed).choice(cells, most, replace=False))


def compare_group(
    model, cells: ad.AnnData, member: np.ndarray, rows: ad.AnnData, delta: float, seed: int
) -> pd.DataFrame:
    """Test one group on the cells and genes that the pseudobulk table names.

    Parameters
    ----------
    model
        A trained scvi.model.SCVI.
    cells
        The cells it was trained on, (n_cells, n_genes).
    member
        Which cells are in the group, boolean (n_cells,).
    rows
        Rows of the group in the pseudobulk table: its samples and genes.
    delta
        Least absolute log2 fold change that counts as a change.
    seed
        Seed of the posterior draws, so that no group depends on the one before.

    Returns
    -------
    pandas.DataFrame
        By tested gene: gene_id, gene_name, log2fc (posterior mean), mean_case and
        mean_control (decoded expression per 10,000), score and proba_de (posterior
        probability of a change), fdr (posterior expected FDR).
    """
    import scvi

    scvi.settings.seed = seed
    sides = {
        side: rows.obs["sample"][(rows.obs["side"] == side).to_numpy()].astype(str).tolist()
        for side in ("case", "control")
    }
    cell_samples = cells.obs["sample"].astype(str)
    masks = {side: member & cell_samples.isin(names).to_numpy() for side, names in sides.items()}
    result = model.differential_expression(
        idx1=some_cells(masks["case"], MAX_CELLS, seed),
        idx2=some_cells(masks["control"], MAX_CELLS, seed),
        mode="change",
        delta=delta,
        batch_correction=True,
        batchid1=sides["case"],
        batchid2=sides["control"],
        # Random pairs: scVI pairs draws one by one, which needs as many samples on each side.
        use_permutation=True,
        m_permutation=N_PAIRS,
        silent=True,
    )
    genes = rows.var[np.asarray(rows.layers["tested"][0], dtype=bool)]
    result = result.loc[genes.index]
    probability = result["proba_de"].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "gene_id": genes.index,
            "gene_name": genes["gene_name"].to_numpy(),
            "log2fc": result["lfc_mean"].to_numpy(),
            "mean_case": 1e4 * result["scale1"].to_numpy(),
            "mean_control": 1e4 * result["scale2"].to_numpy(),
            "score": probability,
            "fdr": expected_fdr(probability),
            "proba_de": probability,
        }
    )


def main(snakemake):
    log = start(snakemake)
    import scvi
    import torch

    torch.set_num_threads(snakemake.threads)
    cells = read_cells(snakemake.input.cells, "tested", dtype=np.float32)
    types = read_by_cell(snakemake.input.cell_types, cells.obs_names)["cell_type"].astype(str)
    bulk = ad.read_h5ad(snakemake.input.pseudobulk)
    model = scvi.model.SCVI.load(snakemake.input.model, adata=cells, accelerator="cpu")
    tables = []
    for group in bulk.obs["group"].unique():
        member = np.ones(cells.n_obs, dtype=bool) if group == ALL else (types == group).to_numpy()
        rows = bulk[(bulk.obs["group"] == group).to_numpy()]
        params = snakemake.params
        table = compare_group(model, cells, member, rows, params.delta, params.seed)
        log.info("%s: %d genes tested", group, len(table))
        tables.append(table.assign(contrast=snakemake.wildcards.contrast, group=group))
    empty = pd.DataFrame(columns=[*TEST_COLUMNS, "proba_de"])
    tests = pd.concat(tables, ignore_index=True) if tables else empty
    tests[[*TEST_COLUMNS, "proba_de"]].to_parquet(snakemake.output.tests, index=False)
    shutil.copyfile(snakemake.input.skipped, snakemake.output.skipped)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
