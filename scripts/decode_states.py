"""The states of the cells, decoded once for all tests: sums by group, sample and sample decoded as.

Also how many cells of each group and sample are in each state of the latent space, and how much of
a change that is planted in a sample the states take up (the leak).
"""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.job import hush, run_script, start
from latere.state_adjusted import decode_sums
from latere.tables import ALL, UNKNOWN, counts_of, read_by_cell, read_cells, read_parts

# Maximum number of states, and minimum mean number of cells per state.
MOST_STATES, CELLS_PER_STATE = 50, 40
# To measure the leak: share of the genes that are changed, share of their counts that is kept, and
# maximum number of cells per sample.
PLANTED, THINNED, PLANTED_CELLS = 0.05, 0.5, 300


def find_states(latent: np.ndarray, seed: int) -> np.ndarray:
    """The state of each cell: its k-means cluster in the latent space.

    Parameters
    ----------
    latent
        Shape (n_cells, n_latent).
    seed
        Seed of the clusters' first centres.

    Returns
    -------
    numpy.ndarray
        Numbers from 0, (n_cells,).
    """
    from sklearn.cluster import MiniBatchKMeans

    n_states = int(np.clip(len(latent) // CELLS_PER_STATE, 1, MOST_STATES))
    kmeans = MiniBatchKMeans(n_states, random_state=seed, batch_size=4096, n_init=3)
    return kmeans.fit_predict(latent)


def write_decoded(
    path, model, latent, depths, groups: np.ndarray, samples: np.ndarray, targets, var
) -> None:
    """Decode all cells as each of some samples, and write the sums of each group and sample.

    Parameters
    ----------
    path
        The .h5ad: a row per group, sample and sample decoded as (`obs`), a column per gene; group
        `all`, which holds the cells of no group too, comes last.
    model, latent, depths
        As `decode_sums` takes them.
    groups, samples
        Of each cell.
    targets
        Samples to decode as.
    var
        The genes of the model, gene_name by id.
    """
    names = pd.unique(samples)
    of_group = {group: np.flatnonzero(groups == group) for group in sorted(set(groups))}
    known = [group for group in of_group if group != UNKNOWN]
    keys = pd.MultiIndex.from_product(
        [[*known, ALL], names, targets], names=["group", "sample", "decoded_as"]
    )
    obs = keys.to_frame(index=False).astype(str)
    obs.index = obs["group"] + "|" + obs["sample"] + "|" + obs["decoded_as"]
    every = np.zeros((len(names), len(targets), len(var)), dtype=np.float32)
    ad.AnnData(obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if "X" in file:
            del file["X"]
        stored = file.create_dataset("X", (len(obs), len(var)), dtype=np.float32)
        stored.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for group, cells in of_group.items():
            codes = pd.Categorical(samples[cells], names).codes
            order = np.argsort(codes, kind="stable")
            cells, codes = cells[order], codes[order]
            for place, sample in enumerate(targets):
                sums = decode_sums(model, latent[cells], depths[cells], codes, len(names), sample)
                every[:, place] += sums
                if group != UNKNOWN:
                    first = known.index(group) * len(names) * len(targets) + place
                    rows = slice(first, first + len(names) * len(targets), len(targets))
                    stored[rows] = sums
        stored[len(known) * len(names) * len(targets) :] = every.reshape(-1, len(var))


def measure_leak(model, cells: ad.AnnData, seed: int) -> pd.DataFrame:
    """How much of a change the states take up: it is planted, and the cells are encoded again.

    Parameters
    ----------
    model
        A trained scvi.model.SCVI.
    cells
        Raw counts of some cells of each sample, with the genes of the model.
    seed
        Seed of the genes and of the thinning.

    Returns
    -------
    pandas.DataFrame
        sample, n_cells, leak: the share of the planted log2 fold change by which the decoded
        expression of the planted genes changes; 0 if the states do not see it, 1 if they hold all.
    """
    rng = np.random.default_rng(seed)
    # At least one gene, however small the panel.
    planted = rng.permutation(cells.n_vars) < max(1, round(PLANTED * cells.n_vars))
    thinned = cells.copy()
    of_planted = planted[thinned.X.indices]
    thinned.X.data[of_planted] = rng.binomial(thinned.X.data[of_planted].astype(int), THINNED)
    samples = cells.obs["sample"].astype(str).to_numpy()
    depths = np.asarray(cells.X.sum(axis=1)).ravel()
    before, after = (model.get_latent_representation(at) for at in (cells, thinned))
    rows = []
    for sample in pd.unique(samples):
        own = np.flatnonzero(samples == sample)
        sums = [
            decode_sums(model, at[own], depths[own], np.zeros(len(own), int), 1, sample)[0]
            for at in (before, after)
        ]
        # Medians: a few genes hold much of the counts. Relative to the genes that nothing was done
        # to, as their shares add up to one.
        change = np.log2(sums[1] / sums[0])
        leak = np.median(change[planted]) - np.median(change[~planted])
        rows.append((sample, len(own), leak / np.log2(THINNED)))
    return pd.DataFrame(rows, columns=["sample", "n_cells", "leak"])


def some_of_each(samples: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Choose at random at most `most` cells of each sample: boolean, (n_cells,)."""
    rng, chosen = np.random.default_rng(seed), np.zeros(len(samples), dtype=bool)
    for sample in pd.unique(samples):
        own = np.flatnonzero(samples == sample)
        chosen[rng.choice(own, min(most, len(own)), replace=False)] = True
    return chosen


def main(snakemake):
    log = start(snakemake)
    import scvi
    import torch

    hush("lightning", "scvi")
    torch.set_num_threads(snakemake.threads)
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    with h5py.File(given.cells) as file:
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        testable = var["testable"].to_numpy()
        columns = np.where(testable, np.cumsum(testable) - 1, -1)
        every = np.ones(len(obs), dtype=bool)
        parts = read_parts(counts_of(file), every, columns, int(testable.sum()))
        depths = np.concatenate([np.asarray(part.sum(axis=1)).ravel() for part in parts])
    samples = obs["sample"].to_numpy(dtype=str)
    groups = read_by_cell(given.groups, obs.index)["group"].to_numpy(dtype=str)
    latent = read_by_cell(given.embedding, obs.index).to_numpy(dtype=np.float32)

    chosen = some_of_each(samples, PLANTED_CELLS, params.seed)
    cells = read_cells(given.cells, "testable", rows=chosen, dtype=np.float32)
    model = scvi.model.SCVI.load(given.model, adata=cells, accelerator="cpu")
    leak = measure_leak(model, cells, params.seed)
    log.info("leak of a planted change, by sample:\n%s", leak.to_string(index=False))
    write_table(leak, output.leak, "deep/leak.tsv", digits=4)

    states = pd.DataFrame(
        {"group": groups, "sample": samples, "state": find_states(latent, params.seed)}
    )
    counted = states.value_counts(sort=False).rename("n_cells").reset_index()
    write_table(counted, output.states, "deep/states.parquet")
    genes = var.loc[testable, ["gene_name"]]
    # The model has no batch for a sample without cells.
    targets = [sample for sample in params.decoded_as if sample in set(samples)]
    log.info("%d cells are decoded as %d samples", len(obs), len(targets))
    write_decoded(output.decoded, model, latent, depths, groups, samples, targets, genes)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
