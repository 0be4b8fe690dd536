"""Values that are no raw counts are refused with what they look like."""

import anndata as ad
import numpy as np
import pytest
from count_matrices import COUNTS, IDS, check, genes, load
from scipy.sparse import csr_matrix

from latere.errors import StudyError

SCALES = {
    "log-normalised with log1p to 10,000 per cell": lambda x: np.log1p(
        x / x.sum(1, keepdims=True) * 1e4
    ),
    r"log-normalised with log2\(x \+ 1\) to 1,000,000 per cell": lambda x: np.log2(
        x / x.sum(1, keepdims=True) * 1e6 + 1
    ),
    "normalised, without a logarithm, to 100 per cell": lambda x: x / x.sum(1, keepdims=True) * 100,
    "log-normalised with log1p by the size of each cell": lambda x: np.log1p(
        x / x.sum(1, keepdims=True) * 1e4
    )[:, :150],
    "it has negative values .*it was scaled": lambda x: (x - x.mean(0)) / x.std(0),
    r"fractions such as \d.*as corrected, imputed": lambda x: x * 0.97 + np.sqrt(x) * 0.011,
    "not finite": lambda x: np.where(x == 3, np.nan, x),
    "negative values .*counts are never below 0": lambda x: x - 1,
}


@pytest.mark.parametrize("words", SCALES)
def test_values_that_are_not_counts_are_described(write_h5ad, tmp_path, words):
    counts = np.random.default_rng(1).poisson(0.7, (60, 200)).astype(float)
    path = tmp_path / "m.h5ad"
    values = csr_matrix(SCALES[words](counts).astype(np.float32))
    ad.AnnData(values, var=genes(values.shape[1])).write_h5ad(path)
    with pytest.raises(StudyError, match=rf"{words}.*\[not-counts\]"):
        load(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_counts_of_any_type(write_h5ad, dtype):
    counts, facts = load(write_h5ad(csr_matrix(COUNTS.astype(np.float32)).astype(dtype)))
    check(counts, names=IDS)
    assert facts["counts"]["stored_as"] == np.dtype(dtype).name


def test_counts_of_one_depth_are_reported(tmp_path):
    counts = np.random.default_rng(1).poisson(3, (120, 300)).astype(float)
    path = tmp_path / "m.h5ad"
    for values, least, most in (
        (counts, 0.02, 0.1),
        (np.round(1e6 * counts / counts.sum(axis=1, keepdims=True)), 0, 1e-3),
        (40 * np.eye(120), 0, 0),
    ):
        ad.AnnData(csr_matrix(values), var=genes(values.shape[1])).write_h5ad(path)
        _, facts = load(path)
        assert least <= facts["depth_cv"] <= most
        assert facts["barcodes"]["kind"] == "filtered"


def test_large_counts(write_h5ad, write_h5):
    large = COUNTS.astype(np.float64)
    large[0, 1] = 2**24 + 1
    counts, facts = load(write_h5ad(large))
    check(counts, names=IDS, values=large)
    assert facts["largest_count"] == 2**24 + 1
    check(load(write_h5(large.astype(np.int32)))[0], values=large)
    with pytest.raises(
        StudyError, match="16,777,218, is above 16,777,216.* float32 .*.not-counts."
    ):
        load(write_h5ad((large + 1).astype(np.float32)))
    large[0, 1] = 2**31
    for path in (write_h5ad(large), write_h5(large.astype(np.int64))):
        with pytest.raises(StudyError, match=r"2,147,483,648.*\[not-counts\]"):
            load(path)
