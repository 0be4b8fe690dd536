"""Tables on the cells of a study as the steps leave them, for the figures and the report."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from latere.quality import LIMITS
from select_cells import select_cells

RULES = dict.fromkeys(LIMITS) | {
    "min_counts": {"deviations": 5, "floor": 300, "ceiling": None},
    "min_genes": {"deviations": 5, "floor": 100, "ceiling": None},
    "max_percent_mt": {"deviations": 3, "floor": 8, "ceiling": 20},
    "max_percent_hb": 50,
}
SOUND, FILTERED, EMPTY, FEW = "sound", "filtered", "empty", "few"


def write_cells(folder, runs, kinds=None, n_cells=200, n_empty=1500):
    """Write what `plot_cells` reads.

    Parameters
    ----------
    folder
        Where to.
    runs
        Sample by run.
    kinds
        By run: `SOUND` (if not told), `FILTERED` (no empty droplets), `EMPTY` (no cell called) or
        `FEW` (five cells without a doublet score).
    n_cells, n_empty
        Barcodes of a sound run.
    """
    rng, kinds = np.random.default_rng(5), kinds or {}
    files = {"droplets": [], "ambient": [], "doublets": []}
    scores = []

    def path(key, name):
        where = folder / "cells" / name
        where.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(files.setdefault(key, where), list):
            files[key].append(where)
        return where

    for number, run in enumerate(runs):
        kind = kinds.get(run, SOUND)
        cells = {SOUND: n_cells, FILTERED: n_cells, EMPTY: 0, FEW: 5}[kind]
        empty = 0 if kind == FILTERED else n_empty
        n_counts = np.concatenate(
            [rng.lognormal(np.log(1000), 0.5, cells), rng.poisson(35, empty) + 1]
        ).astype(int)
        called = np.arange(cells + empty) < cells
        called[:cells] &= n_counts[:cells] > 200 if kind == SOUND else True
        barcodes = [f"BARCODE{i:05d}" for i in range(cells + empty)]
        pd.DataFrame(
            {"barcode": barcodes, "n_counts": n_counts, "called": called, "fdr": np.nan}
        ).to_parquet(path("droplets", f"droplets/{run}.parquet"))
        known = kind in (SOUND, FEW)
        genes = ["MALAT1", "B2M", "MT-CO1", "HLA-B", "TMSB4X"]
        about = {
            "run": run,
            "calling": {
                "method": "all" if kind == FILTERED else "emptyDrops",
                "reason": "The matrix holds cells only." if kind == FILTERED else "A raw matrix.",
                "knee": 780.0 if kind == SOUND else None,
                "inflection": 310.0 if kind == SOUND else None,
                "empty_droplets": empty,
                "called": int(called.sum()),
                "parameters": {"max_empty_counts": 100},
            },
            "ambient": {
                "share": 0.02 + 0.003 * (number % 9) if known else None,
                "reason": ""
                if known
                else f"There are {empty} empty droplets, which is too few to tell a share that a "
                "reader of this long sentence could trust.",
                "method": "mean molecules",
                "molecules_per_droplet": 35.2 if known else None,
                "top_genes": [
                    {"gene_id": f"ENSG{i}", "gene_name": gene, "share": 0.09 / (i + 1)}
                    for i, gene in enumerate(genes)
                ]
                * known,
            },
        }
        path("ambient", f"ambient/{run}.json").write_text(json.dumps(about))
        n = int(called.sum())
        answered = n >= 100
        doublet = rng.random(n) < 0.04
        scored = np.where(doublet, rng.beta(12, 20, n), rng.beta(2, 30, n))
        simulated = np.r_[rng.beta(12, 20, 2 * n), rng.beta(2, 30, n // 2)] if answered else [1.0]
        both = [*scored, *simulated]
        numbers, edges = np.histogram(simulated, np.geomspace(min(both), max(both), 31))
        facts = {
            "run": run,
            "method": "Scrublet (scanpy 1.11.5)",
            "expected_rate": 0.008 * n / 1000,
            "n_cells": n,
            "n_doublets": int((scored > 0.22).sum()) if answered else None,
            "threshold": 0.22 if answered else None,
            "threshold_by": "simulated doublets" if answered else None,
            "detectable": 0.8 if answered else None,
            "implied_rate": 0.05 if answered else None,
            "simulated_scores": {"edges": edges.tolist(), "counts": numbers.tolist()}
            if answered
            else None,
            "reason": "" if answered else f"{n} cells: at least 100 cells are needed",
        }
        path("doublets", f"doublets/{run}.json").write_text(json.dumps(facts))
        names = np.array(barcodes)[called]
        damaged = rng.random(n) < 0.05
        scores.append(
            pd.DataFrame(
                {
                    "cell": [f"{run}_{name}" for name in names],
                    "run": run,
                    "barcode": names,
                    "n_counts": n_counts[called],
                    "n_genes": (n_counts[called] ** 0.85).astype(int),
                    "percent_mt": np.where(damaged, rng.normal(25, 4, n), rng.gamma(4, 1, n)),
                    "percent_ribo": rng.gamma(20, 1, n),
                    "percent_hb": 0.0,
                    "s_score": rng.normal(0, 1, n),
                    "g2m_score": rng.normal(0, 1, n),
                    "phase": pd.Series(rng.choice(["G1", "S", "G2M"], n), dtype="string"),
                    "doublet_score": scored if answered else np.nan,
                    "doublet": pd.Series(scored > 0.22 if answered else pd.NA, range(n), "boolean"),
                }
            )
        )
    selection, limits, qc = select_cells(
        pd.concat(scores, ignore_index=True), dict.fromkeys(runs.values(), RULES), True, runs
    )
    selection.to_parquet(path("selection", "selection.parquet"), index=False)
    for name, table in (("limits", limits), ("qc", qc)):
        table.to_csv(path(name, f"{name}.tsv"), sep="\t", index=False, na_rep="NA")
    return SimpleNamespace(**files)
