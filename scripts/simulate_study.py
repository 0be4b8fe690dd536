"""Simulate the embedded study: its genome, its cells and the truth about both.

Expression profiles are those of real blood cells (Zheng et al. 2017, by way of scanpy); what
differs between samples is planted, so that every result of the pipeline has a right answer.
"""

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start
from latere.simulation.cells import simulate_cells, vary_samples
from latere.simulation.genome import MT_SHARE, simulate_genome, write_fasta, write_gtf
from latere.simulation.pbmc import load_pbmc
from latere.simulation.streams import generator
from latere.simulation.truth import (
    build_profiles,
    check_effects,
    collect_expected,
    expected_composition,
    expected_expression,
    plant_effects,
)

COMPOSITION_CONCENTRATION = 60  # Dirichlet; the lower, the more samples differ in composition


def simulate_truth(
    runs: dict,
    samples: dict,
    barcodes: np.ndarray,
    settings: dict,
    seed: int,
):
    """The whole study but for its reads.

    Parameters
    ----------
    runs
        Sample by run.
    samples
        Columns of the sheet by sample.
    barcodes
        The whitelist.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        As `simulate_cells` gives it.
    counts : anndata.AnnData
        True molecules; `uns["ambient"]` by run.
    expected : anndata.AnnData
        As `collect_expected` gives it.
    """
    import anndata as ad

    rng = generator(seed, "study")
    profiles = build_profiles(load_pbmc(), rng)
    cell_types = list(profiles.index)
    names = [*profiles.columns, *MT_SHARE]
    # Not Ensembl's ids, nor alike: the sequences behind them are simulated.
    genes = pd.DataFrame(
        {"gene_id": [f"SIMG{n:011d}" for n in range(1, len(names) + 1)], "gene_name": names}
    )
    effects = settings["effects"]
    check_effects(effects, samples)
    planted = plant_effects(profiles, list(effects), settings["de_genes"], rng)
    expected = expected_expression(profiles, planted, samples, effects)
    composition = expected_composition(samples, profiles.index)
    rates = vary_samples(expected, settings["sample_sd"], rng)
    # A share of 0 stays 0: a gamma of shape 0 is 0.
    varied = rng.gamma(composition * COMPOSITION_CONCENTRATION)
    varied /= varied.sum(axis=1, keepdims=True)
    cells, matrix, ambient = simulate_cells(
        runs, rates, varied, list(samples), cell_types, barcodes, settings, seed
    )
    counts = ad.AnnData(
        matrix,
        obs=cells.set_index("cell")[["run"]],
        var=genes.set_index("gene_id"),
        uns={"ambient": ambient},
    )
    return cells, counts, collect_expected(expected, composition, list(samples), cell_types, genes)


def main(snakemake):
    """Write the reference and the truth of the study."""
    log = start(snakemake)
    params, output = snakemake.params, snakemake.output
    barcodes = np.loadtxt(snakemake.input.whitelist, dtype=str)
    cells, counts, expected = simulate_truth(
        params.runs, params.samples, barcodes, params.simulation, params.seed
    )
    log.info("%d cells, %d genes, %d molecules", *counts.shape, counts.X.sum())
    chromosomes, exons = simulate_genome(
        list(counts.var["gene_name"]), generator(params.seed, "genome")
    )
    log.info("%d exons on %d bases", len(exons), sum(map(len, chromosomes.values())))
    write_fasta(chromosomes, output.fasta)
    write_gtf(exons, counts.var.reset_index(), output.gtf)
    write_table(cells, output.cells, "simulated/truth/cells.parquet")
    counts.write_h5ad(output.counts, compression="gzip")
    expected.write_h5ad(output.expected, compression="gzip")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
