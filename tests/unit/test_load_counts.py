"""Count matrices of any source come out in one form, or are refused with the reason."""

import gzip
import shutil

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import mmwrite
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix

from latere.errors import StudyError
from load_counts import load_counts, read_matrix, read_starsolo

COUNTS = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [1, 1, 1, 7]], dtype=np.float32)
IDS = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]
NAMES = ["A", "B", "B", "MT-C"]
BARCODES = ["AAAC", "AAAG", "AAAT"]


def pack(path):
    with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()


@pytest.fixture
def write_10x(tmp_path):
    """Write a 10x folder, as CellRanger 3 and later do or, if old, as version 2."""

    def write(name, barcodes=BARCODES, old=False):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        mmwrite(folder / "matrix.mtx", coo_matrix(COUNTS[: len(barcodes)].T.astype(int)))
        genes = pd.DataFrame({"id": IDS, "name": NAMES})
        if not old:
            genes["type"] = "Gene Expression"
        table = folder / ("genes.tsv" if old else "features.tsv")
        genes.to_csv(table, sep="\t", header=False, index=False)
        (folder / "barcodes.tsv").write_text("".join(f"{code}\n" for code in barcodes))
        if not old:
            for file in list(folder.iterdir()):
                pack(file)
        return folder

    return write


def check(counts, names=NAMES, ids=IDS):
    assert isinstance(counts.X, csr_matrix) and counts.X.dtype == np.int32
    assert (counts.X.toarray() == COUNTS).all()
    assert list(counts.obs_names) == BARCODES
    assert (counts.obs == ["r1", "s1"]).all(axis=None)
    assert list(counts.obs) == ["run", "sample"] and list(counts.var) == ["gene_name"]
    assert list(counts.var_names) == ids and list(counts.var["gene_name"]) == names


@pytest.mark.parametrize("old", [False, True], ids=["v3", "v2"])
def test_10x_folder(write_10x, old):
    folder = write_10x("matrix", [f"{code}-1" for code in BARCODES], old)
    check(load_counts(read_matrix(folder, "", "here"), "r1", "s1", "here"))


def test_10x_h5(tmp_path):
    path = tmp_path / "matrix.h5"
    matrix = csc_matrix(COUNTS.T.astype(np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array([f"{code}-1" for code in BARCODES], dtype="S")
        group["data"], group["indices"] = matrix.data, matrix.indices
        group["indptr"], group["shape"] = matrix.indptr, np.array(matrix.shape)
        features = group.create_group("features")
        for key, value in (("id", IDS), ("name", NAMES)):
            features[key] = np.array(value, dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * 4, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 4, dtype="S")
    check(load_counts(read_matrix(path, "", "here"), "r1", "s1", "here"))


def test_starsolo_folder_survives_being_written(write_10x, tmp_path):
    write_10x("starsolo/r1.Solo.out/Gene/filtered")
    counts = load_counts(read_starsolo(tmp_path / "starsolo", "r1"), "r1", "s1", "here")
    check(counts)
    counts.write_h5ad(tmp_path / "counts.h5ad", compression="gzip")
    check(ad.read_h5ad(tmp_path / "counts.h5ad"))


def test_no_cell_called(write_10x, tmp_path):
    write_10x("starsolo/r1.Solo.out/Gene/raw")
    counts = load_counts(read_starsolo(tmp_path / "starsolo", "r1"), "r1", "s1", "here")
    counts.write_h5ad(tmp_path / "counts.h5ad", compression="gzip")
    counts = ad.read_h5ad(tmp_path / "counts.h5ad")
    assert counts.shape == (0, 4) and list(counts.var["gene_name"]) == NAMES
    assert list(counts.obs) == ["run", "sample"]


@pytest.fixture
def write_h5ad(tmp_path):
    def write(x=COUNTS, barcodes=BARCODES, var=None, **parts):
        var = pd.DataFrame(index=IDS) if var is None else var
        path = tmp_path / "matrix.h5ad"
        obs = pd.DataFrame({"patient": ["p1", "p2", "p1"]}, index=barcodes)
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return path

    return write


@pytest.mark.parametrize("form", [np.asarray, csr_matrix, csc_matrix])
def test_h5ad_without_names(write_h5ad, form):
    counts = load_counts(read_matrix(write_h5ad(form(COUNTS)), "", "here"), "r1", "s1", "here")
    check(counts, names=IDS)


def test_h5ad_with_symbols_and_ids(write_h5ad):
    var = pd.DataFrame({"gene_ids": IDS}, index=["A", "B", "B-1", "MT-C"])
    counts = load_counts(read_matrix(write_h5ad(var=var), "", "here"), "r1", "s1", "here")
    check(counts, names=["A", "B", "B-1", "MT-C"])


def test_h5ad_with_names_missing(write_h5ad):
    var = pd.DataFrame({"feature_name": ["A", None, "", "MT-C"]}, index=IDS)
    counts = load_counts(read_matrix(write_h5ad(var=var), "", "here"), "r1", "s1", "here")
    check(counts, names=["A", "ENSG2", "ENSG3", "MT-C"])


def test_layer_counts_wins_over_normalised_x(write_h5ad):
    path = write_h5ad(np.log1p(COUNTS), layers={"counts": csr_matrix(COUNTS)})
    check(load_counts(read_matrix(path, "", "here"), "r1", "s1", "here"), names=IDS)


def test_subset(write_h5ad):
    path = write_h5ad()
    counts = load_counts(read_matrix(path, "patient=p1", "here"), "r1", "s1", "here")
    assert list(counts.obs_names) == ["AAAC", "AAAT"]
    assert (counts.X.toarray() == COUNTS[[0, 2]]).all()
    with pytest.raises(StudyError, match="no column 'donor'.*\n.*patient"):
        read_matrix(path, "donor=p1", "here")
    with pytest.raises(StudyError, match="no cell has patient 'p3'.*\n.*p1, p2"):
        read_matrix(path, "patient=p3", "here")


@pytest.mark.parametrize("value", [0.5, -1, np.nan, np.inf])
def test_not_counts(write_h5ad, value):
    wrong = COUNTS.copy()
    wrong[1, 1] = value
    with pytest.raises(StudyError, match="not raw counts"):
        load_counts(read_matrix(write_h5ad(wrong), "", "here"), "r1", "s1", "here")


def test_suffix_stays_if_it_tells_cells_apart(write_h5ad):
    barcodes = ["AAAC-1", "AAAC-2", "AAAT-1"]
    counts = load_counts(read_matrix(write_h5ad(barcodes=barcodes), "", "here"), "r1", "s1", "here")
    assert list(counts.obs_names) == barcodes


def test_barcode_twice(write_h5ad):
    path = write_h5ad(barcodes=["AAAC", "AAAC", "AAAT"])
    with pytest.warns(UserWarning, match="not unique"):
        adata = read_matrix(path, "", "here")
    with pytest.raises(StudyError, match="AAAC stands there twice"):
        load_counts(adata, "r1", "s1", "here")


def test_gene_ids_are_made_unique():
    adata = ad.AnnData(csr_matrix(COUNTS), var=pd.DataFrame({"gene_ids": ["a", "b", "b", "c"]}))
    counts = load_counts(adata, "r1", "s1", "here")
    assert list(counts.var_names) == ["a", "b", "b-1", "c"]


def test_no_matrix(tmp_path):
    path = tmp_path / "matrix.h5ad"
    path.write_text("no")
    with pytest.raises(StudyError, match="cannot be read"):
        read_matrix(path, "", "here")
