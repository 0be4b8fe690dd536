"""Write what the hardware did in a training."""

import json

from latere.contract import write_table
from latere.telemetry.kernels import profile_steps
from latere.telemetry.sampler import Sampler
from latere.telemetry.summary import summarise


def write_telemetry(model, training: dict, sampler: Sampler, output) -> None:
    """Profile some steps of a trained model and write all telemetry; the model stays as it is.

    Parameters
    ----------
    model
        The trained model.
    training
        How it was trained: loop, device, device_name, epochs, seconds.
    sampler
        The sampler that ran beside the training.
    output
        Paths by name: telemetry, samples, kernels.
    """
    kernels, why_not = profile_steps(model, training["loop"])
    samples, summary = summarise(model, training, sampler, kernels, why_not)
    write_table(samples, output.samples, "deep/gpu.parquet")
    write_table(kernels, output.kernels, "deep/kernels.tsv", digits=6)
    with open(output.telemetry, "w", encoding="utf-8") as handle:
        json.dump(summary, handle, indent=1, allow_nan=False)
