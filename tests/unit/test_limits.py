"""Limits on cells, for a study and for one of its samples."""

import pytest

from latere.study import Study, check_limits

FLOOR = {"deviations": 5, "floor": 500, "ceiling": None}
NONE = {"max_counts": None, "max_genes": None}
CELLS = {"min_counts": FLOOR, "min_genes": 200, "max_percent_mt": None, "doublets": "drop"} | NONE


def study(**samples):
    return Study("s", {"cells": CELLS | {"samples": samples}}, {}, {"A_1": {}, "A_2": {}})


def test_limits_of_a_sample_stand_over_those_of_the_study():
    own = {"min_counts": {"floor": 100}, "min_genes": None, "max_percent_mt": {"deviations": 3}}
    some = study(A_1=own)
    expected = {"min_counts": FLOOR, "min_genes": 200, "max_percent_mt": None}
    assert some.limits("A_2") == expected | NONE
    assert some.limits("A_1") == {
        "min_counts": FLOOR | {"floor": 100},
        "min_genes": None,
        "max_percent_mt": {"deviations": 3, "floor": None, "ceiling": None},
        **NONE,
    }
    assert study(A_1={"min_counts": 7}).limits("A_1")["min_counts"] == 7
    assert study(A_1={"min_genes": {"floor": 9}}).limits("A_1")["min_genes"]["floor"] == 9


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ({"A1": {"min_genes": 1}}, ["key 'cells.samples.A1'", "not in sheet.tsv", "mean 'A_1'?"]),
        (
            {"A_1": {"min_counts": {"ceiling": 400}}},
            ["A_1.min_counts'", "its floor, 500, is above"],
        ),
        ({"A_1": {"max_genes": 100}}, ["cells.samples.A_1'", "200 genes at least and 100 at most"]),
    ],
)
def test_faults_are_told_before_the_first_job(samples, words):
    (error,) = check_limits(study(**samples), "c.yaml", "sheet.tsv")
    assert all(word in str(error) for word in words)
    assert check_limits(study(), "c.yaml", "sheet.tsv") == []
