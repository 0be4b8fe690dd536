"""Joining runs, limits and genes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from merge_cells import cell_figures, failing, highly_variable, name_cells, summarise, tested_genes


@pytest.fixture
def counts():
    matrix = sp.csr_matrix(np.array([[5, 0, 5], [8, 2, 0], [0, 0, 0]], dtype=np.float32))
    var = pd.DataFrame({"gene_name": ["A", "B", "MT-CO1"]}, index=["g1", "g2", "g3"])
    return ad.AnnData(matrix, obs=pd.DataFrame(index=["AC", "AG", "AT"]), var=var)


def test_cell_figures(counts):
    figures = cell_figures(counts)
    assert figures["n_counts"].tolist() == [10, 10, 0]
    assert figures["n_genes"].tolist() == [2, 2, 0]
    assert figures["percent_mt"].tolist() == [50, 0, 0]


def test_figures_equal_those_of_scanpy(cells):
    import scanpy as sc

    by_scanpy = sc.pp.calculate_qc_metrics(cells, percent_top=None, log1p=False)[0]
    figures = cell_figures(cells)
    np.testing.assert_array_equal(figures["n_counts"], by_scanpy["total_counts"])
    np.testing.assert_array_equal(figures["n_genes"], by_scanpy["n_genes_by_counts"])


def test_limits_and_waterfall(counts):
    counts.obs["run"], counts.obs["sample"] = "r1", "s1"
    counts.obs = counts.obs.join(cell_figures(counts))
    fails = failing(counts.obs, {"min_counts": 5, "min_genes": 2, "max_percent_mt": 20})
    assert fails["high_mt"].tolist() == [True, False, False]
    assert fails["low_counts"].tolist() == [False, False, True]
    row = summarise(counts.obs, fails).iloc[0]
    assert (row["run"], row["sample"], row["called"], row["kept"]) == ("r1", "s1", 3, 1)
    assert row["median_n_counts"] == 10


def test_run_without_a_kept_cell_has_its_row(counts):
    counts.obs["run"], counts.obs["sample"] = ["r1", "r1", "r2"], ["s1", "s1", "s2"]
    counts.obs = counts.obs.join(cell_figures(counts))
    table = summarise(
        counts.obs, failing(counts.obs, {"min_counts": 5, "min_genes": 0, "max_percent_mt": 100})
    )
    assert table["kept"].tolist() == [2, 0]


def test_cells_are_named_by_run(counts):
    assert name_cells(counts, "r1").obs_names[0] == "r1_AC"


def test_tested_genes_need_two_samples():
    counts = sp.csr_matrix(np.array([[10, 10, 9], [10, 0, 9], [0, 5, 9]]))
    samples = np.array(["a", "b", "c"])
    assert tested_genes(counts, samples).tolist() == [True, False, False]
    assert tested_genes(counts[:1], samples[:1]).tolist() == [True, True, False]


def test_highly_variable_are_tested(cells):
    chosen = highly_variable(cells, 30)
    assert chosen.sum() == 30
    assert not (chosen & ~cells.var["tested"].to_numpy()).any()
    # The marks of the two types vary most.
    assert chosen[20:60].mean() > 2 * chosen.mean()
