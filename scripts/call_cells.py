"""Which barcodes of a run are cells, and how much ambient RNA the cells have.

What a source says of its own cells is taken; of a raw matrix without that, cells are called by
EmptyDrops (Lun et al. 2019, Genome Biol 20:63). Ambient RNA is estimated from empty droplets.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.droplets import (
    PERMUTATIONS,
    ambient_counts,
    certain_level,
    droplet_level,
    empty_drops,
    find_knee,
)
from latere.job import run_script, start

# With fewer empty droplets their profile is noise, from which noise differs significantly.
LEAST_EMPTY = 100
TOP_GENES = 10
METHOD = "mean molecules of a droplet without a cell, over those of a cell"


def choose_method(kind: str, given: bool, n_counts: np.ndarray, lower: int) -> tuple[str, str]:
    """How the cells of a run are called, and why so.

    Parameters
    ----------
    kind
        `raw`, `filtered` or `both`: what the matrix contains, as `load_counts` found.
    given
        Whether the source says which barcodes are cells.
    n_counts
        Molecules, by barcode.
    lower
        Barcodes with this many or fewer are treated as empty.

    Returns
    -------
    method : str
        `given`, `all`, `emptyDrops` or `threshold`.
    reason : str
        A sentence.
    """
    if given:
        return "given", "The source says which barcodes are cells."
    if kind == "filtered":
        return "all", "The matrix holds cells only."
    empty = int((n_counts <= lower).sum())
    if empty < LEAST_EMPTY:
        reason = (
            f"{empty} of {n_counts.size} barcodes have {lower} molecules or fewer: too few empty "
            f"droplets for EmptyDrops (at least {LEAST_EMPTY}). All above that are called."
        )
        return "threshold", reason
    return "emptyDrops", f"A raw matrix with {empty} empty droplets, whose cells nobody had called."


def call_cells(counts, given: np.ndarray | None, kind: str, settings: dict, seed: int):
    """Call the cells of a run.

    Parameters
    ----------
    counts
        CSR with sorted indices, barcode x gene.
    given
        What the source says of its barcodes, boolean; None if it says nothing.
    kind
        `raw`, `filtered` or `both`.
    settings
        Section `cells.calling` of the configuration.
    seed
        Of EmptyDrops.

    Returns
    -------
    droplets : pandas.DataFrame
        n_counts, called, fdr (NaN where not tested), by barcode.
    calling : dict
        method, reason, knee, inflection, empty_droplets, called, parameters.
    """
    lower = settings["max_empty_counts"]
    n_counts = np.asarray(counts.sum(axis=1)).ravel().astype(np.int64)
    method, reason = choose_method(kind, given is not None, n_counts, lower)
    points = find_knee(n_counts, lower) if kind != "filtered" else None
    knee, inflection = points or (None, None)
    fdr = np.full(n_counts.size, np.nan)
    parameters = {"max_empty_counts": lower}
    if method == "given":
        called = given
    elif method == "all":
        called = n_counts > 0
    elif method == "threshold" or not (n_counts > lower).any():
        called = n_counts > lower
    else:
        certain = certain_level(n_counts, lower, knee)
        fdr = empty_drops(counts, lower, certain, seed)["FDR"].to_numpy()
        called = fdr <= settings["fdr"]
        parameters |= {"fdr": settings["fdr"], "permutations": PERMUTATIONS, "seed": seed}
        parameters["cells_from"] = certain if np.isfinite(certain) else None
    droplets = pd.DataFrame({"n_counts": n_counts, "called": called, "fdr": fdr})
    calling = {
        "method": method,
        "reason": reason,
        "knee": knee,
        "inflection": inflection,
        "empty_droplets": int((~called & (n_counts <= lower)).sum()),
        "called": int(called.sum()),
        "parameters": parameters,
    }
    return droplets, calling


def estimate_ambient(counts, genes: pd.DataFrame, droplets: pd.DataFrame, lower: int) -> dict:
    """Share of the cells' molecules that is ambient RNA, and what it is made of.

    A droplet with a cell caught as much ambient RNA as one without.

    Parameters
    ----------
    counts
        CSR, barcode x gene.
    genes
        gene_name, by gene_id.
    droplets
        As `call_cells` gives it.
    lower
        Barcodes that are no cells and have this many molecules or fewer give the profile.

    Returns
    -------
    dict
        share, reason, method, molecules_per_droplet, top_genes; share and molecules are None where
        there is no answer, and the reason says why.
    """
    called, n_counts = droplets["called"].to_numpy(), droplets["n_counts"].to_numpy()
    empty = ~called & (n_counts <= lower)
    level = droplet_level(n_counts[~called])
    in_cell = n_counts[called].mean() if called.any() else 0
    reason = ""
    if empty.sum() < LEAST_EMPTY:
        reason = f"There are {empty.sum()} empty droplets; at least {LEAST_EMPTY} are needed."
    elif level is None:
        reason = (
            "Most molecules outside of cells are in barcodes with a few each, so empty droplets "
            "cannot be distinguished from barcodes with sequencing errors."
        )
    elif not called.any():
        reason = "No cell was called."
    elif level >= in_cell:
        reason = (
            f"Droplets without a cell have {level:.1f} molecules in the mean and cells "
            f"{in_cell:.1f}: the called barcodes are probably not cells."
        )
    return {
        "share": None if reason else float(level / in_cell),
        "reason": reason,
        "method": METHOD,
        "molecules_per_droplet": None if reason else level,
        "top_genes": [] if reason else top_genes(ambient_counts(counts, empty), genes),
    }


def top_genes(molecules: np.ndarray, genes: pd.DataFrame) -> list[dict]:
    """The genes that make up most of the ambient RNA.

    Parameters
    ----------
    molecules
        In empty droplets, by gene.
    genes
        gene_name, by gene_id.

    Returns
    -------
    list of dict
        gene_id, gene_name, share; the largest share first.
    """
    order = np.argsort(-molecules, kind="stable")[:TOP_GENES]
    return [
        {
            "gene_id": genes.index[gene],
            "gene_name": genes["gene_name"].iloc[gene],
            "share": float(molecules[gene] / molecules.sum()),
        }
        for gene in order[molecules[order] > 0]
    ]


def main(snakemake):
    import anndata as ad

    log = start(snakemake)
    run, params = snakemake.wildcards.run, snakemake.params
    adata = ad.read_h5ad(snakemake.input.counts)
    kind = json.loads(Path(snakemake.input.facts).read_text(encoding="utf-8"))["barcodes"]["kind"]
    given = adata.obs["given"].to_numpy(bool) if "given" in adata.obs else None
    droplets, calling = call_cells(adata.X, given, kind, params.calling, params.seed)
    lower = params.calling["max_empty_counts"]
    ambient = estimate_ambient(adata.X, adata.var, droplets, lower)
    log.info("run %s: %d cells by %s", run, calling["called"], calling["method"])
    log.info("ambient share: %s %s", ambient["share"], ambient["reason"])
    droplets.insert(0, "barcode", adata.obs_names.to_numpy())
    write_table(droplets, snakemake.output.droplets, "cells/droplets/{run}.parquet")
    about = {"run": run, "calling": calling, "ambient": ambient}
    Path(snakemake.output.ambient).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
