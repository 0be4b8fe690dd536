"""Test of the deep branch: scVI's posterior of a change, mode `change`.

A gene's change is the posterior of its log2 fold change between decoded expression of case
and control cells (Boyeau et al. 2023). Each side is decoded under its own samples: a sample
lies on one side only, so decoding all cells under all samples would take the contrast out
with the batch.
"""

import json
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.job import hush, run_script, start
from latere.tables import ALL, join_tests, read_by_cell, read_cells

# Pairs of posterior draws, a draw of each side: as many as scVI draws of one.
N_PAIRS = 5000
# scVI decodes all cells of a side before it draws from them; more cells than draws add memory,
# not information.
MAX_CELLS = N_PAIRS
OWN = ["posterior"]


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


def choose_cells(
    cell_samples: pd.Series, member: np.ndarray, about: dict, seed: int
) -> dict[str, pd.Index]:
    """The cells of a group that are compared.

    Parameters
    ----------
    cell_samples
        Sample by cell, of all cells.
    member
        Which cells are in the group, boolean (n_cells,).
    about
        The design of the group, as `build_design` writes it.
    seed
        Seed of the choice where a side has more than `MAX_CELLS`.

    Returns
    -------
    dict
        Names of cells, as `case` and `control`.
    """
    side_of = dict(zip(about["samples"], about["sides"], strict=True))
    sides = cell_samples.map(side_of).to_numpy()
    return {
        side: cell_samples.index[some_cells(member & (sides == side), MAX_CELLS, seed)]
        for side in ("case", "control")
    }


def compare_group(
    model, cells: ad.AnnData, chosen: dict[str, pd.Index], about: dict, delta: float, seed: int
) -> pd.DataFrame:
    """Test one group on the samples and genes of its design.

    Parameters
    ----------
    model
        A trained scvi.model.SCVI.
    cells
        Cells with the genes that it was trained on, (n_cells, n_genes); those to compare at least.
    chosen
        As `choose_cells` gives it.
    about
        The design of the group, as `build_design` writes it.
    delta
        Least absolute log2 fold change that counts as a change.
    seed
        Seed of the posterior draws, so that no group depends on the one before.

    Returns
    -------
    pandas.DataFrame
        By tested gene: gene_id, gene_name, log2fc (posterior mean), mean_case and mean_control
        (decoded expression per 10,000), statistic (Bayes factor, as the natural logarithm of the
        odds of a change), fdr (posterior expected FDR), posterior (probability of a change).
    """
    import scvi

    scvi.settings.seed = seed
    sides = pd.Series(about["samples"]).groupby(about["sides"]).agg(list)
    result = model.differential_expression(
        idx1=cells.obs_names.get_indexer(chosen["case"]),
        idx2=cells.obs_names.get_indexer(chosen["control"]),
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
    result = result.loc[about["genes"]]
    posterior = result["proba_de"].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "gene_id": about["genes"],
            "gene_name": cells.var.loc[about["genes"], "gene_name"].to_numpy(),
            "log2fc": result["lfc_mean"].to_numpy(),
            "mean_case": 1e4 * result["scale1"].to_numpy(),
            "mean_control": 1e4 * result["scale2"].to_numpy(),
            "statistic": result["bayes_factor"].to_numpy(),
            "fdr": expected_fdr(posterior),
            "posterior": posterior,
        }
    )


def main(snakemake):
    log = start(snakemake)
    import scvi
    import torch

    hush("lightning", "scvi")
    torch.set_num_threads(snakemake.threads)
    params, given = snakemake.params, snakemake.input
    design = json.loads(Path(given.design).read_text(encoding="utf-8"))
    with h5py.File(given.cells) as file:
        samples = read_elem(file["obs"])["sample"].astype(str)
    groups = read_by_cell(given.groups, samples.index)["group"].to_numpy(dtype=str)
    chosen = {
        group: choose_cells(samples, (groups == group) | (group == ALL), about, params.seed)
        for group, about in design["groups"].items()
    }
    tables = {}
    if chosen:
        # Those that are compared and no others: a study may have more than fit in memory.
        used = samples.index.isin(
            np.concatenate([c for of in chosen.values() for c in of.values()])
        )
        cells = read_cells(given.cells, "testable", rows=used, dtype=np.float32)
        model = scvi.model.SCVI.load(given.model, adata=cells, accelerator="cpu")
    for group, about in design["groups"].items():
        tables[group] = compare_group(model, cells, chosen[group], about, params.delta, params.seed)
        log.info("%s: %d genes tested", group, len(tables[group]))
    tests = join_tests(design["design"], tables, OWN)
    write_table(tests, snakemake.output[0], "{branch}/tests/{design}.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
