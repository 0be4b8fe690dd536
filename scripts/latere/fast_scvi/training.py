"""Trains a model of scvi-tools by the fastest loop that computes what was asked for."""

import logging
from typing import NamedTuple

import torch
from scvi.model._utils import parse_device_args

from latere.fast_scvi import plan
from latere.fast_scvi.graph import DeviceStep, GraphError, why_not_graph
from latere.fast_scvi.steps import LeanStep, Step, why_not_lean

# Options of `train` that mean the same where a step is an epoch.
HONOURED = {"max_epochs", "accelerator", "devices", "batch_size", "plan_kwargs"}
HONOURED |= {"train_size", "validation_size", "shuffle_set_split", "check_val_every_n_epoch"}
HONOURED |= {"callbacks", "logger", "enable_progress_bar", "progress_bar_refresh_rate"}
# What names one device; so does a list of one.
ONE_DEVICE = "auto", 1, "1"
STOPPING = "early_stopping"  # and all options whose names begin so


class Loop(NamedTuple):
    """How a model was trained.

    Attributes
    ----------
    name
        `graph`: replays of CUDA graphs. `lean`: sparse counts on the CPU. `scvi-tools`: its own.
    reason
        Why it was no faster one.
    """

    name: str
    reason: str


def train(model, **options) -> Loop:
    """Train a model, as its own `train` would.

    Parameters
    ----------
    model
        A model of scvi-tools that is trained by its plain plan, such as SCVI; not trained yet.
    **options
        Options of its `train`. Those that only scvi-tools' own loop follows lead to that loop.

    Returns
    -------
    Loop
        The loop that trained the model.
    """
    step, loop = choose(model, options)
    if step is not None:
        before = {name: value.clone() for name, value in model.module.state_dict().items()}
        random = torch.get_rng_state()
        try:
            with plan.epochs(model, step):
                model.train(**options)
            return loop
        except GraphError as error:
            loop = Loop("scvi-tools", f"no CUDA graph could be made: {error}")
        # As if it had not been tried: that of a GPU is where its seed puts it.
        model.module.load_state_dict(before)
        torch.manual_seed(torch.initial_seed())
        torch.set_rng_state(random)
    logging.info("trained by scvi-tools' own loop: %s", loop.reason)
    model.train(**options)
    return loop


def choose(model, options: dict) -> tuple[Step | None, Loop]:
    """The fastest step that computes what the options ask for; None for scvi-tools' own loop."""
    words = {name for name in options if not name.startswith(STOPPING)}
    unknown = words - HONOURED | (options.get("plan_kwargs") or {}).keys() - plan.HONOURED
    if unknown:
        names = ", ".join(sorted(unknown))
        return None, Loop("scvi-tools", f"only scvi-tools' own loop follows the options {names}")
    accelerator, devices = options.get("accelerator", "auto"), options.get("devices", "auto")
    if devices not in ONE_DEVICE and not (isinstance(devices, list) and len(devices) == 1):
        return None, Loop("scvi-tools", "only scvi-tools' own loop trains on several devices")
    *_, device = parse_device_args(accelerator, devices, return_device="torch")
    reason = why_not_graph(model, options.get("batch_size", 128), device)
    if not reason:
        return DeviceStep(model), Loop("graph", "")
    if device.type == "cpu":
        if not (more := why_not_lean(model)):
            return LeanStep(model), Loop("lean", reason)
        reason = f"{reason}; {more}"
    return None, Loop("scvi-tools", reason)
