import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from latere.errors import StudyError
from latere.truth.cells import EVERY_RUN, compare_runs, count_called, count_doublets, count_fates
from latere.truth.labels import compare_labels, label_accuracy
from latere.truth.tests import POOLED, compare_de, compare_fold_changes, compare_tests


def true_cells(run="r"):
    """Five cells: two shallow, one of them a doublet."""
    cells = pd.DataFrame(
        {
            "run": run,
            "barcode": list("ABCDE"),
            "cell_type": ["T cell", "T cell", "Blast A", "Blast A", "T cell"],
            "lineage": ["T cell", "T cell", "B cell", "B cell", "T cell"],
            "doublet": [False, False, False, True, False],
            "second_type": ["", "", "", "T cell", ""],
            "damaged": [False, False, False, False, True],
            "n_ambient": [40, 40, 30, 100, 20],
            "n_umis": [1000, 400, 600, 2000, 100],
        }
    )
    return cells.assign(cell=cells["run"] + "_" + cells["barcode"])


def test_calling_depth_is_that_of_the_shallowest_called_single_cell():
    figures = count_called(pd.Index(["A", "B", "D", "X"]), true_cells().set_index("barcode"))
    assert figures["called"] == 4
    assert figures["called_true"] == 3
    assert figures["called_empty"] == 1
    assert figures["called_doublets"] == 1
    assert figures["calling_depth"] == 400
    # A, B and C are single and deep enough; C was missed.
    assert (figures["single_above_depth"], figures["single_above_depth_called"]) == (3, 2)


def test_no_called_cell_has_no_depth():
    figures = count_called(pd.Index(["X"]), true_cells().set_index("barcode"))
    assert np.isnan(figures["calling_depth"])
    assert figures["single_above_depth"] == 0


def test_doublets_are_told_apart_by_their_types():
    cells = true_cells().set_index("barcode")
    cells.loc["C", ["doublet", "second_type"]] = True, "Blast A"
    # E was not judged; X is an empty droplet that is taken for a doublet.
    marked = pd.Series({"A": True, "B": False, "C": False, "D": True, "E": None, "X": True})
    assert count_doublets(marked.astype("boolean"), cells) == {
        "marked_doublets": 3,
        "heterotypic": 1,
        "heterotypic_marked": 1,
        "homotypic": 1,
        "homotypic_marked": 0,
    }


def test_each_cell_falls_once():
    """A lost to its first reason, B kept, C not called, D a doublet, E damaged, X empty."""
    names = [f"r_{barcode}" for barcode in "ABDEX"]
    reasons = ["low_genes,high_mt", "", "doublet", "high_mt", ""]
    fates = count_fates(pd.DataFrame({"cell": names, "reasons": reasons}), true_cells())
    fates = fates.set_index("kind")
    assert fates["cells"].to_dict() == {
        "Blast A": 1,
        "T cell": 2,
        "every cell type": 3,
        "damaged cell": 1,
        "doublet of two types": 1,
        "doublet of one type": 0,
        "empty droplet": 1,
    }
    assert fates.loc["T cell", "low_genes"] == fates.loc["T cell", "kept"] == 1
    assert fates.loc["damaged cell", "high_mt"] == fates.loc["empty droplet", "kept"] == 1
    assert fates.loc["Blast A", "not_called"] == 1
    assert fates.loc["doublet of two types", "doublet"] == 1
    assert fates.loc["T cell", "share_lost"] == 0.5
    assert fates.loc["every cell type", "share_lost"] == pytest.approx(2 / 3)
    assert np.isnan(fates.loc["doublet of one type", "share_lost"])


def genes(log2fc, true_log2fc, significant):
    return pd.DataFrame(
        {
            "log2fc": np.array(log2fc, dtype=float),
            "true_log2fc": np.array(true_log2fc, dtype=float),
            "significant": significant,
        }
    )


def test_false_discoveries_are_null_genes_and_wrong_signs():
    figures = compare_de(
        genes(
            [1, -1, 2, -3, 0.1, 0.2],
            [1.5, 1.0, 0, -0.5, 2.0, 1e-12],
            [True, True, True, True, False, False],
        )
    )
    assert figures == {
        "tested": 6,
        "true_de": 4,
        "called": 4,
        "false_discoveries": 2,
        "fdp": 0.5,
        "power": 0.5,
        "true_large": 3,
        "power_large": pytest.approx(1 / 3),
    }


def test_shares_of_nothing_are_nan():
    figures = compare_de(genes([1, 2], [0, 0], [False, False]))
    assert np.isnan([figures["fdp"], figures["power"], figures["power_large"]]).all()
    assert np.isnan(compare_fold_changes(genes([1, 2], [0, 0], [False, False]))["spearman"])


def test_pooled_row_leaves_out_groups_in_which_all_genes_change():
    ids = ["G0", "G1", "G2"]
    groups = {"all": [1, 1, 1], "T cell": [1, 0, 0], "B cell": [1, 1, 0.5], "odd": None}
    de = pd.concat(
        pd.DataFrame({"group": group, "gene_id": ids, "log2fc": 1.0, "significant": True})
        for group in groups
    )
    truth = pd.concat(
        pd.DataFrame({"group": group, "gene_id": ids, "true_log2fc": log2fc, "one_sided": ""})
        for group, log2fc in groups.items()
        if log2fc
    )
    rows = {row["group"]: row for row in compare_tests(de, truth)}
    assert list(rows) == ["all", "T cell", "B cell", POOLED]
    assert rows[POOLED]["tested"] == 3
    assert rows[POOLED]["fdp"] == pytest.approx(2 / 3)
    assert compare_tests(de, truth.iloc[:0]) == []
    # At equal state nothing is known of cells that one side lacks.
    alone = truth.assign(one_sided=truth["group"].map({"T cell": "Blast"}).fillna(""))
    rows = {row["group"]: row for row in compare_tests(de, alone)}
    assert list(rows) == ["all", "T cell", "B cell"] and rows["T cell"]["one_sided"] == "Blast"
    with pytest.raises(StudyError, match=r" 1 .*\[missing-fold-change\]"):
        compare_tests(de, truth[(truth["group"] != "T cell") | (truth["gene_id"] != "G1")])


def test_leak_is_the_share_of_the_change_that_composition_takes():
    table = genes([1.5, -0.75, 0.3], [2, -1, 0], True)
    assert np.isnan(compare_fold_changes(table)["leak"])
    taken = table.assign(log2fc_composition=[0.5, -0.25, 0.9])
    assert compare_fold_changes(taken)["leak"] == pytest.approx(0.25)


def test_labels_outside_every_lineage_are_wrong():
    labels = pd.Series({"r_A": "T cell", "r_B": "unknown", "r_C": "B cell", "r_D": "T cell"})
    lineage_of = {"T cell": "T cell", "B cell": "B cell"}
    assert label_accuracy(labels, true_cells(), lineage_of) == pytest.approx(2 / 3)
    assert np.isnan(label_accuracy(labels.iloc[3:], true_cells(), lineage_of))


def test_runs_are_told_apart_and_summed():
    cells = pd.concat([true_cells("r1"), true_cells("r2")])
    rng = np.random.default_rng(0)
    matrix = rng.poisson(3, (10, 4)).astype(np.int32)
    truth = ad.AnnData(
        sparse.csr_matrix(matrix),
        obs=pd.DataFrame(index=cells["cell"].to_numpy()),
        var=pd.DataFrame(index=["G0", "G1", "G2", "G3"]),
    )
    counts = {}
    for run in ("r1", "r2"):
        # G2 is never seen, and not every barcode is called.
        counts[run] = truth[(cells["run"] == run).to_numpy()][:, ["G3", "G0", "G1"]].copy()
        counts[run].obs_names = [name.removeprefix(f"{run}_") for name in counts[run].obs_names]
    selection = cells.iloc[[0, 1, 2, 5, 6, 7, 8, 9]][["run", "barcode"]]
    selection["doublet"] = pd.array([False] * 3 + [False] * 3 + [True] * 2, dtype="boolean")
    ambient = {"r1": {"share": None}, "r2": {"share": 0.05}}
    table = compare_runs(counts, selection, ambient, cells, truth).set_index("run")
    assert table["called_true"].tolist() == [3, 5, 8]
    assert table["true_cells"].tolist() == [5, 5, 10]
    assert table["true_cells"].dtype == int
    assert np.isnan(table.loc[EVERY_RUN, "calling_depth"])
    assert table["share_true_called"].tolist() == [0.6, 1, 0.8]
    assert table.loc["r2", ["doublet_precision", "doublet_recall"]].tolist() == [0.5, 1]
    assert np.isnan(table.loc["r1", ["doublet_precision", "doublet_recall"]].astype(float)).all()
    assert table.loc["r1", "ambient_share"] == pytest.approx(110 / 2000)
    # One run without an answer leaves the study without one.
    np.testing.assert_allclose(table["ambient_share_estimated"], [np.nan, 0.05, np.nan])
    observed = matrix[[0, 1, 2]].sum(axis=0)
    seen = np.where([True, True, False, True], observed, 0)
    expected = np.corrcoef(np.log1p(seen), np.log1p(observed))[0, 1]
    assert table.loc["r1", "correlation"] == pytest.approx(expected)


def test_labels_have_a_row_for_each_run_and_branch():
    cells = pd.concat([true_cells("r1"), true_cells("r2")])
    types = pd.Series("T cell", index=cells["cell"].to_numpy())
    types["r2_C"] = "B cell"
    known = {"T cell": "T cell", "B cell": "B cell"}
    table = compare_labels({"deep": types, "manual": types[:5]}, cells, known)
    assert table.set_index(["run", "branch"])["lineage_right"].to_dict() == pytest.approx(
        {
            ("r1", "deep"): 3 / 4,
            ("r1", "manual"): 3 / 4,
            ("r2", "deep"): 1,
            ("r2", "manual"): np.nan,
            (EVERY_RUN, "deep"): 7 / 8,
            (EVERY_RUN, "manual"): 3 / 4,
        },
        nan_ok=True,
    )
