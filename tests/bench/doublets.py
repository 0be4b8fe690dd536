"""Callers of doublets, on cells whose doublets are known.

On the demo's called cells, run by run (after `make demo`), and on two larger runs as
tests/bench/cells.py draws them: 3,000 cells of eight types, some 100 of them with another of
another type. Precision and recall are those of the calls, recall of doublets of two types and of
one type apart; the average precision is that of the scores, mean over runs. DoubletDetection,
scDblFinder (its port to Python) and scanpy's own threshold run where their packages are
(doubletdetection, pyscdblfinder, scikit-image): they are no requirement of latere.
Run it with PYTHONPATH=scripts.
"""

import contextlib
import io
import logging
import sys
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from sklearn.metrics import average_precision_score

from latere.doublets import expected_doublets, find_doublets, normalised, variable_genes
from score_cells import read_called

sys.path.insert(0, str(Path(__file__).parent))
import cells as bench

DEMO = bench.ROOT / "results/demo"
N_CELLS, N_DOUBLETS, SEED = 3000, 120, 1


def demo_runs():
    """Called cells and what they truly are, of each run of the demo."""
    truth = pd.read_parquet(DEMO / "simulated/truth/cells.parquet").set_index("cell")
    for path in sorted(DEMO.glob("counts/*.h5ad")):
        run = path.stem
        droplets = pd.read_parquet(DEMO / f"cells/droplets/{run}.parquet")
        counts = read_called(path, droplets)
        known = truth.reindex([f"{run}_{barcode}" for barcode in counts.obs_names])
        doublet = known["doublet"].eq(True)
        two_types = doublet & (known["second_type"] != known["cell_type"])
        yield counts, doublet.to_numpy(), two_types.to_numpy()


def large_runs():
    """As `demo_runs`; all doublets are of two types."""
    shared = np.random.default_rng(0)
    level = shared.lognormal(0, 2.9, bench.GENES)
    size = bench.TYPES, bench.GENES
    changed = np.exp(shared.normal(0, 1, size) * (shared.random(size) < 0.1))
    for number in range(2):
        random = np.random.default_rng(number)
        of_type = np.sort(random.integers(0, bench.TYPES, N_CELLS + N_DOUBLETS))
        molecules = random.lognormal(np.log(bench.MOLECULES), 0.42, len(of_type)).astype(int)
        counts = sp.vstack(
            [
                bench.draw(molecules[of_type == at], level * changed[at], random)
                for at in range(bench.TYPES)
            ],
            format="csr",
        )
        order = random.permutation(len(of_type))
        cells, others = order[:N_CELLS], order[N_CELLS:]
        # The first cells take up one of another type, if it is of another.
        doublet = np.arange(N_CELLS) < N_DOUBLETS
        doublet[:N_DOUBLETS] &= of_type[cells[:N_DOUBLETS]] != of_type[others]
        taken = sp.diags_array(doublet[:N_DOUBLETS].astype(np.int32), format="csr")
        joined = sp.vstack(
            [counts[cells[:N_DOUBLETS]] + taken @ counts[others], counts[cells[N_DOUBLETS:]]]
        )
        yield ad.AnnData(sp.csr_matrix(joined)), doublet, doublet


def by_latere(counts):
    table, _ = find_doublets(counts, variable_genes(normalised(counts)), SEED)
    return table["doublet"].fillna(False).to_numpy(bool), table["doublet_score"].to_numpy()


def by_scrublet(counts):
    found = counts.copy()
    found.X = found.X.astype(np.float32)
    rate = expected_doublets(counts.n_obs)
    sc.pp.scrublet(found, expected_doublet_rate=rate, verbose=False, random_state=SEED)
    return found.obs["predicted_doublet"].to_numpy(bool), found.obs["doublet_score"].to_numpy()


def by_doubletdetection(counts):
    from doubletdetection import BoostClassifier

    caller = BoostClassifier(
        n_iters=10, clustering_algorithm="leiden", standard_scaling=True, random_state=SEED
    )
    labels = caller.fit(counts.X.astype(np.float64)).predict()
    return labels == 1, np.asarray(caller.doublet_score())


def by_scdblfinder(counts):
    from pyscdblfinder import sc_dbl_finder

    table = sc_dbl_finder(counts.X.T.tocsr().astype(np.float64), random_state=SEED).real_cells()
    return (table["class"] == "doublet").to_numpy(), table["score"].to_numpy()


def by_solo(counts):
    import scvi

    scvi.settings.seed = SEED
    chosen = counts[:, variable_genes(normalised(counts))].copy()
    scvi.model.SCVI.setup_anndata(chosen)
    model = scvi.model.SCVI(chosen)
    quiet = {"enable_progress_bar": False, "logger": False}
    model.train(max_epochs=100, **quiet)
    solo = scvi.external.SOLO.from_scvi_model(model)
    with contextlib.redirect_stdout(io.StringIO()):
        solo.train(max_epochs=100, **quiet)
    score = solo.predict()["doublet"].to_numpy()
    return score > 0.5, score


WAYS = {
    "Scrublet, as latere calls": by_latere,
    "Scrublet, scanpy's defaults": by_scrublet,
    "DoubletDetection": by_doubletdetection,
    "scDblFinder": by_scdblfinder,
    "SOLO (scvi-tools)": by_solo,
}


def measure(way, runs: list) -> dict:
    """Calls of all runs together, against truth; seconds of them all."""
    started = time.monotonic()
    called, precisions = [], []
    for counts, doublet, _ in runs:
        calls, scores = way(counts)
        called.append(calls)
        if doublet.any():
            precisions.append(average_precision_score(doublet, np.nan_to_num(scores)))
    seconds = time.monotonic() - started
    called = np.concatenate(called)
    doublet = np.concatenate([truth for _, truth, _ in runs])
    two_types = np.concatenate([truth for _, _, truth in runs])
    one_type = doublet & ~two_types
    return {
        "called": called.sum(),
        "precision": (called & doublet).sum() / called.sum() if called.any() else np.nan,
        "recall, two types": (called & two_types).sum() / two_types.sum(),
        "recall, one type": (called & one_type).sum() / one_type.sum() if one_type.any() else None,
        "average precision": np.mean(precisions),
        "s": seconds,
    }


def main():
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    sc.settings.verbosity = 0
    for name, runs in {"demo": list(demo_runs()), "large": list(large_runs())}.items():
        cells, doublets = sum(run[0].n_obs for run in runs), sum(run[1].sum() for run in runs)
        two = sum(run[2].sum() for run in runs)
        print(f"\n{name}: {len(runs)} runs, {cells} cells, {doublets} doublets, {two} of two types")
        rows = {}
        for way, call in WAYS.items():
            try:
                rows[way] = measure(call, runs)
            except (ImportError, ValueError) as reason:
                print(f"{way}: {type(reason).__name__}: {reason}")
        print(pd.DataFrame.from_dict(rows, orient="index").round(2).to_string(), flush=True)


if __name__ == "__main__":
    main()
