"""Metrics of each called cell: its counts, its shares of marker genes, its phase in the cell cycle
(scanpy's score of the genes of Tirosh et al. 2016) and whether it is a doublet. Nothing is removed
here."""

import json
import logging

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.doublets import find_doublets, normalised, variable_genes
from latere.errors import StudyError
from latere.gene_sets import find_members, read_gene_sets
from latere.job import run_script, start
from latere.quality import SHARES
from latere.tables import read_counts

# A score of one or two genes is noise, not a phase. Of the 43 and 54 genes this number is needed.
MIN_PHASE_GENES = 10


def read_called(path: str, droplets: pd.DataFrame):
    """The called cells of a run.

    Parameters
    ----------
    path
        Counts of the run, barcode x gene.
    droplets
        As `call_cells` gives it, in the order of the barcodes.

    Returns
    -------
    anndata.AnnData
        Called cells x genes, CSR of the type that is stored; none where no cell is called.

    Raises
    ------
    StudyError
        The table has other barcodes than the counts.
    """
    import anndata as ad
    import h5py

    with h5py.File(path) as file:
        obs, var = ad.io.read_elem(file["obs"]), ad.io.read_elem(file["var"])
        if not np.array_equal(obs.index, droplets["barcode"]):
            fix = "Remove both files, and run again."
            raise StudyError(
                str(path),
                "its barcodes differ from those in cells/droplets",
                fix,
                code="barcodes-differ",
            )
        called = droplets["called"].to_numpy(dtype=bool)
        # Not by anndata in its backed mode, which takes no rows of a matrix that has none.
        counts = read_counts(file["X"], called, np.ones(len(var), dtype=bool))
    return ad.AnnData(counts, obs=obs[called], var=var)


def measure_cells(counts, members: dict[str, np.ndarray]) -> pd.DataFrame:
    """QC metrics of each cell, as scanpy's `calculate_qc_metrics` gives them.

    Parameters
    ----------
    counts
        AnnData, raw counts, (n_cells, n_genes).
    members
        Genes of each set, as `find_members` gives them.

    Returns
    -------
    pandas.DataFrame
        By barcode: n_counts (UMIs), n_genes (genes with a count), and percent_mt, percent_ribo and
        percent_hb (percent of the counts; NaN where no gene of the set is there, or no count).
    """
    import anndata as ad
    import scanpy as sc

    of_set = pd.DataFrame(members, index=counts.var_names)
    figures, _ = sc.pp.calculate_qc_metrics(
        ad.AnnData(counts.X, obs=counts.obs[[]], var=of_set),
        qc_vars=list(SHARES),
        percent_top=None,
        log1p=False,
    )
    names = {"total_counts": "n_counts", "n_genes_by_counts": "n_genes"}
    names |= {f"pct_counts_{gene_set}": column for gene_set, column in SHARES.items()}
    table = figures[list(names)].rename(columns=names)
    for gene_set, column in SHARES.items():
        table[column] = table[column].astype(np.float64)
        if not members[gene_set].any():
            logging.warning("no %s gene in the data: no %s", gene_set, column)
            table[column] = np.nan
    return table.astype({"n_counts": np.int64, "n_genes": np.int64})


def score_phases(normal, members: dict[str, np.ndarray], seed: int) -> pd.DataFrame:
    """Phase of each cell in the cell cycle.

    Parameters
    ----------
    normal
        AnnData, log-normalised, (n_cells, n_genes).
    members
        Genes of each set, as `find_members` gives them.
    seed
        For the choice of genes that the scores are measured against.

    Returns
    -------
    pandas.DataFrame
        By barcode: s_score, g2m_score (NaN where too few of their genes are there), phase (G1, S,
        G2M, or null).
    """
    import scanpy as sc

    table = pd.DataFrame(index=normal.obs_names)
    genes = {name: normal.var_names[members[name]] for name in ("s_phase", "g2m_phase")}
    logging.info("cell cycle: %d genes of S, %d of G2M", *map(len, genes.values()))
    if normal.n_obs == 0 or min(map(len, genes.values())) < MIN_PHASE_GENES:
        logging.warning("no cell, or fewer than %d genes of a phase: no score", MIN_PHASE_GENES)
        empty = pd.Series(pd.NA, table.index, dtype="string")
        return table.assign(s_score=np.nan, g2m_score=np.nan, phase=empty)
    sc.tl.score_genes_cell_cycle(
        normal, s_genes=genes["s_phase"], g2m_genes=genes["g2m_phase"], random_state=seed
    )
    return table.assign(
        s_score=normal.obs["S_score"],
        g2m_score=normal.obs["G2M_score"],
        phase=normal.obs["phase"].astype("string"),
    )


def score_cells(counts, gene_sets: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict]:
    """All metrics of the called cells of a run.

    Parameters
    ----------
    counts
        AnnData, raw counts of the called cells, (n_cells, n_genes).
    gene_sets
        As `read_gene_sets` gives it.
    seed
        Seed.

    Returns
    -------
    table : pandas.DataFrame
        By barcode: the columns of `measure_cells`, `score_phases` and `find_doublets`.
    facts : dict
        As `find_doublets` gives it.
    """
    members = find_members(gene_sets, counts.var)
    figures = measure_cells(counts, members)
    normal = normalised(counts)
    phases = score_phases(normal, members, seed)
    doublets, facts = find_doublets(counts, variable_genes(normal), seed)
    return pd.concat([figures, phases, doublets], axis=1), facts


def main(snakemake):
    log = start(snakemake)
    run, paths, output = snakemake.wildcards.run, snakemake.input, snakemake.output
    droplets = pd.read_parquet(paths.droplets)
    counts = read_called(paths.counts, droplets)
    log.info("run %s: %d of %d barcodes are called cells", run, counts.n_obs, len(droplets))
    table, facts = score_cells(counts, read_gene_sets(paths.gene_sets), snakemake.params.seed)
    log.info("%s of %d cells are doublets", facts["n_doublets"], counts.n_obs)
    barcodes = table.index.astype(str)
    table.insert(0, "cell", f"{run}_" + barcodes)
    table.insert(1, "run", run)
    table.insert(2, "barcode", barcodes)
    write_table(table, output.scores, "cells/scores/{run}.parquet")
    with open(output.doublets, "w", encoding="utf-8") as handle:
        json.dump({"run": run} | facts, handle, indent=1)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
