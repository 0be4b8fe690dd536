"""Train scVI (Lopez et al. 2018) on raw counts, the sample as batch, and write its latent space."""

import json
import logging
import time

import anndata as ad
import numpy as np

from latere.job import run_script, start
from latere.tables import embedding_table, read_cells


def train(
    cells: ad.AnnData,
    n_latent: int,
    n_hidden: int,
    n_layers: int,
    max_epochs: int | None,
    seed: int,
    threads: int,
):
    """Train a model with early stopping on held-out cells.

    Parameters
    ----------
    cells
        Raw counts of the tested genes, (n_cells, n_genes); `obs["sample"]` is the batch.
    n_latent, n_hidden, n_layers
        Size of the model.
    max_epochs
        Most passes over the cells; None takes scvi-tools' rule.
    seed
        Seed of weights, split and mini-batches.
    threads
        CPU threads of torch.

    Returns
    -------
    scvi.model.SCVI
        The trained model; on a GPU where there is one.
    """
    import lightning.pytorch
    import scvi
    import torch

    class Progress(lightning.pytorch.Callback):
        """A line in the log every tenth epoch; a progress bar would write thousands."""

        def on_train_epoch_end(self, trainer, module):
            epoch = trainer.current_epoch + 1
            if epoch % 10 == 0:
                loss = trainer.callback_metrics["elbo_validation"]
                logging.info("epoch %d of %d, ELBO %.1f", epoch, trainer.max_epochs, loss)

    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")  # the same numbers on CPU and GPU, near enough
    scvi.settings.seed = seed
    scvi.model.SCVI.setup_anndata(cells, batch_key="sample")
    model = scvi.model.SCVI(
        cells,
        n_latent=n_latent,
        n_hidden=n_hidden,
        n_layers=n_layers,
        gene_likelihood="nb",
    )
    model.train(
        max_epochs=max_epochs,
        accelerator="auto",
        devices=1,
        early_stopping=True,
        check_val_every_n_epoch=1,
        callbacks=[Progress()],
        enable_progress_bar=False,
    )
    return model


def describe(model, seconds: float, seed: int) -> dict:
    """What a reader needs to judge and to repeat a training, ready for JSON."""
    import scvi
    import torch

    device = model.device
    history = {
        name: [round(float(value), 4) for value in model.history[name].to_numpy().ravel()]
        for name in ("elbo_train", "elbo_validation")
    }
    return {
        "device": device.type,
        "device_name": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
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
    params = snakemake.params
    cells = read_cells(snakemake.input[0], "tested", dtype=np.float32)
    began = time.monotonic()
    model = train(
        cells,
        params.n_latent,
        params.n_hidden,
        params.n_layers,
        params.max_epochs,
        params.seed,
        snakemake.threads,
    )
    training = describe(model, time.monotonic() - began, params.seed)
    log.info("%(epochs)d epochs in %(seconds)s s on %(device_name)s", training)
    model.save(snakemake.output.model, overwrite=True, save_anndata=False)
    latent = model.get_latent_representation()
    embedding_table(cells.obs_names, latent).to_parquet(snakemake.output.embedding, index=False)
    with open(snakemake.output.training, "w", encoding="utf-8") as handle:
        json.dump(training, handle, indent=1)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
