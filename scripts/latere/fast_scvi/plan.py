"""Training of a model of scvi-tools with one Lightning step per epoch.

`SCVI.train`, its early stopping, callbacks and history, `save` and `load` stay as they are. What
Lightning does around each step takes longer than a step: here it does so once per epoch.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from scvi.train import TrainingPlan
from torch.distributions import Distribution

from latere.fast_scvi.batches import Batches, EpochSplitter
from latere.fast_scvi.steps import Step

# Options of scvi-tools' plan that this one follows. Others are refused, as they would do nothing.
HONOURED = {"lr", "eps", "weight_decay", "n_epochs_kl_warmup", "min_kl_weight", "max_kl_weight"}


class EpochPlan(TrainingPlan):
    """A plan whose step is an epoch.

    Parameters
    ----------
    module
        The module to train.
    step
        Computes the epochs.
    **options
        Options of scvi-tools' plan.

    Raises
    ------
    ValueError
        An option would have no effect.
    """

    def __init__(self, module, step: Step, **options):
        if unknown := sorted(options.keys() - HONOURED):
            raise ValueError(f"options without effect where a step is an epoch: {unknown}")
        super().__init__(module, **options)
        self.automatic_optimization = False
        self.step = step

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in scvi-tools."""
        parameters = [at for at in self.module.parameters() if at.requires_grad]
        options = {"lr": self.lr, "eps": self.eps, "weight_decay": self.weight_decay}
        return torch.optim.Adam(parameters, **options, **self.step.adam)

    def training_step(self, batches: Batches, _) -> None:
        """Train for an epoch."""
        self.log("kl_weight", float(self.kl_weight), on_step=False, on_epoch=True, batch_size=1)
        self._run(batches, "train", self.optimizers().optimizer)

    def validation_step(self, batches: Batches, _) -> None:
        """Evaluate all validation cells."""
        self._run(batches, "validation", None)

    def _run(self, batches: Batches, mode: str, optimizer: torch.optim.Optimizer | None) -> None:
        sums = self.step.run(batches, float(self.kl_weight), optimizer)
        n_cells = sum(batches.sizes)
        loss, reconstruction, kl_local, kl_global = (sums / n_cells).tolist()
        if not math.isfinite(loss):
            raise ValueError(
                f"epoch {self.current_epoch + 1}: the loss of the {mode} cells is {loss}. Check "
                "that all counts are finite and not negative, or lower the learning rate."
            )
        prefix = "train_loss" if mode == "train" else "validation_loss"
        self.log_dict(
            {
                prefix: loss,
                f"elbo_{mode}": reconstruction + kl_local + kl_global / n_cells,
                f"reconstruction_loss_{mode}": reconstruction,
                f"kl_local_{mode}": kl_local,
                f"kl_global_{mode}": kl_global,
            },
            on_step=False,
            on_epoch=True,
            batch_size=n_cells,
        )


@contextmanager
def epochs(model, step: Step) -> Iterator[None]:
    """Within it, `model.train` trains with one step per epoch.

    Parameters
    ----------
    model
        A model of scvi-tools that is trained by its plain plan, such as SCVI.
    step
        How it is computed; made for this model, and used once.
    """
    # Checks of distributions read the device after each step, and a CUDA graph cannot contain them.
    # The plan checks the loss.
    checks = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    model._data_splitter_cls = EpochSplitter
    model._training_plan_cls = partial(EpochPlan, step=step)
    try:
        yield
    finally:
        del model._data_splitter_cls, model._training_plan_cls
        Distribution.set_default_validate_args(checks)
        step.close()
