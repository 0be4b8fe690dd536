"""Train scVI (Lopez et al. 2018) on raw counts, the sample as batch, and write its latent space."""

import json
import logging
import re
import time

import anndata as ad
import numpy as np

from latere.contract import write_table
from latere.job import hush, run_script, start
from latere.tables import embedding_table, read_cells


def train(
    cells: ad.AnnData,
    n_latent: int,
    n_hidden: int,
    n_layers: int,
    max_epochs: int | None,
    seed: int,
    threads: int,
    precision: str = "highest",
    kl_warmup: float | None = None,
    accelerator: str = "auto",
):
    """Train a model with early stopping on held-out cells.

    Parameters
    ----------
    cells
        Raw counts of the testable genes, (n_cells, n_genes); `obs["sample"]` is the batch.
    n_latent, n_hidden, n_layers
        Size of the model.
    max_epochs
        Most passes over the cells; None takes scvi-tools' rule.
    seed
        Seed of weights, split and mini-batches.
    threads
        CPU threads of torch.
    precision
        `highest`, or `high`: a GPU rounds the factors of matrix products to 10 bits (TF32).
    kl_warmup
        Share of the most passes in which the weight of the KL divergence rises from 0 to 1; None
        takes scvi-tools' 400 passes, before whose end many trainings stop.
    accelerator
        `auto`, a GPU where there is one, or `cpu`.

    Returns
    -------
    tuple
        The trained scvi.model.SCVI, where it was trained, and the `fast_scvi.training.Loop`.
    """
    import lightning.pytorch
    import scvi
    import torch
    from scvi.model._utils import get_max_epochs_heuristic

    from latere.fast_scvi import training

    hush("lightning", "scvi")

    class Progress(lightning.pytorch.Callback):
        """A line in the log every tenth epoch; a progress bar would write thousands."""

        began = time.monotonic()

        def on_train_epoch_end(self, trainer, module):
            epoch = trainer.current_epoch + 1
            if epoch % 10 == 0:
                pace = (time.monotonic() - self.began) / epoch
                logging.info(
                    "epoch %d of at most %d, ELBO %.1f, %.2f s per epoch, at most %.0f min left",
                    epoch,
                    trainer.max_epochs,
                    trainer.callback_metrics["elbo_validation"],
                    pace,
                    pace * (trainer.max_epochs - epoch) / 60,
                )

    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(cells, batch_key="sample")
    model = scvi.model.SCVI(
        cells,
        n_latent=n_latent,
        n_hidden=n_hidden,
        n_layers=n_layers,
        gene_likelihood="nb",
        # Else a change that a sample's cells share reaches the latent space.
        encode_covariates=True,
    )
    most = max_epochs or get_max_epochs_heuristic(cells.n_obs)
    plan = {} if kl_warmup is None else {"n_epochs_kl_warmup": round(kl_warmup * most)}
    loop = training.train(
        model,
        max_epochs=most,
        plan_kwargs=plan,
        accelerator=accelerator,
        devices=1,
        early_stopping=True,
        check_val_every_n_epoch=1,
        callbacks=[Progress()],
        enable_progress_bar=False,
    )
    return model, loop


def train_where_it_fits(cells: ad.AnnData, **settings):
    """Train on a GPU where there is one, and on the CPU if the GPU's memory runs out.

    A second attempt on the same GPU would end the same way. The CPU needs no other settings, so
    that the model is the one that a machine without a GPU gives.

    Parameters
    ----------
    cells, settings
        As `train` takes them.

    Returns
    -------
    tuple
        The trained model; its latent space, (n_cells, n_latent); the loop that trained it; and the
        GPU whose memory ran out, empty if none did.
    """

    def attempt(accelerator: str):
        model, loop = train(cells, **settings, accelerator=accelerator)
        return model, model.get_latent_representation(), loop

    try:
        return *attempt("auto"), ""
    except RuntimeError as error:
        if not is_gpu_full(error):
            raise
        gpu = describe_gpu()
        logging.warning(
            "%s: its memory is too small for the training (%s)\n  -> Training starts again on the "
            "CPU, with the same seed; expect it to take longer. To train on a GPU, wait until no "
            "other job uses its memory, name a larger model (`gpu.model` in "
            "profiles/slurm/site.yaml), or reduce `deep.n_hidden` in the configuration.",
            gpu,
            error,
        )
    # Here, not above: the error holds the first model.
    return *attempt("cpu"), gpu


def is_gpu_full(error: RuntimeError) -> bool:
    """Whether the memory of a GPU ran out; torch has a class of its own for some such errors."""
    import torch

    full = re.search(r"CUDA.*out of memory|(CUBLAS|CUDNN)_STATUS_ALLOC_FAILED", str(error))
    return isinstance(error, torch.OutOfMemoryError) or bool(full)


def describe_gpu() -> str:
    """Name and memory of the GPU in use."""
    import torch

    try:
        gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
    except RuntimeError:  # it may be too full to be asked
        return "GPU"
    return f"{gpu.name} with {gpu.total_memory / 2**30:.1f} GiB"


def describe(model, loop, seconds: float, seed: int, threads: int, full_gpu: str = "") -> dict:
    """What a reader needs to judge and to repeat a training, ready for JSON.

    Parameters
    ----------
    model, loop
        The trained model, and the loop that trained it.
    seconds
        What its training and latent space took.
    seed, threads
        As it was trained: on a CPU the last digits depend on the number of threads, too.
    full_gpu
        The GPU whose memory ran out before.
    """
    import scvi
    import torch

    device = model.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    history = {
        name: [round(float(value), 4) for value in model.history[name].to_numpy().ravel()]
        for name in ("elbo_train", "elbo_validation")
    }
    return {
        "device": device.type,
        "device_name": f"{name}; out of memory: {full_gpu}" if full_gpu else name,
        "threads": threads,
        "loop": loop.name,
        "loop_reason": loop.reason,
        "precision": torch.get_float32_matmul_precision(),
        # Of the last epoch.
        "kl_weight": float(model.history["kl_weight"].iloc[-1, 0]),
        "epochs": len(history["elbo_train"]),
        "seconds": round(seconds, 1),
        "seed": seed,
        "n_cells": model.adata.n_obs,
        "n_genes": model.adata.n_vars,
        "n_samples": int(model.summary_stats.n_batch),
        "versions": {"scvi-tools": scvi.__version__, "torch": torch.__version__},
        "history": history,
    }


def main(snakemake):
    log = start(snakemake)
    # After `start`: they import torch.
    from latere.telemetry.files import write_telemetry
    from latere.telemetry.sampler import Sampler

    params = snakemake.params
    cells = read_cells(snakemake.input[0], "testable", dtype=np.float32)
    began = time.monotonic()
    with Sampler() as sampler:
        model, latent, loop, full_gpu = train_where_it_fits(
            cells,
            n_latent=params.n_latent,
            n_hidden=params.n_hidden,
            n_layers=params.n_layers,
            max_epochs=params.max_epochs,
            seed=params.seed,
            threads=snakemake.threads,
            precision=params.precision,
            kl_warmup=params.kl_warmup,
        )
    seconds = time.monotonic() - began
    training = describe(model, loop, seconds, params.seed, snakemake.threads, full_gpu)
    log.info("%(epochs)d epochs in %(seconds)s s on %(device_name)s, loop %(loop)s", training)
    model.save(snakemake.output.model, overwrite=True, save_anndata=False)
    embedding = embedding_table(cells.obs_names, latent)
    write_table(embedding, snakemake.output.embedding, "{branch}/embedding.parquet")
    with open(snakemake.output.training, "w", encoding="utf-8") as handle:
        json.dump(training, handle, indent=1)
    write_telemetry(model, training, sampler, snakemake.output)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
