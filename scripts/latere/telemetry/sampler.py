"""Samples of what a GPU does, taken beside a training."""

import logging
import os
import time
from threading import Event, Thread

import pandas as pd

from latere.telemetry.nvml import METRICS, Gpu, find_device

INTERVAL = 0.5  # seconds; the utilisation of NVML is that of the last 1/6 to 1 s
NO_GPU = "There is no GPU that CUDA can use."


def open_gpu() -> Gpu:
    """The GPU that torch uses.

    Raises
    ------
    LookupError
        It cannot be measured; the message says why.
    """
    import torch

    if not torch.cuda.is_available():
        raise LookupError(NO_GPU)
    try:
        import pynvml
    except ModuleNotFoundError:
        raise LookupError("The package nvidia-ml-py is not installed.") from None
    try:
        number = torch.cuda.current_device()
        uuid = str(torch.cuda.get_device_properties(number).uuid)
        pynvml.nvmlInit()
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        return Gpu(pynvml, *find_device(pynvml, uuid, visible, number))
    except pynvml.NVMLError as error:
        raise LookupError(f"NVML cannot measure the GPU: {error}.") from None
    except RuntimeError as error:  # of torch, where the GPU is too full to be asked
        raise LookupError(f"CUDA failed: {error}") from None


class Sampler:
    """Samples a GPU while its block runs; without a GPU it does nothing.

    Parameters
    ----------
    interval
        Seconds between two samples.
    open_device
        Gives the GPU, or raises LookupError.

    Attributes
    ----------
    reasons
        Why a metric or a fact may be missing, by its name.
    facts
        Name, driver, memory and peak bandwidth of the GPU; empty without one.
    """

    def __init__(self, interval: float = INTERVAL, open_device=open_gpu):
        self.interval, self.open_device = interval, open_device
        self.facts: dict = {}
        self.why_not = ""
        self._gpu: Gpu | None = None
        self._samples: list[dict] = []
        self._end = Event()

    def __enter__(self):
        try:
            self._gpu = self.open_device()
        except LookupError as error:
            self.why_not = str(error)
            logging.info("no GPU metrics are taken: %s", self.why_not)
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self.why_not = f"NVML failed: {error!r}."
            logging.warning("no GPU metrics are taken", exc_info=True)
        else:
            self.facts = self._gpu.facts()
            self._thread = Thread(target=self._sample, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        if self._gpu:
            self._thread.join(timeout=10)  # a driver that hangs does not hold up the training

    def _sample(self) -> None:
        start = time.monotonic()
        while not self._end.is_set():
            self._samples.append({"seconds": time.monotonic() - start} | self._gpu.read())
            self._end.wait(self.interval)

    @property
    def reasons(self) -> dict[str, str]:
        """Why a metric or a fact may be missing, by its name."""
        return dict(self._gpu.reasons) if self._gpu else {}

    def table(self) -> pd.DataFrame:
        """The samples; the energy counts from the first of them.

        Returns
        -------
        pandas.DataFrame
            `seconds` since the start and `METRICS`, NaN where NVML had no value.
        """
        samples = pd.DataFrame(self._samples[:], columns=["seconds", *METRICS], dtype=float)
        samples["energy_joules"] -= samples["energy_joules"].min()
        return samples
