"""Simulate the reads of one run from its true molecules, as 10x 3' v2 sequencing gives them."""

import numpy as np

from latere.job import run_script, start
from latere.simulation.genome import read_exons, read_fasta
from latere.simulation.reads import build_templates, simulate_reads
from latere.simulation.sequencer import write_reads
from latere.simulation.streams import generator


def main(snakemake):
    """Write the FASTQ files of one run."""
    import anndata as ad

    start(snakemake)
    run, settings, given = snakemake.wildcards.run, snakemake.params.simulation, snakemake.input
    rng = generator(snakemake.params.seed, "reads", run)
    truth = ad.read_h5ad(given.counts)
    cells = (truth.obs["run"] == run).to_numpy()
    barcodes = truth.obs_names[cells].str.removeprefix(f"{run}_").to_numpy(str)
    whitelist = np.loadtxt(given.whitelist, dtype=str)
    templates = build_templates(
        read_fasta(given.fasta), read_exons(given.gtf), list(truth.var_names), rng
    )
    chunks = simulate_reads(
        truth.X[cells], truth.uns["ambient"][run], barcodes, whitelist, templates, settings, rng
    )
    write_reads(chunks, list(snakemake.output), settings["error_rate"], rng)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
