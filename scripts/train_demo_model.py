"""Train the embedded study's CellTypist model on the labelled blood cells that scanpy carries.

They are the same cells that the study's expression profiles come from: labels in the embedded
study are easier than in life, and its accuracy says nothing about other data.
"""

from latere.job import hush, run_script, start
from latere.simulation.pbmc import load_pbmc


def train_model(pbmc, gene_names, seed: int, threads: int):
    """Train a model on the cell types that an immune model knows.

    Parameters
    ----------
    pbmc
        As `load_pbmc` gives it.
    gene_names
        Genes that the study can measure.
    seed
        Of the solver.
    threads
        CPUs to use.

    Returns
    -------
    celltypist.models.Model
        Labels T cell, B cell, NK cell, Monocyte, Dendritic cell. The 13 progenitors are left out:
        too few to learn a label from, and blasts made from them would scatter over it.
    """
    import celltypist
    import scanpy as sc

    hush("celltypist")
    known = pbmc.obs["cell_type"] != "CD34+ progenitor"
    cells = pbmc[known.to_numpy(), pbmc.var_names.isin(gene_names)].copy()
    # CellTypist's own scale: 10,000 a cell, over the genes it will see, then log1p.
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return celltypist.train(
        cells,
        labels=cells.obs["cell_type"],
        n_jobs=threads,
        random_state=seed,
        # Left out, it is the time of the training, and the same seed gives another file.
        date="not kept",
        details="The embedded study's model",
        source="scanpy.datasets.pbmc68k_reduced",
    )


def main(snakemake):
    """Write the model."""
    start(snakemake)
    import anndata as ad

    counts = ad.read_h5ad(snakemake.input.counts, backed="r")
    model = train_model(
        load_pbmc(), counts.var["gene_name"], snakemake.params.seed, snakemake.threads
    )
    model.write(snakemake.output[0])


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
