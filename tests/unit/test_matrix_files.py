"""The files of a matrix are found in whatever folders people have, and faults seen before a job."""

import gzip
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from latere import matrices
from latere.errors import StudyError
from latere.matrices import find_files, inspect, split_rows

MTX = "%%MatrixMarket matrix coordinate integer general\n%\n2 1 1\n1 1 3\n"
RESERVED = {"run", "sample", "matrix", "subset", "n_counts"}


@pytest.fixture
def touch(tmp_path):
    """Make files below a folder, which is returned."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def names(files, folder):
    return [file.removeprefix(f"{folder}/") for file in files]


def three(folder="", ending=".gz", genes="features"):
    return [f"{folder}{name}{ending}" for name in ("matrix.mtx", "barcodes.tsv", f"{genes}.tsv")]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("genes", ["genes", "features"])
@pytest.mark.parametrize("prefix", ["", "GSM3872434_ETV6-RUNX1_1."])
def test_10x_folder(touch, prefix, genes, ending):
    files = three(f"10x/{prefix}", ending, genes)
    folder = touch(*files, *(["10x/GSM3872435_ETV6-RUNX1_2.matrix.mtx"] if prefix else []))
    # With the dot or without, and by the name of the matrix.
    for way in (f"10x/{prefix}", f"10x/{prefix}".rstrip("./"), files[0]):
        assert names(find_files(str(folder / way)), folder) == files


SOLO = three("a.Solo.out/Gene/raw/") + three("a.Solo.out/Gene/filtered/")
OUTS = three("outs/raw_feature_bc_matrix/") + three("outs/filtered_feature_bc_matrix/")
OLD = three("outs/raw_gene_bc_matrices/GRCh38/", "", "genes")
OLD += three("outs/filtered_gene_bc_matrices/GRCh38/", "", "genes")


@pytest.mark.parametrize(
    ("made", "way"),
    [
        (SOLO, ""),
        (SOLO, "a.Solo.out"),
        (SOLO, "a.Solo.out/Gene"),
        (OUTS, ""),
        (OUTS, "outs"),
        (OLD, "outs"),
    ],
)
def test_output_with_raw_and_filtered(touch, made, way):
    folder = touch(*made)
    path = str(folder / way)
    assert names(find_files(path), folder) == [*made[:3], made[4]]
    assert names(find_files(path, "raw"), folder) == made[:3]
    assert names(find_files(path, "filtered"), folder) == made[3:]


def test_output_in_hdf5_only(touch):
    files = [f"outs/{kind}_feature_bc_matrix.h5" for kind in ("raw", "filtered")]
    folder = touch(*files)
    assert names(find_files(f"{folder}/outs"), folder) == files
    assert names(find_files(f"{folder}/outs", "filtered"), folder) == files[1:]


def test_output_without_called_cells(touch):
    folder = touch(*SOLO[:3])
    assert names(find_files(str(folder)), folder) == SOLO[:3]
    with pytest.raises(StudyError, match="no filtered matrix beside its raw"):
        find_files(str(folder), "filtered")


def test_three_files_by_name():
    urls = [f"https://example.org/a/GSM1_cells_of_b.{name}.gz" for name in ("genes.tsv", "mtx")]
    urls.insert(1, "https://example.org/a/GSM1_barcodes.tsv.gz")
    assert find_files(", ".join(urls)) == (urls[2], urls[1], urls[0])
    with pytest.raises(StudyError, match="2 files, which are not the three.*\n.*one of each"):
        find_files(",".join(urls[:2]))
    with pytest.raises(StudyError, match="one file of three"):
        find_files(urls[2])
    assert find_files("https://example.org/a.h5ad") == ("https://example.org/a.h5ad",)
    assert find_files("no/such") == ("no/such",)


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (0, "but no matrix: matrix.mtx.gz or matrix.mtx"),
        (1, "has matrix.mtx.gz, features.tsv.gz, but no barcodes: barcodes.tsv.gz"),
        (2, "but no features: features.tsv.gz or features.tsv or genes.tsv.gz or genes.tsv"),
    ],
)
def test_a_file_is_missing(touch, missing, told):
    files = three()
    del files[missing]
    with pytest.raises(StudyError, match=told):
        find_files(str(touch(*files)))


def test_folders_that_name_no_matrix(touch):
    folder = touch(*three("geo/a."), *three("geo/b."), "empty/x.txt")
    with pytest.raises(StudyError, match=r"holds 2 matrices.*a\.matrix\.mtx\.gz.*\n.*one in each"):
        find_files(f"{folder}/geo")
    with pytest.raises(StudyError, match="without a count matrix"):
        find_files(f"{folder}/empty")


@pytest.fixture
def write(tmp_path):
    """Write an .h5ad of six cells and four genes."""

    def write(obs=None, var=None, x=None, **parts):
        barcodes = [f"{code}AAACCTGAGAAACC-1" for code in ("AA", "AC", "AG", "AT", "CA", "CC")]
        obs = pd.DataFrame(obs or {}, index=barcodes)
        var = pd.DataFrame(index=["GAPDH", "CD3E", "RPS6", "MT-CO1"]) if var is None else var
        x = csr_matrix(np.ones((len(obs), len(var)), np.float32)) if x is None else x
        path = tmp_path / "matrix.h5ad"
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return str(path)

    return write


def test_faults_of_a_file(tmp_path, write):
    broken = tmp_path / "broken.h5ad"
    broken.touch()
    with pytest.raises(StudyError, match=r"is empty \(0 bytes\)"):
        inspect((str(broken),), "", "")
    broken.write_text("no")
    with pytest.raises(StudyError, match=r"cannot be read as HDF5.*2 bytes.*\n.*fetch it anew"):
        inspect((str(broken),), "", "")
    whole = Path(write()).read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match="cannot be read as HDF5.*truncated"):
        inspect((str(broken),), "", "")
    with h5py.File(tmp_path / "a.loom", "w") as file:
        file["matrix"] = np.ones((2, 2))
    with pytest.raises(StudyError, match="holds no count matrix that is known; it has matrix"):
        inspect((str(tmp_path / "a.loom"),), "", "")
    mtx = tmp_path / "matrix.mtx.gz"
    for text, told in (
        ("a,b\n1,2\n", "begins with b'a,b"),
        (MTX.replace("integer", "pattern"), ""),
    ):
        mtx.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(StudyError, match=f"is no MatrixMarket file of sparse numbers.*{told}"):
            inspect((str(mtx), "b", "f"), "", "")
    mtx.write_bytes(gzip.compress(MTX.encode())[:30])
    with pytest.raises(StudyError, match="cannot be read .*ended before"):
        inspect((str(mtx), "b", "f"), "", "")
    # Unpacked on the way, and still named as if it were not.
    mtx.write_text(MTX)
    inspect((str(mtx), "b", "f"), "", "")
    with pytest.raises(StudyError, match="`subset` needs an .h5ad; this is a 10x folder"):
        inspect((str(mtx), "b", "f"), "", "a=b")


def test_layer_subset_and_transposed(write):
    path = write({"donor": ["p1"] * 5 + ["p2"]}, layers={"raw_counts": np.ones((6, 4))})
    inspect((path,), "raw_counts", "donor=p2")
    with pytest.raises(StudyError, match="no layer 'counts'.*\n.*X, raw_counts"):
        inspect((path,), "counts", "")
    with pytest.raises(StudyError, match="no column 'patient'.*\n.*donor"):
        inspect((path,), "", "patient=p1")
    with pytest.raises(StudyError, match="no cell has donor 'p3'.*\n.*p1, p2"):
        inspect((path,), "", "donor=p3")
    transposed = ad.read_h5ad(path).T
    transposed.write_h5ad(path)
    with pytest.raises(StudyError, match=r"transposed: its 4 rows are genes \(GAPDH.*\n.*adata.T"):
        inspect((path,), "", "")


def test_raw_stands_for_a_layer(write):
    path = write()
    adata = ad.read_h5ad(path)
    adata.raw = adata.copy()
    adata = ad.AnnData(None, obs=adata.obs, var=adata.var, raw=adata)
    adata.write_h5ad(path)
    inspect((path,), "raw", "")
    with pytest.raises(StudyError, match="has no X.*\n.*`layer` may be: raw"):
        inspect((path,), "", "")


def test_split_fills_the_sheet(write):
    path = write(
        {
            "library": pd.Categorical(["L 1", "L 1", "L2", "L3", "L3", "L3"]),
            "donor": ["d1", "d1", "d1", "d2", "d2", "d2"],
            "age": [61.0, 61.0, 61.0, 7.0, 7.0, 7.0],
            "Disease state": pd.Categorical(["ill"] * 3 + ["well"] * 3),
            "drug": pd.array(["x", "x", "x", None, None, None], dtype="string"),
            "treated": pd.array([True, True, True, None, None, None], dtype="boolean"),
            "score": [0.1, 0.2, 0.3, 0.1, 0.1, 0.1],
            "lane": ["1", "1", "2", "1", "1", "1"],
            "n_counts": [5] * 6,
            "kit": ["v2"] * 6,
        }
    )
    row = {"matrix": path, "split": "library", "sample": "donor", "barcodes": "filtered"}
    rows = split_rows(row | {"kit": "v3"}, RESERVED)
    first = {"age": "61", "Disease_state": "ill", "drug": "x", "treated": "True", "kit": "v3"}
    second = {"age": "7", "Disease_state": "well", "kit": "v3"}
    of_file = {"matrix": path, "barcodes": "filtered"}
    assert rows == [
        first | of_file | {"run": "L_1", "sample": "d1", "subset": "library=L 1"},
        first | of_file | {"run": "L2", "sample": "d1", "subset": "library=L2"},
        second | of_file | {"run": "L3", "sample": "d2", "subset": "library=L3"},
    ]
    # Without a column of samples each run is one.
    samples = [row["sample"] for row in split_rows({"matrix": path, "split": "donor"}, RESERVED)]
    assert samples == ["d1", "d2"]


@pytest.mark.parametrize(
    ("library", "donor", "told"),
    [
        (["a", "a", "b", "b", None, None], ["d"] * 6, "2 cells have no value in column 'library'"),
        (["a"] * 6, ["d1"] * 3 + ["d2"] * 3, "library 'a' has cells of several samples"),
        (["a b", "a_b", "c", "c", "c", "c"], ["d"] * 6, "no names of their own: 'a b', 'a_b'"),
        (["a"] * 6, ["é"] * 6, "values of 'donor' give no names of their own: 'é'"),
    ],
)
def test_split_that_cannot_be(write, library, donor, told):
    path = write({"library": pd.Categorical(library), "donor": donor})
    with pytest.raises(StudyError, match=told):
        split_rows({"matrix": path, "split": "library", "sample": "donor"}, RESERVED)


def test_split_needs_an_h5ad_here(tmp_path):
    for path, told in (("https://e.org/a.h5ad", "needs a file"), ("no.h5ad", "does not exist")):
        with pytest.raises(StudyError, match=told):
            split_rows({"matrix": path, "split": "a"}, RESERVED)


@pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning")
def test_column_with_categories_apart(write):
    """As SeuratDisk and anndata before 0.8 write them."""
    path = write({"donor": ["p1"] * 5 + ["p2"]})
    with h5py.File(path, "a") as file:
        table = file["obs"]
        table.attrs["encoding-version"] = "0.1.0"
        del table["donor"]
        table["donor"] = np.array([0] * 5 + [1], dtype=np.int8)
        table["__categories/donor"] = np.array(["p1", "p2"], dtype=h5py.string_dtype())
        table["donor"].attrs["categories"] = table["__categories/donor"].ref
    assert list(matrices.rows_of(path, "donor=p2")) == [False] * 5 + [True]


def test_a_column_is_read_by_itself(write, monkeypatch):
    """As many runs of one file read its column once, and nothing else."""
    path = write({"donor": ["p1"] * 5 + ["p2"], "other": list("abcdef")})
    read, seen = ad.io.read_elem, []
    monkeypatch.setattr(ad.io, "read_elem", lambda elem: seen.append(elem.name) or read(elem))
    for value in ("p1", "p2", "p1"):
        matrices.rows_of(path, f"donor={value}")
    assert seen == ["/obs/donor"]


def test_one_matrix_of_a_prefix_in_a_folder_is_taken(touch):
    folder = touch(*three("geo/GSM1_S1."))
    assert names(find_files(f"{folder}/geo"), folder) == three("geo/GSM1_S1.")


def test_two_genomes_are_not_one_matrix(touch):
    files = [three(f"outs/raw_gene_bc_matrices/{name}/", "", "genes") for name in ("hg19", "mm10")]
    with pytest.raises(StudyError, match=r"each of 2 genomes \(hg19, mm10\)"):
        find_files(f"{touch(*files[0], *files[1])}/outs")


def test_no_barcode_is_no_fault(touch):
    folder = touch(*three("a/"))
    for file in three("a/"):
        (folder / file).write_bytes((folder / file).read_bytes() or b"x")
    (folder / three("a/")[1]).write_bytes(b"")
    (folder / three("a/")[0]).write_bytes(b"%%MatrixMarket matrix coordinate integer general\n")
    inspect(find_files(f"{folder}/a"), "", "")


def test_split_of_a_folder_is_refused(touch):
    folder = touch(*three("a/"))
    with pytest.raises(StudyError, match="`split` needs an .h5ad"):
        split_rows({"matrix": f"{folder}/a", "split": "donor"}, set())
