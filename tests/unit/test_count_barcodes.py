"""Barcodes of a count matrix: their names, and whether they are raw or filtered."""

import logging

import anndata as ad
import numpy as np
import pytest
from count_matrices import COUNTS, droplets, genes, load
from scipy.sparse import csr_matrix

import load_counts
from latere.counts.barcodes import find_kind, otsu_threshold
from latere.errors import StudyError


def test_a_threshold_lies_amid_the_gap_between_two_heaps():
    random = np.random.default_rng(0)
    heaps = [random.uniform(0, 0.1, 700), random.uniform(0.5, 0.6, 300)]
    assert abs(otsu_threshold(np.concatenate(heaps)) - 0.3) < 0.01


def test_suffix_stays_if_it_distinguishes_cells(write_h5ad):
    barcodes = ["AAAC-1", "AAAC-2", "AAAT-1"]
    assert list(load(write_h5ad(barcodes=barcodes))[0].obs_names) == barcodes


def test_barcode_twice(write_10x):
    with pytest.raises(StudyError, match=r"AAAC .*\[duplicated-barcode\]"):
        load(write_10x("10x", barcodes=["AAAC-1", "AAAC-1", "AAAT-1"]))


@pytest.mark.parametrize(
    ("n_counts", "kind", "why"),
    [
        (np.append(np.zeros(700_000, int), droplets(30_000, 3, 5, 900)), "raw", "have no molecule"),
        (droplets(80_000, 4, 3_000, 5_000), "raw", "at most"),
        (droplets(30_000, 4, 20, 5_000), "raw", "at most 4 molecules"),
        (droplets(1_500, 40, 200, 1_000), "raw", "lie between"),
        (droplets(0, 1, 5_000, 4_000), "filtered", "no crowd"),
        (droplets(0, 1, 400, 60), "filtered", "no crowd"),
        (droplets(3_000, 600, 3_000, 9_000), "filtered", "no crowd"),
        (droplets(0, 1, 5, 4_000), "filtered", "only 5 barcodes"),
        (np.zeros(0, int), "filtered", "only 0 barcodes"),
    ],
)
def test_raw_or_filtered(n_counts, kind, why):
    found, reason = find_kind(n_counts)
    assert found == kind and why in reason


def test_real_matrices_are_filtered(real):
    """Two of the ten samples of zhao21 have 300 genes, and cells that differ a hundredfold."""
    zhao = ad.read_h5ad(real / "matrices/zhao21_gbm_panobinostat_lemur_5000x300.h5ad")
    n_counts = np.asarray(zhao.X.sum(axis=1)).ravel()
    for sample in zhao.obs["sample_id"].unique():
        assert find_kind(n_counts[zhao.obs["sample_id"] == sample])[0] == "filtered"
    triana = real / "matrices/triana21_bm_pbmc_scuba_250x462.h5ad"
    with pytest.raises(StudyError, match=r"log1p to 10,000 per cell \[not-counts\]\n.*counts"):
        load(triana)
    assert load(triana, layer="counts")[1]["barcodes"]["kind"] == "filtered"
    pbmc = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    assert load(pbmc)[1]["barcodes"]["kind"] == "filtered"


def test_what_the_sheet_says(tmp_path, caplog):
    def write(n_counts):
        counts = csr_matrix(np.atleast_2d(n_counts).T.astype(np.float32))
        ad.AnnData(counts, var=genes(1)).write_h5ad(tmp_path / "m.h5ad")
        return tmp_path / "m.h5ad"

    few = write(droplets(0, 1, 300, 4_000))
    assert load(few)[1]["barcodes"]["decided_by"] == "data"
    problem = "says `barcodes` raw, but there is no empty droplet: the least of 300"
    with pytest.raises(StudyError, match=rf"{problem}.*\[no-empty-droplets\]"):
        load(few, barcodes="raw")
    counts, facts = load(write(droplets(1_500, 40, 200, 1_000)), barcodes="filtered")
    assert facts["barcodes"]["kind"] == "filtered" and facts["barcodes"]["looks"] == "raw"
    assert facts["barcodes"]["decided_by"] == "sheet"
    load_counts.log_facts(facts, "here", logging.getLogger())
    assert "the sheet says filtered, though the data look raw" in caplog.text


def test_raw_loses_what_has_no_count(write_10x):
    counts = np.zeros((12, 4), dtype=np.float32)
    counts[[2, 7, 9]] = COUNTS
    barcodes = [f"{letter}AAA-1" for letter in "ABCDEFGHIJKL"]
    loaded, facts = load(write_10x("10x", counts, barcodes))
    assert list(loaded.obs_names) == ["CAAA", "HAAA", "JAAA"]
    assert (loaded.X.toarray() == COUNTS).all()
    expected = {"kind": "raw", "decided_by": "data", "number": 12, "with_counts": 3, "given": None}
    assert expected.items() <= facts["barcodes"].items()
