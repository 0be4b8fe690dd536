"""An .h5ad as other tools than anndata write it; and what is said where one cannot be read."""

import re

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from count_matrices import BARCODES, COUNTS, IDS, check, load
from scipy.sparse import csr_matrix

from latere import __version__
from latere.counts import columns, features, inspection
from latere.counts.columns import columns_of, read_labels, values_by_barcode
from latere.counts.inspection import inspect
from latere.counts.splitting import split_rows
from latere.errors import StudyError

INDICES = {
    "int64": ([7, 8, 9], ["7", "8", "9"]),
    "uint8": (np.array([7, 8, 9], np.uint8), ["7", "8", "9"]),
    "float": ([7.0, 8.0, 9.0], ["7", "8", "9"]),
    "bytes": (np.array(["c1", "c2", "c3"], "S"), ["c1", "c2", "c3"]),
    "objects": (np.array(["c1", "c2", "c3"], h5py.string_dtype()), ["c1", "c2", "c3"]),
}


def replace_index(path, table, values):
    with h5py.File(path, "a") as file:
        del file[f"{table}/_index"]
        file[f"{table}/_index"] = values


@pytest.mark.parametrize("form", INDICES)
@pytest.mark.parametrize("layout", [{}, {"subset": "patient=p1"}], ids=["whole", "subset"])
def test_cells_by_an_index_of_any_type(write_h5ad, form, layout):
    values, names = INDICES[form]
    path = write_h5ad()
    replace_index(path, "obs", values)
    inspect((str(path),), "", layout.get("subset", ""))
    counts, _ = load(path, **layout)
    assert list(counts.obs_names) == ([names[0], names[2]] if layout else names)
    by_barcode = values_by_barcode(str(path), "patient", "")
    assert list(by_barcode.index) == names


@pytest.mark.parametrize("kind", ["categorical", "nullable"])
def test_an_index_that_is_a_group(write_h5ad, kind):
    path = write_h5ad()
    names = pd.array(BARCODES, "string") if kind == "nullable" else pd.Categorical(BARCODES)
    with h5py.File(path, "a") as file, ad.settings.override(allow_write_nullable_strings=True):
        del file["obs/_index"]
        ad.io.write_elem(file["obs"], "_index", names)
    check(load(path)[0], names=IDS)


def test_genes_by_bytes(write_h5ad):
    path = write_h5ad()
    replace_index(path, "var", np.array(IDS, "S"))
    check(load(path)[0], names=IDS)


def as_seurat_disk(path):
    """Values without attributes; categories apart from their numbers."""
    with h5py.File(path, "a") as file:
        for table in ("obs", "var"):
            for name in set(file[table].attrs) - {"_index"}:
                del file[table].attrs[name]
            for item in file[table].values():
                for name in list(item.attrs):
                    del item.attrs[name]
        codes = file["obs/patient/codes"][:]
        del file["obs/patient"]
        file["obs/patient"] = codes
        file["obs/__categories/patient"] = np.array(["p1", "p2"], h5py.string_dtype())


def test_tables_without_attributes(write_h5ad):
    path = write_h5ad(var=pd.DataFrame({"features": ["A", "B", "B", "MT-C"]}, index=IDS))
    as_seurat_disk(path)
    check(load(path)[0], names=["A", "B", "B", "MT-C"])
    assert columns_of(str(path)) == ["patient"]
    codes, labels = read_labels(str(path), "patient")
    assert list(labels[codes]) == ["p1", "p2", "p1"]
    rows, _ = split_rows({"matrix": str(path), "split": "patient"}, {"run", "sample"})
    assert [row["run"] for row in rows] == ["p1", "p2"]
    assert list(load(path, subset="patient=p1")[0].obs_names) == ["AAAC", "AAAT"]


def test_factors_as_levels_and_numbers_from_one(write_h5ad):
    path = write_h5ad()
    with h5py.File(path, "a") as file:
        del file["obs/patient"]
        file["obs/patient/levels"] = np.array(["p1", "p2"], h5py.string_dtype())
        file["obs/patient/values"] = [1, -(2**31), 1]
        file.create_group("obs/empty")
    assert list(load(path, subset="patient=p1")[0].obs_names) == ["AAAC", "AAAT"]
    codes, _ = read_labels(str(path), "patient")
    assert list(codes) == [0, -1, 0]
    with h5py.File(path, "a") as file:
        del file["obs"].attrs["column-order"]
    with pytest.raises(StudyError, match=r"'empty' .*is not a list.*\[unknown-structure\]"):
        read_labels(str(path), "empty")


def test_counts_in_a_bare_raw(write_h5ad):
    """As SeuratDisk converts an object without data on its features."""
    path = write_h5ad()
    adata = ad.read_h5ad(path)
    adata.raw = adata.copy()
    adata.X = np.log1p(adata.X)
    adata.write_h5ad(path)
    with h5py.File(path, "a") as file:
        del file["raw/var"], file["raw/varm"]
        file["raw/var/_index"] = np.array(IDS, h5py.string_dtype())
        file["raw/var"].attrs["_index"] = "_index"
        for name in list(file["raw"].attrs):
            del file["raw"].attrs[name]
    check(load(path, layer="raw")[0], names=IDS)


@pytest.mark.parametrize("name", ["_index", "index"])
def test_an_index_that_no_attribute_names(write_h5ad, name):
    path = write_h5ad()
    with h5py.File(path, "a") as file:
        for table in ("obs", "var"):
            del file[table].attrs["_index"]
            if name != "_index":
                file.move(f"{table}/_index", f"{table}/{name}")
    inspect((str(path),), "", "")
    check(load(path)[0], names=IDS)
    assert columns_of(str(path)) == ["patient"]


@pytest.mark.parametrize(
    ("modalities", "one"),
    [(["prot", "rna"], "rna"), (["GEX", "ADT"], "GEX"), (["atac", "cells"], "atac"), ([], "rna")],
)
def test_a_mudata_is_named_with_its_modalities(tmp_path, modalities, one):
    path = tmp_path / "a.h5mu"
    table = pd.DataFrame(index=BARCODES)
    with h5py.File(path, "w") as file:
        file.create_group("mod")
        for name in ("obs", "var"):
            ad.io.write_elem(file, name, table)
        for name in modalities:
            ad.io.write_elem(file, f"mod/{name}", ad.AnnData(COUNTS, obs=table))
    with pytest.raises(StudyError, match=r"is a MuData.*\[unsupported-format\]") as error:
        inspect((str(path),), "", "")
    assert all(name in error.value.problem for name in modalities)
    assert f"['{one}'].write_h5ad(" in error.value.fix


@pytest.mark.parametrize("raised", [KeyError("x"), TypeError("no way"), AttributeError("asdf")])
@pytest.mark.parametrize("function", ["read_table", "read_names"])
def test_a_fault_of_ours_is_not_laid_on_the_file(write_h5ad, monkeypatch, raised, function):
    def fail(*_, **__):
        raise raised

    for module in (columns, features, inspection):
        monkeypatch.setattr(module, function, fail, raising=False)
    path = write_h5ad()
    with pytest.raises(StudyError, match=r"\[unknown-structure\]") as error:
        inspect((str(path),), "", "")
    text = str(error.value)
    assert str(path) in text and __version__ in text and str(raised.args[0]) in text
    assert re.search(r"\w+\.py, line \d+", text) and "fault of latere" in error.value.fix
    assert "etch it again" not in text


def test_what_the_disk_does_is_laid_on_the_file(write_h5ad, monkeypatch):
    def fail(*_, **__):
        raise OSError("cannot read data (inflate() failed)")

    monkeypatch.setattr(inspection, "read_names", fail)
    with pytest.raises(StudyError, match=r"inflate.*\[damaged-file\]\n.*etch it again"):
        inspect((str(write_h5ad()),), "", "")


@pytest.mark.parametrize(
    ("line", "words"), [("1 1 x", "Line 4"), ("1 9 3", "Line 4"), ("", "runcated")]
)
def test_a_line_of_a_matrix_that_is_no_entry(write_10x, line, words):
    folder = write_10x("10x", old=True)
    head = "%%MatrixMarket matrix coordinate integer general\n%\n4 3 2\n"
    (folder / "matrix.mtx").write_text(f"{head}{line}\n1 1 3\n" if line else f"{head}1 1 3\n")
    with pytest.raises(StudyError, match=rf"{words}.*\[damaged-file\]") as error:
        load(folder)
    # Only a file that ends too early is to be fetched again.
    assert ("etch it again" in error.value.fix) == (not line)


LOGS = np.log1p(COUNTS / COUNTS.sum(1, keepdims=True) * 1e4).astype(np.float32)
WORDS = r"(the matrix|layer 'logs') has no raw counts: it looks log-normalised.*\[not-counts\]"


@pytest.mark.parametrize("form", ["h5ad", "csc", "dense", "layer", "h5", "mtx", "kb", "subset"])
def test_the_first_values_are_seen_before_the_first_job(
    write_h5ad, write_h5, write_10x, form, tmp_path
):
    """With the words of the job that reads all of them."""
    layer = subset = ""
    if form in ("h5ad", "csc", "dense", "layer", "subset"):
        kinds = {"csc": csr_matrix(LOGS).tocsc(), "dense": LOGS}
        values = kinds.get(form, csr_matrix(LOGS))
        files = (str(write_h5ad(values)),)
        if form == "layer":
            files, layer = (str(write_h5ad(layers={"logs": values})),), "logs"
            inspect(files, "", "")
        elif form == "subset":
            # Rows of another run may be counts.
            mixed = csr_matrix(np.where([[True], [False], [True]], COUNTS, LOGS))
            files = (str(write_h5ad(mixed)),)
            inspect(files, "", "patient=p1")
            subset = "patient=p2"
    elif form == "h5":
        files = (str(write_h5(LOGS)),)
        inspect((str(write_h5().rename(tmp_path / "counts.h5")),), "", "")
        files = (str(write_h5(LOGS)),)
    else:
        folder = write_10x(form, old=True)
        files = tuple(
            str(folder / f"{name}") for name in ("matrix.mtx", "barcodes.tsv", "genes.tsv")
        )
        inspect(files, "", "")
        values = LOGS.T if form == "mtx" else LOGS
        places = sorted(zip(*values.nonzero(), strict=True), key=lambda place: place[::-1])
        lines = "".join(f"{r + 1} {c + 1} {values[r, c]:.6f}\n" for r, c in places)
        head = "%%MatrixMarket matrix coordinate real general\n"
        size = f"{values.shape[0]} {values.shape[1]} {len(places)}\n"
        (folder / "matrix.mtx").write_text(head + size + lines)
    words = WORDS if form != "subset" else r"\[not-counts\]"
    with pytest.raises(StudyError, match=words):
        inspect(files, layer, subset)


@pytest.mark.parametrize("by_cell", [True, False])
def test_a_matrix_larger_than_what_is_read_of_it(tmp_path, monkeypatch, by_cell):
    """The last line and the last cell of the part are cut off."""
    counts = np.random.default_rng(1).poisson(1, (60, 90))
    ids = "".join(f"ENSG{n:011}\n" for n in range(90))
    (tmp_path / "genes.tsv").write_text(ids)
    (tmp_path / "barcodes.tsv").write_text("".join(f"cell{n}\n" for n in range(60)))
    logs = np.log1p(counts / counts.sum(1, keepdims=True) * 1e4)
    files = tuple(str(tmp_path / f"{name}") for name in ("matrix.mtx", "barcodes.tsv", "genes.tsv"))
    monkeypatch.setattr(inspection, "MTX_VALUES", 9001)
    for values in (counts, logs):
        places = zip(*(values if by_cell else values.T).nonzero(), strict=True)
        places = [place if by_cell else place[::-1] for place in places]
        entries = "".join(f"{g + 1} {c + 1} {values[c, g]:.10g}\n" for c, g in places)
        text = f"%%MatrixMarket matrix coordinate real general\n90 60 {len(places)}\n{entries}"
        (tmp_path / "matrix.mtx").write_text(text)
        if values is counts:
            inspect(files, "", "")
    words = "to 10,000 per cell" if by_cell else "log1p by the size of each cell"
    with pytest.raises(StudyError, match=rf"{words}.*\[not-counts\]"):
        inspect(files, "", "")


@pytest.mark.parametrize("form", ["h5ad", "h5"])
def test_antibodies_may_be_normalised_beside_genes(write_h5ad, write_h5, form):
    values = COUNTS.copy()
    values[:, 3] += 0.5
    types = ["Gene Expression"] * 3 + ["Antibody Capture"]
    if form == "h5ad":
        path = write_h5ad(values, var=pd.DataFrame({"feature_types": types}, index=IDS))
    else:
        path = write_h5(values, types=types)
    inspect((str(path),), "", "")
    assert load(path)[0].n_vars == 3
