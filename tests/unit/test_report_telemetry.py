"""The section on the hardware: a GPU with all its metrics, and a CPU that has none of them."""

import json

import pandas as pd
import pytest
from report_study import write_study
from telemetry_study import make_kernels, make_samples
from test_report_page import data_of, sections_of, text_of

from latere.contract import check_table, read_contracts
from latere.report.formats import format_si
from latere.report.page import build_page
from latere.report.telemetry import METRICS, N_POINTS, describe_missing, draw, shorten
from latere.telemetry.nvml import METRICS as MEASURED


@pytest.mark.parametrize("on_gpu", [True, False])
def test_the_made_up_tables_are_as_the_contracts_say(on_gpu):
    contracts = read_contracts()
    check_table(make_samples(on_gpu), "gpu", contracts["deep/gpu.parquet"])
    check_table(make_kernels(on_gpu), "kernels", contracts["deep/kernels.tsv"])


def test_every_metric_has_a_name():
    assert set(METRICS) == {*MEASURED, "bandwidth_gb_per_s"} - {"energy_joules"}


def test_a_training_on_a_gpu(report_page):
    part = sections_of(report_page)["telemetry"]
    text = text_of(part)
    assert "NVIDIA H100 80GB HBM3, driver 580.95.05, 85 GB of memory, at most 3.35 TB/s" in text
    assert "11,080 steps of 128 cells, 900 µs each" in text
    assert "1.97 GFLOP and 173 MB" in text and "17.3 times as long" in text
    assert "13 kJ (3.61 Wh)" in text
    assert "GEMM 52.0 %, elementwise 28.0 %, copy 20.0 %" in text
    assert "estimated occupancy 41.0 %" in text
    assert "700 GB/s" in text and "6.4 GB" in text and "1,980 MHz" in text
    assert "Not measured: time with tensor operations. GPM does not measure it here." in text
    assert "94x2x1" in text and "Memcpy HtoD (Pageable -> Device)" in text
    assert "aten::addmm" not in text and "nan" not in text and "None" not in text
    drawn = data_of(report_page)["drawn"]["telemetry"]
    assert list(drawn["shares"]) == ["utilisation", "memory bandwidth", "occupancy"]
    assert drawn["shares"]["occupancy"][0] is None and len(drawn["power"]) == 120


def test_a_training_on_a_cpu(tmp_path):
    page = build_page(*write_study(tmp_path, on_gpu=False), "0123abc")
    part = sections_of(page)["telemetry"]
    text = text_of(part)
    assert "aten::addmm" in text and "Operators on the CPU" in text and ">grid<" not in part
    assert "telemetry" not in data_of(page)["drawn"] and "telemetry-figure" not in part
    assert text.count("Not measured") == 1
    assert "utilisation, " in text and "energy, blocks and grids and warps" in text
    assert (
        "The model was trained on a CPU, and only GPUs are measured." in text and "None" not in text
    )


def test_a_profiler_that_failed_leaves_no_table(tmp_path):
    files, params = write_study(tmp_path, on_gpu=False)
    gpu = json.loads(files.gpu.read_text())
    gpu |= dict.fromkeys(("kernel_mix", "kernel_seconds", "kernel_calls"))
    gpu["reasons"]["kernel_mix"] = "The profiler failed."
    files.gpu.write_text(json.dumps(gpu))
    make_kernels(False).iloc[:0].to_csv(files.kernels, sep="\t", index=False)
    text = text_of(sections_of(build_page(files, params, "0123abc"))["telemetry"])
    assert "Not measured: time by kind of kernel. The profiler failed." in text
    assert "take most time" not in text and "of a step" in text


def test_missing_values_are_listed_by_reason():
    reasons = {
        "power_watts": "A.",
        "sm_occupancy": "B.",
        "occupancy_estimate": "B.",
        "driver": "A.",
    }
    assert describe_missing(reasons) == {"A.": "power", "B.": "occupancy"}


def test_a_long_training_is_thinned():
    samples = pd.concat([make_samples(True)] * 30, ignore_index=True)
    assert len(samples) > 3 * N_POINTS
    drawn = draw(samples)
    assert len(drawn["seconds"]) == len(drawn["power"]) == N_POINTS
    assert min(drawn["power"]) > 60 and max(drawn["power"]) < 300


def test_names_of_kernels_are_shortened():
    assert shorten("void at::native::(anonymous namespace)::a<int>(int)") == "a<int>(int)"
    assert len(shorten("x" * 500)) == 71


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 J"),
        (999.6, "1 kJ"),
        (1000, "1 kJ"),
        (0.00025, "250 µJ"),
        (5e-12, "0.005 nJ"),
        (3.352e12, "3.35 TJ"),
        (2e16, "2e+04 TJ"),
        (12, "12 J"),
    ],
)
def test_prefixes(value, text):
    assert format_si(value, "J") == text
