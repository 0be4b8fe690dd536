"""Embedding of the manual branch, clusters and cell types."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

import latere.tables
from cluster_cells import cluster
from label_cells import (
    by_symbol,
    check_names,
    label_cells,
    mean_expression,
    predict,
    score_markers,
    weigh_markers,
)
from latere.errors import StudyError
from latere.tables import embedding_table, read_by_cell, read_normal, read_tsv
from log_pca import log_pca
from vote_types import evidence_of, vote


@pytest.fixture(scope="module")
def normal(cells, tmp_path_factory):
    """The small study as its file gives it: log-normalised, in parts."""
    path = tmp_path_factory.mktemp("normal") / "cells.h5ad"
    cells.write_h5ad(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latere.tables, "CELLS", 100)
        patch.setattr(latere.tables, "PART", 3000)
        return list(read_normal(path))


@pytest.fixture
def symbols(normal):
    return list(by_symbol(part.copy() for part in normal))


def test_normalised_in_parts_as_scanpy_does_it_whole(cells, normal):
    whole = cells.copy()
    sc.pp.normalize_total(whole, target_sum=1e4)
    sc.pp.log1p(whole)
    assert [part.n_obs for part in normal] == [100, 100, 100, 60]
    joined = ad.concat(normal)
    assert joined.obs_names.equals(cells.obs_names)
    np.testing.assert_array_equal(joined.X.toarray(), whole.X.toarray())


def test_clusters_find_the_types_and_repeat(cells, normal):
    joined = ad.concat(normal)
    log_pca(joined, 5, 0)
    embedding = joined.obsm["X_pca"]
    assert embedding.shape == (cells.n_obs, 5)
    umap, clusters = cluster(embedding, 15, 0.3, 0)
    again = cluster(embedding, 15, 0.3, 0)
    np.testing.assert_array_equal(umap, again[0])
    assert (clusters == again[1]).all()
    purity = pd.crosstab(clusters, cells.obs["kind"].to_numpy()).max(axis=1).sum() / cells.n_obs
    assert purity > 0.95


def test_many_cells_are_clustered_by_approximate_neighbours():
    """From 8,192 cells on scanpy leaves the search to pynndescent."""
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], 2750)
    umap, clusters = cluster(rng.normal(5 * np.eye(3)[kind], 1), 15, 0.1, 0)
    assert umap.shape == (len(kind), 2)
    purity = pd.crosstab(clusters, kind).max(axis=1).sum() / len(kind)
    assert purity > 0.95


def test_few_cells_and_genes_give_fewer_components(normal):
    few = normal[0][:4].copy()
    log_pca(few, 30, 0)
    assert few.obsm["X_pca"].shape == (4, 3)


def test_markers_score_as_scanpy_scores_them(cells, symbols):
    markers = pd.DataFrame(
        {
            "cell_type": ["x"] * 6 + ["y"] * 5,
            "gene_name": ["no", *(f"G{n}" for n in (*range(20, 25), *range(40, 45)))],
        }
    )
    means = mean_expression(symbols)
    weights = weigh_markers(means, markers, 3)
    scores = pd.concat(score_markers(part, weights) for part in symbols)
    whole = ad.concat(symbols)
    np.testing.assert_allclose(means, whole.X.mean(axis=0).A1, rtol=1e-5)
    sc.tl.score_genes(whole, markers["gene_name"][1:6], ctrl_size=50, random_state=3)
    np.testing.assert_allclose(scores["x"], whole.obs["score"], atol=1e-5)
    labels = label_cells(scores, 0)["label"]
    assert (labels == cells.obs["kind"]).mean() > 0.9
    assert (evidence_of(scores, labels)[labels != "unknown"] > 0).all()


def test_random_genes_are_those_that_scanpy_draws():
    """Enough genes that there is a choice."""
    random = np.random.default_rng(0)
    counts = random.poisson(random.gamma(1, 1, 3000), (40, 3000)).astype(np.float32)
    cells = ad.AnnData(sp.csr_matrix(counts))
    markers = pd.DataFrame({"cell_type": "x", "gene_name": cells.var_names[:100:9]})
    weights = weigh_markers(mean_expression([cells]), markers, 4)
    sc.tl.score_genes(cells, markers["gene_name"], ctrl_size=50, random_state=4)
    np.testing.assert_allclose(score_markers(cells, weights)["x"], cells.obs["score"], atol=1e-5)


def test_types_without_a_score_are_left_out(symbols):
    means = mean_expression(symbols)
    markers = pd.DataFrame({"cell_type": ["x"], "gene_name": ["no"]})
    scores = score_markers(symbols[0], weigh_markers(means, markers, 0))
    labels = label_cells(scores, 0)["label"]
    assert set(labels) == {"unknown"}
    assert np.isnan(evidence_of(scores, labels)).all()
    every = pd.DataFrame({"cell_type": "x", "gene_name": means.index})
    assert weigh_markers(means, every, 0).shape[1] == 0


def test_confidence_is_that_of_the_type_given():
    evidence = pd.DataFrame({"T": [0.9, 0.2], "B": [0.1, 0.6]}, index=["a", "b"])
    table = label_cells(evidence, 0.5)
    assert table["label"].tolist() == ["T", "B"] and table["second"].tolist() == ["B", "T"]
    assert table["score"].tolist() == [0.9, 0.6]
    assert table["margin"].tolist() == pytest.approx([0.8, 0.4])
    given = pd.Series(["T", "T"], index=["a", "b"])
    assert evidence_of(evidence, given).tolist() == [0.9, 0.2]
    assert label_cells(evidence, 0.7)["label"].tolist() == ["T", "unknown"]
    alone = label_cells(evidence[["T"]], 0)
    assert alone["label"].tolist() == ["T", "T"] and alone["margin"].isna().all()


def test_vote():
    index = list("abcde")
    labels = pd.Series(["T", "T", "B", "B", "T"], index)
    clusters = pd.Series(["0", "0", "0", "1", "1"], index)
    assert vote(labels, clusters).tolist() == ["T", "T", "T", "B", "B"]


def test_celltypist_labels_and_refuses_other_genes(cells, symbols, tmp_path):
    import celltypist

    whole = ad.concat(symbols, merge="same")
    kind = cells.obs["kind"].to_numpy()
    model = celltypist.train(whole, labels=kind, n_jobs=1, max_iter=50)
    model.write(str(tmp_path / "m.pkl"))
    probabilities = predict(symbols, str(tmp_path / "m.pkl"))
    assert (label_cells(probabilities, -np.inf)["label"] == kind).mean() > 0.95
    assert probabilities.index.equals(cells.obs_names)
    assert ((probabilities >= 0) & (probabilities <= 1)).all().all()
    whole.var_names = [f"other{number}" for number in range(whole.n_vars)]
    with pytest.raises(StudyError, match=r"\[no-shared-genes\]"):
        predict([whole], str(tmp_path / "m.pkl"))


def test_tables_follow_the_cells(cells, tmp_path):
    table = embedding_table(cells.obs_names, np.zeros((cells.n_obs, 3)))
    assert list(table) == ["cell", "dim_1", "dim_2", "dim_3"]
    table[::-1].to_parquet(tmp_path / "e.parquet", index=False)
    assert read_by_cell(tmp_path / "e.parquet", cells.obs_names).index.equals(cells.obs_names)
    with pytest.raises(ValueError, match="other cells"):
        read_by_cell(tmp_path / "e.parquet", cells.obs_names[1:])


def test_types_that_a_spreadsheet_would_run_are_refused():
    check_names(["CD4+ T cell", "T cell (naive)"], "markers.tsv")
    with pytest.raises(StudyError, match=r"markers.tsv: .*'=1'.*\[formula\]"):
        check_names(["T cell", "=1"], "markers.tsv")
    with pytest.raises(StudyError, match=r"\[reserved-name\]"):
        check_names(["T cell", "cell"], "markers.tsv")


def test_names_in_our_own_tables_stay_names(tmp_path):
    """Those that look like numbers, and like what is missing."""
    table = pd.DataFrame({"contrast": ["01", "1"], "group": ["NA", "2.0"], "jaccard": [None, 0.5]})
    path = tmp_path / "pairs.tsv"
    table.to_csv(path, sep="\t", index=False, na_rep="NA")
    read = read_tsv(path)
    assert read["contrast"].tolist() == ["01", "1"] and read["group"].tolist() == ["NA", "2.0"]
    assert read["jaccard"].isna().tolist() == [True, False]
