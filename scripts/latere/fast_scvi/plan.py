"""Training of a model of scvi-tools with one Lightning step per epoch.

`SCVI.train`, its early stopping, callbacks and history, `save` and `load` stay as they are. What
Lightning does around each step takes longer than a step: here it does so once per epoch.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from scvi.dataloaders import DataSplitter
from scvi.train import TrainingPlan
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler

from latere.fast_scvi.steps import Losses

# Options of scvi-tools' plan that this one follows. Others are refused, as they would do nothing.
HONOURED = {"lr", "eps", "weight_decay", "n_epochs_kl_warmup", "min_kl_weight", "max_kl_weight"}


class _Rows(Dataset):
    """Rows of the data, by their places in a set of cells."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: list[int]) -> np.ndarray:
        return self.rows[places]


class _OneStep:
    """What Lightning loads in an epoch: one item, the loader of the mini-batches' rows.

    Not a list, as Lightning takes a list of loaders for several data sets.
    """

    def __init__(self, batches: DataLoader):
        self.batches = batches

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[DataLoader]:
        yield self.batches


class EpochSplitter(DataSplitter):
    """Gives a step of Lightning a whole epoch: a loader of the rows of its mini-batches.

    The cells are split, and the mini-batches drawn, as scvi-tools does.
    """

    def _epoch(self, rows, sampler, drop_last: bool) -> _OneStep:
        rows = _Rows(np.asarray(rows))
        batches = BatchSampler(sampler(rows), self.data_loader_kwargs["batch_size"], drop_last)
        # The rows stay an array.
        loader = DataLoader(rows, sampler=batches, batch_size=None, collate_fn=lambda at: at)
        return _OneStep(loader)

    def train_dataloader(self) -> _OneStep:
        """One epoch of the training cells."""
        return self._epoch(self.train_idx, RandomSampler, self.drop_last)

    def val_dataloader(self) -> _OneStep | None:
        """One epoch of the validation cells."""
        return self._epoch(self.val_idx, SequentialSampler, False) if len(self.val_idx) else None


class EpochPlan(TrainingPlan):
    """A plan whose step is an epoch.

    Parameters
    ----------
    module
        The module to train.
    step
        Gives the losses of a mini-batch, from its rows and the weight of the KL divergence.
    fused
        Whether Adam updates all parameters in one pass.
    **options
        Options of scvi-tools' plan.

    Raises
    ------
    ValueError
        An option would have no effect.
    """

    def __init__(self, module, step: Callable[..., Losses], fused: bool = True, **options):
        if unknown := sorted(options.keys() - HONOURED):
            raise ValueError(f"options without effect where a step is an epoch: {unknown}")
        super().__init__(module, **options)
        self.automatic_optimization = False
        self.step, self.fused = step, fused

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in scvi-tools."""
        parameters = [at for at in self.module.parameters() if at.requires_grad]
        return torch.optim.Adam(
            parameters,
            lr=self.lr,
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=self.fused,
        )

    def training_step(self, batches: DataLoader, _) -> None:
        """Train for an epoch."""
        optimizer = self.optimizers().optimizer
        weight = float(self.kl_weight)

        def update(losses: Losses) -> None:
            optimizer.zero_grad()
            losses.loss.backward()
            optimizer.step()

        self.log("kl_weight", weight, on_step=False, on_epoch=True, batch_size=1)
        self._run(batches, weight, "train", update)

    def validation_step(self, batches: DataLoader, _) -> None:
        """Evaluate all validation cells."""
        self._run(batches, float(self.kl_weight), "validation", lambda losses: None)

    def _run(self, batches, weight: float, mode: str, update: Callable[[Losses], None]) -> None:
        sums = np.zeros(4)
        n_cells = 0
        for rows in batches:
            losses = self.step(rows, weight)
            update(losses)
            n_cells += losses.n_cells
            values = [at.item() for at in losses[:-1]]
            sums += [values[0] * losses.n_cells, *values[1:3], values[3] * losses.n_cells]
        loss, reconstruction, kl_local, kl_global = sums / n_cells
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
def epochs(model, step: Callable[..., Losses], fused: bool = True) -> Iterator[None]:
    """Within it, `model.train` trains with one step per epoch.

    Parameters
    ----------
    model
        A model of scvi-tools that is trained by its plain plan, such as SCVI.
    step
        A step of `latere.fast_scvi.steps`, for this model.
    fused
        As `EpochPlan` takes it.
    """
    model._data_splitter_cls = EpochSplitter
    model._training_plan_cls = partial(EpochPlan, step=step, fused=fused)
    try:
        yield
    finally:
        del model._data_splitter_cls, model._training_plan_cls
        for at in model.module.parameters():
            at.data = at.data.contiguous()
