"""Limits by sample, reasons and the waterfall."""

import numpy as np
import pandas as pd
import pytest

from latere.errors import StudyError
from latere.quality import LIMITS, REASONS
from select_cells import find_limit, select_cells

MOVING = {"deviations": 3, "floor": None, "ceiling": None}
NONE = dict.fromkeys(LIMITS)


@pytest.fixture
def scores():
    """Six cells of two runs of two samples."""
    table = pd.DataFrame({"run": ["r1", "r1", "r1", "r2", "r2", "r2"]})
    table["barcode"] = list("abcabc")
    table.insert(0, "cell", table["run"] + "_" + table["barcode"])
    table["n_counts"] = [100, 1000, 1000, 100, 1000, 9000]
    table["n_genes"] = [50, 500, 500, 50, 500, 500]
    table["percent_mt"] = [50.0, 5, 30, 5, 5, 5]
    table["percent_ribo"] = np.nan
    table["percent_hb"] = 0.0
    table["doublet"] = pd.array([True, True, False, None, None, None], dtype="boolean")
    return table


def test_limit_moves_with_the_cells():
    """By hand: scaled by 1.4826; counts on a logarithmic scale."""
    values = np.array([1, 2, 3, 4, 100], dtype=float)
    limit = find_limit("max_percent_mt", MOVING, values)
    assert limit["value"] == pytest.approx(3 + 3 * 1.4826)
    assert (limit["median"], limit["mad"], limit["set_by"]) == (3, 1, "deviations")
    logs = np.log1p(values)
    deviation = np.median(np.abs(logs - np.log1p(3)))
    limit = find_limit("min_counts", MOVING, values)
    assert limit["value"] == pytest.approx(np.expm1(np.log1p(3) - 3 * 1.4826 * deviation))
    assert limit["median"] == pytest.approx(3) and limit["mad"] == pytest.approx(deviation)


@pytest.mark.parametrize(
    ("name", "rule", "value", "set_by"),
    [
        ("max_percent_mt", MOVING | {"floor": 8, "ceiling": 20}, 8, "floor"),
        ("max_percent_mt", MOVING | {"ceiling": 5}, 5, "ceiling"),
        ("max_percent_mt", MOVING | {"deviations": None, "floor": 8, "ceiling": 20}, 20, "ceiling"),
        ("min_genes", MOVING | {"deviations": None, "floor": 200}, 200, "floor"),
        ("min_genes", MOVING | {"deviations": None}, np.nan, "none"),
        ("min_genes", 7, 7, "fixed"),
        ("min_genes", None, np.nan, "none"),
    ],
)
def test_floor_ceiling_and_number(name, rule, value, set_by):
    limit = find_limit(name, rule, np.array([1, 2, 3, 4, 100]))
    assert limit["set_by"] == set_by
    np.testing.assert_equal(limit["value"], value)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_without_figures_there_is_no_limit(values):
    limit = find_limit("max_percent_mt", MOVING | {"ceiling": 20}, np.array(values))
    assert np.isnan([limit["value"], limit["median"]]).all() and limit["set_by"] == "unknown"


def test_reasons_and_waterfall(scores):
    rules = {
        "s1": NONE | {"min_counts": 500, "min_genes": 100, "max_percent_mt": 20},
        "s2": NONE | {"min_genes": 50, "max_counts": 5000},
        "s3": NONE,
    }
    runs = {"r1": "s1", "r2": "s2", "r3": "s3"}
    selection, limits, qc = select_cells(scores, rules, True, runs)
    reasons = ["low_counts,low_genes,high_mt,doublet", "doublet", "high_mt", "", "", "high_counts"]
    assert selection["reasons"].tolist() == reasons
    assert selection["kept"].tolist() == [not reason for reason in reasons]
    assert selection["sample"].tolist() == ["s1"] * 3 + ["s2"] * 3
    assert len(limits) == 3 * len(LIMITS)
    assert list(qc)[: 3 + len(REASONS) + 1] == ["run", "sample", "called", *REASONS, "kept"]
    qc = qc.set_index("run")
    assert qc.index.tolist() == list(runs) and qc["sample"].tolist() == list(runs.values())
    first = qc.loc["r1"]
    assert (first["low_counts"], first["low_genes"], first["high_mt"], first["doublet"]) == (
        (1, 0, 1, 1)
    )
    assert (qc["called"] - qc[REASONS].sum(axis=1) == qc["kept"]).all()
    assert qc["called"].tolist() == [3, 3, 0] and qc["kept"].tolist() == [0, 2, 0]
    assert qc.loc["r2", "median_n_counts"] == 550 and np.isnan(qc.loc["r1", "median_n_counts"])


def test_doublets_are_kept_where_asked(scores):
    rules = {"s1": NONE, "s2": NONE}
    selection, _, qc = select_cells(scores, rules, False, {"r1": "s1", "r2": "s2"})
    assert selection["kept"].all() and qc["doublet"].sum() == 0
    assert selection["doublet"].sum() == 2


def test_limit_of_a_figure_that_no_gene_tells_is_told(scores, caplog):
    rules = {"s": NONE | {"max_percent_ribo": 10}}
    selection, _, _ = select_cells(scores, rules, False, {"r1": "s", "r2": "s"})
    assert selection["kept"].all()
    assert "no gene of its runs gives percent_ribo" in caplog.text


def test_no_cell_at_all(scores):
    selection, limits, qc = select_cells(scores[:0], {"s": NONE}, True, {"r1": "s"})
    assert selection.empty and qc["called"].tolist() == [0] and len(limits) == len(LIMITS)


def test_cells_of_one_name_are_refused(scores):
    scores.loc[3, "cell"] = scores.loc[0, "cell"]
    with pytest.raises(StudyError, match=r"r1_a.*\[duplicated-cell\]"):
        select_cells(scores, {"s": NONE}, True, {"r1": "s", "r2": "s"})
