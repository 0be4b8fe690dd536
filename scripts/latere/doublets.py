"""Doublets of a run, by scanpy's Scrublet (Wolock et al. 2019, Cell Syst 8:281)."""

import logging
from importlib.metadata import version

import numpy as np
import pandas as pd

from latere.tables import log_normalise

# Multiplets per recovered cell by 10x Genomics (user guides of Chromium 3' v2 and v3: 0.8 % per
# thousand cells, up to 8 % of 10,000); none of these guides goes beyond 20,000 cells.
DOUBLETS_PER_CELL, MAX_DOUBLETS = 0.008 / 1000, 0.16
# A smaller run is expected to hold less than a tenth of a doublet.
MIN_CELLS = 100
VARIABLE_GENES, MIN_CELLS_OF_GENE = 2000, 3
# Scrublet's defaults, with fewer dimensions for few cells: noise fills those beyond.
SIMULATED_PER_CELL, MAX_DIMENSIONS, CELLS_PER_DIMENSION = 2, 30, 20
# 10x's guides go to 8 %, for 10,000 cells. A higher share in a smaller run means that the scores do
# not separate doublets from cells.
MAX_PLAUSIBLE_RATE = 0.1


def expected_doublets(n_cells: int) -> float:
    """Expected share of doublets among the cells of a run, by 10x's table."""
    return min(DOUBLETS_PER_CELL * n_cells, MAX_DOUBLETS)


def normalised(counts):
    """Log-normalised counts, float32, as an AnnData of its own."""
    import anndata as ad

    normal = ad.AnnData(
        counts.X.astype(np.float32), obs=counts.obs[[]], var=counts.var[[]], obsm=counts.obsm
    )
    if normal.n_obs:  # scanpy takes none
        log_normalise(normal)
    return normal


def variable_genes(normal) -> np.ndarray:
    """The genes that vary between cells.

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

    Log-normalised, so that a few genes with high counts do not dominate; without centring, so that
    no matrix becomes dense; with exact neighbours.

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

    Doublets of two types score far above doublets of one type, which look like single cells. Where
    hardly any are of two types, simulated doublets score like cells, and the scores imply more
    doublets than are plausible; then only the expected number of cells is called.

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
            f"{counts.n_obs} cells with {genes} variable genes: "
            f"at least {MIN_CELLS} cells and 3 genes are needed"
        )
        logging.warning("no doublet scores: %s", facts["reason"])
        return unanswered, facts
    observed, simulated = score_doublets(counts[:, variable].copy(), dimensions, seed)
    if not np.ptp(simulated):
        facts["reason"] = "all simulated doublets have the same score: the cells do not differ"
        logging.warning("no doublet scores: %s", facts["reason"])
        return unanswered, facts
    calls, call = call_doublets(observed, simulated)
    both = np.concatenate([observed, simulated])
    numbers, edges = np.histogram(simulated, np.geomspace(both.min(), both.max(), 31))
    facts |= call | {
        "n_doublets": int(calls.sum()),
        "simulated_scores": {"edges": edges.tolist(), "counts": numbers.tolist()},
        "parameters": {"genes": genes, "dimensions": dimensions, "seed": seed}
        | {"simulated_per_cell": SIMULATED_PER_CELL},
    }
    if call["reason"]:
        logging.warning("%s", call["reason"])
    doublet = pd.Series(calls, table.index, dtype="boolean")
    return table.assign(doublet_score=observed, doublet=doublet), facts
