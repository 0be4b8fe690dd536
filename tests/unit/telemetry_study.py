"""Made-up telemetry of a training, on a CPU or on a GPU, as `train_scvi` writes it."""

import numpy as np
import pandas as pd

from latere.telemetry.nvml import METRICS

LAUNCHES = ["grid", "block", "registers", "shared_memory_bytes"]
LAUNCHES += ["occupancy_estimate", "warps_per_sm", "blocks_per_sm"]
KERNELS = [
    ("aten::addmm", "GEMM", "cpu", 40, 9000.0, 0.9),
    ("aten::copy_", "copy", "cpu", 20, 1000.0, 0.1),
]
ON_GPU = [
    (
        *("ampere_sgemm_128x64_tn", "GEMM", 100, 2600.0, 0.52),
        *("94x2x1", "128x1x1", 122, 25600, 0.13, 5.7),
    ),
    (
        "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>, "
        "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<float>)",
        "elementwise",
        *(900, 1400.0, 0.28, "3000x1x1", "128x1x1", 26, 0, 0.94, 90.9),
    ),
    ("Memcpy HtoD (Pageable -> Device)", "copy", 20, 1000.0, 0.2, *[None] * 6),
]


def make_samples(on_gpu: bool) -> pd.DataFrame:
    """A minute of samples; the GPU has no GPM for tensor operations."""
    columns = ["seconds", *METRICS]
    if not on_gpu:
        return pd.DataFrame(columns=columns, dtype=float)
    rng, n = np.random.default_rng(0), 120
    busy = np.clip(np.linspace(-1, 9, n), 0, 1)
    samples = pd.DataFrame({"seconds": np.arange(n) / 2})
    samples["utilisation"] = np.round(0.97 * busy + rng.uniform(0, 0.03, n), 2)
    samples["memory_time"] = 0.4 * samples["utilisation"]
    samples["memory_used_bytes"] = 1.4e9 + 5e9 * busy
    samples["power_watts"] = 80 + 190 * busy + rng.normal(0, 6, n)
    samples["energy_joules"] = samples["power_watts"].cumsum() / 2
    samples["sm_clock_mhz"], samples["memory_clock_mhz"] = 1980.0, 2619.0
    samples["temperature_celsius"] = 34 + 12 * busy
    samples["bandwidth_share"] = 0.21 * busy + rng.uniform(0, 0.01, n)
    samples["sm_activity"] = 0.62 * busy
    samples["sm_occupancy"] = 0.17 * busy + rng.uniform(0, 0.01, n)
    samples.loc[0, ["bandwidth_share", "sm_occupancy"]] = np.nan
    samples["tensor_activity"] = np.nan
    return samples[columns]


def make_kernels(on_gpu: bool) -> pd.DataFrame:
    """Operators, and kernels with their launches."""
    columns = ["name", "kind", "device", "calls", "total_us", "share"]
    table = pd.DataFrame(KERNELS, columns=columns).reindex(columns=columns + LAUNCHES)
    if on_gpu:
        of_gpu = [*columns[:2], *columns[3:], *LAUNCHES[:6]]
        kernels = pd.DataFrame(ON_GPU, columns=of_gpu).assign(device="cuda")
        table = pd.concat([table, kernels.reindex(columns=table.columns)])
    return table.astype({"registers": "Int64", "shared_memory_bytes": "Int64"})


def make_summary(on_gpu: bool) -> dict:
    """Facts as in `gpu.json`."""
    samples = make_samples(on_gpu)
    told = {
        name: {"median": samples[name].median(), "peak": samples[name].max()}
        if samples[name].notna().any()
        else None
        for name in METRICS
    }
    of_gpu = {
        "energy_joules": 13000.0,
        "bandwidth_gb_per_s": {"median": 700.2, "peak": 740.1},
        "driver": "580.95.05",
        "memory_bytes": 85e9,
        "peak_bandwidth_gb_per_s": 3352.3,
        "torch_memory_peak_bytes": 4_900_000_000,
        "floor_seconds": 5.2e-5,
        "times_floor": 17.3,
        "blocks_per_grid": 1100.0,
        "threads_per_block": 128.0,
        "warps_per_sm": 5.7,
        "occupancy_estimate": 0.41,
    }
    values = told | (of_gpu if on_gpu else dict.fromkeys(of_gpu))
    values |= {
        "batch_size": 128,
        "steps": 11080,
        "step_seconds": 0.0009,
        "step_flops": 1_970_110_464,
        "step_bytes": 172_935_984,
        "flops_per_second": 2.19e12,
        "bytes_per_second": 1.92e11,
        "kernel_mix": {"GEMM": 0.52, "elementwise": 0.28, "copy": 0.2},
        "kernel_seconds": 0.00025 if on_gpu else 0.0005,
        "kernel_calls": 51.0 if on_gpu else 3.0,
    }
    reason = (
        "GPM does not measure it here."
        if on_gpu
        else "The model was trained on a CPU, and only GPUs are measured."
    )
    return {
        "device": "NVIDIA H100 80GB HBM3" if on_gpu else "CPU",
        "device_type": "cuda" if on_gpu else "cpu",
        "samples": len(samples),
        "interval_seconds": 0.5,
        **values,
        "reasons": {name: reason for name, value in values.items() if value is None},
    }
