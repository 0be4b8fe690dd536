"""Faults of count matrices that are seen before the first job."""

import gzip
import itertools
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from count_matrices import genes, three
from scipy.sparse import csr_matrix

from latere.counts.files import find_files
from latere.counts.inspection import inspect
from latere.errors import StudyError

MTX = "%%MatrixMarket matrix coordinate integer general\n%\n2 1 1\n1 1 3\n"
CODES = ["".join(code) for code in itertools.product("ACGT", repeat=8)]
CELLS = {
    "10x": "ACGT{}ACGT-1",
    "Seurat": "sample1_ACGT{}ACGT-1",
    "Seurat, merged": "ACGT{}ACGT_2",
    "R": "X10X_P4_3_ACGT{}ACGT.1",
    "scanpy": "ACGT{}ACGT-1-0",
    "velocyto": "pbmc:ACGT{}ACGTx",
    "inDrop": "AAACAAAC-{}",
    "Drop-seq": "ACGT{}",
}
SYMBOLS = ["TAGAP", "GATA1", "CTAGE1", "TTN", "CATG1", "NTNG1", "ATAT1", "GNA11", "TNNT1", "CD3E"]


@pytest.mark.parametrize("form", CELLS.values(), ids=CELLS)
def test_cells_are_distinguished_from_symbols_by_their_barcodes(write_cells, form):
    """Symbols that no family tells, the first rows being spike-ins, and cells of any name."""
    genes = [f"ERCC-{n:05}" for n in range(1000)] + [
        f"{name}-{n}" for name in SYMBOLS for n in range(300)
    ]
    cells = pd.DataFrame(
        index=[f"empty{n}" for n in range(900)] + [form.format(code) for code in CODES[:3000]]
    )
    path = write_cells(var=pd.DataFrame(index=genes), obs=cells, x=csr_matrix((3900, 4000)))
    inspect((path,), "", "")
    write_transposed(path)
    shape = "its 4,000 rows are genes .* and its 3,900 columns cells"
    with pytest.raises(StudyError, match=rf"{shape}.*\[transposed\]"):
        inspect((path,), "", "")


@pytest.mark.parametrize("genes", ["human", "mouse", "ensembl"])
@pytest.mark.parametrize("cell", ["P{:04}_A1", "{}_1", "MT-A{}", "RPS1_{}", "FAM{}"])
def test_cells_without_barcodes_are_distinguished_from_genes(write_cells, cell, genes):
    some, more = {
        "human": ("ZNF{}", "CD{}A"),
        "mouse": ("Gm{}", "Cd{}a"),
        "ensembl": ("ENSG{:011}.2", "ENSG{:011}_PAR_Y"),
    }[genes]
    # As rare as what tells them is among the genes of a species.
    names = [(more if n % 19 else some).format(n) for n in range(1, 2001)]
    cells = pd.DataFrame(index=[cell.format(n) for n in range(300)])
    path = write_cells(var=pd.DataFrame(index=names), obs=cells, x=csr_matrix((300, 2000)))
    inspect((path,), "", "")
    write_transposed(path)
    with pytest.raises(StudyError, match="is transposed: its 2,000 rows are genes"):
        inspect((path,), "", "")


def test_features_that_are_sequences_are_no_cells(write_cells):
    guides = pd.DataFrame(index=[f"guide_{code}{code}" for code in CODES[:50]])
    inspect((write_cells(var=guides),), "", "")


def write_transposed(path):
    ad.read_h5ad(path).T.write_h5ad(path)


def test_faults_of_a_file(tmp_path, write_cells):
    broken = tmp_path / "broken.h5ad"
    broken.touch()
    with pytest.raises(StudyError, match=r"\[empty-file\]"):
        inspect((str(broken),), "", "")
    broken.write_text("no")
    with pytest.raises(StudyError, match=r"cannot be read as HDF5.*2 bytes.*\n.*fetch it again"):
        inspect((str(broken),), "", "")
    whole = Path(write_cells()).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match=r"truncated.*\[not-hdf5\]"):
        inspect((str(broken),), "", "")
    with h5py.File(tmp_path / "a.loom", "w") as file:
        file["matrix"] = np.ones((2, 2))
    with pytest.raises(StudyError, match=r"it has matrix \[unsupported-format\]"):
        inspect((str(tmp_path / "a.loom"),), "", "")
    unnamed = tmp_path / "counts"
    unnamed.write_text("no")
    with pytest.raises(StudyError, match=r"\[unsupported-format\]\n.*Give a 10x folder"):
        inspect((str(unnamed),), "", "")
    mtx = tmp_path / "matrix.mtx.gz"
    for text, begin in (
        ("a,b\n1,2\n", "b'a,b"),
        (MTX.replace("integer", "pattern"), ""),
    ):
        mtx.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(StudyError, match=rf"{begin}.*\[not-matrixmarket\]"):
            inspect((str(mtx), "b", "f"), "", "")
    mtx.write_bytes(gzip.compress(MTX.encode())[:30])
    with pytest.raises(StudyError, match=r"\[truncated-file\]"):
        inspect((str(mtx), "b", "f"), "", "")
    # Unpacked on the way, and still named as if it were not.
    mtx.write_text(MTX)
    inspect((str(mtx), "b", "f"), "", "")
    with pytest.raises(StudyError, match=r"'a'.*a 10x folder.*\[needs-h5ad\]"):
        inspect((str(mtx), "b", "f"), "", "a=b")


def test_layer_subset_and_transposed(write_cells):
    path = write_cells({"donor": ["p1"] * 5 + ["p2"]}, layers={"raw_counts": np.ones((6, 4))})
    inspect((path,), "raw_counts", "donor=p2")
    with pytest.raises(StudyError, match=r"'counts' \[missing-layer\]\n.*X, raw_counts"):
        inspect((path,), "counts", "")
    with pytest.raises(StudyError, match=r"'patient'.*\[missing-column\]\n.*donor"):
        inspect((path,), "", "patient=p1")
    with pytest.raises(StudyError, match=r"'p3' \[unknown-value\]\n.*p1 \(5\), p2 \(1\)"):
        inspect((path,), "", "donor=p3")
    transposed = ad.read_h5ad(path).T
    transposed.write_h5ad(path)
    with pytest.raises(StudyError, match=r"its 4 rows are genes \(GAPDH.*\[transposed\]"):
        inspect((path,), "", "")


def test_raw_is_the_name_of_a_layer(write_cells):
    path = write_cells()
    adata = ad.read_h5ad(path)
    adata.raw = adata.copy()
    adata = ad.AnnData(None, obs=adata.obs, var=adata.var, raw=adata)
    adata.write_h5ad(path)
    inspect((path,), "raw", "")
    with pytest.raises(StudyError, match=r"X \[missing-layer\]\n.*: raw"):
        inspect((path,), "", "")


def test_no_barcode_is_no_fault(touch):
    folder = touch(*three("a/"))
    for file in three("a/"):
        (folder / file).write_bytes((folder / file).read_bytes() or b"x")
    (folder / three("a/")[1]).write_bytes(b"")
    head = b"%%MatrixMarket matrix coordinate integer general\n2 0 0\n"
    (folder / three("a/")[0]).write_bytes(head)
    inspect(find_files(f"{folder}/a"), "", "")


def test_an_index_that_julia_named_is_read(tmp_path):
    """As bytes, which anndata reads, too."""
    path = tmp_path / "a.h5ad"
    ad.AnnData(np.eye(3, dtype=np.float32), var=genes(3)).write_h5ad(path)
    with h5py.File(path, "a") as file:
        for table in ("obs", "var"):
            file[table].attrs["_index"] = np.bytes_("_index")
    inspect((str(path),), "", "")
