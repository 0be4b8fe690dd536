"""The README's Python reads a study's results, a trained model among them."""

import re

import pandas as pd
import pytest

from train_scvi import train


@pytest.fixture
def study(cells, tmp_path, monkeypatch):
    """The results that the recipe reads, in the folder that it is called from."""
    folder = tmp_path / "results/my_study"
    for name in ("cells", "manual/de", "deep", "comparison"):
        (folder / name).mkdir(parents=True)
    cells.write_h5ad(folder / "cells/cells.h5ad")
    tests = pd.DataFrame({"gene_id": ["g1", "g2", "g3"], "significant": [True, False, True]})
    tests = tests.assign(fdr=[0.04, 0.5, 0.01])
    tests.to_parquet(folder / "manual/de/treated_vs_control.parquet")
    (folder / "comparison/summary.tsv").write_text("contrast\tgroup\nc\tall\n")
    model, _ = train(
        cells[:, cells.var["testable"]].copy(),
        **{"n_latent": 4, "n_hidden": 16, "n_layers": 1, "max_epochs": 2, "seed": 3, "threads": 1},
    )
    model.save(folder / "deep/model", save_anndata=False)
    monkeypatch.chdir(tmp_path)
    return model


def test_recipe(root, study, cells):
    (recipe,) = re.findall(r"^```python\n(.*?)^```", (root / "README.md").read_text(), re.M | re.S)
    made = {}
    exec(recipe, made)
    assert made["cells"].shape == cells.shape
    assert made["found"]["gene_id"].tolist() == ["g3", "g1"]
    assert made["summary"].columns.tolist() == ["contrast", "group"]
    assert made["latent"].shape == (cells.n_obs, 4)
    # Of the trained model, not of one set up anew.
    assert abs(made["latent"] - study.get_latent_representation()).max() < 1e-4
