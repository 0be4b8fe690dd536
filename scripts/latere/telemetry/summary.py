"""What the hardware did in a training, in one dictionary; what is missing has a reason."""

import math

import pandas as pd
import torch

from latere.telemetry.kernels import BATCH_SIZE, N_STEPS
from latere.telemetry.nvml import METRICS
from latere.telemetry.sampler import Sampler
from latere.telemetry.work import count_work

ON_CPU = "The model was trained on a CPU, and only GPUs are measured."
NO_VALUE = "The training ended before NVML had a value."
# What a value is computed from, if that may be missing.
SOURCES = {
    "bandwidth_gb_per_s": ("bandwidth_share", "peak_bandwidth_gb_per_s"),
    "floor_seconds": ("peak_bandwidth_gb_per_s",),
    "times_floor": ("peak_bandwidth_gb_per_s",),
}


def summarise(model, training: dict, sampler: Sampler, table: pd.DataFrame, why_no_kernels: str):
    """Sum up a training.

    Parameters
    ----------
    model
        The trained model.
    training
        How it was trained: device, device_name, epochs, seconds.
    sampler
        The sampler that ran beside the training.
    table, why_no_kernels
        As `profile_steps` gives them.

    Returns
    -------
    tuple
        The samples, none for a training on a CPU; and the summary, ready for JSON: a value that is
        None has an entry in its `reasons`.
    """
    on_gpu = training["device"] == "cuda"
    samples = sampler.table()
    reasons, facts = sampler.reasons, dict(sampler.facts)
    if not on_gpu:  # they are those of an attempt on a GPU that failed
        samples, reasons, facts = samples.iloc[:0], {}, {}
    peak = facts.get("peak_bandwidth_gb_per_s")
    values = describe_samples(samples, peak)
    values |= {name: facts.get(name) for name in ("driver", "memory_bytes")}
    values |= {"peak_bandwidth_gb_per_s": peak, "torch_memory_peak_bytes": _torch_memory(model)}
    values |= describe_steps(model, training, peak)
    kernels = describe_kernels(table, training["device"])
    if why_no_kernels:
        reasons |= dict.fromkeys(kernels, why_no_kernels)
    values |= kernels

    def reason(name: str) -> str:
        known = (reasons[at] for at in (name, *SOURCES.get(name, ())) if at in reasons)
        return next(known, (sampler.why_not or NO_VALUE) if on_gpu else ON_CPU)

    return samples, {
        "device": facts.get("device") or training["device_name"],
        "device_type": training["device"],
        "samples": len(samples),
        "interval_seconds": sampler.interval,
        **values,
        "reasons": {name: reason(name) for name, value in values.items() if value is None},
    }


def describe_samples(samples: pd.DataFrame, peak: float | None) -> dict:
    """Median and peak of each metric, the energy in all, and the bandwidth in GB/s.

    Parameters
    ----------
    samples
        As `Sampler.table` gives them.
    peak
        The peak bandwidth, GB/s.
    """

    def median_and_peak(values: pd.Series, scale: float = 1) -> dict | None:
        values = values.dropna() * scale
        if values.empty:
            return None
        return {"median": round(values.median(), 4), "peak": round(values.max(), 4)}

    values = {name: median_and_peak(samples[name]) for name in METRICS if name != "energy_joules"}
    energy = samples["energy_joules"].max()
    values["energy_joules"] = None if pd.isna(energy) else round(energy, 1)
    bandwidth = peak and median_and_peak(samples["bandwidth_share"], peak)
    return values | {"bandwidth_gb_per_s": bandwidth}


def describe_steps(model, training: dict, peak: float | None) -> dict:
    """How fast the training was, beside the least work of its steps and the time of that.

    Parameters
    ----------
    model, training
        As `summarise` takes them.
    peak
        The peak bandwidth, GB/s.
    """
    n_cells = min(BATCH_SIZE, len(model.train_indices))
    steps = training["epochs"] * -(-len(model.train_indices) // n_cells)
    seconds = max(training["seconds"], 0.1) / steps  # it is rounded to 0.1 s
    work = count_work(model.module, n_cells)
    floor = work.bytes / (peak * 1e9) if peak else None
    return {
        "batch_size": n_cells,
        "steps": steps,
        "step_seconds": seconds,
        "step_flops": work.flops,
        "step_bytes": work.bytes,
        "flops_per_second": work.flops / seconds,
        "bytes_per_second": work.bytes / seconds,
        "floor_seconds": floor,
        "times_floor": floor and seconds / floor,
    }


def describe_kernels(table: pd.DataFrame, device: str) -> dict:
    """Time of a step on its device by kind, and means over the kernels of a GPU by their time.

    Parameters
    ----------
    table
        As `profile_steps` gives it.
    device
        `cuda`, or `cpu` for operators.
    """
    table = table[table["device"] == device]
    launched = table[table["grid"].notna()]

    def mean(values: pd.Series) -> float | None:
        known = values.notna()
        weights = launched["total_us"][known]
        return float((values[known] * weights).sum() / weights.sum()) if known.any() else None

    def volume(forms: pd.Series) -> pd.Series:
        return forms.map(lambda form: math.prod(map(int, form.split("x"))))

    return {
        "kernel_mix": table.groupby("kind")["share"].sum().round(4).to_dict() or None,
        "kernel_seconds": table["total_us"].sum() / 1e6 / N_STEPS if len(table) else None,
        "kernel_calls": table["calls"].sum() / N_STEPS if len(table) else None,
        "blocks_per_grid": mean(volume(launched["grid"])),
        "threads_per_block": mean(volume(launched["block"])),
        "warps_per_sm": mean(launched["warps_per_sm"]),
        "occupancy_estimate": mean(launched["occupancy_estimate"]),
    }


def _torch_memory(model) -> int | None:
    """Most memory that torch used for tensors, bytes."""
    return torch.cuda.max_memory_allocated(model.device) if model.device.type == "cuda" else None
