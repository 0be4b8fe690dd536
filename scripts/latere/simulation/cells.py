"""Cells of the embedded study and their molecules: doublets, damage and ambient RNA among them."""

import numpy as np
import pandas as pd

from latere.simulation.genome import MT_SHARE
from latere.simulation.streams import generator
from latere.simulation.truth import GROUPS, MT_MEAN

LINEAGE = {"Monocyte": "Myeloid", "Dendritic cell": "Myeloid"} | GROUPS
MT_CONCENTRATION = 60  # beta, of the mitochondrial share of healthy cells
DAMAGED = 0.03  # share of cells that leaked: little RNA, most of it mitochondrial
CELL_DISPERSION = 0.15  # variance of expression between cells of a type, relative to mean squared
CELL_SD, RUN_SD = 0.5, 0.15  # of log library sizes, between cells and between runs
RUN_GENE_SD = 0.08  # of log expression, a gene's in one run


def vary_samples(expected: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Expression with each sample's random effects, half shared by its cell types.

    Parameters
    ----------
    expected
        Shape (samples, cell types, genes).
    sd
        Of log expression, between samples.
    """
    n_samples, n_types, n_genes = expected.shape
    shared = rng.normal(0, sd * np.sqrt(0.5), (n_samples, 1, n_genes))
    own = rng.normal(0, sd * np.sqrt(0.5), (n_samples, n_types, n_genes))
    return expected * np.exp(shared + own)


def simulate_run(
    rates: np.ndarray, composition: np.ndarray, settings: dict, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Cells of one run and their molecules.

    Parameters
    ----------
    rates
        The sample's expression, shape (cell types, genes); the last genes are mitochondrial.
    composition
        The sample's shares of the cell types.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        A row a barcode: type (index of the cell type; a doublet's first), second_type (of a
        doublet, else -1), doublet, damaged, n_ambient (molecules of ambient RNA).
    counts : numpy.ndarray
        Molecules that were sequenced, barcode x gene, ambient RNA among them.
    ambient : float
        Mean molecules of ambient RNA in a droplet, with or without a cell.
    """
    n_cells = max(2, round(settings["cells_per_run"] * rng.lognormal(0, 0.08)))
    n_doublets = round(settings["doublets"] * n_cells)
    n = n_cells + n_doublets
    types = rng.choice(composition.size, n, p=composition)
    damaged = rng.random(n) < DAMAGED
    depth = settings["umis_per_cell"] * rng.lognormal(0, RUN_SD) * rng.lognormal(0, CELL_SD, n)
    depth *= np.where(damaged, 0.5, 1)
    mt = rng.beta(MT_MEAN * MT_CONCENTRATION, (1 - MT_MEAN) * MT_CONCENTRATION, n)
    mt = np.where(damaged, rng.uniform(0.25, 0.6, n), mt)

    rates = rates * rng.lognormal(0, RUN_GENE_SD, rates.shape[1])
    n_mt = len(MT_SHARE)
    share = np.repeat(
        np.column_stack([(1 - mt) / (1 - MT_MEAN), mt / MT_MEAN]),
        [rates.shape[1] - n_mt, n_mt],
        axis=1,
    )
    noise = rng.gamma(1 / CELL_DISPERSION, CELL_DISPERSION, (n, rates.shape[1]))
    counts = rng.poisson(depth[:, None] * share * rates[types] * noise)
    counts[:n_doublets] += counts[n_cells:]

    # Ambient RNA is the run's own RNA, the same in every droplet.
    soup = counts[:n_cells].sum(axis=0) / counts[:n_cells].sum()
    ambient = settings["ambient"] * settings["umis_per_cell"] * rng.lognormal(0, 0.2)
    foreign = rng.poisson(ambient * soup, (n_cells, rates.shape[1]))
    cells = pd.DataFrame(
        {
            "type": types[:n_cells],
            "second_type": np.append(types[n_cells:], np.full(n_cells - n_doublets, -1)),
            "doublet": np.arange(n_cells) < n_doublets,
            "damaged": damaged[:n_cells],
            "n_ambient": foreign.sum(axis=1),
        }
    )
    return cells, counts[:n_cells] + foreign, ambient


def simulate_cells(
    runs: dict,
    rates: np.ndarray,
    composition: np.ndarray,
    samples: list[str],
    cell_types: list[str],
    barcodes: np.ndarray,
    settings: dict,
    seed: int,
):
    """Cells of all runs, with barcodes, and their molecules.

    Parameters
    ----------
    runs
        Sample by run.
    rates, composition
        With random effects, by sample (in the order of `samples`) and cell type.
    barcodes
        The whitelist.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        run, barcode, cell, sample, cell_type, lineage, doublet, second_type (the cell type that
        shares the droplet; empty where none does), damaged, n_umis, n_ambient (of them).
    counts : scipy.sparse.csr_matrix
        True molecules, cell x gene.
    ambient : dict
        Mean molecules of ambient RNA in a droplet, by run.
    """
    from scipy import sparse

    tables, blocks, ambient = [], [], {}
    for run, sample in runs.items():
        rng = generator(seed, "cells", run)
        row = samples.index(sample)
        cells, counts, ambient[run] = simulate_run(rates[row], composition[row], settings, rng)
        order = rng.permutation(len(cells))
        cells, counts = cells.iloc[order], counts[order]
        barcode = barcodes[rng.choice(barcodes.size, len(cells), replace=False)]
        cell_type = np.array(cell_types)[cells["type"]]
        second_type = np.array([*cell_types, ""])[cells["second_type"]]  # -1: the last
        tables.append(
            pd.DataFrame(
                {
                    "run": run,
                    "barcode": barcode,
                    "cell": [f"{run}_{b}" for b in barcode],
                    "sample": sample,
                    "cell_type": cell_type,
                    "lineage": [LINEAGE.get(name, name) for name in cell_type],
                    "doublet": cells["doublet"].to_numpy(),
                    "second_type": second_type,
                    "damaged": cells["damaged"].to_numpy(),
                    "n_umis": counts.sum(axis=1),
                    "n_ambient": cells["n_ambient"].to_numpy(),
                }
            )
        )
        blocks.append(sparse.csr_matrix(counts.astype(np.int32)))
    return pd.concat(tables, ignore_index=True), sparse.vstack(blocks, format="csr"), ambient
