"""Operators and kernels of some training steps, as torch's profiler sees them."""

import copy
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.profiler import ProfilerActivity, profile

from latere.fast_scvi.batches import Batches
from latere.fast_scvi.graph import DeviceStep
from latere.fast_scvi.plan import epochs
from latere.fast_scvi.steps import LeanStep, ModuleStep

N_STEPS = 20
BATCH_SIZE = 128  # of scvi-tools
# What computes a step, by the loop.
STEPS = {
    "graph": partial(DeviceStep, graph=False),
    "lean": LeanStep,
    "scvi-tools": ModuleStep,
}
# The first kind whose pattern is found in a name. Names are those of aten's operators, of our own
# autograd functions, and of CUDA kernels.
KINDS = {
    "optimiser": r"adam|optimizer|multi_tensor_apply",
    "GEMM": r"gemm|gemv|cutlass|cublas|splitk|wgrad|aten::(add)?b?mm\b|_SparseLinear",
    "loss": r"_NegativeBinomial|_nb_",
    "copy": r"memcpy|memset|copy|clone|catarray|gather|scatter|aten::(to|cat|index|index_select)\b|"
    r"index_?(elementwise|select)",
    "reduction": r"reduce|softmax|(batch|layer)_?norm|"
    r"aten::(sum|mean|amax|amin|aminmax|logsumexp)\b",
    "elementwise": r"elementwise|distribution|normal_|bernoulli|dropout|unrolled|gamma|"
    r"aten::(add|sub|rsub|mul|div|exp|log|log1p|log2|sqrt|pow|square|neg|abs|reciprocal|clamp|"
    r"clamp_min|relu|threshold|threshold_backward|softplus|softplus_backward|where|fill|zero|"
    r"eq|ne|lt|gt|le|ge)_?\b",
}
# Columns that only kernels on a GPU have, by their names in the trace.
OF_LAUNCH = {
    "grid": "grid",
    "block": "block",
    "registers": "registers per thread",
    "shared_memory_bytes": "shared memory",
    "occupancy_estimate": "est. achieved occupancy %",
    "warps_per_sm": "warps per SM",
    "blocks_per_sm": "blocks per SM",
}
COLUMNS = ("name", "kind", "device", "calls", "total_us", "share", *OF_LAUNCH)
TYPES = {"calls": int, "total_us": float, "share": float}
TYPES |= {"registers": "Int64", "shared_memory_bytes": "Int64", "occupancy_estimate": float}
TYPES |= {"warps_per_sm": float, "blocks_per_sm": float}
NO_KERNELS = (
    "The profiler recorded no kernel of the GPU. If the log of the rule names "
    "CUPTI_ERROR_INSUFFICIENT_PRIVILEGES, this cluster lets only its administrators trace kernels."
)


def profile_steps(model, loop: str, n_steps: int = N_STEPS) -> tuple[pd.DataFrame, str]:
    """Profile training steps of a trained model; the model and all random numbers stay as they are.

    Parameters
    ----------
    model
        A trained model of scvi-tools, such as SCVI.
    loop
        The loop that trained it, as in `latere.fast_scvi.training.Loop`. The steps of a graph are
        computed one by one, by the same kernels.
    n_steps
        Number of steps; as many come first, so that nothing is measured that happens once.

    Returns
    -------
    tuple
        A row per operator or kernel launch of one form, `COLUMNS`, those of a device by time; and
        why kernels of a GPU are missing, empty if none are.
    """
    on_gpu = model.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    reason = ""
    try:
        with (
            torch.random.fork_rng(devices=[model.device] if on_gpu else []),
            _steps(model, loop, n_steps) as run,
        ):
            run()
            with profile(activities=activities) as profiler:
                run()
                if on_gpu:
                    torch.cuda.synchronize()
        rows = [*_operators(profiler), *_launches(_read_trace(profiler))]
    except RuntimeError as error:  # of torch, CUDA or CUPTI: the training is not at fault
        rows, reason = [], f"The profiler failed: {str(error).splitlines()[0]}"
    table = make_table(rows)
    if on_gpu and not reason and not (table["device"] == "cuda").any():
        reason = NO_KERNELS
    return table, reason


@contextmanager
def _steps(model, loop: str, number: int) -> Iterator[Callable]:
    """What computes so many training steps of a copy of a model, as its loop does."""
    twin = copy.copy(model)
    twin.module = copy.deepcopy(model.module)
    twin.module.train()
    step, own_loop = STEPS[loop](twin), loop == "scvi-tools"
    parameters = [at for at in twin.module.parameters() if at.requires_grad]
    options = {"lr": 1e-3, "eps": 0.01, "weight_decay": 1e-6} | ({} if own_loop else step.adam)
    optimizer = torch.optim.Adam(parameters, **options)
    size = min(BATCH_SIZE, len(model.train_indices))
    cells = np.random.default_rng(0).choice(model.train_indices, number * size)
    batches = Batches(cells, size, shuffled=True)
    with nullcontext() if own_loop else epochs(twin, step):
        yield partial(step.run, batches, 1.0, optimizer)


def _operators(profiler) -> Iterable[dict]:
    """Operators on the CPU: the time of each without that of operators which it calls."""
    for event in profiler.key_averages():
        if event.device_type == torch.autograd.DeviceType.CPU and event.self_cpu_time_total > 0:
            about = {"name": event.key, "device": "cpu", "calls": event.count}
            yield about | {"total_us": event.self_cpu_time_total}


def _read_trace(profiler) -> list[dict]:
    """Events of the trace; only the trace says how kernels were launched."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return json.loads(path.read_text(encoding="utf-8"))["traceEvents"]


def _launches(events: list[dict]) -> Iterable[dict]:
    """Kernels, copies and fills on the GPU: one row per launch."""
    for event in events:
        if event.get("cat") in ("kernel", "gpu_memcpy", "gpu_memset"):
            read = event.get("args", {})
            launch = {column: read.get(name) for column, name in OF_LAUNCH.items()}
            for column in ("grid", "block"):
                launch[column] = launch[column] and "x".join(map(str, launch[column]))
            if launch["occupancy_estimate"] is not None:
                launch["occupancy_estimate"] /= 100
            about = {"name": event["name"], "device": "cuda", "calls": 1}
            yield about | {"total_us": event["dur"]} | launch


def make_table(rows: list[dict]) -> pd.DataFrame:
    """Join launches of one form.

    Parameters
    ----------
    rows
        name, device, calls, total_us and, on a GPU, the columns of `OF_LAUNCH`.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`; share is that of the time on the device. Sorted by device and time.
    """
    table = pd.DataFrame(rows, columns=COLUMNS).astype(TYPES | {"calls": "Int64"})
    form = ["device", "name", *OF_LAUNCH]
    sums = table.groupby(form, dropna=False, sort=False)[["calls", "total_us"]].sum().reset_index()
    sums["kind"] = [kind_of(name) for name in sums["name"]]
    sums["share"] = sums["total_us"] / sums.groupby("device")["total_us"].transform("sum")
    sums = sums.sort_values(["device", "total_us", "name"], ascending=[True, False, True])
    return sums[list(COLUMNS)].astype(TYPES).reset_index(drop=True)


def kind_of(name: str) -> str:
    """Kind of an operator or a kernel, one of `KINDS` or `other`."""
    found = (kind for kind, pattern in KINDS.items() if re.search(pattern, name, re.IGNORECASE))
    return next(found, "other")
