"""Embedding of the manual branch, clusters and cell types."""

import numpy as np
import pandas as pd
import pytest

from annotate_cells import by_symbol, evidence_of, own_labels, predict, score_markers, vote
from cluster_cells import cluster
from latere.errors import StudyError
from latere.tables import embedding_table, log_normalise, read_by_cell
from log_pca import log_pca


def test_log_normalise_leaves_the_counts(cells):
    before = cells.X.copy()
    normal = log_normalise(cells)
    np.testing.assert_allclose(np.expm1(normal.X.toarray()).sum(axis=1), 1e4, rtol=1e-4)
    assert (before != cells.X).nnz == 0


def test_clusters_find_the_types_and_repeat(cells):
    embedding = log_pca(cells, 5, 0).obsm["X_pca"]
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


def test_few_cells_and_genes_give_fewer_components(cells):
    assert log_pca(cells[:4].copy(), 30, 0).obsm["X_pca"].shape == (4, 3)


def test_markers(cells):
    markers = pd.DataFrame(
        {
            "cell_type": ["x"] * 5 + ["y"] * 5,
            "gene_name": [f"G{n}" for n in (*range(20, 25), *range(40, 45))],
        }
    )
    scores = score_markers(by_symbol(cells), markers, 0)
    labels = own_labels(scores, 0)
    assert (labels == cells.obs["kind"]).mean() > 0.9
    assert (evidence_of(scores, labels)[labels != "unknown"] > 0).all()


def test_types_without_a_score_are_left_out(cells):
    markers = pd.DataFrame({"cell_type": ["x"], "gene_name": ["no"]})
    scores = score_markers(by_symbol(cells), markers, 0)
    labels = own_labels(scores, 0)
    assert set(labels) == {"unknown"}
    assert np.isnan(evidence_of(scores, labels)).all()
    every = pd.DataFrame({"cell_type": "x", "gene_name": cells.var["gene_name"]})
    assert score_markers(by_symbol(cells), every, 0).shape[1] == 0


def test_confidence_is_that_of_the_type_given():
    evidence = pd.DataFrame({"T": [0.9, 0.2], "B": [0.1, 0.6]}, index=["a", "b"])
    assert own_labels(evidence, 0.5).tolist() == ["T", "B"]
    given = pd.Series(["T", "T"], index=["a", "b"])
    assert evidence_of(evidence, given).tolist() == [0.9, 0.2]
    assert own_labels(evidence, 0.7).tolist() == ["T", "unknown"]


def test_vote():
    index = list("abcde")
    labels = pd.Series(["T", "T", "B", "B", "T"], index)
    clusters = pd.Series(["0", "0", "0", "1", "1"], index)
    assert vote(labels, clusters).tolist() == ["T", "T", "T", "B", "B"]


def test_celltypist_labels_and_refuses_other_genes(cells, tmp_path):
    import celltypist

    normal = by_symbol(cells)
    normal.obs["kind"] = cells.obs["kind"].to_numpy()
    model = celltypist.train(normal, labels="kind", n_jobs=1, max_iter=50)
    model.write(str(tmp_path / "m.pkl"))
    probabilities = predict(normal, str(tmp_path / "m.pkl"))
    assert (own_labels(probabilities, -np.inf) == normal.obs["kind"]).mean() > 0.95
    assert probabilities.index.equals(normal.obs_names)
    assert ((probabilities >= 0) & (probabilities <= 1)).all().all()
    other = normal.copy()
    other.var_names = [f"other{number}" for number in range(other.n_vars)]
    with pytest.raises(StudyError, match="none of the model's"):
        predict(other, str(tmp_path / "m.pkl"))


def test_tables_follow_the_cells(cells, tmp_path):
    table = embedding_table(cells.obs_names, np.zeros((cells.n_obs, 3)))
    assert list(table) == ["cell", "dim_1", "dim_2", "dim_3"]
    table[::-1].to_parquet(tmp_path / "e.parquet", index=False)
    assert read_by_cell(tmp_path / "e.parquet", cells.obs_names).index.equals(cells.obs_names)
    with pytest.raises(ValueError, match="other cells"):
        read_by_cell(tmp_path / "e.parquet", cells.obs_names[1:])
