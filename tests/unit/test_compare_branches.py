import numpy as np
import pandas as pd
import pytest

from compare_branches import agreement, compare_contrast, compare_labels, join_branches
from latere.errors import StudyError


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


def skipped(*groups):
    return pd.DataFrame({"group": list(groups), "reason": "too few cells"}, dtype=str)


def test_agreement_by_hand():
    deep = de([2, -1, 1, 0.5, 0], [True, True, True, False, False])
    manual = de([1, -2, -1, 3, 0.1], [True, True, True, True, False])
    genes = join_branches(deep, manual.iloc[::-1], "c")  # whatever the order of the rows
    figures = agreement(genes)
    assert figures["tested"] == 5
    assert (figures["significant_deep"], figures["significant_manual"]) == (3, 4)
    assert figures["significant_both"] == 3
    assert figures["jaccard"] == pytest.approx(3 / 4)
    assert figures["sign_agreement"] == pytest.approx(2 / 3)
    # Ranks 5 1 4 3 2 against 4 1 2 5 3: 1 - 6 * 10 / (5 * 24)
    assert figures["spearman"] == pytest.approx(0.5)
    assert dict(genes.set_index("gene_id")["category"]) == {
        "G0": "both",
        "G1": "both",
        "G2": "both",
        "G3": "manual only",
        "G4": "neither",
    }


def test_figures_without_a_definition_are_nan():
    figures = agreement(join_branches(de([0, 0], [False] * 2), de([1, 2], [False] * 2), "c"))
    assert np.isnan([figures["jaccard"], figures["spearman"], figures["sign_agreement"]]).all()
    assert figures["significant_both"] == 0


def test_other_genes_in_a_branch_are_an_error():
    deep, manual = de([1, 2], [True] * 2), de([1, 2], [True] * 2, genes=["G0", "G9"])
    with pytest.raises(StudyError, match="contrast c, group all: .*did not test the same genes"):
        join_branches(deep, manual, "c")


def test_a_missing_fold_change_is_an_error():
    with pytest.raises(StudyError, match="gene G1: .*no log2fc"):
        join_branches(de([1, np.nan], [True] * 2), de([1, 2], [True] * 2), "c")


def test_a_group_may_be_skipped_but_not_vanish():
    manual = pd.concat([de([1, 2], [True] * 2), de([1, 2], [True] * 2, group="B cell")])
    tables = {"deep": de([1, 2], [True] * 2), "manual": manual}
    genes, rows = compare_contrast("c", tables, {"deep": skipped("B cell"), "manual": skipped()})
    assert [row["group"] for row in rows] == ["all"]
    assert set(genes["group"]) == {"all"}
    with pytest.raises(StudyError, match="branch deep: .*B cell"):
        compare_contrast("c", tables, {"deep": skipped(), "manual": skipped()})


def test_nothing_tested_gives_valid_empty_tables():
    tables = {"deep": de([], []), "manual": de([], [])}
    genes, rows = compare_contrast("c", tables, {"deep": skipped("all"), "manual": skipped("all")})
    assert genes.empty
    assert rows == []


def test_labels_are_matched_by_cell():
    cells = [f"r_{i}" for i in range(4)]
    deep = pd.Series(["0", "0", "1", "1"], index=cells)
    manual = pd.Series(["5", "5", "3", "3"], index=cells).iloc[::-1]
    table = compare_labels(
        {"deep": deep, "manual": manual},
        {"deep": pd.Series(["T", "T", "B", "B"], cells), "manual": pd.Series(["T"] * 4, cells)},
    )
    row = table.iloc[0]
    assert row["n_cells"] == 4
    assert row["clusters_adjusted_rand"] == 1
    assert row["same_cell_type"] == 0.5
    with pytest.raises(StudyError, match="different cells"):
        compare_labels(
            {"deep": deep, "manual": manual.rename({"r_0": "r_9"})},
            {"deep": deep, "manual": deep},
        )
