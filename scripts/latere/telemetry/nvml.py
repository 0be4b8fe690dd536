"""One GPU, or a slice of one (MIG), as NVIDIA's management library (NVML) measures it.

What cannot be measured is None and has a reason: no fault of NVML reaches the training.
"""

from collections.abc import Callable

# Metrics of `Gpu.read`, in the order of their columns. Shares are between 0 and 1.
OF_GPU = (
    "utilisation",
    "memory_time",
    "memory_used_bytes",
    "power_watts",
    "energy_joules",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_celsius",
)
# The same of the GPU performance monitoring (GPM), with its names for them, all in percent.
OF_GPM = {
    "bandwidth_share": "NVML_GPM_METRIC_DRAM_BW_UTIL",
    "sm_activity": "NVML_GPM_METRIC_SM_UTIL",
    "sm_occupancy": "NVML_GPM_METRIC_SM_OCCUPANCY",
    "tensor_activity": "NVML_GPM_METRIC_ANY_TENSOR_UTIL",
}
METRICS = (*OF_GPU, *OF_GPM)
# What NVML measures for the whole GPU only.
OF_WHOLE_GPU = {*OF_GPU, "peak_bandwidth_gb_per_s"} - {"memory_used_bytes"}


def find_device(nvml, uuid: str, visible: str, number: int = 0) -> tuple:
    """Handles of a GPU that CUDA uses.

    CUDA orders GPUs by speed, and NVML by their place on the bus: an index may mean another GPU.
    The UUID is the same for both.

    Parameters
    ----------
    nvml
        The module pynvml, initialised.
    uuid
        Of the GPU, as torch gives it.
    visible
        Value of CUDA_VISIBLE_DEVICES, empty if it is not set. A slice is known by its name there.
    number
        Of the GPU, as torch counts.

    Returns
    -------
    tuple
        The GPU, and its slice or None.

    Raises
    ------
    LookupError
        The GPU has several slices, and which one is used is not known.
    pynvml.NVMLError
        NVML does not know the GPU.
    """
    named = [name.strip() for name in visible.split(",")][number : number + 1]
    if named and named[0].startswith("MIG-"):
        handle = nvml.nvmlDeviceGetHandleByUUID(named[0])
    else:
        try:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except nvml.NVMLError:
            handle = nvml.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
    if nvml.nvmlDeviceIsMigDeviceHandle(handle):
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle), handle
    slices = _slices(nvml, handle)
    if slices is None:
        return handle, None
    if len(slices) != 1:
        raise LookupError(
            f"The GPU has {len(slices)} slices (MIG), and CUDA_VISIBLE_DEVICES does not name one."
        )
    return handle, slices[0]


def _slices(nvml, device) -> list | None:
    """Slices of a GPU; None if it is not sliced."""
    try:
        if nvml.nvmlDeviceGetMigMode(device)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return None
    except nvml.NVMLError:
        return None  # it cannot be sliced
    found = []
    for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(device)):
        try:
            found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
        except nvml.NVMLError:
            continue  # a free place
    return found


class Gpu:
    """A GPU to be read again and again.

    Parameters
    ----------
    nvml
        The module pynvml, initialised.
    device, part
        The GPU, and its slice or None, as `find_device` gives them.

    Attributes
    ----------
    reasons
        Why a metric or a fact was None, by its name; a later sample may have a value.
    """

    def __init__(self, nvml, device, part=None):
        self.nvml, self.device, self.part = nvml, device, part
        self.reasons: dict[str, str] = {}
        if part is not None:
            reason = "NVML measures it for the whole GPU, which other slices (MIG) share."
            self.reasons |= dict.fromkeys(OF_WHOLE_GPU, reason)
        self._gpm = self._open_gpm()

    def facts(self) -> dict:
        """Name, driver, memory and peak bandwidth of the GPU."""
        nvml, device = self.nvml, self.device

        def peak_bandwidth() -> float:
            """Two transfers a clock, as wide as the bus, in GB/s."""
            clock = nvml.nvmlDeviceGetMaxClockInfo(device, nvml.NVML_CLOCK_MEM) * 1e6
            return 2 * clock * nvml.nvmlDeviceGetMemoryBusWidth(device) / 8 / 1e9

        ways = {
            "device": lambda: nvml.nvmlDeviceGetName(self._memory_of),
            "driver": nvml.nvmlSystemGetDriverVersion,
            "memory_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(self._memory_of).total,
            "peak_bandwidth_gb_per_s": peak_bandwidth,
        }
        return {name: self._ask(name, way) for name, way in ways.items()}

    def read(self) -> dict[str, float | None]:
        """One sample of `METRICS`; the energy is that since the driver was loaded."""
        nvml, device = self.nvml, self.device
        # The two are measured at once.
        rates = self._ask("utilisation", lambda: nvml.nvmlDeviceGetUtilizationRates(device))
        if "utilisation" in self.reasons:
            self.reasons.setdefault("memory_time", self.reasons["utilisation"])
        ways = {
            "utilisation": lambda: rates and rates.gpu / 100,
            "memory_time": lambda: rates and rates.memory / 100,
            "memory_used_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(self._memory_of).used,
            "power_watts": lambda: nvml.nvmlDeviceGetPowerUsage(device) / 1e3,
            "energy_joules": lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(device) / 1e3,
            "sm_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_SM),
            "memory_clock_mhz": lambda: nvml.nvmlDeviceGetClockInfo(device, nvml.NVML_CLOCK_MEM),
            "temperature_celsius": lambda: nvml.nvmlDeviceGetTemperature(
                device, nvml.NVML_TEMPERATURE_GPU
            ),
        }
        sample = {name: self._ask(name, ways[name]) for name in OF_GPU}
        return sample | dict.fromkeys(OF_GPM) | self._read_gpm()

    @property
    def _memory_of(self):
        """What has a name and memory of its own: the slice, or the GPU."""
        return self.device if self.part is None else self.part

    def _ask(self, name: str, way: Callable):
        """What NVML says; None, with the reason, if it has no answer now or for a slice."""
        if self.part is not None and name in OF_WHOLE_GPU:
            return None
        try:
            return way()
        except self.nvml.NVMLError as error:
            self.reasons[name] = f"NVML gives no value: {error}."
            return None

    def _open_gpm(self) -> list | None:
        """Memory for two samples of GPM; None where there is no GPM."""
        nvml = self.nvml
        try:
            if nvml.nvmlGpmQueryDeviceSupport(self.device).isSupportedDevice:
                # The second holds the earlier sample, once there is one.
                return [nvml.nvmlGpmSampleAlloc(), None]
            reason = "This GPU has no GPU performance monitoring (GPM): it came with Hopper."
        except nvml.NVMLError as error:
            reason = f"The GPU performance monitoring (GPM) of NVML failed: {error}."
        self.reasons |= dict.fromkeys(OF_GPM, reason)
        return None

    def _read_gpm(self) -> dict[str, float]:
        """Metrics of GPM since the last call; nothing at the first one."""
        if self._gpm is None:
            return {}
        nvml = self.nvml
        try:
            now, before = self._gpm
            if self.part is None:
                nvml.nvmlGpmSampleGet(self.device, now)
            else:
                instance = nvml.nvmlDeviceGetGpuInstanceId(self.part)
                nvml.nvmlGpmMigSampleGet(self.device, instance, now)
            self._gpm = [before or nvml.nvmlGpmSampleAlloc(), now]
            if before is None:
                return {}
            asked = nvml.c_nvmlGpmMetricsGet_t()
            asked.version = nvml.NVML_GPM_METRICS_GET_VERSION
            asked.sample1, asked.sample2 = before, now
            asked.numMetrics = len(OF_GPM)
            for place, metric in enumerate(OF_GPM.values()):
                asked.metrics[place].metricId = getattr(nvml, metric)
            nvml.nvmlGpmMetricsGet(asked)
        except nvml.NVMLError as error:
            reason = f"The GPU performance monitoring (GPM) of NVML failed: {error}."
            self.reasons |= dict.fromkeys(OF_GPM, reason)
            return {}
        read = {}
        for name, metric in zip(OF_GPM, asked.metrics, strict=False):
            if metric.nvmlReturn == nvml.NVML_SUCCESS:
                read[name] = metric.value / 100
            else:
                self.reasons[name] = (
                    "The GPU performance monitoring (GPM) does not measure it here."
                )
        return read
