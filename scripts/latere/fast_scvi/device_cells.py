"""The cells of a model in the memory of its device, so that a step needs nothing of the host."""

import numpy as np
import scipy.sparse as sp
import torch
from scvi import REGISTRY_KEYS


class DeviceCells:
    """Counts in CSR form, and what else the module reads of each cell.

    Parameters
    ----------
    indptr
        int64, (n_cells + 1).
    indices, data
        int32 and float32, (n_entries).
    n_genes
        Number of genes.
    longest
        Entries of the cell that has most.
    columns
        Other values by their name in scvi-tools' registry, each (n_cells, n_values).
    """

    def __init__(
        self,
        indptr: torch.Tensor,
        indices: torch.Tensor,
        data: torch.Tensor,
        n_genes: int,
        longest: int,
        columns: dict[str, torch.Tensor],
    ):
        self.indptr, self.indices, self.data = indptr, indices, data
        self.n_genes, self.columns = n_genes, columns
        self.places = torch.arange(longest, device=indptr.device)

    @classmethod
    def load(cls, model, device: torch.device) -> "DeviceCells":
        """Copy the cells of a model of scvi-tools to a device."""
        counts = registered_counts(model)
        manager = model.adata_manager
        others = [key for key in manager.data_registry if key != REGISTRY_KEYS.X_KEY]
        columns = manager.create_torch_dataset(data_and_attributes=others)[
            np.arange(counts.shape[0])
        ]
        arrays = [
            counts.indptr.astype(np.int64, copy=False),
            counts.indices.astype(np.int32, copy=False),
            counts.data.astype(np.float32, copy=False),
        ]
        return cls(
            *(torch.from_numpy(at).to(device) for at in arrays),
            n_genes=counts.shape[1],
            longest=int(np.diff(counts.indptr).max(initial=0)),
            columns={key: torch.from_numpy(at).to(device) for key, at in columns.items()},
        )

    def take(self, rows: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the module reads of some cells, by their rows; counts are dense.

        All shapes follow from the number of rows: each cell is padded to the longest one.
        """
        starts = self.indptr[rows][:, None]
        ends = self.indptr[rows + 1][:, None]
        entries = starts + self.places
        known = entries < ends
        entries = entries.clamp(max=len(self.data) - 1)
        # Zeros are added to a gene each: to one gene, they would wait for each other.
        genes = torch.where(known, self.indices.take(entries), self.places % self.n_genes)
        values = torch.where(known, self.data.take(entries), 0.0)
        counts = values.new_zeros(len(rows), self.n_genes).scatter_add_(1, genes, values)
        return {REGISTRY_KEYS.X_KEY: counts} | {
            key: column.index_select(0, rows) for key, column in self.columns.items()
        }


def registered_counts(model) -> sp.csr_array:
    """The counts that a model of scvi-tools reads, by cell; not copied if they are stored so."""
    return sp.csr_array(model.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY), copy=False)
