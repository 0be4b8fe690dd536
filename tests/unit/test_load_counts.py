"""Count matrices of any form come out in one, or are refused with the reason."""

import gzip
import json
import logging
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.io import mmwrite
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, random_array

import load_counts
from latere.counts import sparse
from latere.counts.barcodes import find_kind, otsu_threshold
from latere.counts.files import find_files
from latere.counts.genes import features_of
from latere.counts.readers import read_lines
from latere.errors import StudyError
from latere.tables import write_counts

COUNTS = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [1, 1, 1, 7]], dtype=np.float32)
INTEGERS = COUNTS.astype(np.int32)
IDS = ["ENSG00000000001", "ENSG00000000002", "ENSG00000000003", "ENSG00000000004"]
NAMES = ["AAA", "BBB", "BBB", "MT-C"]
BARCODES = ["AAAC", "AAAG", "AAAT"]
GENES = "Gene Expression"
PLAIN = {"layer": "", "subset": "", "barcodes": ""}


def load(path, **layout):
    layout = PLAIN | layout
    files = list(find_files(str(path), layout["barcodes"]))
    return load_counts.load_counts(files, layout, "here", 1)


def pack(path):
    with open(path, "rb") as plain, gzip.open(f"{path}.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    path.unlink()


@pytest.fixture
def write_10x(tmp_path):
    """Write a 10x folder, as CellRanger 3 and later do or, if old, as version 2."""

    def write(name, counts=COUNTS, barcodes=BARCODES, old=False, ids=IDS, types=GENES, prefix=""):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        mmwrite(folder / f"{prefix}matrix.mtx", coo_matrix(counts.T.astype(int)))
        genes = pd.DataFrame({"id": ids, "name": NAMES})
        if not old:
            genes["type"] = types
        table = folder / f"{prefix}{'genes' if old else 'features'}.tsv"
        genes.to_csv(table, sep="\t", header=False, index=False)
        codes = "".join(f"{code}\n" for code in barcodes)
        (folder / f"{prefix}barcodes.tsv").write_text(codes)
        if not old:
            for file in list(folder.iterdir()):
                pack(file)
        return folder

    return write


@pytest.fixture
def write_h5(tmp_path):
    def write(counts=INTEGERS, types=(GENES,) * 4, name="matrix", old=False):
        path = tmp_path / "matrix.h5"
        matrix = csc_matrix(counts.T)
        with h5py.File(path, "w") as file:
            group = file.create_group(name)
            group["barcodes"] = np.array([f"{code}-1" for code in BARCODES], dtype="S")
            group["data"], group["indices"] = matrix.data, matrix.indices
            group["indptr"], group["shape"] = matrix.indptr, np.array(matrix.shape)
            table = group if old else group.create_group("features")
            table["genes" if old else "id"] = np.array(IDS, dtype="S")
            table["gene_names" if old else "name"] = np.array(NAMES, dtype="S")
            if not old:
                table["feature_type"] = np.array(types, dtype="S")
        return path

    return write


@pytest.fixture
def write_h5ad(tmp_path):
    def write(x=COUNTS, barcodes=BARCODES, var=None, **parts):
        var = pd.DataFrame(index=IDS) if var is None else var
        path = tmp_path / "matrix.h5ad"
        obs = pd.DataFrame({"patient": ["p1", "p2", "p1"]}, index=barcodes)
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return path

    return write


def check(counts, names=NAMES, values=COUNTS):
    assert isinstance(counts.X, csr_matrix) and counts.X.dtype == np.int32
    assert counts.X.has_sorted_indices and (counts.X.data > 0).all()
    assert (counts.X.toarray() == values).all()
    assert list(counts.obs_names) == BARCODES and counts.obs_names.name == "barcode"
    assert list(counts.obs) == [] and list(counts.var) == ["gene_name"]
    assert list(counts.var_names) == IDS and counts.var_names.name == "gene_id"
    assert list(counts.var["gene_name"]) == names


@pytest.mark.parametrize("prefix", ["", "GSM3872434_ETV6-RUNX1_1."])
@pytest.mark.parametrize("old", [False, True], ids=["v3", "v2"])
def test_10x_folder(write_10x, old, prefix):
    folder = write_10x("10x", barcodes=[f"{code}-1" for code in BARCODES], old=old, prefix=prefix)
    counts, facts = load(f"{folder}/{prefix}")
    check(counts)
    assert facts["form"] == "10x folder" and facts["molecules"] == 16 and facts["entries"] == 7
    assert facts["largest_count"] == 7 and facts["genes"] == 4 and facts["left_out"] == {}
    expected = {"kind": "ensembl", "prefix": "ENSG", "versions": False}
    assert expected.items() <= facts["identifiers"].items()
    assert facts["identifiers"]["species"] == {"name": "human", "human": 4, "mouse": 0}
    assert facts["identifiers"]["duplicated_names"] == 1


def test_cells_by_genes_as_kb_python_writes(write_10x):
    folder = write_10x("kb", old=True)
    mmwrite(folder / "matrix.mtx", coo_matrix(COUNTS))
    check(load(folder)[0])


@pytest.mark.parametrize("old", [False, True], ids=["v3", "v2"])
def test_10x_h5(write_h5, old):
    counts, facts = load(write_h5(old=old, name="GRCh38" if old else "matrix"))
    check(counts)
    assert facts["form"] == "10x h5" and facts["counts"]["stored_as"] == "int32"


def test_10x_h5_of_two_genomes(write_h5):
    path = write_h5(old=True, name="hg19")
    with h5py.File(path, "a") as file:
        file.copy("hg19", "mm10")
    with pytest.raises(StudyError, match=r"each of 2 genomes \(hg19, mm10\)"):
        load(path)


def test_antibodies_are_left_out(write_h5, write_10x, caplog):
    types = [GENES, "Antibody Capture", GENES, "CRISPR Guide Capture"]
    for path in (write_h5(types=types), write_10x("10x", types=types)):
        counts, facts = load(path)
        assert (counts.X.toarray() == COUNTS[:, [0, 2]]).all()
        assert list(counts.var_names) == [IDS[0], IDS[2]]
        assert facts["left_out"] == {"Antibody Capture": 1, "CRISPR Guide Capture": 1}
        load_counts.tell(facts, "here", logging.getLogger())
        assert "1 features of type Antibody Capture are left out" in caplog.text
    with pytest.raises(StudyError, match=r"no gene expression \(Peaks: 4\)"):
        load(write_h5(types=["Peaks"] * 4))


@pytest.mark.parametrize("form", [np.asarray, csr_matrix, csc_matrix])
def test_h5ad_without_names(write_h5ad, form):
    counts, facts = load(write_h5ad(form(COUNTS)))
    check(counts, names=IDS)
    assert facts["form"] == "h5ad" and facts["counts"] == {"layer": "X", "stored_as": "float32"}


def test_h5ad_with_symbols_and_ids(write_h5ad):
    var = pd.DataFrame({"gene_ids": IDS}, index=["A", "B", "B-1", "MT-C"])
    check(load(write_h5ad(var=var))[0], names=["A", "B", "B-1", "MT-C"])


def test_h5ad_with_names_missing(write_h5ad):
    var = pd.DataFrame({"feature_name": ["A", None, "", "MT-C"]}, index=IDS)
    check(load(write_h5ad(var=var))[0], names=["A", IDS[1], IDS[2], "MT-C"])


def test_versions_of_ensembl_are_cut(write_10x):
    ids = ["ENSG00000000001.4", "ENSMUSG00000000002.12", "ENSG00000000003.1_PAR_Y", "AC000001.1"]
    counts, facts = load(write_10x("10x", ids=ids))
    expected = ["ENSG00000000001", "ENSMUSG00000000002", "ENSG00000000003_PAR_Y", "AC000001.1"]
    assert list(counts.var_names) == expected
    assert facts["identifiers"]["versions"] and facts["identifiers"]["kind"] == "ensembl"
    assert facts["identifiers"]["species"] == {"name": "mixed", "human": 2, "mouse": 1}


def test_ids_are_made_unique_and_told(write_10x, caplog):
    ids = ["ENSG00000000001.4", "ENSG00000000001.5", IDS[2], IDS[3]]
    counts, facts = load(write_10x("10x", ids=ids))
    assert list(counts.var_names[:2]) == ["ENSG00000000001", "ENSG00000000001-1"]
    assert facts["identifiers"]["duplicated_ids"] == 1
    load_counts.tell(facts, "here", logging.getLogger())
    assert "gene ids stand there twice" in caplog.text


@pytest.mark.parametrize(
    ("symbols", "name"),
    [
        (["CD3E", "MT-CO1", "C1orf43", "GAPDH"], "human"),
        (["Cd3e", "mt-Co1", "Gm1234", "Actb"], "mouse"),
        (["CD3E", "Cd3e", "GAPDH", "Gapdh"], "mixed"),
        (["gene1", "gene2", "gene3", "gene4"], "unknown"),
    ],
)
def test_species_of_symbols(write_h5ad, symbols, name):
    _, facts = load(write_h5ad(var=pd.DataFrame(index=symbols)))
    assert facts["identifiers"]["kind"] == "symbol"
    assert facts["identifiers"]["species"]["name"] == name


def test_layer(write_h5ad):
    path = write_h5ad(np.log1p(COUNTS), layers={"counts": csr_matrix(COUNTS)})
    counts, facts = load(path, layer="counts")
    check(counts, names=IDS)
    assert facts["counts"]["layer"] == "counts"
    with pytest.raises(StudyError, match="the matrix holds no raw counts.*\n.*`layer`.*: counts"):
        load(path)


def test_counts_in_raw(write_h5ad):
    path = write_h5ad()
    adata = ad.read_h5ad(path)
    adata.raw = adata.copy()
    adata = adata[:, :2].copy()
    adata.X = np.log1p(adata.X)
    adata.write_h5ad(path)
    check(load(path, layer="raw")[0], names=IDS)
    with pytest.raises(StudyError, match="`layer` of the sheet: raw"):
        load(path)


@pytest.mark.parametrize("form", [np.asarray, csr_matrix, csc_matrix])
def test_subset(write_h5ad, form, monkeypatch):
    monkeypatch.setattr(sparse, "CHUNK", 2)  # one row or column a part
    counts, facts = load(write_h5ad(form(COUNTS)), subset="patient=p1")
    assert list(counts.obs_names) == ["AAAC", "AAAT"]
    assert (counts.X.toarray() == COUNTS[[0, 2]]).all()
    assert facts["barcodes"]["number"] == 2


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_a_part_of_an_atlas_does_not_take_its_memory(tmp_path, form):
    """Eleven runs of one file read their own cells."""
    values = random_array((20_000, 2_000), density=0.05, format=form, dtype=np.float32, rng=1)
    values.data = np.ceil(values.data * 5)
    size = values.data.nbytes + values.indices.nbytes
    obs = pd.DataFrame({"run": np.repeat(list("abcdefghij"), 2_000)})
    obs.index = obs.index.astype(str)
    ad.AnnData(values, obs=obs).write_h5ad(tmp_path / "atlas.h5ad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "CHUNK", 1 << 16)
        load(tmp_path / "atlas.h5ad", subset="run=a")
        tracemalloc.start()
        counts, _ = load(tmp_path / "atlas.h5ad", subset="run=c")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (counts.X - values.tocsr()[4_000:6_000]).nnz == 0
    assert peak < size / 2


SCALES = {
    "log-normalised with log1p to 10,000 a cell": lambda x: np.log1p(
        x / x.sum(1, keepdims=True) * 1e4
    ),
    r"log-normalised with log2\(x \+ 1\) to 1,000,000 a cell": lambda x: np.log2(
        x / x.sum(1, keepdims=True) * 1e6 + 1
    ),
    "normalised, without a logarithm, to 100 a cell": lambda x: x / x.sum(1, keepdims=True) * 100,
    "log-normalised with log1p by the size of each cell": lambda x: np.log1p(
        x / x.sum(1, keepdims=True) * 1e4
    )[:, :150],
    "it has negative values .*it was scaled": lambda x: (x - x.mean(0)) / x.std(0),
    r"fractions such as \d.*as corrected, imputed": lambda x: x * 0.97 + np.sqrt(x) * 0.011,
    "not finite": lambda x: np.where(x == 3, np.nan, x),
    "negative values .*counts are never below 0": lambda x: x - 1,
}


@pytest.mark.parametrize("told", SCALES)
def test_what_is_no_count_is_named(write_h5ad, tmp_path, told):
    counts = np.random.default_rng(1).poisson(0.7, (60, 200)).astype(float)
    path = tmp_path / "m.h5ad"
    ad.AnnData(csr_matrix(SCALES[told](counts).astype(np.float32))).write_h5ad(path)
    with pytest.raises(StudyError, match=f"no raw counts: .*{told}"):
        load(path)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_counts_of_any_type(write_h5ad, dtype):
    counts, facts = load(write_h5ad(csr_matrix(COUNTS.astype(np.float32)).astype(dtype)))
    check(counts, names=IDS)
    assert facts["counts"]["stored_as"] == np.dtype(dtype).name


def test_a_threshold_lies_amid_the_gap_between_two_heaps():
    random = np.random.default_rng(0)
    heaps = [random.uniform(0, 0.1, 700), random.uniform(0.5, 0.6, 300)]
    assert abs(otsu_threshold(np.concatenate(heaps)) - 0.3) < 0.01


def test_counts_of_one_depth_are_told(tmp_path):
    counts = np.random.default_rng(1).poisson(3, (120, 300)).astype(float)
    path = tmp_path / "m.h5ad"
    for values, least, most in (
        (counts, 0.02, 0.1),
        (np.round(1e6 * counts / counts.sum(axis=1, keepdims=True)), 0, 1e-3),
        (40 * np.eye(120), 0, 0),
    ):
        ad.AnnData(csr_matrix(values)).write_h5ad(path)
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
    with pytest.raises(StudyError, match="16,777,218, is above 16,777,216.* float32 .*not exact"):
        load(write_h5ad((large + 1).astype(np.float32)))
    large[0, 1] = 2**31
    for path in (write_h5ad(large), write_h5(large.astype(np.int64))):
        with pytest.raises(StudyError, match="2,147,483,648, is above 2"):
            load(path)


def test_suffix_stays_if_it_tells_cells_apart(write_h5ad):
    barcodes = ["AAAC-1", "AAAC-2", "AAAT-1"]
    assert list(load(write_h5ad(barcodes=barcodes))[0].obs_names) == barcodes


def test_barcode_twice(write_10x):
    with pytest.raises(StudyError, match="AAAC stands there twice.*\n.*`subset` or `split`"):
        load(write_10x("10x", barcodes=["AAAC-1", "AAAC-1", "AAAT-1"]))


def test_parts_that_do_not_belong_together(write_10x):
    folder = write_10x("10x", barcodes=[*BARCODES, "AACC"], old=True)
    with pytest.raises(StudyError, match="4 rows and 3 columns.* 4 features .* 4 barcodes"):
        load(folder)


def test_cut_off_files(write_10x, write_h5):
    folder = write_10x("10x")
    for name in ("barcodes.tsv.gz", "matrix.mtx.gz"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-12])
        with pytest.raises(StudyError, match=f"10x/{name}: its gzip stream is truncated"):
            load(folder)
        (folder / name).write_bytes(whole)
    # What a damaged disk does: the file opens, and its values do not.
    path = write_h5()
    with h5py.File(path, "a") as file:
        del file["matrix/data"]
        file.create_dataset("matrix/data", data=np.ones(7, np.int32), compression="gzip")
        place = file["matrix/data"].id.get_chunk_info(0)
    with open(path, "r+b") as file:
        file.seek(place.byte_offset)
        file.write(bytes(place.size))
    with pytest.raises(StudyError, match=r"matrix.h5: its HDF5 structure is damaged \("):
        load(path)


def droplets(empty, ambient, cells, size, seed=1):
    """Molecules of empty droplets and of cells."""
    rng = np.random.default_rng(seed)
    poor = rng.poisson(rng.lognormal(np.log(ambient), 0.5, empty))
    return np.concatenate([poor, rng.poisson(rng.lognormal(np.log(size), 0.6, cells))])


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
    with pytest.raises(StudyError, match="log1p to 10,000 a cell\n.*counts"):
        load(triana)
    assert load(triana, layer="counts")[1]["barcodes"]["kind"] == "filtered"
    pbmc = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    assert load(pbmc)[1]["barcodes"]["kind"] == "filtered"


def test_what_the_sheet_says(tmp_path, caplog):
    def write(n_counts):
        counts = csr_matrix(np.atleast_2d(n_counts).T.astype(np.float32))
        ad.AnnData(counts).write_h5ad(tmp_path / "m.h5ad")
        return tmp_path / "m.h5ad"

    few = write(droplets(0, 1, 300, 4_000))
    assert load(few)[1]["barcodes"]["decided_by"] == "data"
    problem = "says `barcodes` raw, but there is no empty droplet: the least of 300"
    with pytest.raises(StudyError, match=f"{problem}.*\n.*Say filtered"):
        load(few, barcodes="raw")
    counts, facts = load(write(droplets(1_500, 40, 200, 1_000)), barcodes="filtered")
    assert facts["barcodes"]["kind"] == "filtered" and facts["barcodes"]["looks"] == "raw"
    assert facts["barcodes"]["decided_by"] == "sheet"
    load_counts.tell(facts, "here", logging.getLogger())
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


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Run the script on a source and return what it wrote."""
    monkeypatch.setattr(load_counts, "start", lambda snakemake: logging.getLogger("test"))

    def call(*source, **layout):
        output = {"counts": tmp_path / "out.h5ad", "facts": tmp_path / "out.json"}
        load_counts.main(
            SimpleNamespace(
                input=[str(file) for file in source],
                output=SimpleNamespace(**output),
                params=SimpleNamespace(layout=PLAIN | layout),
                wildcards=SimpleNamespace(run="r1"),
                threads=1,
            )
        )
        return ad.read_h5ad(output["counts"]), json.loads(output["facts"].read_text())

    return call


def test_starsolo_says_which_are_cells(write_10x, tmp_path, job):
    write_10x("solo/r1.Solo.out/Gene/raw")
    write_10x("solo/r1.Solo.out/Gene/filtered", COUNTS[1:], BARCODES[1:])
    counts, facts = job(tmp_path / "solo")
    assert list(counts.obs["given"]) == [False, True, True]
    check(ad.AnnData(counts.X, obs=counts.obs[[]], var=counts.var))
    expected = {"kind": "both", "decided_by": "source", "given": 2}
    assert expected.items() <= facts["barcodes"].items()
    assert facts["run"] == "r1" and len(facts["source"]) == 4


def test_cells_of_another_count(write_10x, tmp_path, job):
    write_10x("solo/r1.Solo.out/Gene/raw")
    write_10x("solo/r1.Solo.out/Gene/filtered", COUNTS[:1], ["TTTT"])
    with pytest.raises(StudyError, match="1 of its 1 cells are not among its raw barcodes"):
        job(tmp_path / "solo")


def test_no_cell_called_and_no_molecule(write_10x, tmp_path, job):
    folder = write_10x("solo/r1.Solo.out/Gene/raw", COUNTS[:0], [])
    counts, facts = job(tmp_path / "solo")
    assert counts.shape == (0, 4) and list(counts.var["gene_name"]) == NAMES
    assert facts["molecules"] == facts["largest_count"] == facts["barcodes"]["number"] == 0
    (folder / "matrix.mtx.gz").write_bytes(
        gzip.compress(b"%%MatrixMarket matrix coordinate integer general\n%\n4 3 0\n")
    )
    (folder / "barcodes.tsv.gz").write_bytes(gzip.compress("\n".join(BARCODES).encode()))
    counts, facts = job(tmp_path / "solo")
    assert counts.shape == (0, 4)
    assert facts["barcodes"]["kind"] == "raw" and facts["barcodes"]["number"] == 3
    assert Path(tmp_path / "out.json").read_text(encoding="utf-8").endswith("\n")


@pytest.mark.parametrize("raw", ["folder", "h5"])
def test_raw_and_filtered_of_two_forms(write_10x, write_h5, tmp_path, raw):
    """Many keep one of CellRanger's two forms of each."""
    kinds = ["raw_feature_bc_matrix", "filtered_feature_bc_matrix"]
    of_folder, of_h5 = kinds if raw == "folder" else kinds[::-1]
    write_10x(f"outs/{of_folder}", barcodes=[f"{code}-1" for code in BARCODES])
    write_h5().rename(tmp_path / f"outs/{of_h5}.h5")
    counts, facts = load(tmp_path / "outs")
    assert facts["barcodes"]["kind"] == "both" and counts.obs["given"].all()
    np.testing.assert_array_equal(counts.X.toarray(), COUNTS)


def test_positions_beyond_the_genes_are_refused(write_h5):
    path = write_h5()
    with h5py.File(path, "a") as file:
        file["matrix/indices"][0] = 5000
    with pytest.raises(StudyError, match="cannot be read"):
        load(path)


def test_other_things_beside_the_matrix_are_passed_by(write_h5):
    path = write_h5()
    with h5py.File(path, "a") as file:
        file["version"] = 3
    check(load(path)[0])


def test_genes_without_an_id_keep_the_name_of_the_index():
    """Nothing joins `nan` of one run with `nan` of another."""
    ids = [IDS[0], None, "", IDS[3]]
    var = pd.DataFrame({"ensembl_id": ids}, index=["AAA", "BBB", "CCC", "MT-C"])
    features = features_of(var)
    assert features["id"].tolist() == [IDS[0], "BBB", "CCC", IDS[3]]


def test_a_column_of_biotypes_is_no_type_of_feature(write_10x):
    check(load(write_10x("biotypes", types="protein_coding"))[0])


def test_antibodies_alone_are_no_genes():
    var = pd.DataFrame({"feature_types": "Antibody Capture"}, index=IDS)
    assert (features_of(var)["type"] == "Antibody Capture").all()


def test_counts_are_read_in_parts_as_they_are_written(write_10x, tmp_path):
    write_counts(tmp_path / "r1.h5ad", load(write_10x("r1"))[0])
    part = ad.read_h5ad(tmp_path / "r1.h5ad", backed="r")[1:].to_memory()
    np.testing.assert_array_equal(part.X.toarray(), COUNTS[1:])


def test_a_table_without_line_ends_fills_no_memory(tmp_path):
    path = tmp_path / "features.tsv.gz"
    path.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(StudyError, match="its first line is longer than 1 MB"):
        read_lines(str(path))
