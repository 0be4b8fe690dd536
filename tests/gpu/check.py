"""Check and measure the training of scVI on a GPU: about 3 minutes, needs scvi-tools and scripts/.

    python tests/gpu/check.py [--out gpu.json]

Cells are simulated. Graphs have to give the history of the same steps computed one by one; the
memory counted beforehand has to be enough; an epoch has to be at least four times faster than in
scvi-tools' own loop. The exit status is 1 if something of this fails. Without a GPU, nothing of
this is checked and the loop of the CPU is measured; a unit test does so with few cells.
"""

import argparse
import json
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import lightning.pytorch
import numpy as np
import scipy.sparse as sp
import scvi
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from latere.fast_scvi.graph import DeviceStep, needed_bytes
from latere.fast_scvi.plan import epochs
from latere.fast_scvi.training import train

N_TYPES, N_SAMPLES, MOLECULES = 14, 11, 4_300
COLUMNS = "cells", "way", "loop", "precision", "epoch_s", "use", "peak_gb", "counted_gb", "elbo"


def simulate(n_cells: int, n_genes: int, device: torch.device) -> ad.AnnData:
    """Cells of 14 types with negative binomial counts, about 12 % of 12,000 genes not 0."""
    torch.manual_seed(0)
    shape = torch.full((N_TYPES, n_genes), 0.25, device=device)
    profiles = torch.distributions.Gamma(shape, 1.0).sample()
    profiles /= profiles.sum(dim=1, keepdim=True)
    parts = []
    for rows in torch.arange(n_cells, device=device).split(2_000):
        depth = MOLECULES * torch.exp(0.5 * torch.randn(len(rows), 1, device=device))
        mean = profiles[rows % N_TYPES] * depth
        noise = torch.distributions.Gamma(torch.full_like(mean, 2.0), 2.0).sample()
        parts.append(sp.csr_matrix(torch.poisson(mean * noise).cpu().numpy()))
    cells = ad.AnnData(sp.vstack(parts, format="csr"))
    cells.obs["sample"] = [f"s{at % N_SAMPLES}" for at in range(n_cells)]
    return cells


class Clock(lightning.pytorch.Callback):
    """When each epoch ended, its validation included."""

    def __init__(self):
        self.ends = []

    def on_train_epoch_end(self, trainer, module):
        self.ends.append(time.monotonic())


@contextmanager
def utilisation():
    """Samples of the use of the GPU: (time, percent); none without NVML."""
    samples, stop = [], threading.Event()
    try:
        import pynvml

        pynvml.nvmlInit()
        gpu = pynvml.nvmlDeviceGetHandleByIndex(0)
    except (ImportError, OSError):
        yield samples
        return
    except pynvml.NVMLError:
        yield samples
        return

    def sample():
        while not stop.wait(0.1):
            samples.append((time.monotonic(), pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()


def measure(cells: ad.AnnData, way: str, n_epochs: int, precision: str = "highest") -> dict:
    """Train a model.

    Parameters
    ----------
    cells
        Counts, with the sample in `obs`.
    way
        `fastest`, what `train` chooses; `eager`, the steps of a graph one by one; `scvi-tools`.
    n_epochs
        Number of epochs, at least two: the first one is not timed.
    precision
        Of matrix products.
    """
    torch.set_float32_matmul_precision(precision)
    scvi.settings.seed = 1
    scvi.model.SCVI.setup_anndata(cells, batch_key="sample")
    model = scvi.model.SCVI(cells, gene_likelihood="nb", encode_covariates=True)
    on_gpu, clock = torch.cuda.is_available(), Clock()
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    words = {"max_epochs": n_epochs, "check_val_every_n_epoch": 1, "callbacks": [clock]}
    words |= {"devices": 1, "enable_progress_bar": False}
    loop = way, ""
    with utilisation() as samples:
        if way == "fastest":
            loop = train(model, **words)
        elif way == "eager":
            with epochs(model, DeviceStep(model, graph=False)):
                model.train(**words)
        else:
            model.train(**words)
    timed = [use for at, use in samples if clock.ends[0] <= at <= clock.ends[-1]]
    return {
        "cells": cells.n_obs,
        "way": way,
        "loop": loop[0],
        "loop_reason": loop[1],
        "precision": precision,
        "epoch_s": float(np.median(np.diff(clock.ends))),
        "first_to_last_s": clock.ends[-1] - clock.ends[0],
        "use": float(np.mean(timed)) if timed else None,
        "peak_gb": torch.cuda.max_memory_reserved() / 1e9 if on_gpu else None,
        "counted_gb": needed_bytes(model, 128) / 1e9,
        "elbo": model.history["elbo_validation"].to_numpy(float).ravel().tolist(),
    }


def show(result: dict) -> None:
    """Print a line of the table; the ELBO is the last one."""
    values = [result[name] for name in COLUMNS[:-1]] + [result["elbo"][-1]]
    words = [f"{at:.5g}" if isinstance(at, float) else str(at) for at in values]
    print(*(f"{word:>10}" for word in words), flush=True)


def judge(results: list[dict]) -> list[str]:
    """What is wrong with the measurements on a GPU."""
    wrong = [
        f"{of['cells']} cells: trained by {of['loop']}: {of['loop_reason']}"
        for of in results
        if of["way"] == "fastest" and of["loop"] != "graph"
    ]
    fastest, eager, stock = results[:3]
    if (same := fastest["elbo"][: len(eager["elbo"])]) != eager["elbo"]:
        wrong.append(f"the history of graphs {same} is not that of single steps {eager['elbo']}")
    if (ratio := stock["epoch_s"] / fastest["epoch_s"]) < 4:
        wrong.append(f"an epoch is {ratio:.1f} times faster than with scvi-tools, less than 4")
    wrong += [
        f"{of['cells']} cells take {of['peak_gb']:.2f} GB, more than the counted {of['counted_gb']}"
        for of in results
        if of["loop"] == "graph" and of["peak_gb"] > of["counted_gb"]
    ]
    return wrong


def main() -> None:
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=39_375)
    parser.add_argument("--genes", type=int, default=12_000)
    parser.add_argument("--times", type=int, default=10, help="size of the large study")
    parser.add_argument("--epochs", type=int, default=6, help="of the fastest loop")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    words = parser.parse_args()
    gpu = torch.cuda.is_available()
    cells = simulate(words.cells, words.genes, torch.device("cuda" if gpu else "cpu"))
    large = ad.AnnData(sp.vstack([cells.X] * words.times, format="csr"))
    large.obs["sample"] = np.tile(cells.obs["sample"].to_numpy(), words.times)
    results = []
    print(*(f"{name:>10}" for name in COLUMNS))
    for about in (
        (cells, "fastest", words.epochs),
        (cells, "eager", 3),
        (cells, "scvi-tools", 3),
        (cells, "fastest", words.epochs, "high"),
        (large, "fastest", 3),
    ):
        results.append(measure(*about))
        show(results[-1])  # at once, as a run may be cut short
    result = {
        "device": torch.cuda.get_device_name() if gpu else "CPU",
        "versions": {"torch": torch.__version__, "scvi-tools": scvi.__version__},
        "entries": cells.X.nnz,
        "results": results,
        "wrong": judge(results) if gpu else [],
    }
    words.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    sys.exit("\n".join(result["wrong"]) or 0)


if __name__ == "__main__":
    main()
