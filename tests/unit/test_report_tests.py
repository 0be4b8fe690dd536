"""The sections on the tests: comparison of branches and top genes."""

import numpy as np
import pandas as pd
import pytest

from latere.branches import REGISTRY
from latere.report.comparison import draw_fold_changes, pair_tables, thin
from latere.report.genes import headings, top_genes


def test_thinning_keeps_every_called_gene():
    called = np.repeat([False, True, False], [100, 7, 100])
    shown = thin(called, 10)
    assert called[shown].sum() == 7 and len(shown) == 17
    assert shown[0] == 0 and shown[-1] == 206
    assert thin(called, 200).tolist() == list(range(207))


def make_de(**columns):
    table = {"contrast": "c", "group": "all", "gene_name": list("abc"), "gene_id": list("ABC")}
    numbers = {"mean_case": 1.0, "mean_control": 2.0, "significant": [True, True, False]}
    return pd.DataFrame(table | numbers | columns)


@pytest.mark.parametrize(
    ("columns", "order"),
    [
        # As the score was: -log10 of the p-value, or the posterior probability.
        ({"pvalue": [0.01, 0.01, 0.5], "fdr": [0.1, 0.1, 0.2]}, "BAC"),
        ({"pvalue": [0.03, 0.02, 0.01], "fdr": [0.03, 0.03, 0.03]}, "CBA"),
        ({"posterior": [1.0, 1.0, 0.5], "fdr": [0.0, 0.0, np.nan]}, "BAC"),
        ({"posterior": [0.5, 0.6, 0.7], "fdr": [0.2, 0.2, 0.2]}, "CBA"),
        ({"fdr": [0.3, 0.2, 0.1]}, "CBA"),
    ],
)
def test_top_genes_rank_by_what_the_branch_gives(columns, order):
    de = make_de(log2fc=[0.5, -2.0, 9.0], **columns)
    rows = top_genes(de, 3)
    assert "".join(row[3] for row in rows) == order
    assert [row[3] for row in top_genes(de, 2)] == list(order[:2])
    assert len(rows[0]) == 5 + len(headings(de.columns))


def test_top_genes_have_no_nan_and_keep_the_order_of_the_groups():
    de = make_de(log2fc=1.0, pvalue=[0.5, 0.01, 0.02], fdr=[np.nan, 0.01, 0.02])
    assert top_genes(de, 3)[-1][-1] is None
    rows = top_genes(de.assign(group=["all", "T", "all"]), 3)
    assert [(row[1], row[3]) for row in rows] == [("all", "C"), ("all", "A"), ("T", "B")]


def make_calls(called):
    return pd.concat(
        pd.DataFrame(
            {
                "contrast": "c",
                "group": "all",
                "gene_id": ["A", "B"],
                "gene_name": ["a", "b"],
                "branch": branch,
                "log2fc": [1.0, -1.0 * number],
                "significant": calls,
            }
        )
        for number, (branch, calls) in enumerate(called.items())
    )


def test_fold_changes_are_those_of_each_branch():
    calls = make_calls({"x": [True, False], "y": [True, True]})
    drawn = draw_fold_changes(calls.iloc[[0, 1, 3, 2]], ["y", "x"])
    assert drawn["names"] == ["a", "b"]
    (group,) = drawn["groups"]
    assert group["tested"] == 2 and group["name"] == [0, 1]
    assert group["log2fc"] == {"y": [1, -1], "x": [1, 0]}
    assert group["called"] == {"y": [1, 1], "x": [1, 0]}


def test_a_table_for_each_pair():
    branches = list(REGISTRY.values())[:3]
    names = [branch.name for branch in branches]
    key = {"contrast": "c", "group": "all"}
    summary = pd.DataFrame(
        {**key, "branch": name, "tested": 9, "significant": number}
        for number, name in enumerate(names)
    )
    pairs = [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]
    compared = pd.DataFrame(
        {**key, "branch": one, "other": other, "tested": 9, "jaccard": 0.1 * number}
        for number, (one, other) in enumerate(pairs)
    )
    tables = pair_tables(summary, compared, branches)
    assert [[b.name for b in table["branches"]] for table in tables] == list(map(list, pairs))
    rows = [table["rows"] for table in tables]
    assert [(r["called_0"], r["called_1"], r["jaccard"]) for (r,) in rows] == [
        (0, 1, 0.0),
        (0, 2, 0.1),
        (1, 2, 0.2),
    ]
    (alone,) = pair_tables(summary, compared, branches[1:2])
    assert alone["rows"] == [{**key, "tested": 9, "called_0": 1}]
