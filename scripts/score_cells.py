"""Figures of each called cell: its counts, its shares of telling genes, its phase in the cell cycle
(scanpy's score of the genes of Tirosh et al. 2016) and whether it is a doublet (scanpy's Scrublet,
Wolock et al. 2019, Cell Syst 8:281). Nothing is removed here."""

import json
import logging
from importlib.metadata import version

import numpy as np
import pandas as pd

from latere.droplets import expected_doublets
from latere.errors import StudyError
from latere.gene_sets import find_members, read_gene_sets
from latere.job import run_script, start
from latere.tables import log_normalise, read_counts

SHARES = {"mitochondrial": "percent_mt", "ribosomal": "percent_ribo", "haemoglobin": "percent_hb"}
# A score of a gene or two is their noise, not a phase; of the 43 and 54 genes these must be there.
MIN_PHASE_GENES = 10

# A smaller run is expected to hold less than a tenth of a doublet.
MIN_CELLS = 100
VARIABLE_GENES, MIN_CELLS_OF_GENE = 2000, 3
# Scrublet's defaults, with fewer dimensions for few cells: noise fills those beyond.
SIMULATED_PER_CELL, MAX_DIMENSIONS, CELLS_PER_DIMENSION = 2, 30, 20
# 10x's guides go to 8 %, for 10,000 cells. More than this in a smaller run tells of scores that do
# not part doublets from cells.
MAX_PLAUSIBLE_RATE = 0.1


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
        The table tells of other barcodes than the counts.
    """
    import anndata as ad
    import h5py

    with h5py.File(path) as file:
        obs, var = ad.io.read_elem(file["obs"]), ad.io.read_elem(file["var"])
        if not np.array_equal(obs.index, droplets["barcode"]):
            mend = "Remove both files, and run again."
            raise StudyError(str(path), "its barcodes are not those of cells/droplets", mend)
        called = droplets["called"].to_numpy(dtype=bool)
        # Not by anndata in its backed mode, which takes no rows of a matrix that has none.
        counts = read_counts(file["X"], called, np.ones(len(var), dtype=bool))
    return ad.AnnData(counts, obs=obs[called], var=var)


def measure_cells(counts, members: dict[str, np.ndarray]) -> pd.DataFrame:
    """QC figures of each cell, as scanpy's `calculate_qc_metrics` gives them.

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


def normalised(counts):
    """Log-normalised counts, float32, as an AnnData of its own."""
    import anndata as ad

    normal = ad.AnnData(
        counts.X.astype(np.float32), obs=counts.obs[[]], var=counts.var[[]], obsm=counts.obsm
    )
    if normal.n_obs:  # scanpy takes none
        log_normalise(normal)
    return normal


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


def variable_genes(normal) -> np.ndarray:
    """The genes that tell cells apart.

    Parameters
    ----------
    normal
        AnnData, log-normalised, (n_cells, n_genes).

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,): the 2,000 most variable of the genes seen in three cells or more.
    """
    import scanpy as sc

    chosen = normal.X.getnnz(axis=0) >= MIN_CELLS_OF_GENE
    if chosen.sum() > VARIABLE_GENES:
        figures = sc.pp.highly_variable_genes(
            normal[:, chosen], n_top_genes=VARIABLE_GENES, inplace=False
        )
        chosen[chosen] = figures["highly_variable"].to_numpy()
    return chosen


def score_doublets(counts, n_dimensions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scrublet's scores of the cells, and of doublets that are simulated from them.

    Log-normalised, as what tells types apart is then not a few genes of high counts; without
    centring, so that no matrix becomes dense; with exact neighbours.

    Parameters
    ----------
    counts
        AnnData, raw counts of the variable genes, (n_cells, n_genes).
    n_dimensions
        Dimensions that neighbours are looked for in.
    seed
        Seed.

    Returns
    -------
    numpy.ndarray
        Scores of the cells, (n_cells,).
    numpy.ndarray
        Scores of the simulated doublets, (2 * n_cells,).
    """
    import scanpy as sc

    simulated = sc.pp.scrublet_simulate_doublets(
        counts, sim_doublet_ratio=SIMULATED_PER_CELL, random_seed=seed
    )
    observed = normalised(counts)
    sc.pp.scrublet(
        observed,
        adata_sim=normalised(simulated),
        sim_doublet_ratio=SIMULATED_PER_CELL,
        expected_doublet_rate=expected_doublets(observed.n_obs),
        mean_center=False,
        n_prin_comps=n_dimensions,
        use_approx_neighbors=False,
        threshold=0,  # the call is made by `call_doublets`
        verbose=False,
        random_state=seed,
    )
    scores = observed.obs["doublet_score"].to_numpy()
    return scores, observed.uns["scrublet"]["doublet_scores_sim"]


def find_threshold(observed: np.ndarray, simulated: np.ndarray) -> tuple[float, float]:
    """The score from which a cell is a doublet rather than not, and the share of doublets.

    Doublets among the cells score as simulated ones do. So whatever the threshold, their share is
    no more than the share of cells above it, over the share of simulated doublets above it. The
    least of these bounds is taken for it, as Storey (2002, J R Stat Soc B 64:479) takes the share
    of true hypotheses from p-values. With it, the threshold is that with the most doublets less
    single cells above it. Both are the same for any scale of the scores.

    Otsu's threshold, for one, depends on the scale, which shrinks as fewer doublets are expected:
    in runs of 3,000 cells it missed two of three doublets (tests/bench/doublets.py). Where hardly
    any doublet is of two types, the bound is loose, and a share of the calls are single cells.

    Parameters
    ----------
    observed, simulated
        Scores, shapes (n_cells,) and (n_simulated,), the latter not all equal.

    Returns
    -------
    threshold, share : float
    """
    levels = np.unique(simulated)[:-1]
    detected = 1 - np.searchsorted(np.sort(simulated), levels, side="right") / simulated.size
    called = observed.size - np.searchsorted(np.sort(observed), levels, side="right")
    # Few cells above a level, or none, may be chance: upper limits of their numbers at one standard
    # deviation (Gehrels 1986, Astrophys J 303:336).
    most = called + 1 + np.sqrt(called + 0.75)
    share = min(1, (most / observed.size / detected).min())
    best = np.argmax(2 * share * detected - called / observed.size)
    return float(levels[best]), float(share)


def call_doublets(observed: np.ndarray, simulated: np.ndarray) -> tuple[np.ndarray, dict]:
    """Which cells are doublets.

    Doublets of two types score far above those of one, which no expression tells from a cell.
    Where there are hardly any of two types, the simulated doublets score as the cells do, and more
    doublets than are plausible are implied; then only as many cells are called as are expected.

    Parameters
    ----------
    observed, simulated
        Scores, shapes (n_cells,) and (n_simulated,).

    Returns
    -------
    calls : numpy.ndarray
        Boolean, (n_cells,).
    facts : dict
        threshold, threshold_by, detectable (share of simulated doublets above the threshold),
        implied_rate (share of doublets that the scores imply), reason.
    """
    expected = expected_doublets(observed.size)
    (threshold, implied), by = find_threshold(observed, simulated), "simulated doublets"
    plausible, reason = max(MAX_PLAUSIBLE_RATE, 2 * expected), ""
    if implied > plausible:
        by = "expected rate"
        reason = (
            f"simulated doublets do not stand out: their scores imply {implied:.0%} doublets, "
            f"more than {plausible:.0%}"
        )
        threshold = float(np.quantile(observed, 1 - expected))
    facts = {
        "threshold": threshold,
        "threshold_by": by,
        "detectable": float((simulated > threshold).mean()),
        "implied_rate": implied,
        "reason": reason,
    }
    return observed > threshold, facts


def find_doublets(counts, variable: np.ndarray, seed: int) -> tuple[pd.DataFrame, dict]:
    """Doublets of a run.

    Parameters
    ----------
    counts
        AnnData, raw counts of all called cells, (n_cells, n_genes).
    variable
        Boolean, (n_genes,): the genes to look at.
    seed
        Seed.

    Returns
    -------
    table : pandas.DataFrame
        By barcode: doublet_score, doublet; NaN and null where not answered.
    facts : dict
        What is written to cells/doublets.
    """
    facts = {
        "method": f"Scrublet (scanpy {version('scanpy')})",
        "expected_rate": expected_doublets(counts.n_obs),
        "n_cells": counts.n_obs,
        "n_doublets": None,
        "threshold": None,
        "threshold_by": None,
        "detectable": None,
        "implied_rate": None,
        "simulated_scores": None,
        "reason": "",
    }
    table = pd.DataFrame(index=counts.obs_names)
    empty = pd.Series(pd.NA, table.index, dtype="boolean")
    unanswered = table.assign(doublet_score=np.nan, doublet=empty)
    genes = int(variable.sum())
    dimensions = min(MAX_DIMENSIONS, counts.n_obs // CELLS_PER_DIMENSION, genes - 1)
    if counts.n_obs < MIN_CELLS or dimensions < 2:
        facts["reason"] = (
            f"{counts.n_obs} cells with {genes} genes to tell them apart: "
            f"at least {MIN_CELLS} cells and 3 genes are needed"
        )
        logging.warning("no doublet scores: %s", facts["reason"])
        return unanswered, facts
    observed, simulated = score_doublets(counts[:, variable].copy(), dimensions, seed)
    if not np.ptp(simulated):
        facts["reason"] = "all simulated doublets have one score: the cells cannot be told apart"
        logging.warning("no doublet scores: %s", facts["reason"])
        return unanswered, facts
    calls, told = call_doublets(observed, simulated)
    both = np.concatenate([observed, simulated])
    numbers, edges = np.histogram(simulated, np.geomspace(both.min(), both.max(), 31))
    facts |= told | {
        "n_doublets": int(calls.sum()),
        "simulated_scores": {"edges": edges.tolist(), "counts": numbers.tolist()},
        "parameters": {"genes": genes, "dimensions": dimensions, "seed": seed}
        | {"simulated_per_cell": SIMULATED_PER_CELL},
    }
    if told["reason"]:
        logging.warning("%s", told["reason"])
    doublet = pd.Series(calls, table.index, dtype="boolean")
    return table.assign(doublet_score=observed, doublet=doublet), facts


def score_cells(counts, gene_sets: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, dict]:
    """All figures of the called cells of a run.

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
    table.to_parquet(output.scores, index=False)
    with open(output.doublets, "w", encoding="utf-8") as handle:
        json.dump({"run": run} | facts, handle, indent=1)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
