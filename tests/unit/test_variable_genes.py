"""The most variable genes equal those of scanpy on the whole."""

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

import latere.tables
from variable_genes import choose_variable, rank_genes


@pytest.fixture
def parts(monkeypatch):
    """Several parts a sample."""
    monkeypatch.setattr(latere.tables, "PART", 500)


@pytest.fixture(scope="module")
def sparse_study(tmp_path_factory):
    """Shallow counts of 1,000 genes: three samples of 200 cells, one of 20 and one of 1."""
    random = np.random.default_rng(3)
    samples = np.repeat(["a", "b", "c", "small", "single"], [200, 200, 200, 20, 1])
    random.shuffle(samples)
    level = random.gamma(0.3, 1, 1000)
    depth = random.lognormal(0, 0.4, len(samples))
    study = ad.AnnData(sp.csr_matrix(random.poisson(depth[:, None] * level).astype(np.int32)))
    study.obs["sample"] = samples
    study.var["testable"] = random.random(1000) < 0.8
    return study


def variable(study, n_top, folder):
    study.write_h5ad(folder / "study.h5ad")
    with h5py.File(folder / "study.h5ad") as file:
        samples, testable = study.obs["sample"].to_numpy(), study.var["testable"].to_numpy()
        return choose_variable(file["X"], samples, testable, n_top)


@pytest.mark.parametrize("n_top", [5, 100])
def test_sample_by_sample_equals_scanpy_on_the_whole(sparse_study, n_top, tmp_path, parts):
    import scanpy as sc

    large = sparse_study.obs["sample"].isin(["a", "b", "c"]).to_numpy()
    whole = sparse_study[large, sparse_study.var["testable"].to_numpy()].copy()
    how = {"flavor": "seurat_v3", "n_top_genes": n_top, "batch_key": "sample"}
    sc.pp.highly_variable_genes(whole, **how)
    chosen = variable(sparse_study, n_top, tmp_path)
    expected = whole.var_names[whole.var["highly_variable"]]
    assert sparse_study.var_names[chosen].tolist() == expected.tolist()


@pytest.mark.parametrize(
    "samples", [["a", "b", "c", "small", "single"], ["a", "single"], ["small"]]
)
def test_small_samples_do_not_rank_genes(sparse_study, samples, tmp_path):
    part = sparse_study[sparse_study.obs["sample"].isin(samples).to_numpy()].copy()
    chosen = variable(part, 100, tmp_path)
    assert chosen.sum() == (100 if "a" in samples else part.var["testable"].sum())


def test_variable_genes_are_testable(cells, tmp_path):
    """No sample of the small study has 100 cells: all are ranked together."""
    chosen = variable(cells, 30, tmp_path)
    assert chosen.sum() == 30
    assert not (chosen & ~cells.var["testable"].to_numpy()).any()
    # The marks of the two types vary most.
    assert chosen[20:60].mean() > 2 * chosen.mean()


def test_a_shallow_sample_ranks_genes_by_a_wider_trend(caplog):
    """Where many genes of a sample have one mean, the trend of scanpy's span cannot be fitted."""
    random = np.random.default_rng(0)
    level = random.gamma(0.3, 1, 2000)
    counts = sp.csr_matrix(random.poisson(level * random.lognormal(0, 0.4, (120, 1)) * 0.15))
    ranks = rank_genes(counts.astype(np.int32), 200)
    assert "no trend over a share of 0.3" in caplog.text
    assert np.isfinite(ranks).sum() == 200


def test_cells_without_any_trend_rank_no_gene():
    assert rank_genes(sp.csr_matrix(np.ones((120, 50), dtype=np.int32)), 20) is None
