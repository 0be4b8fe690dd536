"""Count matrices for the unit tests: their counts, names and files; how they are loaded."""

import gzip
import shutil

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

import load_counts
from latere.counts.files import find_files

COUNTS = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [1, 1, 1, 7]], dtype=np.float32)
INTEGERS = COUNTS.astype(np.int32)
IDS = ["ENSG00000000001", "ENSG00000000002", "ENSG00000000003", "ENSG00000000004"]
NAMES = ["AAA", "BBB", "BBB", "MT-C"]
BARCODES = ["AAAC", "AAAG", "AAAT"]
GENE_TYPE = "Gene Expression"
PLAIN = {"layer": "", "subset": "", "barcodes": ""}


def three(folder="", ending=".gz", genes="features"):
    return [f"{folder}{name}{ending}" for name in ("matrix.mtx", "barcodes.tsv", f"{genes}.tsv")]


def genes(number):
    """Table of so many genes; anndata numbers those without a name."""
    return pd.DataFrame(index=[f"GENE{n}" for n in range(number)])


def load(path, **layout):
    layout = PLAIN | layout
    files = list(find_files(str(path), layout["barcodes"]))
    return load_counts.load_counts(files, layout, "here", 1)


def pack(path):
    with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()


def check(counts, names=NAMES, values=COUNTS):
    assert isinstance(counts.X, csr_matrix) and counts.X.dtype == np.int32
    assert counts.X.has_sorted_indices and (counts.X.data > 0).all()
    assert (counts.X.toarray() == values).all()
    assert list(counts.obs_names) == BARCODES and counts.obs_names.name == "barcode"
    assert list(counts.obs) == [] and list(counts.var) == ["gene_name"]
    assert list(counts.var_names) == IDS and counts.var_names.name == "gene_id"
    assert list(counts.var["gene_name"]) == names


def droplets(empty, ambient, cells, size, seed=1):
    """Molecules of empty droplets and of cells."""
    rng = np.random.default_rng(seed)
    poor = rng.poisson(rng.lognormal(np.log(ambient), 0.5, empty))
    return np.concatenate([poor, rng.poisson(rng.lognormal(np.log(size), 0.6, cells))])
