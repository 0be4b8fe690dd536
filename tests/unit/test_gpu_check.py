"""The check of a GPU runs where there is none, and finds what it is made to find."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("scvi")


@pytest.fixture(scope="module")
def script(root):
    return root / "tests/gpu/check.py"


def test_it_runs_on_the_cpu(script, tmp_path):
    small = ["--cells", "150", "--genes", "40", "--times", "2", "--epochs", "2"]
    command = [sys.executable, script, *small, "--out", tmp_path / "gpu.json"]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "gpu.json").read_text())
    ways = [(of["cells"], of["loop"], of["precision"]) for of in told["results"]]
    assert ways == [
        (150, "lean", "highest"),
        (150, "eager", "highest"),
        (150, "scvi-tools", "highest"),
        (150, "lean", "high"),
        (300, "lean", "highest"),
    ]
    assert len(done.stdout.splitlines()) == 1 + len(ways)
    assert all(of["epoch_s"] > 0 for of in told["results"])


@pytest.mark.parametrize(
    ("place", "change", "word"),
    [
        (0, {}, None),
        (0, {"loop": "scvi-tools", "loop_reason": "no memory"}, "no memory"),
        (1, {"elbo": [5.0, 3.0]}, "history"),
        (2, {"epoch_s": 0.3}, "3.0 times"),
        (3, {"peak_gb": 2.5}, "more than the counted 2.0"),
    ],
)
def test_what_is_wrong_is_named(script, place, change, word):
    spec = importlib.util.spec_from_file_location("gpu_check", script)
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    graph = {"cells": 9, "way": "fastest", "loop": "graph", "loop_reason": "", "epoch_s": 0.1}
    graph |= {"peak_gb": 1.0, "counted_gb": 2.0, "elbo": [5.0, 4.0, 3.5]}
    eager = graph | {"way": "eager", "loop": "eager", "elbo": [5.0, 4.0]}
    stock = graph | {"way": "scvi-tools", "loop": "scvi-tools", "epoch_s": 1.0}
    results = [graph, eager, stock, graph]
    results[place] = results[place] | change
    wrong = check.judge(results)
    assert len(wrong) == (word is not None) and all(word in line for line in wrong)
