"""edgeR through rpy2 equals an independent R script, and finds what was planted."""

import os

import pandas as pd
import pytest

from edger_de import compare_group
from latere.design import design_matrix

PLANTED = [f"G{number}" for number in range(12)]

pytestmark = pytest.mark.tools("rpy2", "Rscript")


@pytest.mark.parametrize("paired", [False, True])
def test_equals_an_independent_r_script(cells, sum_all, group_design, paired, assert_equals_r):
    patients = {"l1": "p1", "l2": "p2", "l3": "p3", "h1": "p1", "h2": "p2", "h3": "p3"}
    covariates = {"patient": patients} if paired else {}
    about, sums = group_design(cells, covariates=covariates), sum_all(cells)
    sums.obs_names = sums.obs["sample"]
    ordered = sums[about["samples"], about["genes"]]
    counts = pd.DataFrame(ordered.X.toarray().T, about["genes"], about["samples"])
    case = [side == "case" for side in about["sides"]]
    matrix = design_matrix(case, list(about["covariates"].values()))
    assert matrix.shape == (6, 4 if paired else 2)
    assert_equals_r(compare_group(sums, about), counts, matrix)


def test_a_number_equals_an_independent_r_script(cells, sum_all, group_design, assert_equals_r):
    ages = {"l1": 34.0, "l2": 51.0, "l3": 38.0, "h1": 55.5, "h2": 60.0, "h3": 63.0}
    patients = {"l1": "p1", "l2": "p2", "l3": "p1", "h1": "p1", "h2": "p2", "h3": "p2"}
    about = group_design(cells, covariates={"sex": patients, "age": ages})
    sums = sum_all(cells)
    sums.obs_names = sums.obs["sample"]
    ordered = sums[about["samples"], about["genes"]]
    counts = pd.DataFrame(ordered.X.toarray().T, about["genes"], about["samples"])
    design = {
        "all": 1,
        "case": [int(side == "case") for side in about["sides"]],
        "sex": [int(patients[name] == "p2") for name in about["samples"]],
        "age": [ages[name] for name in about["samples"]],
    }
    design = pd.DataFrame(design)
    design["age"] = (design["age"] - design["age"].mean()) / design["age"].std(ddof=0)
    assert_equals_r(compare_group(sums, about), counts, design)


def test_finds_what_was_planted(cells, sum_all, group_design):
    table = compare_group(sum_all(cells), group_design(cells))
    assert set(table[table["fdr"] < 0.05]["gene_name"]) >= set(PLANTED)
    planted = table[table["gene_name"].isin(PLANTED)]
    assert planted["log2fc"].between(1.5, 2.3).all()
    assert (planted["mean_case"] > planted["mean_control"]).all()


def test_child_processes_keep_their_libraries(cells, group_design):
    before = os.environ.get("LD_LIBRARY_PATH")
    group_design(cells)
    assert os.environ.get("LD_LIBRARY_PATH") == before
