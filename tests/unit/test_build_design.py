"""The question put to every branch: sums, groups, samples, genes."""

import numpy as np
import pandas as pd
import pytest

import latere.study.designs as designs
from build_design import choose_samples, design_group
from define_groups import to_groups
from latere.errors import StudyError
from latere.study.study import Study
from sum_pseudobulks import sum_groups

pytestmark = pytest.mark.tools("rpy2")


def test_sums_equal_a_plain_sum(cells):
    """In parts of any size, whatever the order of the samples."""
    mixed = cells[np.random.default_rng(0).permutation(cells.n_obs)].copy()
    groups = mixed.obs["kind"].mask(mixed.obs["sample"] == "h2", "unknown")
    parts = [mixed.X[first : first + 77] for first in range(0, mixed.n_obs, 77)]
    sums, about = sum_groups(parts, groups, mixed.obs["sample"], mixed.n_vars)
    assert list(about["group"].unique()) == ["all", "x", "y"]
    assert len(about) == 6 + 5 + 5
    for row, (group, sample, n_cells) in zip(sums.toarray(), about.to_numpy(), strict=True):
        chosen = (mixed.obs["sample"] == sample) & ((groups == group) | (group == "all"))
        assert chosen.sum() == n_cells
        np.testing.assert_array_equal(row, mixed.X[chosen.to_numpy()].toarray().sum(axis=0))


def test_samples_and_genes_of_a_group(cells, sides, sum_all):
    about, reason = design_group(sum_all(cells), sides, {}, min_cells=10)
    assert reason == ""
    assert about["samples"] == ["l1", "l2", "l3", "h1", "h2", "h3"]
    assert about["sides"] == ["case"] * 3 + ["control"] * 3
    assert about["n_cells"] == [60] * 6
    assert cells.var_names[-1] not in about["genes"]  # the gene without a count


def test_small_groups_are_skipped_with_the_reason(cells, sides, sum_all):
    about, reason = design_group(sum_all(cells[:100]), sides, {}, min_cells=10)
    assert about == {} and "0 of 3 case samples have at least 10 cells" in reason


def test_samples_with_few_cells_are_left_out(sides):
    n_cells = {"l1": 50, "l2": 9, "l3": 10, "h1": 10, "h2": 10}
    side_of, reason = choose_samples(n_cells, sides, 10)
    assert side_of == {"l1": "case", "l3": "case", "h1": "control", "h2": "control"}
    assert reason == ""


def test_confounded_covariate_is_told(cells, sides, sum_all):
    sums = sum_all(cells)
    sex = {name: "f" if name.startswith("l") else "m" for name in cells.obs["sample"].unique()}
    reason = design_group(sums, sides, {"sex": sex}, 10)[1]
    assert reason == (
        "in the samples left, the covariate 'sex' separates case from control: "
        "f only in case (l1, l2, l3), m only in control (h1, h2, h3)"
    )
    about, reason = design_group(sums, sides, {"sex": sex | {"h3": "f"}}, 10)
    assert reason == "" and about["covariates"] == {"sex": ["f"] * 3 + ["m", "m", "f"]}


def test_few_genes_are_no_test(cells, sides, sum_all):
    reason = design_group(sum_all(cells[:, :5].copy()), sides, {}, 10)[1]
    assert reason.startswith("5 genes have enough counts")


def test_groups_keep_what_is_not_known_apart():
    groups = to_groups(pd.Series(["x", None, " ", "y "], dtype="category"), "kind")
    assert groups.tolist() == ["x", "unknown", "unknown", "y"]
    assert to_groups(pd.Series([1, 2]), "kind").tolist() == ["1", "2"]


@pytest.mark.parametrize(("name", "code"), [("all", "reserved-name"), ("=1", "formula")])
def test_a_group_of_another_meaning_is_refused(name, code):
    with pytest.raises(StudyError, match=rf"groups from kind: .*'{name}'.*\[{code}\]"):
        to_groups(pd.Series(["x", name]), "kind")


@pytest.fixture
def study():
    samples = {f"c{n}": {"kind": "c"} for n in range(4)} | {
        f"h{n}": {"kind": "h"} for n in range(3)
    }
    contrast = {
        "column": "kind",
        "case": "c",
        "control": "h",
        "covariates": [],
        "numeric_covariates": [],
    }
    return Study("s", {"contrasts": {"k": contrast}}, {}, samples)


def test_null_splits_are_distinct_and_complete(study):
    found = set()
    for number in (1, 2, 3):
        sides = designs.sides_of(f"k+null-case-{number}", study)
        assert sorted(sides["case"] + sides["control"]) == ["c0", "c1", "c2", "c3"]
        found.add(frozenset(map(frozenset, sides.values())))
    assert len(found) == 3
    with pytest.raises(StudyError, match="no split of number 4"):
        designs.sides_of("k+null-case-4", study)
    sizes = [len(designs.sides_of(f"k+null-control-{n}", study)["case"]) for n in (1, 2, 3)]
    assert sizes == [1, 1, 1]


def test_one_sample_is_left_out(study):
    assert designs.sides_of("k+without-h1", study)["control"] == ["h0", "h2"]
    assert designs.sides_of("k", study) == study.sides("k")
    assert designs.contrast_of("k+without-h1") == "k"


@pytest.mark.parametrize("name", ["k+without-z", "k+other", "z", "k+null-case-99"])
def test_a_design_that_cannot_be_made_is_refused(study, name):
    with pytest.raises(StudyError, match="design "):
        designs.sides_of(name, study)
