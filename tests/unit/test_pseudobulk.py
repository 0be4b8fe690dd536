"""The question put to both branches."""

import numpy as np
import pandas as pd
import pytest

from latere.errors import StudyError
from pseudobulk import ask, groups_of, pseudobulk, sum_by_sample

pytestmark = pytest.mark.tools("rpy2")


def all_and_x(cells):
    kind = cells.obs["kind"].to_numpy()
    return {"all": np.ones(cells.n_obs, bool), "x": kind == "x"}


def test_sums_equal_a_plain_sum(cells):
    samples = cells.obs["sample"].to_numpy()
    sums = sum_by_sample(cells.X, samples, ["l2", "h1"])
    expected = [cells.X.toarray()[samples == name].sum(axis=0) for name in ("l2", "h1")]
    np.testing.assert_array_equal(sums, expected)


def test_rows_and_genes(cells, design):
    bulk, skipped = pseudobulk(cells, all_and_x(cells), design, min_cells=10)
    assert skipped.empty
    assert bulk.obs["group"].tolist() == ["all"] * 6 + ["x"] * 6
    assert bulk.obs["sample"].tolist()[:6] == ["l1", "l2", "l3", "h1", "h2", "h3"]
    assert bulk.obs["n_cells"].tolist() == [60] * 6 + [30] * 6
    assert bulk.X.sum() == cells.X.sum() + cells.X[all_and_x(cells)["x"]].sum()
    assert not bulk.layers["tested"][:, -1].any()  # the gene without a count
    assert (bulk.layers["tested"][0] == bulk.layers["tested"][5]).all()


def test_small_groups_are_skipped_with_the_reason(cells, design):
    few = np.zeros(cells.n_obs, bool)
    few[:100] = True
    bulk, skipped = pseudobulk(cells, {"few": few}, design, min_cells=10)
    assert bulk.n_obs == 0
    assert skipped["group"].tolist() == ["few"]
    assert "0 of 3 case samples have at least 10 cells" in skipped["reason"][0]


def test_samples_with_few_cells_are_left_out(design):
    used, reason = ask(pd.Series({"l1": 50, "l2": 9, "l3": 10, "h1": 10, "h2": 10}), design, 10)
    assert used == ["l1", "l3", "h1", "h2"]
    assert reason == ""


def test_confounded_covariate_is_told():
    design = {"case": {"a": ["f"], "b": ["f"]}, "control": {"c": ["m"], "d": ["m"], "e": ["f"]}}
    n_cells = pd.Series(dict.fromkeys("abcd", 20))
    assert "covariates" in ask(n_cells, design, 10)[1]
    assert ask(pd.Series(dict.fromkeys("abcde", 20)), design, 10)[1] == ""


def test_groups_are_all_and_each_type():
    groups = groups_of(pd.Series(["x", "unknown", "y", "x"]))
    assert list(groups) == ["all", "x", "y"]
    assert groups["all"].tolist() == [True] * 4
    assert groups["x"].tolist() == [True, False, False, True]


def test_a_type_called_all_is_refused():
    with pytest.raises(StudyError, match="a type is called 'all'"):
        groups_of(pd.Series(["x", "all"]))


def test_few_genes_are_no_test(cells, design):
    bulk, skipped = pseudobulk(cells[:, :5].copy(), all_and_x(cells), design, 10)
    assert bulk.n_obs == 0
    assert skipped["reason"].str.startswith("5 genes have enough counts").all()
