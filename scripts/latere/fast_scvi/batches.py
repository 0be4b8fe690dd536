"""The mini-batches of an epoch, and what gives Lightning a whole epoch as one item."""

from collections.abc import Iterator

import numpy as np
from scvi.dataloaders import DataSplitter
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, SequentialSampler


class _Rows(Dataset):
    """Rows of the data, by their places in a set of cells."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: list[int]) -> np.ndarray:
        return self.rows[places]


class Batches:
    """A set of cells in mini-batches.

    Iteration draws the rows on the host, as scvi-tools does. Steps that draw rows on the device
    use the attributes only.

    Parameters
    ----------
    rows
        Rows of the cells in the data.
    size
        Cells of a full mini-batch.
    shuffled
        Whether the cells come in random order.
    drop_last
        Whether cells that do not fill a last mini-batch are left out.
    """

    def __init__(self, rows: np.ndarray, size: int, shuffled: bool, drop_last: bool = False):
        self.rows, self.shuffled = rows, shuffled
        rest = 0 if drop_last else len(rows) % size
        self.sizes = [size] * (len(rows) // size) + [rest] * bool(rest)
        sampler = (RandomSampler if shuffled else SequentialSampler)(_Rows(rows))
        # The rows stay an array.
        self._loader = DataLoader(
            _Rows(rows),
            sampler=BatchSampler(sampler, size, drop_last),
            batch_size=None,
            collate_fn=lambda at: at,
        )

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self._loader)


class _Epoch:
    """What Lightning loads in an epoch: one item, all mini-batches.

    Not a list, as Lightning takes a list of loaders for several data sets.
    """

    def __init__(self, batches: Batches):
        self.batches = batches

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[Batches]:
        yield self.batches


class EpochSplitter(DataSplitter):
    """Gives a step of Lightning a whole epoch. The cells are split as scvi-tools does."""

    def train_dataloader(self) -> _Epoch:
        """One epoch of the training cells."""
        size = self.data_loader_kwargs["batch_size"]
        return _Epoch(Batches(np.asarray(self.train_idx), size, True, self.drop_last))

    def val_dataloader(self) -> _Epoch | None:
        """One epoch of the validation cells."""
        size = self.data_loader_kwargs["batch_size"]
        rows = np.asarray(self.val_idx)
        return _Epoch(Batches(rows, size, False)) if len(rows) else None
