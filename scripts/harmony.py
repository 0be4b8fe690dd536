"""Integrate samples by Harmony (Korsunsky et al. 2019) on the manual branch's components."""

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.job import run_script, start
from latere.tables import embedding_table


def integrate(components: np.ndarray, samples: pd.Series, seed: int, threads: int) -> np.ndarray:
    """Principal components without the differences between samples.

    Parameters
    ----------
    components
        Shape (n_cells, n_components).
    samples
        Sample of each cell.
    seed
        Seed of the first clusters.
    threads
        Most threads to use.

    Returns
    -------
    numpy.ndarray
        Shape (n_cells, n_components). As they are given where there is one sample only.
    """
    import harmonypy

    if samples.nunique() < 2:
        return components
    meta = pd.DataFrame({"sample": samples.astype(str).to_numpy()})
    # Not by `scanpy.external`, which expects what harmonypy returned before 2.0.
    result = harmonypy.run_harmony(
        components, meta, "sample", random_state=seed, ncores=threads, verbose=False
    )
    return result.Z_corr


def main(snakemake):
    log = start(snakemake)
    table = pd.read_parquet(snakemake.input.embedding).set_index("cell")
    with h5py.File(snakemake.input.cells) as file:
        samples = read_elem(file["obs"])["sample"].loc[table.index]
    corrected = integrate(
        table.to_numpy(np.float64), samples, snakemake.params.seed, snakemake.threads
    )
    log.info("%d samples, %d dimensions", samples.nunique(), corrected.shape[1])
    embedding = embedding_table(table.index, corrected)
    write_table(embedding, snakemake.output[0], "{branch}/embedding.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
