"""The embedded study's CellTypist model knows the lineages, and the same seed gives the same."""

import numpy as np
import pytest

from latere.simulation.pbmc import load_pbmc
from train_demo_model import train_model

TYPES = ["B cell", "Dendritic cell", "Monocyte", "NK cell", "T cell"]


@pytest.fixture(scope="module")
def pbmc():
    return load_pbmc()


@pytest.fixture(scope="module")
def model(pbmc):
    return train_model(pbmc, pbmc.var_names, seed=1, threads=1)


def test_input_is_linear_expression_without_mitochondrial_genes(pbmc):
    np.testing.assert_allclose(np.asarray(pbmc.X.sum(axis=1)).ravel(), 1e4)
    assert not pbmc.var_names.str.startswith("MT-").any()
    assert pbmc.obs["cell_type"].notna().all()


def test_model_knows_the_lineages(pbmc, model):
    import celltypist
    import scanpy as sc

    assert sorted(model.cell_types) == TYPES
    cells = pbmc[pbmc.obs["cell_type"].isin(TYPES)].copy()
    sc.pp.log1p(cells)
    labels = celltypist.annotate(cells, model=model).predicted_labels["predicted_labels"]
    assert (labels.astype(str) == cells.obs["cell_type"].astype(str)).mean() > 0.95


def test_model_uses_the_genes_of_the_study_only(pbmc):
    genes = list(pbmc.var_names[:300])
    assert set(train_model(pbmc, genes, seed=1, threads=1).features) <= set(genes)


def test_same_seed_same_bytes(pbmc, model, tmp_path):
    """The checksum of the model stands in the tables of cell types."""
    again = train_model(pbmc, pbmc.var_names, seed=1, threads=1)
    for name, trained in (("a.pkl", model), ("b.pkl", again)):
        trained.write(str(tmp_path / name))
    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()
