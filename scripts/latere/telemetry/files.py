"""Write what the hardware did in a training."""

import json
import logging

from latere.contract import write_table
from latere.telemetry.kernels import make_table, profile_steps
from latere.telemetry.sampler import Sampler
from latere.telemetry.summary import summarise


def write_telemetry(model, training: dict, sampler: Sampler, output) -> None:
    """Profile some steps of a trained model and write all telemetry; the model stays as it is.

    A fault of the telemetry becomes a reason in its summary, and its tables are empty.

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
    try:
        kernels, why_not = profile_steps(model, training["loop"])
        samples, summary = summarise(model, training, sampler, kernels, why_not)
        text = json.dumps(summary, indent=1, allow_nan=False)
    except Exception as error:  # noqa: BLE001 - hours of training are worth more than this
        logging.warning("no telemetry of the training", exc_info=True)
        samples, kernels = Sampler().table(), make_table([])
        why_not = f"The telemetry failed: {error!r}."
        summary = {"device": training["device_name"], "device_type": training["device"]}
        text = json.dumps(summary | {"reasons": {"telemetry": why_not}}, indent=1)
    write_table(samples, output.samples, "deep/gpu.parquet")
    write_table(kernels, output.kernels, "deep/kernels.tsv", digits=6)
    with open(output.telemetry, "w", encoding="utf-8") as handle:
        handle.write(text)
