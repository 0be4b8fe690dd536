import numpy as np
import pandas as pd
import pytest

from compare_branches import (
    check_tests,
    compare_contrast,
    compare_labels,
    compare_pair,
    join_calls,
)
from latere.errors import StudyError
from latere.tables import UNKNOWN


def de(log2fc, significant, group="all", genes=None):
    n = len(log2fc)
    return pd.DataFrame(
        {
            "contrast": "c",
            "group": group,
            "gene_id": genes or [f"G{i}" for i in range(n)],
            "gene_name": [f"g{i}" for i in range(n)],
            "log2fc": np.array(log2fc, dtype=float),
            "fdr": np.where(significant, 0.01, 0.9),
            "significant": np.array(significant, dtype=bool),
        }
    )


def asked(**groups):
    return {"groups": {name: {"genes": genes} for name, genes in groups.items()}, "skipped": {}}


def test_agreement_by_hand():
    deep = de([2, -1, 1, 0.5, 0], [True, True, True, False, False])
    manual = de([1, -2, -1, 3, 0.1], [True, True, True, True, False])
    # Whatever the order of the rows.
    tables = (table.set_index("gene_id") for table in (deep, manual.iloc[::-1]))
    metrics = compare_pair(*tables)
    assert metrics["tested"] == 5
    assert metrics["significant_both"] == 3
    assert metrics["jaccard"] == pytest.approx(3 / 4)
    assert metrics["sign_agreement"] == pytest.approx(2 / 3)
    # Ranks 5 1 4 3 2 against 4 1 2 5 3: 1 - 6 * 10 / (5 * 24)
    assert metrics["spearman"] == pytest.approx(0.5)


def test_metrics_without_a_definition_are_nan():
    tables = (de(log2fc, [False] * 2).set_index("gene_id") for log2fc in ([0, 0], [1, 2]))
    metrics = compare_pair(*tables)
    assert np.isnan([metrics["jaccard"], metrics["spearman"], metrics["sign_agreement"]]).all()
    assert metrics["significant_both"] == 0


def test_a_branch_tests_what_the_design_asks():
    design, table = asked(all=["G0", "G1"]), de([1, 2], [True] * 2)
    check_tests("c", {"deep": table, "manual": table}, design)
    others = {
        "1 tests of the design are missing and 1 are not": de([1, 2], [1, 1], genes=["G0", "G9"]),
        "1 tests of the design are missing and 0 are not": de([1], [True]),
        "0 tests of the design are missing and 2 are not": pd.concat(
            [table, de([1, 2], [1, 1], group="B cell")]
        ),
        "1 tested genes have no log2fc, the first G1": de([1, np.nan], [True] * 2),
    }
    for problem, wrong in others.items():
        with pytest.raises(StudyError, match=f"contrast c, branch manual.*: {problem}"):
            check_tests("c", {"deep": table, "manual": wrong}, design)


def test_every_branch_and_every_pair_has_a_row():
    two = pd.concat([de([1, 2], [True, False]), de([1, 2], [True] * 2, group="B cell")])
    summary, pairs = compare_contrast("c", {"a": two, "b": two, "d": two})
    assert [(row["group"], row["branch"]) for row in summary] == [
        (group, branch) for group in ("all", "B cell") for branch in "abd"
    ]
    assert [row["significant"] for row in summary] == [1, 1, 1, 2, 2, 2]
    assert [(row["branch"], row["other"]) for row in pairs] == 2 * [
        ("a", "b"),
        ("a", "d"),
        ("b", "d"),
    ]


@pytest.mark.parametrize("branches", [{}, {"deep": de([], [])}, {"a": de([], []), "b": de([], [])}])
def test_nothing_to_compare_gives_valid_empty_tables(branches):
    assert compare_contrast("c", branches) == ([], [])
    check_tests("c", branches, asked())
    assert join_calls([table.assign(branch=name) for name, table in branches.items()]).empty


def test_one_branch_is_compared_with_none():
    summary, pairs = compare_contrast("c", {"deep": de([1, 2], [True] * 2)})
    assert len(summary) == 1 and pairs == []


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        # Typed by both, unknown in one, unknown in both, and the share of the first that agrees.
        ("uuuu", "uuuu", (0, 0, 4, np.nan)),
        ("uuuu", "TTTT", (0, 4, 0, np.nan)),
        ("TBuu", "TTuu", (2, 0, 2, 0.5)),
        ("TTuT", "TBTu", (2, 2, 0, 0.5)),
        ("TTTu", "TTTu", (3, 0, 1, 1)),
    ],
)
def test_unknown_agrees_with_nothing(one, other, expected):
    names = {"u": UNKNOWN}
    labels = {
        branch: pd.DataFrame({"cluster": "0", "cell_type": [names.get(type, type) for type in of]})
        for branch, of in (("deep", one), ("manual", other))
    }
    (row,) = compare_labels(labels).to_dict("records")
    found = [row[name] for name in ("typed_both", "unknown_one", "unknown_both", "same_cell_type")]
    assert found == pytest.approx(expected, nan_ok=True)


def test_labels_are_matched_by_cell():
    cells = [f"r_{i}" for i in range(4)]
    deep = pd.DataFrame({"cluster": list("0011"), "cell_type": list("TTBB")}, index=cells)
    manual = pd.DataFrame({"cluster": list("5533"), "cell_type": list("TTTT")}, index=cells)
    (row,) = compare_labels({"deep": deep, "manual": manual[::-1]}).to_dict("records")
    assert (row["branch"], row["other"], row["n_cells"]) == ("deep", "manual", 4)
    assert row["clusters_adjusted_rand"] == 1
    assert row["same_cell_type"] == 0.5
    assert (row["typed_both"], row["unknown_one"], row["unknown_both"]) == (4, 0, 0)
    assert compare_labels({"deep": deep}).empty
    with pytest.raises(StudyError, match=r"deep and manual .*\[cells-differ\]"):
        compare_labels({"deep": deep, "manual": manual.rename({"r_0": "r_9"})})
