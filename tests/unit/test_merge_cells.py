"""Joining runs, limits and genes."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from latere.errors import StudyError
from merge_cells import (
    cell_figures,
    check_enough,
    failing,
    highly_variable,
    join_runs,
    summarise,
    tested_genes,
)

LIMITS = {"min_counts": 5, "min_genes": 0, "max_percent_mt": 100}


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


def test_no_mitochondrial_gene_is_no_share(counts):
    figures = cell_figures(counts[:, :2])
    assert figures["percent_mt"].isna().all()
    assert not failing(figures, LIMITS)["high_mt"].any()


def test_limits_and_waterfall(counts):
    counts.obs["run"] = "r1"
    counts.obs = counts.obs.join(cell_figures(counts))
    fails = failing(counts.obs, {"min_counts": 5, "min_genes": 2, "max_percent_mt": 20})
    assert fails["high_mt"].tolist() == [True, False, False]
    assert fails["low_counts"].tolist() == [False, False, True]
    row = summarise(counts.obs, fails, {"r1": "s1"}).iloc[0]
    assert (row["run"], row["sample"], row["called"], row["kept"]) == ("r1", "s1", 3, 1)
    assert row["median_n_counts"] == 10


def test_every_run_has_its_row(counts):
    """Also a run of which no cell was kept, and one of which none was called."""
    counts.obs["run"] = ["r1", "r1", "r2"]
    counts.obs = counts.obs.join(cell_figures(counts))
    runs = {"r1": "s1", "r2": "s2", "r3": "s3"}
    table = summarise(counts.obs, failing(counts.obs, LIMITS), runs)
    assert table["run"].tolist() == ["r1", "r2", "r3"]
    assert table["sample"].tolist() == ["s1", "s2", "s3"]
    assert table["called"].tolist() == [2, 1, 0]
    assert table["kept"].tolist() == [2, 0, 0]


def test_runs_are_joined_over_shared_genes(counts):
    other = counts[:, ["g2", "g3"]].copy()
    other.var["gene_name"] = ["another name", "MT-CO1"]
    joined = join_runs({"r1": counts.copy(), "r2": other})
    assert joined.obs_names.tolist() == ["r1_AC", "r1_AG", "r1_AT", "r2_AC", "r2_AG", "r2_AT"]
    assert joined.var_names.tolist() == ["g2", "g3"]
    assert joined.var["gene_name"].tolist() == ["B", "MT-CO1"]
    assert joined.X.format == "csr"


def test_runs_without_a_shared_gene_are_refused(counts):
    other = counts.copy()
    other.var_names = ["h1", "h2", "h3"]
    with pytest.raises(StudyError, match="run r2: shares none of its 3 genes"):
        join_runs({"r1": counts.copy(), "r2": other})


def test_cells_of_one_name_are_refused(counts):
    other = counts.copy()
    counts.obs_names = ["x_AC", "x_AG", "x_AT"]
    with pytest.raises(StudyError, match="two runs have a cell S_x_AC"):
        join_runs({"S": counts, "S_x": other})


def test_nothing_to_analyse_is_told(cells, counts):
    qc = pd.DataFrame({"called": [3]})
    with pytest.raises(StudyError, match="3 of 3 called cells"):
        check_enough(counts, qc)
    none = cells.copy()
    none.var["tested"] = False
    with pytest.raises(StudyError, match="no gene has 10 counts in 2 samples"):
        check_enough(none, qc)


def test_tested_genes_need_two_samples():
    counts = sp.csr_matrix(np.array([[10, 10, 9], [10, 0, 9], [0, 5, 9]]))
    samples = np.array(["a", "b", "c"])
    assert tested_genes(counts, samples).tolist() == [True, False, False]
    assert tested_genes(counts[:1], samples[:1]).tolist() == [True, True, False]


@pytest.fixture(scope="module")
def sparse_study():
    """Shallow counts of 1,000 genes: three samples of 200 cells, one of 20 and one of 1."""
    random = np.random.default_rng(3)
    samples = np.repeat(["a", "b", "c", "small", "single"], [200, 200, 200, 20, 1])
    level = random.gamma(0.3, 1, 1000)
    depth = random.lognormal(0, 0.4, len(samples))
    study = ad.AnnData(sp.csr_matrix(random.poisson(depth[:, None] * level).astype(np.float32)))
    study.obs["sample"] = samples
    study.var["tested"] = True
    return study


@pytest.mark.parametrize(
    "samples", [["a", "b", "c", "small", "single"], ["a", "single"], ["small"]]
)
def test_small_samples_do_not_rank_genes(sparse_study, samples):
    part = sparse_study[sparse_study.obs["sample"].isin(samples).to_numpy()].copy()
    chosen = highly_variable(part, 100)
    assert chosen.sum() == (100 if "a" in samples else 1000)


def test_highly_variable_are_tested(cells):
    """No sample of the small study has 100 cells: all are ranked together."""
    chosen = highly_variable(cells, 30)
    assert chosen.sum() == 30
    assert not (chosen & ~cells.var["tested"].to_numpy()).any()
    # The marks of the two types vary most.
    assert chosen[20:60].mean() > 2 * chosen.mean()
