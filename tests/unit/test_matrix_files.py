"""The files of a matrix are found in whatever folders people have, and faults seen before a job."""

import gzip
import itertools
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from latere.counts import columns, inspection, splitting
from latere.counts.columns import rows_of
from latere.counts.files import find_files
from latere.counts.inspection import inspect
from latere.counts.splitting import split_rows
from latere.errors import StudyError
from latere.urls import conceal

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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("counts.csv", r"a table of text;.*\n.*write_h5ad"),
        ("GSM1_counts.TSV.gz", r"a table of text;.*\n.*write_h5ad"),
        ("dge.txt.gz", "a table of text"),
        ("counts.xlsx", "a spreadsheet"),
        ("atlas.loom", r"a loom file;.*\n.*read_loom"),
        ("seurat.rds", r"an object of R;.*\n.*write10xCounts.*LayerData"),
        ("all.RData", "an object of R"),
        ("GSE1_RAW.tar", r"an archive of files;.*\n.*Unpack it"),
        ("filtered_feature_bc_matrix.tar.gz", "an archive"),
        ("a.zip", "an archive"),
        ("atlas.h5ad.gz", r"a packed HDF5 file;.*\n.*gunzip"),
        ("GSM1_barcodes.tsv.gz", r"one file of three;.*\n.*separated by commas"),
        ("counts.mtx.gz", "one file of three"),
    ],
)
def test_forms_that_are_not_read(touch, name, told):
    url = f"https://example.org/a/{name}"
    in_query = f"https://example.org/geo/?acc=GSM1&file={name.replace('_', '%5F')}"
    for text in (str(touch(name) / name), url, f"{url}?download=1", in_query):
        with pytest.raises(StudyError, match=told) as caught:
            find_files(text)
        assert caught.value.where == conceal(text)
    # A name that is mistyped is told as such, elsewhere.
    assert find_files(f"no/{name}") == (f"no/{name}",)


def test_link_to_the_archive_of_a_series():
    with pytest.raises(StudyError, match="an archive of files"):
        find_files("https://example.org/geo/download/?acc=GSE1&format=file")


@pytest.mark.parametrize("name", ["a.h5", "b.h5ad"])
def test_the_only_file_of_a_folder_is_taken(touch, name):
    folder = touch(f"a/{name}", "a/notes.txt")
    assert names(find_files(f"{folder}/a"), folder) == [f"a/{name}"]
    touch("a/other.h5")
    with pytest.raises(StudyError, match=f"holds 2 matrices .{name}, other.h5.*\n.*{name}"):
        find_files(f"{folder}/a")


MULTI = "outs/per_sample_outs/s1/count/sample_"


@pytest.mark.parametrize("hdf5", [True, False])
@pytest.mark.parametrize("way", ["", "outs", "outs/per_sample_outs/s1", f"{MULTI[:-8]}"])
def test_output_of_multi(touch, way, hdf5):
    ends = (".h5",) if hdf5 else [f"/{name}" for name in three()]
    made = {
        kind: [f"{MULTI}{kind}_feature_bc_matrix{end}" for end in ends]
        for kind in ("raw", "filtered")
    }
    pool = [f"outs/multi/count/raw_feature_bc_matrix{end}" for end in ends]
    folder = touch(*made["filtered"], *pool)
    path, cells = str(folder / way), made["filtered"][:2][-1]
    # The droplets of the only sample are those of its pool; CellRanger 7 and later give its own.
    assert names(find_files(path), folder) == [*pool, cells]
    touch(*made["raw"])
    assert names(find_files(path), folder) == [*made["raw"], cells]
    assert names(find_files(path, "filtered"), folder) == made["filtered"]


def test_samples_of_multi_are_told_apart(touch):
    one = [f"{MULTI}filtered_feature_bc_matrix.h5"]
    two = [one[0].replace("s1", "s2")]
    # Beside them the matrix of all, as CellRanger 10 leaves it.
    folder = touch(*one, *two, "outs/multi/count/raw_feature_bc_matrix.h5", *OUTS)
    with pytest.raises(StudyError, match=r"holds 2 outputs \(per_sample_outs/s1, .*s2\).*\n.*s1"):
        find_files(f"{folder}/outs")
    assert names(find_files(f"{folder}/outs/per_sample_outs/s2"), folder) == two
    pool = ["outs/multi/count/raw_feature_bc_matrix.h5"]
    assert names(find_files(f"{folder}/outs/multi"), folder) == pool


def test_output_of_starsolo_without_exons(touch):
    full = "a.Solo.out/GeneFull_Ex50pAS/raw/"
    folder = touch(*three(full), *three("a.Solo.out/Velocyto/raw/"), *three("a.Solo.out/SJ/raw/"))
    assert names(find_files(str(folder)), folder) == three(full)
    touch(*three("a.Solo.out/GeneFull/raw/"))
    with pytest.raises(StudyError, match=r"holds 2 outputs \(GeneFull, GeneFull_Ex50pAS\)"):
        find_files(str(folder))
    touch(*three("a.Solo.out/Gene/raw/"))
    assert names(find_files(str(folder)), folder) == three("a.Solo.out/Gene/raw/")


def test_two_outputs_of_starsolo(touch):
    folder = touch(*SOLO, *three("b.Solo.out/Gene/raw/"))
    with pytest.raises(StudyError, match=r"holds 2 outputs \(a.Solo.out, b.*\n.*one in each row"):
        find_files(str(folder))


def test_velocities_alone_are_no_counts(touch):
    with pytest.raises(StudyError, match="without a count matrix"):
        find_files(f"{touch(*three('Solo.out/Velocyto/raw/'))}/Solo.out")


@pytest.fixture
def write(tmp_path):
    """Write an .h5ad of six cells and four genes."""

    def write(obs=None, var=None, x=None, **parts):
        if not isinstance(obs, pd.DataFrame):
            barcodes = [f"{code}AAACCTGAGAAACC-1" for code in ("AA", "AC", "AG", "AT", "CA", "CC")]
            obs = pd.DataFrame(obs or {}, index=barcodes)
        var = pd.DataFrame(index=["GAPDH", "CD3E", "RPS6", "MT-CO1"]) if var is None else var
        x = csr_matrix(np.ones((len(obs), len(var)), np.float32)) if x is None else x
        path = tmp_path / "matrix.h5ad"
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return str(path)

    return write


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
def test_cells_are_told_from_symbols_by_their_barcodes(write, form):
    """Symbols that no family tells, the first rows being spike-ins, and cells of any name."""
    genes = [f"ERCC-{n:05}" for n in range(1000)] + [
        f"{name}-{n}" for name in SYMBOLS for n in range(300)
    ]
    cells = pd.DataFrame(
        index=[f"empty{n}" for n in range(900)] + [form.format(code) for code in CODES[:3000]]
    )
    path = write(var=pd.DataFrame(index=genes), obs=cells, x=csr_matrix((3900, 4000)))
    inspect((path,), "", "")
    write_transposed(path)
    told = "its 4,000 rows are genes .* and its 3,900 columns cells"
    with pytest.raises(StudyError, match=f"transposed: {told}"):
        inspect((path,), "", "")


@pytest.mark.parametrize("genes", ["human", "mouse", "ensembl"])
@pytest.mark.parametrize("cell", ["P{:04}_A1", "{}_1", "MT-A{}", "RPS1_{}", "FAM{}"])
def test_cells_are_told_from_genes_where_they_have_no_barcode(write, cell, genes):
    some, more = {
        "human": ("ZNF{}", "CD{}A"),
        "mouse": ("Gm{}", "Cd{}a"),
        "ensembl": ("ENSG{:011}.2", "ENSG{:011}_PAR_Y"),
    }[genes]
    # As rare as what tells them is among the genes of a species.
    names = [(more if n % 19 else some).format(n) for n in range(1, 2001)]
    cells = pd.DataFrame(index=[cell.format(n) for n in range(300)])
    path = write(var=pd.DataFrame(index=names), obs=cells, x=csr_matrix((300, 2000)))
    inspect((path,), "", "")
    write_transposed(path)
    with pytest.raises(StudyError, match="is transposed: its 2,000 rows are genes"):
        inspect((path,), "", "")


def test_features_that_are_sequences_are_no_cells(write):
    guides = pd.DataFrame(index=[f"guide_{code}{code}" for code in CODES[:50]])
    inspect((write(var=guides),), "", "")


def write_transposed(path):
    ad.read_h5ad(path).T.write_h5ad(path)


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
    unnamed = tmp_path / "counts"
    unnamed.write_text("no")
    with pytest.raises(StudyError, match="is of no form that is known.*\n.*Give a 10x folder"):
        inspect((str(unnamed),), "", "")
    mtx = tmp_path / "matrix.mtx.gz"
    for text, told in (
        ("a,b\n1,2\n", "begins with b'a,b"),
        (MTX.replace("integer", "pattern"), ""),
    ):
        mtx.write_bytes(gzip.compress(text.encode()))
        with pytest.raises(StudyError, match=f"is no MatrixMarket file of sparse numbers.*{told}"):
            inspect((str(mtx), "b", "f"), "", "")
    mtx.write_bytes(gzip.compress(MTX.encode())[:30])
    with pytest.raises(StudyError, match="gzip stream is truncated or damaged .*ended before"):
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


def test_split_reads_a_column_once(write, monkeypatch):
    """And so do the runs that come of it, whose cells are looked up by its codes."""
    path = write({"donor": ["p1"] * 5 + ["p2"], "age": [1.0] * 6, "score": np.arange(6) / 7})
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
    for row in rows:
        inspect((path,), "", row["subset"])
    # Of what cells do not share no text is made.
    assert seen == ["/obs/donor", 2, "/obs/age", 1, "/obs/score", "X"]


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


def test_split_of_no_cells_and_of_an_old_file(write):
    path = write({"donor": ["p"] * 6})
    ad.read_h5ad(path)[:0].write_h5ad(path)
    with pytest.raises(StudyError, match="has no cells"):
        split_rows({"matrix": path, "split": "donor"}, RESERVED)
    with h5py.File(path, "a") as file:
        del file["obs"]
        file["obs"] = np.zeros(6, dtype=[("index", "S4"), ("donor", "S2")])
    with pytest.raises(StudyError, match="anndata before 0.7"):
        split_rows({"matrix": path, "split": "donor"}, RESERVED)


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
    assert list(rows_of(path, "donor=p2")) == [False] * 5 + [True]


def test_a_column_is_read_by_itself(write, monkeypatch):
    """As many runs of one file read its column once, and nothing else."""
    path = write({"donor": ["p1"] * 5 + ["p2"], "other": list("abcdef")})
    read, seen = ad.io.read_elem, []
    monkeypatch.setattr(ad.io, "read_elem", lambda elem: seen.append(elem.name) or read(elem))
    for value in ("p1", "p2", "p1"):
        rows_of(path, f"donor={value}")
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
    head = b"%%MatrixMarket matrix coordinate integer general\n2 0 0\n"
    (folder / three("a/")[0]).write_bytes(head)
    inspect(find_files(f"{folder}/a"), "", "")


def test_split_of_a_folder_is_refused(touch):
    folder = touch(*three("a/"))
    with pytest.raises(StudyError, match="`split` needs an .h5ad"):
        split_rows({"matrix": f"{folder}/a", "split": "donor"}, set())


def test_an_index_that_julia_named_is_read(tmp_path):
    """As bytes, which anndata reads, too."""
    path = tmp_path / "a.h5ad"
    ad.AnnData(np.eye(3, dtype=np.float32)).write_h5ad(path)
    with h5py.File(path, "a") as file:
        for table in ("obs", "var"):
            file[table].attrs["_index"] = np.bytes_("_index")
    inspect((str(path),), "", "")
