"""Removal of ambient RNA, on cells whose own and ambient molecules are known."""

import json
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import remove_ambient as stage
from remove_ambient import group_cells, remove_ambient

LEVEL, GENES, CELLS = 120, 200, 120


@pytest.fixture(scope="module")
def truth():
    """Own and ambient molecules of cells of two types, their types, and the ambient profile."""
    rng = np.random.default_rng(0)
    profiles = rng.dirichlet(np.full(GENES, 0.3), 2)
    # Genes 0 to 19 mark the first type, genes 20 to 39 the second.
    profiles[0, 20:40] = profiles[1, :20] = 0
    profiles /= profiles.sum(axis=1, keepdims=True)
    types = np.arange(CELLS) % 2
    own = np.array([rng.multinomial(1000, profiles[kind]) for kind in types])
    profile = profiles.mean(axis=0)
    ambient = rng.poisson(LEVEL * profile, (CELLS, GENES))
    return own, ambient, types, profile


def test_ambient_rna_goes_and_own_stays(truth):
    own, ambient, types, profile = truth
    counts = sp.csr_matrix((own + ambient).astype(np.int32))
    corrected = remove_ambient(counts, profile, LEVEL, types.astype(str), seed=1)
    assert corrected.dtype == np.int32 and corrected.shape == counts.shape
    assert corrected.has_sorted_indices and corrected.data.min() >= 1
    result = corrected.toarray()
    assert (result <= own + ambient).all()
    assert (own + ambient - result).sum() == pytest.approx(ambient.sum(), rel=0.05)
    # Markers of the other type were all ambient.
    for kind, foreign in ((0, slice(20, 40)), (1, slice(0, 20))):
        before = ambient[types == kind, foreign].sum()
        assert result[types == kind, foreign].sum() < 0.15 * before
    # By type, what is left of the error is little.
    error = [
        sum(np.abs(part[types == kind].sum(axis=0)).sum() for kind in (0, 1))
        for part in (result - own, ambient)
    ]
    assert error[0] < 0.35 * error[1]


def test_same_seed_same_counts(truth):
    own, ambient, types, profile = truth
    counts = sp.csr_matrix((own + ambient).astype(np.int32))
    first, same, other = (
        remove_ambient(counts, profile, LEVEL, types.astype(str), seed).toarray()
        for seed in (1, 1, 2)
    )
    assert (first == same).all() and (first != other).any()


def test_groups_are_the_types(truth):
    own, ambient, types, _ = truth
    groups = group_cells(sp.csr_matrix(own + ambient), seed=1)
    assert pd.crosstab(groups, types).gt(0).sum(axis=1).max() == 1
    assert set(group_cells(sp.csr_matrix(own[:5]), seed=1)) == {"0"}


@pytest.fixture
def run_job(tmp_path, monkeypatch):
    """The rule on droplets with and without a cell; the corrected counts and the log."""

    def run(counts, called, share):
        log = []
        tell = SimpleNamespace(info=lambda *_: None, warning=lambda text, *rest: log.append(rest))
        monkeypatch.setattr(stage, "start", lambda snakemake: tell)
        obs = pd.DataFrame(
            {"given": called}, index=pd.Index([f"B{n}" for n in range(len(called))], name="barcode")
        )
        var = pd.DataFrame(
            {"gene_name": [f"G{n}" for n in range(GENES)]},
            index=pd.Index([f"E{n}" for n in range(GENES)], name="gene_id"),
        )
        ad.AnnData(sp.csr_matrix(counts), obs=obs, var=var).write_h5ad(tmp_path / "counts.h5ad")
        sums = counts.sum(axis=1)
        pd.DataFrame({"barcode": obs.index, "n_counts": sums, "called": called}).to_parquet(
            tmp_path / "droplets.parquet"
        )
        told = {
            "calling": {"parameters": {"max_empty_counts": 200}},
            "ambient": {"share": share, "reason": "none", "molecules_per_droplet": LEVEL},
        }
        (tmp_path / "ambient.json").write_text(json.dumps(told))
        stage.main(
            SimpleNamespace(
                input=SimpleNamespace(
                    counts=tmp_path / "counts.h5ad",
                    droplets=tmp_path / "droplets.parquet",
                    ambient=tmp_path / "ambient.json",
                ),
                output=[tmp_path / "corrected.h5ad"],
                params=SimpleNamespace(seed=1),
            )
        )
        return ad.read_h5ad(tmp_path / "corrected.h5ad"), log

    return run


def test_the_job_corrects_the_called_cells_in_order(truth, run_job):
    own, ambient, _, profile = truth
    empty = np.random.default_rng(1).poisson(LEVEL * profile, (300, GENES))
    order = np.random.default_rng(2).permutation(CELLS + 300)
    counts = np.concatenate([own + ambient, empty])[order].astype(np.int32)
    called = order < CELLS
    corrected, log = run_job(counts, called, 0.1)
    assert list(corrected.obs_names) == [f"B{n}" for n in np.flatnonzero(called)]
    assert list(corrected.var["gene_name"]) == [f"G{n}" for n in range(GENES)]
    removed = counts[called] - corrected.X.toarray()
    assert removed.min() == 0 and removed.sum() == pytest.approx(ambient.sum(), rel=0.05)
    assert not log


def test_nothing_is_removed_where_the_share_is_not_known(truth, run_job):
    own, ambient, _, _ = truth
    counts = (own + ambient).astype(np.int32)
    corrected, log = run_job(counts, np.ones(CELLS, dtype=bool), None)
    assert (corrected.X.toarray() == counts).all() and log == [("none",)]
    corrected, _ = run_job(counts, np.zeros(CELLS, dtype=bool), None)
    assert corrected.shape == (0, GENES)
