"""What the hardware did in the training of a model."""

import re

import pandas as pd

from latere.report.formats import format_share, format_si, join_words, records, round_number
from latere.report.inputs import Inputs, read_json
from latere.tables import read_tsv

# Metrics of `gpu.json` with a median and a peak: name and format.
METRICS = {
    "utilisation": ("utilisation: time in which a kernel ran", format_share),
    "memory_time": ("time in which memory was read or written", format_share),
    "bandwidth_gb_per_s": ("memory bandwidth", lambda value: format_si(value * 1e9, "B/s")),
    "bandwidth_share": ("memory bandwidth, of the peak", format_share),
    "sm_activity": ("busy multiprocessors (SM)", format_share),
    "sm_occupancy": ("occupancy: active warps, of the most possible", format_share),
    "tensor_activity": ("time with tensor operations", format_share),
    "power_watts": ("power", "{:.0f} W".format),
    "memory_used_bytes": ("memory in use", lambda value: format_si(value, "B")),
    "sm_clock_mhz": ("SM clock", "{:,.0f} MHz".format),
    "memory_clock_mhz": ("memory clock", "{:,.0f} MHz".format),
    "temperature_celsius": ("temperature", "{:.0f} °C".format),
}
# Further values whose absence a reader would notice.
VALUES = {
    "energy_joules": "energy",
    "kernel_mix": "time by kind of kernel",
    "blocks_per_grid": "blocks and grids",
    "warps_per_sm": "warps",
    "occupancy_estimate": "occupancy",
}
LINES = {
    "utilisation": "utilisation",
    "bandwidth_share": "memory bandwidth",
    "sm_occupancy": "occupancy",
}
N_KERNELS, N_POINTS, N_LETTERS = 10, 1000, 70


def describe_metrics(gpu: dict) -> list[dict]:
    """Median and peak of the metrics that were measured, as text."""
    return [
        {"metric": name} | {at: form(gpu[key][at]) for at in ("median", "peak")}
        for key, (name, form) in METRICS.items()
        if gpu[key]
    ]


def describe_missing(reasons: dict) -> dict[str, str]:
    """Names of what was not measured, by reason."""
    names = {key: re.split("[:,]", name)[0] for key, (name, _) in METRICS.items()} | VALUES
    by_reason: dict[str, list[str]] = {}
    for key in names:
        if key in reasons:
            by_reason.setdefault(reasons[key], []).append(names[key])
    return {reason: join_words(dict.fromkeys(of)) for reason, of in by_reason.items()}


def top_kernels(kernels: pd.DataFrame, device: str) -> list[dict]:
    """The rows of a device that take most of its time, with names that fit the page."""
    top = kernels[kernels["device"] == device].head(N_KERNELS)
    top = top.assign(name=top["name"].map(shorten))
    return records(top.fillna({"grid": "", "block": ""}))  # a copy has none


def shorten(name: str) -> str:
    """The name of a kernel without what many share; its end is cut off."""
    name = re.sub(r"^void |at::native::|\(anonymous namespace\)::", "", name)
    return name if len(name) <= N_LETTERS else name[:N_LETTERS] + "…"


def draw(samples: pd.DataFrame) -> dict | None:
    """Lines over time; means of neighbours where there are more samples than a page shows."""
    if samples.empty:
        return None
    thin = samples.groupby(samples.index * min(N_POINTS, len(samples)) // len(samples)).mean()

    def values(column: str) -> list:
        return [round_number(value) for value in thin[column]]

    shares = {name: values(key) for key, name in LINES.items() if thin[key].notna().any()}
    power = values("power_watts") if thin["power_watts"].notna().any() else []
    return {"seconds": values("seconds"), "shares": shares, "power": power}


def collect(inputs: Inputs) -> dict | None:
    """The telemetry; None where no branch trains a model."""
    if not (path := inputs.files.get("gpu")):
        return None
    gpu = read_json(path)
    if "telemetry" in gpu["reasons"]:
        return {"gpu": gpu}
    return {
        "gpu": gpu,
        "metrics": describe_metrics(gpu),
        "missing": describe_missing(gpu["reasons"]),
        "kernels": top_kernels(read_tsv(inputs.files.kernels), gpu["device_type"]),
        "drawn": draw(pd.read_parquet(inputs.files.gpu_samples)),
    }
