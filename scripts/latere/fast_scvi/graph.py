"""Epochs as replays of CUDA graphs: the host only starts them, and reads one sum per epoch.

The module of scvi-tools is unchanged, so that every architecture is trained. What a step reads and
writes has a fixed place in the memory of the device.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial

import numpy as np
import scipy.sparse as sp
import torch
from scvi import REGISTRY_KEYS

from latere.fast_scvi.batches import Batches
from latere.fast_scvi.device_cells import DeviceCells, registered_counts
from latere.fast_scvi.steps import Losses, Step, compute

# Work space of cuBLAS on two streams, and fragmentation of the memory.
WORKSPACE = 2**29


class GraphError(RuntimeError):
    """The mini-batches could not be captured; the module is as it was."""


class DeviceStep(Step):
    """A mini-batch through the module as it is, from cells in the memory of its device.

    Parameters
    ----------
    model
        A model of scvi-tools.
    graph
        Whether mini-batches are captured in CUDA graphs and replayed. If not, the same steps are
        computed one by one, on any device.
    """

    def __init__(self, model, graph: bool = True):
        self.module, self.model, self.graph = model.module, model, graph
        # One of the training and one of the validation.
        self.passes: dict[bool, Pass] = {}

    @property
    def device(self) -> torch.device:
        """Where the module is; Lightning moves it before the first epoch."""
        return next(self.module.parameters()).device

    @property
    def adam(self) -> dict:
        """Options of Adam, whose step a graph may contain."""
        return {"fused": True, "capturable": self.device.type == "cuda"}

    @cached_property
    def cells(self) -> DeviceCells:
        """All cells."""
        return DeviceCells.load(self.model, self.device)

    @cached_property
    def order(self) -> torch.Generator:
        """What draws the order of the cells, apart from the noise of the model."""
        seed = int(torch.randint(2**62, ()))
        return torch.Generator(self.device).manual_seed(seed)

    @cached_property
    def pool(self):
        """Memory that all graphs share: no two run at once."""
        return torch.cuda.graph_pool_handle()

    def __call__(self, cells: torch.Tensor, kl_weight: torch.Tensor) -> Losses:
        """Losses of some cells, by their rows."""
        return compute(self.module, self.cells.take(cells), kl_weight)

    def run(
        self, batches: Batches, kl_weight: float, optimizer: torch.optim.Optimizer | None
    ) -> np.ndarray:
        """As `Step.run`; the cells are those of the first epoch."""
        training = optimizer is not None
        if training not in self.passes:
            self.passes[training] = self._prepare(batches, optimizer)
        return self.passes[training].run(kl_weight)

    def _prepare(self, batches, optimizer) -> "Pass":
        if not self.graph:
            return Pass(self, batches, optimizer)
        try:
            made = Pass(self, batches, optimizer)
            made.capture(self.pool)
        except RuntimeError as error:  # of CUDA; the memory may be full, too
            raise GraphError(str(error).strip().partition("\n")[0]) from error
        return made

    def close(self) -> None:
        """Free the memory of the device."""
        self.passes.clear()
        self.__dict__.pop("cells", None)
        self.module.zero_grad()  # gradients are in the memory of the graphs


class Pass:
    """The mini-batches of an epoch, with all that they read and write on the device.

    Parameters
    ----------
    step
        Computes a mini-batch.
    batches
        The cells.
    optimizer
        As `Step.run` takes it.
    """

    def __init__(self, step: DeviceStep, batches: Batches, optimizer: torch.optim.Optimizer | None):
        self.step, self.batches, self.optimizer = step, batches, optimizer
        device = step.device
        self.rows = torch.as_tensor(batches.rows, device=device)
        self.ordered = self.rows.clone()
        self.places = torch.arange(max(batches.sizes), device=device)
        self.first = torch.zeros(1, dtype=torch.int64, device=device)
        self.kl_weight = torch.zeros((), device=device)
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)
        self.compute: dict[int, Callable[[], None]] = {
            size: partial(self.compute_next, size) for size in batches.sizes
        }

    def compute_next(self, size: int) -> None:
        """Compute the next mini-batch, of so many cells."""
        rows = self.ordered[self.first + self.places[:size]]
        losses = self.step(rows, self.kl_weight)
        if self.optimizer:
            self.step.learn(losses, self.optimizer)
        self.sums += losses.sums()
        self.first += size

    def run(self, kl_weight: float) -> np.ndarray:
        """Compute an epoch; returns what `Step.run` returns."""
        if self.batches.shuffled:
            order = torch.randperm(
                len(self.rows), generator=self.step.order, device=self.rows.device
            )
            torch.index_select(self.rows, 0, order, out=self.ordered)
        self.kl_weight.fill_(kl_weight)
        self.sums.zero_()
        self.first.zero_()
        for size in self.batches.sizes:
            self.compute[size]()
        return self.sums.cpu().numpy()

    def capture(self, pool) -> None:
        """Replace the computation of each size of mini-batch by a CUDA graph."""
        with unchanged(self.step.module, self.optimizer):
            # Three steps, as PyTorch advises: libraries choose their kernels, Adam its memory.
            side = torch.cuda.Stream()
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for size in self.compute:
                    for mode in (nullcontext(), nullcontext(), no_reads()):
                        with mode:
                            self.compute_next(size)
                        self.first.zero_()
            torch.cuda.current_stream().wait_stream(side)
            for size in self.compute:
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, pool=pool):
                    self.compute_next(size)
                self.compute[size] = graph.replay


@contextmanager
def no_reads() -> Iterator[None]:
    """Within it, what waits for the GPU is an error.

    It would be one in a capture, too, but a capture that fails leaves the random numbers and the
    memory of CUDA in a state in which no other training works.
    """
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


@contextmanager
def unchanged(module, optimizer: torch.optim.Optimizer | None) -> Iterator[None]:
    """Afterwards weights, buffers, moments of Adam and random numbers are as before.

    What a graph refers to keeps its place: values are copied back. Moments that did not exist
    before are 0, as Adam begins.
    """

    def held() -> dict:
        moments = {}
        if optimizer:
            moments = {
                (parameter, name): value
                for parameter, state in optimizer.state.items()
                for name, value in state.items()
            }
        return module.state_dict() | moments

    before = {name: value.clone() for name, value in held().items()}
    devices = {at.device for at in module.parameters()} - {torch.device("cpu")}
    try:
        with torch.random.fork_rng([*devices]):
            yield
    finally:
        with torch.no_grad():
            for name, value in held().items():
                value.copy_(before[name]) if name in before else value.zero_()


def needed_bytes(model, batch_size: int) -> int:
    """Memory of the GPU that the training of a model takes at most, above what torch itself does.

    Counted, not measured: 8 bytes an entry; weights six times (gradients twice, two moments, and a
    copy during the warm-up); and 24 matrices of a mini-batch, of which scVI's module holds 10 at
    once with a negative binomial and 19 with zero inflation.
    """
    counts = registered_counts(model)
    n_genes, longest = counts.shape[1], int(np.diff(counts.indptr).max(initial=0))
    weights = sum(at.numel() for at in model.module.parameters())
    batch = batch_size * (24 * 4 * n_genes + 32 * longest)
    return 8 * (counts.nnz + len(counts.indptr)) + 6 * 4 * weights + batch + WORKSPACE


def why_not_graph(model, batch_size: int, device: torch.device) -> str:
    """Why the training cannot be captured in CUDA graphs; empty if it can be.

    Parameters
    ----------
    model
        A model of scvi-tools.
    batch_size
        Cells of a mini-batch.
    device
        Where the model is trained.
    """
    if device.type != "cuda":
        return "the model is not trained on a GPU with CUDA"
    counts = model.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
    if not (sp.issparse(counts) or isinstance(counts, np.ndarray)):
        return "the counts are not in the memory of the host"
    free, _ = torch.cuda.mem_get_info(device)
    if (needed := needed_bytes(model, batch_size)) > free:
        return (
            f"the GPU has {free / 2**30:.1f} GiB of free memory, and CUDA graphs with all counts "
            f"would take {needed / 2**30:.1f} GiB"
        )
    return ""
