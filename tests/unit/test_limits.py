"""Limits on cells, for a study and for one of its samples."""

import pytest

from latere.errors import StudyError
from latere.study.config import check_config, load_schema
from latere.study.limits import check_limits
from latere.study.study import Study

FLOOR = {"deviations": 5, "floor": 500, "ceiling": None}
NONE = {"max_counts": None, "max_genes": None}
CELLS = {"min_counts": FLOOR, "min_genes": 200, "max_percent_mt": None, "doublets": "drop"} | NONE


def study(**samples):
    return Study("s", {"cells": CELLS | {"samples": samples}}, {}, {"A_1": {}, "A_2": {}})


def faults(some):
    return check_limits(some.config["cells"], some.samples, "c.yaml", "sheet.tsv")


def test_limits_of_a_sample_replace_those_of_the_study():
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
    ("samples", "code", "words"),
    [
        (
            {"A1": {"min_genes": 1}},
            "unknown-sample",
            ["key 'cells.samples.A1'", "sheet.tsv", "mean 'A_1'?"],
        ),
        (
            {"A_1": {"min_counts": {"ceiling": 400}}},
            "floor-above-ceiling",
            ["A_1.min_counts'", "500"],
        ),
        (
            {"A_1": {"max_percent_mt": {"floor": 5}}},
            "no-limit",
            ["A_1.max_percent_mt'", "a ceiling"],
        ),
        (
            {"A_1": {"min_counts": {"deviations": None, "floor": None, "ceiling": 9}}},
            "no-limit",
            ["A_1.min_counts'", "a floor"],
        ),
        ({"A_1": {"max_genes": {}}}, "no-limit", ["A_1.max_genes'"]),
        (
            {"A_1": {"max_genes": 100}},
            "minimum-above-maximum",
            ["cells.samples.A_1'", "200 genes", "100"],
        ),
    ],
)
def test_faults_are_reported_before_the_first_job(samples, code, words):
    (error,) = faults(study(**samples))
    assert error.code == code and all(word in str(error) for word in words)
    assert faults(study()) == []


@pytest.mark.parametrize(
    "rule",
    [None, 9, {"ceiling": 9}, {"deviations": 3}, {"deviations": 3, "floor": 5, "ceiling": 9}],
)
def test_a_rule_that_sets_a_limit_or_null_is_no_fault(rule):
    assert faults(study(A_1={"max_percent_mt": rule})) == []


def test_fault_of_the_study_is_reported_once():
    some = study(A_1={"min_genes": 9})
    some.config["cells"] |= {"max_percent_hb": {"floor": 5}}
    (error,) = faults(some)
    assert error.code == "no-limit" and "key 'cells.max_percent_hb'" in error.where


def test_a_limit_has_the_defaults_of_what_it_leaves_out(root):
    schema = load_schema(root / "config/schemas/config.schema.yaml")
    cells = {"min_counts": {"floor": 100}, "max_counts": {"deviations": 3}}
    config = check_config({"study": "s", "samples": "s.tsv", "cells": cells}, "c.yaml", schema)
    limits = Study("s", config, {}, {"A_1": {}}).limits("A_1")
    assert limits["min_counts"] == {"deviations": 5, "floor": 100, "ceiling": 1000}
    assert limits["max_counts"] == {"deviations": 3, "floor": None, "ceiling": None}
    assert limits["max_percent_mt"] == {"deviations": 3, "floor": 8, "ceiling": 20}
    with pytest.raises(StudyError, match="'cells.min_genes.flor'.*\n.*'cells.min_genes.floor'"):
        check_config(
            {"study": "s", "samples": "s.tsv", "cells": {"min_genes": {"flor": 1}}}, "c", schema
        )
