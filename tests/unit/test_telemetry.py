"""What the hardware did in a training: measured, or missing with a reason, and never in its way.

NVML is a fake here, because it reaches branches that no machine without a GPU can; the names that
it must have are those of the real module. The profiler is the real one.
"""

import ast
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("scvi")

import torch
from telemetry_study import make_kernels, make_samples, make_summary

from latere.contract import check_table, read_contracts
from latere.tables import read_tsv
from latere.telemetry import kernels, nvml, sampler
from latere.telemetry.files import write_telemetry
from latere.telemetry.kernels import kind_of, make_table, profile_steps
from latere.telemetry.nvml import METRICS, OF_GPM, Gpu, find_device
from latere.telemetry.sampler import Sampler, open_gpu
from latere.telemetry.summary import describe_kernels, describe_samples, describe_steps, summarise
from latere.telemetry.work import UNTRAINED, count_work
from train_scvi import describe, train

SMALL = {"n_latent": 4, "n_hidden": 16, "n_layers": 1, "max_epochs": 3, "seed": 3, "threads": 1}
FILES = {"telemetry": "gpu.json", "samples": "gpu.parquet", "kernels": "kernels.tsv"}


class FakeNvml:
    """NVML with two GPUs, `a` and `b`, and slices of `b`; functions may fail."""

    class NVMLError(Exception):
        """An error of NVML."""

    NVML_SUCCESS, NVML_DEVICE_MIG_ENABLE, NVML_TEMPERATURE_GPU = 0, 1, 0
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_GPM_METRICS_GET_VERSION = 1, 2, 1
    NVML_GPM_METRIC_SM_UTIL, NVML_GPM_METRIC_SM_OCCUPANCY = 2, 3
    NVML_GPM_METRIC_ANY_TENSOR_UTIL, NVML_GPM_METRIC_DRAM_BW_UTIL = 5, 10

    def __init__(self, failing=(), slices=(), gpm=1, lacking=None):
        self.slices, self.gpm, self.lacking, self.calls = slices, gpm, lacking, 0
        for name in failing:
            setattr(self, name, self._fail)

    def _fail(self, *_):
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetHandleByUUID(self, name):
        if name in ("GPU-a", "GPU-b") or name in self.slices:
            return name
        raise self.NVMLError("Not Found")

    def nvmlDeviceIsMigDeviceHandle(self, handle):
        return int(handle.startswith("MIG-"))

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):
        return "GPU-b"

    def nvmlDeviceGetMigMode(self, device):
        if device == "GPU-a":
            raise self.NVMLError("Not Supported")
        return [int(bool(self.slices)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, device):
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device, index):
        if index % 3 or index // 3 >= len(self.slices):  # not the first places only
            raise self.NVMLError("Not Found")
        return self.slices[index // 3]

    def nvmlDeviceGetGpuInstanceId(self, handle):
        return 11

    def nvmlDeviceGetName(self, handle):
        return f"name of {handle}"

    def nvmlSystemGetDriverVersion(self):
        return "580.1"

    def nvmlDeviceGetMaxClockInfo(self, device, of):
        return {self.NVML_CLOCK_MEM: 2619}[of]

    def nvmlDeviceGetMemoryBusWidth(self, device):
        return 5120

    def nvmlDeviceGetMemoryInfo(self, handle):
        total = 80e9 if handle.startswith("GPU") else 10e9
        return SimpleNamespace(total=total, used=total / 4)

    def nvmlDeviceGetUtilizationRates(self, device):
        return SimpleNamespace(gpu=97, memory=40)

    def nvmlDeviceGetPowerUsage(self, device):
        return 250_000

    def nvmlDeviceGetTotalEnergyConsumption(self, device):
        self.calls += 1
        return 7_000_000 + 125_000 * self.calls

    def nvmlDeviceGetClockInfo(self, device, of):
        return {self.NVML_CLOCK_SM: 1980, self.NVML_CLOCK_MEM: 2600}[of]

    def nvmlDeviceGetTemperature(self, device, sensor):
        return 46

    def nvmlGpmQueryDeviceSupport(self, device):
        return SimpleNamespace(isSupportedDevice=self.gpm)

    def nvmlGpmSampleAlloc(self):
        return SimpleNamespace(of=None, at=None)

    def nvmlGpmSampleGet(self, device, sample):
        self.calls += 1
        sample.of, sample.at = device, self.calls

    def nvmlGpmMigSampleGet(self, device, instance, sample):
        self.nvmlGpmSampleGet((device, instance), sample)

    def c_nvmlGpmMetricsGet_t(self):
        return SimpleNamespace(metrics=[SimpleNamespace() for _ in range(20)])

    def nvmlGpmMetricsGet(self, asked):
        self.asked = asked
        assert asked.version == 1 and asked.sample1.at < asked.sample2.at
        for metric in asked.metrics[: asked.numMetrics]:
            metric.nvmlReturn = 3 if metric.metricId == self.lacking else 0
            metric.value = 2.0 * metric.metricId


FUNCTIONS = [name for name in vars(FakeNvml) if name.startswith("nvml")]


def test_names_are_those_of_nvml():
    real = pytest.importorskip("pynvml")
    tree = ast.parse(Path(nvml.__file__).read_text(encoding="utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "nvml"
    } | set(OF_GPM.values())
    assert len(used) > 25
    assert {name for name in used if not hasattr(real, name)} == set()
    ours = {name: getattr(FakeNvml, name) for name in used if name.startswith("NVML_")}
    assert ours == {name: getattr(real, name) for name in ours}


@pytest.mark.parametrize("visible", ["", "0", "1,0", "GPU-b", "GPU-b1c"])
@pytest.mark.parametrize("uuid", ["a", "b"])
def test_a_gpu_is_found_whatever_its_index(uuid, visible):
    assert find_device(FakeNvml(), uuid, visible) == (f"GPU-{uuid}", None)


@pytest.mark.parametrize(
    ("uuid", "visible", "number", "found"),
    [
        ("b", "MIG-y", 0, "MIG-y"),
        ("b", "MIG-x, MIG-y", 1, "MIG-y"),
        ("y", "", 0, "MIG-y"),  # newer CUDA gives the slice's own
    ],
)
def test_a_slice_is_found_by_its_name(uuid, visible, number, found):
    fake = FakeNvml(slices=["MIG-x", "MIG-y"])
    assert find_device(fake, uuid, visible, number) == ("GPU-b", found)


def test_a_slice_without_a_name():
    assert find_device(FakeNvml(slices=["MIG-x"]), "b", "0") == ("GPU-b", "MIG-x")
    with pytest.raises(LookupError, match="2 slices"):
        find_device(FakeNvml(slices=["MIG-x", "MIG-y"]), "b", "0")


def test_a_gpu_is_read_in_the_units_of_the_columns():
    gpu = Gpu(FakeNvml(), "GPU-a")
    first, second, third = (gpu.read() for _ in range(3))
    assert list(first) == list(METRICS)
    assert [first[name] for name in OF_GPM] == [None] * 4  # they need two samples
    assert third["energy_joules"] > second.pop("energy_joules") > 7000
    assert second == {
        "utilisation": 0.97,
        "memory_time": 0.4,
        "memory_used_bytes": 20e9,
        "power_watts": 250,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 2600,
        "temperature_celsius": 46,
        "bandwidth_share": 0.2,
        "sm_activity": 0.04,
        "sm_occupancy": 0.06,
        "tensor_activity": 0.1,
    }
    assert gpu.facts() == {
        "device": "name of GPU-a",
        "driver": "580.1",
        "memory_bytes": 80e9,
        # 3.35 TB/s, as the data sheet of the H100 SXM says.
        "peak_bandwidth_gb_per_s": pytest.approx(3352, abs=1),
    }
    assert gpu.reasons == {}


def test_of_a_slice_only_its_own_is_told():
    fake = FakeNvml(slices=["MIG-x"])
    gpu = Gpu(fake, "GPU-b", "MIG-x")
    gpu.read()
    sample, facts = gpu.read(), gpu.facts()
    assert sample["memory_used_bytes"] == 2.5e9 and facts["memory_bytes"] == 10e9
    assert sample["sm_occupancy"] == 0.06 and fake.asked.sample2.of == ("GPU-b", 11)
    missing = {name for name, value in (sample | facts).items() if value is None}
    assert missing == set(gpu.reasons) == nvml.OF_WHOLE_GPU
    assert {"power_watts", "energy_joules", "utilisation"} <= missing
    assert all("slices" in reason for reason in gpu.reasons.values())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_call_that_fails_becomes_a_reason(function):
    fake = FakeNvml(failing=[function])
    gpu = Gpu(fake, "GPU-a")
    gpu.read()
    told = gpu.read() | gpu.facts()
    missing = {name for name, value in told.items() if value is None}
    assert missing == set(gpu.reasons)
    assert len(missing) < len(told) - 5
    assert all("Not Supported" in reason for reason in gpu.reasons.values())
    looked_up = {
        name for name in FUNCTIONS if "Mig" in name or "UUID" in name or "Instance" in name
    }
    assert bool(missing) == (function not in looked_up)


def test_gpm_is_old_or_lacks_a_metric():
    gpu = Gpu(FakeNvml(gpm=0), "GPU-a")
    gpu.read()
    assert gpu.read()["sm_occupancy"] is None and set(gpu.reasons) == set(OF_GPM)
    gpu = Gpu(FakeNvml(lacking=5), "GPU-a")
    gpu.read()
    sample = gpu.read()
    assert sample["tensor_activity"] is None and sample["sm_occupancy"] == 0.06
    assert set(gpu.reasons) == {"tensor_activity"}


def sample_fake(seconds=0.2, **options):
    """A sampler that ran for a while beside nothing."""
    gpu = Gpu(FakeNvml(**options), "GPU-a")
    with Sampler(0.02, lambda: gpu) as ran:
        time.sleep(seconds)
    return ran


def test_samples_are_taken_while_the_block_runs():
    ran = sample_fake(failing=["nvmlDeviceGetPowerUsage"])
    table = ran.table()
    check_table(table, "gpu", read_contracts()["deep/gpu.parquet"])
    assert len(table) >= 3
    assert table["seconds"].iloc[0] < 0.1 and (table["seconds"].diff().dropna() >= 0.02).all()
    assert table["energy_joules"].iloc[0] == 0 and table["energy_joules"].iloc[-1] >= 250
    assert table["power_watts"].isna().all() and set(ran.reasons) == {"power_watts"}
    time.sleep(0.05)
    assert len(ran.table()) == len(table)


def test_an_error_of_the_training_ends_the_samples():
    gpu = Gpu(FakeNvml(), "GPU-a")
    ran = Sampler(0.01, lambda: gpu)
    with pytest.raises(ZeroDivisionError), ran:
        1 / 0  # noqa: B018
    assert not ran._thread.is_alive()


def test_a_machine_without_a_gpu_takes_no_samples():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with Sampler() as ran:
        pass
    table = ran.table()
    assert table.empty and list(table) == ["seconds", *METRICS]
    assert ran.why_not == sampler.NO_GPU and ran.reasons == {} == ran.facts


@pytest.fixture
def found_by_torch(monkeypatch):
    """Torch finds a GPU on a machine that has none."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    gpu = SimpleNamespace(uuid="b")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)


def test_the_real_nvml_without_its_library(found_by_torch):
    pytest.importorskip("pynvml")
    with pytest.raises(LookupError, match="NVML cannot measure the GPU: NVML Shared Library"):
        open_gpu()


@pytest.mark.parametrize(
    ("options", "visible", "reason"),
    [
        ({}, "MIG-z", "Not Found"),
        ({"failing": ["nvmlInit"]}, "", "Not Supported"),
        ({"slices": ["MIG-x", "MIG-y"]}, "0", "2 slices"),
        ({"slices": ["MIG-x", "MIG-y"]}, "MIG-y", ""),
    ],
)
def test_a_gpu_is_opened(found_by_torch, monkeypatch, options, visible, reason):
    fake = FakeNvml(**options)
    fake.__dict__.setdefault("nvmlInit", lambda: None)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if not reason:
        assert open_gpu().part == visible
        return
    with pytest.raises(LookupError, match=reason):
        open_gpu()


def test_a_gpu_that_is_too_full_to_be_asked(found_by_torch, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())

    def full(_):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "get_device_properties", full)
    with pytest.raises(LookupError, match="out of memory"):
        open_gpu()


@pytest.fixture(scope="module")
def tested(cells):
    return cells[:, cells.var["testable"].to_numpy()].copy()


@pytest.fixture(scope="module")
def trained(tested):
    return train(tested.copy(), **SMALL)


@pytest.fixture(scope="module")
def model(trained):
    return trained[0]


@pytest.fixture(scope="module")
def training(trained):
    """What `describe` says of a training of 2 s."""
    return describe(*trained, 2.0, 3, 1)


def state(of):
    return {name: at.clone() for name, at in of.module.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def profiled(model):
    before, noise = state(model), torch.random.get_rng_state()
    table, reason = profile_steps(model, "lean")
    assert same(before, state(model)) and torch.equal(noise, torch.random.get_rng_state())
    assert not model.module.training
    return table, reason


def test_telemetry_changes_no_weight(tested, model, profiled, tmp_path):
    """`profiled` has profiled the model; here another is sampled while it is trained."""
    gpu = Gpu(FakeNvml(), "GPU-a")
    with Sampler(0.01, lambda: gpu) as ran:
        sampled, loop = train(tested.copy(), **SMALL)
    assert len(ran.table()) > 3
    write_telemetry(
        sampled,
        describe(sampled, loop, 1.0, 3, 1),
        ran,
        SimpleNamespace(**{key: tmp_path / name for key, name in FILES.items()}),
    )
    assert same(state(model), state(sampled))


def test_operators_of_a_step(profiled):
    table, reason = profiled
    assert reason == ""
    check_table(table, "kernels", read_contracts()["deep/kernels.tsv"])
    assert set(table["device"]) == {"cpu"} and table["share"].sum() == pytest.approx(1)
    assert table["total_us"].is_monotonic_decreasing and table["name"].is_unique
    kinds = table.set_index("name")["kind"]
    assert kinds["_SparseLinear"] == kinds["aten::addmm"] == "GEMM"
    assert kinds["_NegativeBinomial"] == "loss" and kinds["aten::_fused_adam_"] == "optimiser"
    calls = table.set_index("name")["calls"]
    assert calls["_NegativeBinomial"] == calls["_SparseLinearBackward"] == 20
    assert table[list(kernels.OF_LAUNCH)].isna().all(axis=None)


@pytest.mark.parametrize("loop", ["scvi-tools", "graph"])
def test_each_loop_is_profiled_by_its_own_steps(model, loop):
    """Those of a graph are computed on any device."""
    before = state(model)
    table, reason = profile_steps(model, loop, n_steps=2)
    assert same(before, state(model)) and reason == ""
    calls = table.set_index("name")["calls"]
    assert calls["aten::lgamma"] > 0 and "_NegativeBinomial" not in calls
    assert ("aten::_fused_adam_" in calls) == (loop == "graph")
    assert ("aten::all" in calls) == (loop == "scvi-tools")  # checks of distributions


def test_a_profiler_that_fails_is_a_reason(model, training, monkeypatch):
    def fail(**_):
        raise RuntimeError("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES\nfurther lines")

    monkeypatch.setattr(kernels, "profile", fail)
    table, reason = profile_steps(model, "lean")
    check_table(table, "kernels", read_contracts()["deep/kernels.tsv"])
    assert table.empty and reason.endswith("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES")
    with Sampler() as ran:
        pass
    _, summary = summarise(model, training, ran, table, reason)
    assert summary["kernel_mix"] is None
    assert summary["reasons"]["kernel_mix"] == reason == summary["reasons"]["kernel_seconds"]


KERNEL_NAMES = {
    "ampere_sgemm_128x64_tn": "GEMM",
    "void cutlass::Kernel2<cutlass_80_simt_sgemm_256x128_8x4_nn_align1>(Params)": "GEMM",
    "sm90_xmma_gemm_f32f32_tf32f32_f32_tn_n_tilesize128x64x32_cublas": "GEMM",
    "void cublasLt::splitKreduce_kernel<32, 16, int, float>(Params)": "GEMM",
    "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float> >(R)": "reduction",
    "void (anonymous namespace)::softmax_warp_forward<float, float>(float*)": "reduction",
    "void at::native::batch_norm_collect_statistics_kernel<InvStd, float>(int)": "reduction",
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<float>>(int)": (
        "elementwise"
    ),
    "void at::native::elementwise_kernel<128, 2, direct_copy_kernel_cuda>(int)": "copy",
    "void at::native::(anonymous namespace)::distribution_elementwise_grid_stride_kernel<float>": (
        "elementwise"
    ),
    "void at::native::(anonymous namespace)::multi_tensor_apply_kernel<FusedAdamMathFunctor>": (
        "optimiser"
    ),
    "void at::native::(anonymous namespace)::CatArrayBatchedCopy<float>(float*)": "copy",
    "void at::native::index_elementwise_kernel<128, 4>(int)": "copy",
    "Memcpy HtoD (Pageable -> Device)": "copy",
    "Memset (Device)": "copy",
    "aten::normal_": "elementwise",
    "aten::lgamma": "elementwise",
    "aten::_batch_norm_impl_index": "reduction",
    "aten::sum": "reduction",
    "aten::empty": "other",
    "cudaLaunchKernel": "other",
}


@pytest.mark.parametrize(("name", "kind"), KERNEL_NAMES.items())
def test_kinds(name, kind):
    assert kind_of(name) == kind


def launch(name, grid, dur, occupancy, category="kernel"):
    """An event of a trace."""
    args = {"grid": grid, "block": [128, 1, 1], "registers per thread": 40, "shared memory": 1024}
    args |= {"blocks per SM": 0.5, "warps per SM": 2.0, "est. achieved occupancy %": occupancy}
    return {"ph": "X", "cat": category, "name": name, "dur": dur, "args": args}


def test_launches_of_one_form_are_one_row():
    events = [
        launch("a_gemm", [94, 2, 1], 30.0, 50),
        launch("a_gemm", [94, 2, 1], 20.0, 50),
        launch("a_gemm", [4, 1, 1], 40.0, 10),
        {"cat": "gpu_memcpy", "name": "Memcpy HtoD", "dur": 10.0, "args": {"bytes": 8}},
        {"cat": "gpu_user_annotation", "name": "Optimizer.step", "dur": 90.0, "args": {}},
        {"cat": "cpu_op", "name": "aten::mm", "dur": 90.0},
        {"ph": "M", "name": "process_name"},
    ]
    operators = [{"name": "aten::mm", "device": "cpu", "calls": 3, "total_us": 9.0}]
    table = make_table([*operators, *kernels._launches(events)])
    check_table(table, "kernels", read_contracts()["deep/kernels.tsv"])
    assert table["device"].tolist() == ["cpu", "cuda", "cuda", "cuda"]
    assert table["calls"].tolist() == [3, 2, 1, 1]
    assert table["share"].tolist() == [1, 0.5, 0.4, 0.1]
    assert table["grid"].tolist()[1:3] == ["94x2x1", "4x1x1"] and table["grid"].isna()[3]
    assert table["registers"].tolist()[1:3] == [40, 40]
    assert table["occupancy_estimate"].tolist()[1:3] == [0.5, 0.1]
    told = describe_kernels(table, "cuda")
    assert told["kernel_mix"] == {"GEMM": 0.9, "copy": 0.1}
    assert told["blocks_per_grid"] == pytest.approx((188 * 50 + 4 * 40) / 90)
    assert told["threads_per_block"] == 128 and told["warps_per_sm"] == 2
    assert told["occupancy_estimate"] == pytest.approx((0.5 * 50 + 0.1 * 40) / 90)
    assert told["kernel_seconds"] == pytest.approx(100e-6 / 20) and told["kernel_calls"] == 0.2


def test_work_is_that_of_the_layers_that_are_trained(model, tested):
    """And with 12,000 genes and 11 samples it is what was counted by hand."""
    import anndata as ad
    import scipy.sparse as sp
    import scvi

    names = [name for name, _ in model.module.named_parameters()]
    module = model.module
    module.train()
    dataset = model.adata_manager.create_torch_dataset()
    tensors = {key: torch.from_numpy(at) for key, at in dataset[np.arange(9)].items()}
    module(tensors)[2].loss.backward()
    trained = {name for name, at in module.named_parameters() if at.grad is not None}
    module.zero_grad(set_to_none=True)
    module.eval()
    assert {name for name in names if not name.startswith(UNTRAINED)} == trained

    many = ad.AnnData(sp.csr_matrix(np.ones((11, 12_000), np.float32)))
    many.obs["sample"] = list("abcdefghijk")
    scvi.model.SCVI.setup_anndata(many, batch_key="sample")
    work = count_work(scvi.model.SCVI(many, gene_likelihood="nb").module, 128)
    assert work.flops == pytest.approx(1.97e9, rel=0.01)
    assert work.bytes == pytest.approx(174e6, rel=0.01)


def test_files_of_a_training_on_a_cpu(model, training, profiled, monkeypatch, tmp_path):
    monkeypatch.setattr("latere.telemetry.files.profile_steps", lambda *_: profiled)
    output = SimpleNamespace(**{key: tmp_path / name for key, name in FILES.items()})
    # Samples of an attempt on a GPU that failed are not those of the training.
    write_telemetry(model, training, sample_fake(), output)
    samples, table = pd.read_parquet(output.samples), read_tsv(output.kernels)
    assert samples.empty and list(samples) == ["seconds", *METRICS]
    assert len(table) == len(profiled[0])
    summary = json.loads(output.telemetry.read_text())
    assert_reasons(summary)
    assert set(summary) == set(make_summary(False)) and summary["device_type"] == "cpu"
    # 324 of the 360 cells are trained on.
    assert summary["steps"] == 3 * 3 and summary["step_seconds"] == pytest.approx(2 / 9)
    assert summary["flops_per_second"] == pytest.approx(summary["step_flops"] * 9 / 2)
    assert summary["kernel_mix"]["GEMM"] > 0 and sum(summary["kernel_mix"].values()) > 0.99
    assert summary["utilisation"] is None and "CPU" in summary["reasons"]["utilisation"]


def assert_reasons(summary):
    """Each value that is missing has a reason, and no other."""
    assert set(summary["reasons"]) == {name for name, value in summary.items() if value is None}
    assert all(reason.endswith(".") for reason in summary["reasons"].values())


def test_summary_of_a_training_on_a_gpu(model, training):
    training = training | {"device": "cuda"}
    table = make_kernels(True)
    ran = sample_fake(failing=["nvmlDeviceGetPowerUsage"], lacking=5)
    samples, summary = summarise(model, training, ran, table, "")
    assert_reasons(summary)
    assert set(summary) == set(make_summary(True)) and len(samples) == summary["samples"] > 3
    # No GPU is here, so torch has no memory of it.
    assert set(summary["reasons"]) == {"power_watts", "tensor_activity", "torch_memory_peak_bytes"}
    assert summary["device"] == "name of GPU-a"
    assert summary["utilisation"] == {"median": 0.97, "peak": 0.97}
    assert summary["bandwidth_gb_per_s"]["median"] == pytest.approx(670, abs=1)
    assert summary["energy_joules"] >= 250
    assert summary["floor_seconds"] == pytest.approx(summary["step_bytes"] / 3.352e12, rel=1e-3)
    assert summary["times_floor"] == pytest.approx(2 / 9 / summary["floor_seconds"])


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"gpm": 0}, {"bandwidth_share", "bandwidth_gb_per_s"}),
        ({"failing": ["nvmlDeviceGetMemoryBusWidth"]}, {"bandwidth_gb_per_s", "floor_seconds"}),
    ],
)
def test_what_is_computed_from_a_missing_value_has_its_reason(model, training, options, missing):
    training = training | {"device": "cuda"}
    _, summary = summarise(model, training, sample_fake(**options), make_kernels(True), "")
    assert_reasons(summary)
    assert missing <= set(summary["reasons"])
    assert len({summary["reasons"][name] for name in missing}) == 1


def test_a_training_whose_time_is_rounded_to_nothing(model, training):
    told = describe_steps(model, training | {"seconds": 0.0}, None)
    assert 0 < told["flops_per_second"] < float("inf")


def test_a_training_shorter_than_a_sample_and_a_gpu_that_is_not_measured(model, training):
    training = training | {"device": "cuda"}

    def lost():
        raise LookupError("The package nvidia-ml-py is not installed.")

    with Sampler(open_device=lost) as ran:
        pass
    _, summary = summarise(model, training, ran, make_kernels(True), "")
    assert_reasons(summary)
    assert "not installed" in summary["reasons"]["utilisation"]
    assert summary["device"] == training["device_name"]
    told = describe_samples(make_samples(True).iloc[:0], None)
    assert set(told.values()) == {None}


def test_a_fault_of_the_telemetry_ends_no_training(model, tmp_path, monkeypatch):
    """Whatever fails, the tables are whole and the reason is in the summary."""
    output = SimpleNamespace(**{key: tmp_path / name for key, name in FILES.items()})

    def fail(*_):
        raise KeyError("traceEvents")

    monkeypatch.setattr("latere.telemetry.files.profile_steps", fail)
    training = {"device": "cpu", "device_name": "CPU", "loop": "lean"}
    write_telemetry(model, training, Sampler(), output)
    assert read_tsv(output.kernels).empty and pd.read_parquet(output.samples).empty
    reasons = json.loads(output.telemetry.read_text())["reasons"]
    assert "KeyError('traceEvents')" in reasons["telemetry"]

    def lack():
        raise AttributeError("nvmlInit")

    with Sampler(open_device=lack) as sampler:
        pass
    assert "AttributeError" in sampler.why_not
