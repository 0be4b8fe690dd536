"""Counts of each group summed by sample, once for all tests.

Samples are the replicates (Squair 2021), and no design changes a sum.
"""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem

from latere.job import run_script, start
from latere.tables import ALL, UNKNOWN, counts_of, read_by_cell, read_parts


def sum_groups(
    parts, groups: pd.Series, samples: pd.Series, n_genes: int
) -> tuple[sp.csr_matrix, pd.DataFrame]:
    """Counts of the cells of each group and sample.

    Parameters
    ----------
    parts
        Raw counts of the cells, some at a time: CSR, (n_cells_of_part, n_genes).
    groups, samples
        Of each cell, in the order of the parts.
    n_genes
        Number of genes.

    Returns
    -------
    sums : scipy.sparse.csr_matrix
        A row per group and sample, int64. Cells of unknown group count in the group of all only.
    about : pandas.DataFrame
        Of each row: group, sample, n_cells; the group of all cells first, then by name.
    """
    groups, samples = groups.to_numpy(dtype=str), samples.to_numpy(dtype=str)
    known = np.flatnonzero(groups != UNKNOWN)
    cells = np.concatenate([np.arange(len(samples)), known])
    keys = pd.DataFrame(
        {
            "group": np.concatenate([np.full(len(samples), ALL, dtype=object), groups[known]]),
            "sample": samples[cells],
        }
    )
    order = [ALL, *sorted(set(groups[known]))]
    keys["group"] = pd.Categorical(keys["group"], order)
    keys["sample"] = pd.Categorical(keys["sample"], pd.unique(samples))
    about = keys.groupby(["group", "sample"], observed=True).size().rename("n_cells").reset_index()
    rows = keys.groupby(["group", "sample"], observed=True).ngroup().to_numpy()
    member = sp.csc_matrix(
        (np.ones(len(cells), dtype=np.int64), (rows, cells)), shape=(len(about), len(samples))
    )
    sums, first = sp.csr_matrix((len(about), n_genes), dtype=np.int64), 0
    for part in parts:
        of_part = member[:, first : first + part.shape[0]].tocsr()
        sums = sums + of_part @ part.astype(np.int64)
        first += part.shape[0]
    return sums.tocsr(), about.astype({"group": str, "sample": str})


def main(snakemake):
    log = start(snakemake)
    with h5py.File(snakemake.input.cells) as file:
        obs, var = read_elem(file["obs"]), read_elem(file["var"])
        testable = var["testable"].to_numpy()
        groups = read_by_cell(snakemake.input.groups, obs.index)["group"]
        columns = np.where(testable, np.cumsum(testable) - 1, -1)
        every = np.ones(len(obs), dtype=bool)
        parts = read_parts(counts_of(file), every, columns, int(testable.sum()))
        sums, about = sum_groups(parts, groups, obs["sample"], int(testable.sum()))
    about.index = about["group"] + "|" + about["sample"]
    sums = ad.AnnData(sums, obs=about, var=var.loc[testable, ["gene_name"]])
    log.info("%d groups, %d sums", about["group"].nunique(), len(about))
    sums.write_h5ad(snakemake.output[0], compression="gzip")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
