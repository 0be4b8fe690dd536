"""Calling of cells and the share of ambient RNA, on small matrices whose truth is known."""

import json
import subprocess
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.io import mmwrite

import call_cells as stage
from call_cells import call_cells, estimate_ambient
from latere.droplets import certain_level, droplet_level

SETTINGS = {"fdr": 0.001, "max_empty_counts": 100}
LEVEL, GENES = 40, 200
BY_R = """
suppressMessages(library(DropletUtils))
m <- as(Matrix::readMM("counts.mtx"), "CsparseMatrix")
set.seed(1)
e <- emptyDrops(m, lower = 100, retain = as.numeric(readLines("sure")))
k <- metadata(barcodeRanks(m, lower = 100))
write.table(data.frame(fdr = e$FDR, knee = k$knee, inflection = k$inflection), "result.tsv",
            sep = "\\t", row.names = FALSE)
"""


def simulate(cells=60, empty=600, never=2000, seed=0):
    """Droplets with a cell, without, and barcodes that were no droplet: counts, who has a cell."""
    rng = np.random.default_rng(seed)
    profiles = rng.dirichlet(np.full(GENES, 0.3), 2)
    soup = profiles.mean(axis=0)
    own = [
        rng.multinomial(size, profiles[number % 2])
        for number, size in enumerate(rng.integers(300, 3000, cells))
    ]
    ambient = rng.poisson(LEVEL * rng.gamma(4, 1 / 4, cells + empty))
    sizes = np.concatenate([ambient, rng.integers(1, 3, never)])
    counts = np.array([rng.multinomial(size, soup) for size in sizes]).reshape(-1, GENES)
    counts[:cells] += np.array(own, dtype=counts.dtype).reshape(-1, GENES)
    seen = counts.sum(axis=1) > 0
    has_cell = np.arange(counts.shape[0]) < cells
    return sp.csr_matrix(counts[seen].astype(np.int32)), has_cell[seen]


def genes(n=GENES):
    names = [f"G{number}" for number in range(n)]
    return pd.DataFrame({"gene_name": names}, index=pd.Index(names, name="gene_id"))


@pytest.fixture(scope="module")
def raw():
    return simulate()


def test_cells_of_a_raw_matrix_are_called_as_by_an_r_script(raw, tmp_path):
    counts, has_cell = raw
    droplets, calling = call_cells(counts, None, "raw", SETTINGS, seed=1)
    mmwrite(tmp_path / "counts.mtx", counts.T)
    (tmp_path / "script.R").write_text(BY_R)
    (tmp_path / "sure").write_text(str(calling["parameters"]["cells_from"]))
    subprocess.run(["Rscript", "script.R"], cwd=tmp_path, check=True)
    by_r = pd.read_csv(tmp_path / "result.tsv", sep="\t")
    np.testing.assert_allclose(droplets["fdr"], by_r["fdr"])
    assert calling["knee"] == pytest.approx(by_r["knee"][0])
    assert calling["inflection"] == pytest.approx(by_r["inflection"][0])
    assert calling["method"] == "emptyDrops"
    assert droplets["called"].sum() == calling["called"]
    assert (droplets["called"] & ~has_cell).sum() == 0
    assert droplets["called"][has_cell].mean() > 0.95


def test_a_tenth_of_a_rich_cell_makes_a_cell_unless_it_is_among_the_empty():
    cells, empty = np.repeat([5000, 2000, 600], [2, 100, 98]), np.repeat(60, 5000)
    n_counts = np.concatenate([empty, cells])
    assert certain_level(n_counts, 100, 1500.0) == 200
    assert certain_level(n_counts, 100, 150.0) == 150
    assert certain_level(np.repeat([60, 900], [500, 200]), 100, 850.0) == 850
    assert certain_level(empty, 100, None) == np.inf


def test_much_ambient_rna_makes_no_cells():
    random = np.random.default_rng(0)
    empty = random.poisson(430 * random.gamma(4, 1 / 4, 30_000))
    cells = random.lognormal(np.log(2000), 0.3, 3000).astype(int) + 430
    n_counts = np.concatenate([empty, cells])
    # A tenth of the richest, 440, lies amid the empty droplets, and tells nothing.
    assert certain_level(n_counts, 100, 1982.0) == 1982
    assert certain_level(n_counts, 100, None) == np.inf
    assert certain_level(np.concatenate([empty // 10, cells]), 100, 1982.0) < 500


def test_what_the_source_calls_is_taken(raw):
    counts, has_cell = raw
    given = has_cell.copy()
    given[-1] = True
    droplets, calling = call_cells(counts, given, "both", SETTINGS, seed=1)
    assert calling["method"] == "given" and calling["knee"] > calling["inflection"] > 100
    assert (droplets["called"] == given).all() and droplets["fdr"].isna().all()


def test_a_filtered_matrix_is_called_whole_without_r(raw, monkeypatch):
    monkeypatch.setattr("latere.r.package", None)
    counts, has_cell = raw
    droplets, calling = call_cells(counts[has_cell], None, "filtered", SETTINGS, seed=1)
    assert calling["method"] == "all" and droplets["called"].all()
    ambient = estimate_ambient(counts[has_cell], genes(), droplets, 100)
    assert ambient["share"] is None and "0 empty droplets" in ambient["reason"]


@pytest.mark.parametrize("cells", [0, 5, 60])
def test_with_too_few_empty_droplets_the_threshold_calls(cells):
    counts, has_cell = simulate(cells, empty=20, never=20)
    droplets, calling = call_cells(counts, None, "raw", SETTINGS, seed=1)
    assert calling["method"] == "threshold" and "too few empty droplets" in calling["reason"]
    assert (droplets["called"] == (droplets["n_counts"] > 100)).all()
    assert droplets["called"][has_cell].all()
    assert estimate_ambient(counts, genes(), droplets, 100)["share"] is None


@pytest.mark.parametrize("cells", [0, 5])
def test_few_cells_or_none_among_empty_droplets(cells):
    counts, has_cell = simulate(cells)
    counts, has_cell = [
        part[(np.asarray(counts.sum(axis=1)).ravel() <= 100) | has_cell]
        for part in (counts, has_cell)
    ]
    droplets, calling = call_cells(counts, None, "raw", SETTINGS, seed=1)
    assert calling["method"] == "emptyDrops"
    assert (droplets["called"] == has_cell).all()
    ambient = estimate_ambient(counts, genes(), droplets, 100)
    assert (ambient["share"] is None) == (cells == 0)
    assert (ambient["reason"] == "No cell was called.") == (cells == 0)


def test_a_matrix_without_counts():
    droplets, calling = call_cells(sp.csr_matrix((0, 3), dtype=np.int32), None, "raw", SETTINGS, 1)
    assert len(droplets) == calling["called"] == 0 and calling["method"] == "threshold"
    assert estimate_ambient(sp.csr_matrix((0, 3)), genes(3), droplets, 100)["share"] is None


@pytest.mark.parametrize("never", [0, 2000, 4000])
def test_share_whatever_the_number_of_barcodes_that_were_no_droplet(never):
    counts, has_cell = simulate(never=never)
    droplets, _ = call_cells(counts, has_cell, "filtered", SETTINGS, seed=1)
    ambient = estimate_ambient(counts, genes(), droplets, 100)
    true = LEVEL * has_cell.sum() / droplets["n_counts"][has_cell].sum()
    assert ambient["share"] == pytest.approx(true, rel=0.08)
    assert ambient["molecules_per_droplet"] == pytest.approx(LEVEL, rel=0.08)
    shares = [gene["share"] for gene in ambient["top_genes"]]
    assert shares == sorted(shares, reverse=True) and len(shares) == 10
    empty = ~has_cell & (droplets["n_counts"] <= 100).to_numpy()
    molecules = np.asarray(counts[empty].sum(axis=0)).ravel()
    assert ambient["top_genes"][0]["gene_id"] == f"G{molecules.argmax()}"
    assert shares[0] == pytest.approx(molecules.max() / molecules.sum())


def test_no_share_where_droplets_cannot_be_told():
    assert droplet_level(np.array([1, 1, 2] * 500)) is None
    assert droplet_level(np.array([], dtype=int)) is None
    counts, has_cell = simulate(empty=0)
    droplets, _ = call_cells(counts, has_cell, "filtered", SETTINGS, seed=1)
    assert "cannot be distinguished" in estimate_ambient(counts, genes(), droplets, 100)["reason"]


def test_no_share_where_cells_are_no_larger_than_empty_droplets():
    counts, has_cell = simulate(cells=0, never=0)
    given = np.arange(counts.shape[0]) < 10
    droplets, _ = call_cells(counts, given, "filtered", SETTINGS, seed=1)
    droplets.loc[given, "n_counts"] = 10
    assert "probably not cells" in estimate_ambient(counts, genes(), droplets, 100)["reason"]


def test_the_job_writes_droplets_in_order_and_what_it_did(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "start", lambda snakemake: SimpleNamespace(info=print))
    counts, has_cell = raw
    names = pd.Index([f"B{number}" for number in range(len(has_cell))], name="barcode")
    obs = pd.DataFrame({"given": has_cell}, index=names)
    ad.AnnData(counts, obs=obs, var=genes()).write_h5ad(tmp_path / "r.h5ad")
    (tmp_path / "r.json").write_text(json.dumps({"barcodes": {"kind": "both"}}))
    stage.main(
        SimpleNamespace(
            input=SimpleNamespace(counts=tmp_path / "r.h5ad", facts=tmp_path / "r.json"),
            output=SimpleNamespace(droplets=tmp_path / "d.parquet", ambient=tmp_path / "a.json"),
            params=SimpleNamespace(calling=SETTINGS, seed=1),
            wildcards=SimpleNamespace(run="r"),
        )
    )
    table = pd.read_parquet(tmp_path / "d.parquet")
    assert list(table.columns) == ["barcode", "n_counts", "called", "fdr"]
    assert list(table["barcode"]) == list(names) and table["called"].dtype == bool
    told = json.loads((tmp_path / "a.json").read_text())
    assert told["run"] == "r" and told["calling"]["called"] == has_cell.sum()
