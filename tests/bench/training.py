"""Training of scVI on the CPU: ours beside scvi-tools' own, in one run, on one thread.

Cells are simulated: eight types, four samples, and a share of non-zero counts as in PBMC (about
25 % of 2,000 variable genes, 12 % of 12,000). Each training is a process of its own. Seconds are
those of the epochs after the first, which compiles; memory is the most that the process held
beyond what it had before the training. The ELBO is that of the validation cells at the end.
"""

import json
import resource
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import scipy.sparse as sp

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# Genes: cells, molecules of a cell, epochs.
SIZES = {2_000: (3_000, 1_500, 8), 12_000: (1_500, 2_000, 5)}
SEEDS = range(1, 6)


def simulate(n_cells: int, n_genes: int, molecules: int) -> sp.csr_matrix:
    """Counts of cells of eight types, negative binomial."""
    rng = np.random.default_rng(0)
    profiles = rng.gamma(0.3, 1, (8, n_genes))
    profiles /= profiles.sum(axis=1, keepdims=True)
    rows = []
    for cell in range(n_cells):
        mean = profiles[cell % 8] * molecules * rng.lognormal(0, 0.4)
        rows.append(sp.csr_matrix(rng.poisson(mean * rng.gamma(5, 0.2, n_genes)), dtype=np.float32))
    return sp.vstack(rows, format="csr")


def train(way: str, n_genes: int, seed: int) -> dict:
    """Train a model; seconds and CPU seconds of an epoch, MB, and the ELBO at the end."""
    import anndata as ad
    import lightning.pytorch
    import scvi
    import torch

    sys.path.insert(0, str(SCRIPTS))
    from latere.fast_scvi.plan import epochs
    from latere.fast_scvi.steps import LeanStep

    torch.set_num_threads(1)
    n_cells, molecules, n_epochs = SIZES[n_genes]
    cells = ad.AnnData(simulate(n_cells, n_genes, molecules))
    cells.obs["sample"] = np.arange(n_cells) // 8 % 4
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(cells, batch_key="sample")
    model = scvi.model.SCVI(cells, gene_likelihood="nb")
    ends = []

    class Clock(lightning.pytorch.Callback):
        def on_train_epoch_end(self, trainer, module):
            ends.append((time.perf_counter(), time.process_time()))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with epochs(model, LeanStep(model)) if way == "ours" else nullcontext():
        model.train(
            max_epochs=n_epochs,
            accelerator="cpu",
            check_val_every_n_epoch=1,
            callbacks=[Clock()],
            enable_progress_bar=False,
        )
    taken = (np.array(ends[-1]) - ends[0]) / (n_epochs - 1)
    return {
        "seconds": taken[0],
        "cpu": taken[1],
        "mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "elbo": float(model.history["elbo_validation"].to_numpy(float)[-1, 0]),
        "density": cells.X.nnz / cells.n_obs / cells.n_vars,
    }


def main() -> None:
    for n_genes, (n_cells, _, _) in SIZES.items():
        results = {"scvi-tools": [], "ours": []}
        for seed in SEEDS:
            for way, of_way in results.items():
                command = [sys.executable, __file__, way, str(n_genes), str(seed)]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr)
                of_way.append(json.loads(done.stdout.splitlines()[-1]))
        print(f"{n_cells:,} cells x {n_genes:,} genes, {results['ours'][0]['density']:.0%} not 0:")
        for way, of_way in results.items():
            seconds, cpu, mb = (
                np.median([of[x] for of in of_way]) for x in ("seconds", "cpu", "mb")
            )
            elbos = " ".join(f"{of['elbo']:.2f}" for of in of_way)
            print(
                f"  {way:10} {seconds:.2f} s, {cpu:.2f} CPU s an epoch, {mb:.0f} MB; ELBO {elbos}"
            )
        ratios = [a["cpu"] / b["cpu"] for a, b in zip(*results.values(), strict=True)]
        print(
            f"  ratio of CPU time: {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        main()
    else:
        print(json.dumps(train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
