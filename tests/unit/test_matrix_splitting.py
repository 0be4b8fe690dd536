"""Columns of the cells of an .h5ad, and the runs that it is parted into by them."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from count_matrices import three

from latere.counts import columns, inspection, splitting
from latere.counts.columns import rows_of
from latere.counts.inspection import inspect
from latere.counts.splitting import split_rows
from latere.errors import StudyError

RESERVED = {"run", "sample", "matrix", "subset", "n_counts"}


def test_split_fills_the_sheet(write_cells):
    path = write_cells(
        {
            "library": pd.Categorical(["L 1", "L 1", "L2", "L3", "L3", "L3"]),
            "donor": ["d1", "d1", "d1", "d2", "d2", "d2"],
            "age": [61.0, 61.0, 61.0, 7.0, 7.0, 7.0],
            "grade": pd.Categorical([1.0] * 3 + [2.0] * 3),
            "large": [1e20] * 6,
            "Disease state": pd.Categorical(["ill"] * 3 + ["well"] * 3),
            "drug": pd.array(["x", "x", "x", None, None, None], dtype="string"),
            "treated": pd.array([True, True, True, None, None, None], dtype="boolean"),
            "score": [0.1, 0.2, 0.3, 0.1, 0.1, 0.1],
            "lane": ["1", "1", "2", "1", "1", "1"],
            "n_counts": [5] * 6,
            "kit": ["v2"] * 6,
            "Disease_state": ["other"] * 6,
            "site": ["x", "x", "", "y", "y", "y"],
            "note": ["a\nb"] * 6,
            "§": ["x"] * 6,
            "clinic": ["", "", "", "c", "c", "c"],
            "empty": pd.Categorical([None] * 6, categories=["x"]),
        }
    )
    row = {"matrix": path, "split": "library", "sample": "donor", "barcodes": "filtered"}
    rows, left_out = split_rows(row | {"kit": "v3"}, RESERVED)
    both = {"large": "1e+20", "kit": "v3"}
    first = both | {
        "age": "61",
        "grade": "1",
        "Disease_state": "ill",
        "drug": "x",
        "treated": "True",
    }
    second = both | {"clinic": "c", "age": "7", "grade": "2", "Disease_state": "well"}
    of_file = {"matrix": path, "barcodes": "filtered"}
    assert rows == [
        first | of_file | {"run": "L_1", "sample": "d1", "subset": "library=L 1"},
        first | of_file | {"run": "L2", "sample": "d1", "subset": "library=L2"},
        second | of_file | {"run": "L3", "sample": "d2", "subset": "library=L3"},
    ]
    taken = "its name is the workflow's, or another column's"
    assert left_out == {
        "score": "not alike in all cells of 'd1'",
        "lane": "not alike in all cells of 'd1'",
        "n_counts": taken,
        "kit": taken,
        "Disease_state": taken,
        "site": "not alike in all cells of 'd1'",
        "note": "has tabs or line breaks",
        "§": "its name has no letter or digit",
    }
    # Without a column of samples each run is one.
    rows, _ = split_rows({"matrix": path, "split": "donor"}, RESERVED)
    assert [row["sample"] for row in rows] == ["d1", "d2"]


def test_split_reads_a_column_once(write_cells, monkeypatch):
    """And so do the runs that come of it, whose cells are looked up by its codes."""
    path = write_cells({"donor": ["p1"] * 5 + ["p2"], "age": [1.0] * 6, "score": np.arange(6) / 7})
    read, seen = ad.io.read_elem, []
    monkeypatch.setattr(ad.io, "read_elem", lambda elem: seen.append(elem.name) or read(elem))
    places = inspection.layers_of
    monkeypatch.setattr(inspection, "layers_of", lambda file: seen.append("X") or places(file))
    texts = columns.as_text
    for module in (columns, splitting):
        monkeypatch.setattr(
            module, "as_text", lambda values: seen.append(len(values)) or texts(values)
        )
    rows, _ = split_rows({"matrix": path, "split": "donor"}, RESERVED)
    # Of what cells do not share no text is made.
    assert seen == ["/obs/donor", 2, "/obs/age", 1, "/obs/score"]
    seen.clear()
    for row in rows:
        inspect((path,), "", row["subset"])
    assert "/obs/donor" not in seen and seen.count("X") == 1


@pytest.mark.parametrize(
    ("library", "donor", "code", "words"),
    [
        (["a", "a", "b", "b", None, None], ["d"] * 6, "empty-value", "2 of 6 cells .* 'library'"),
        (["a"] * 6, ["d1"] * 3 + ["d2"] * 3, "several-samples", "library 'a'"),
        (["a b", "a_b", "c", "c", "c", "c"], ["d"] * 6, "ambiguous-names", "'a b', 'a_b'"),
        (["a"] * 6, ["é"] * 6, "ambiguous-names", "'donor' .*'é'"),
    ],
)
def test_split_that_cannot_be(write_cells, library, donor, code, words):
    path = write_cells({"library": pd.Categorical(library), "donor": donor})
    with pytest.raises(StudyError, match=words) as error:
        split_rows({"matrix": path, "split": "library", "sample": "donor"}, RESERVED)
    assert error.value.code == code


def test_split_of_no_cells_and_of_an_old_file(write_cells):
    path = write_cells({"donor": ["p"] * 6})
    ad.read_h5ad(path)[:0].write_h5ad(path)
    with pytest.raises(StudyError, match=r"\[no-cells\]"):
        split_rows({"matrix": path, "split": "donor"}, RESERVED)
    with h5py.File(path, "a") as file:
        del file["obs"]
        file["obs"] = np.zeros(6, dtype=[("index", "S4"), ("donor", "S2")])
    with pytest.raises(StudyError, match=r"0.7 \[old-anndata\]"):
        split_rows({"matrix": path, "split": "donor"}, RESERVED)


def test_split_needs_an_h5ad_here(tmp_path):
    for path, code in (("https://e.org/a.h5ad", "url-not-allowed"), ("no.h5ad", "missing-file")):
        with pytest.raises(StudyError) as error:
            split_rows({"matrix": path, "split": "a"}, RESERVED)
        assert (error.value.code, error.value.where) == (code, path)


def test_split_of_a_folder_is_rejected(touch):
    folder = touch(*three("a/"))
    with pytest.raises(StudyError, match=r"\[needs-h5ad\]"):
        split_rows({"matrix": f"{folder}/a", "split": "donor"}, set())


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_column_with_categories_apart(write_cells):
    """As SeuratDisk and anndata before 0.8 write them."""
    path = write_cells({"donor": ["p1"] * 5 + ["p2"]})
    with h5py.File(path, "a") as file:
        table = file["obs"]
        table.attrs["encoding-version"] = "0.1.0"
        del table["donor"]
        table["donor"] = np.array([0] * 5 + [1], dtype=np.int8)
        table["__categories/donor"] = np.array(["p1", "p2"], dtype=h5py.string_dtype())
        table["donor"].attrs["categories"] = table["__categories/donor"].ref
    assert list(rows_of(path, "donor=p2")) == [False] * 5 + [True]


def test_a_column_is_read_by_itself(write_cells, monkeypatch):
    """As many runs of one file read its column once, and nothing else."""
    path = write_cells({"donor": ["p1"] * 5 + ["p2"], "other": list("abcdef")})
    read, seen = ad.io.read_elem, []
    monkeypatch.setattr(ad.io, "read_elem", lambda elem: seen.append(elem.name) or read(elem))
    for value in ("p1", "p2", "p1"):
        rows_of(path, f"donor={value}")
    assert seen == ["/obs/donor"]
