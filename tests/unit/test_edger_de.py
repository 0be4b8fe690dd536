"""edgeR through rpy2 equals an independent R script, and finds what was planted."""

import os

import numpy as np
import pandas as pd
import pytest

from edger_de import compare_group
from pseudobulk import pseudobulk

PLANTED = [f"G{number}" for number in range(12)]

pytestmark = pytest.mark.tools("rpy2", "Rscript")


@pytest.mark.parametrize("paired", [False, True])
def test_equals_an_independent_r_script(cells, design, paired, assert_equals_r):
    if paired:
        patients = [["p1"], ["p2"], ["p3"]]
        design = {side: dict(zip(names, patients, strict=True)) for side, names in design.items()}
    bulk, _ = pseudobulk(cells, {"all": np.ones(cells.n_obs, bool)}, design, 10)
    counts = pd.DataFrame(bulk.X.T, bulk.var_names, bulk.obs["sample"])
    assert bulk.obsm["design"].shape == (6, 4 if paired else 2)
    assert_equals_r(compare_group(bulk), counts, bulk.obsm["design"])


def test_finds_what_was_planted(cells, design):
    bulk, _ = pseudobulk(cells, {"all": np.ones(cells.n_obs, bool)}, design, 10)
    table = compare_group(bulk)
    assert set(table[table["fdr"] < 0.05]["gene_name"]) >= set(PLANTED)
    planted = table[table["gene_name"].isin(PLANTED)]
    assert planted["log2fc"].between(1.5, 2.3).all()
    assert (planted["mean_case"] > planted["mean_control"]).all()


def test_child_processes_keep_their_libraries(cells, design):
    before = os.environ.get("LD_LIBRARY_PATH")
    pseudobulk(cells, {"all": np.ones(cells.n_obs, bool)}, design, 10)
    assert os.environ.get("LD_LIBRARY_PATH") == before
