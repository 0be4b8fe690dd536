"""Count matrices of any form come out in one, or are refused with the reason."""

import gzip
import json
import logging
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from count_matrices import BARCODES, COUNTS, IDS, NAMES, PLAIN, check, genes, load
from scipy.io import mmwrite
from scipy.sparse import coo_matrix, csc_matrix, csr_matrix, random_array

import load_counts
from latere.counts import sparse
from latere.counts.inspection import inspect
from latere.counts.text_tables import read_text_table
from latere.errors import StudyError
from latere.tables import write_counts


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


@pytest.mark.parametrize("old", [False, True], ids=["v3", "v2"])
def test_10x_h5_with_ids_of_no_known_form(write_h5, old):
    """The order of the tables is that of their names, not of the file."""
    path = write_h5(old=old)
    ids = ["xyz1", "xyz2", "xyz3", "xyz4"]
    with h5py.File(path, "a") as file:
        place = "matrix/genes" if old else "matrix/features/id"
        del file[place]
        file[place] = np.array(ids, dtype="S")
    counts, _ = load(path)
    assert list(counts.var_names) == ids and list(counts.var["gene_name"]) == NAMES


def test_10x_h5_of_two_genomes(write_h5):
    path = write_h5(old=True, name="hg19")
    with h5py.File(path, "a") as file:
        file.copy("hg19", "mm10")
    with pytest.raises(StudyError, match=r"hg19, mm10.*\[several-genomes\]"):
        load(path)


@pytest.mark.parametrize("form", [np.asarray, csr_matrix, csc_matrix])
def test_h5ad_without_names(write_h5ad, form):
    counts, facts = load(write_h5ad(form(COUNTS)))
    check(counts, names=IDS)
    assert facts["form"] == "h5ad" and facts["counts"] == {"layer": "X", "stored_as": "float32"}


def test_layer(write_h5ad):
    path = write_h5ad(np.log1p(COUNTS), layers={"counts": csr_matrix(COUNTS)})
    counts, facts = load(path, layer="counts")
    check(counts, names=IDS)
    assert facts["counts"]["layer"] == "counts"
    with pytest.raises(StudyError, match=r"\[not-counts\]\n.*`layer`.*: counts"):
        load(path)


def test_counts_in_raw(write_h5ad):
    path = write_h5ad()
    adata = ad.read_h5ad(path)
    adata.raw = adata.copy()
    adata = adata[:, :2].copy()
    adata.X = np.log1p(adata.X)
    adata.write_h5ad(path)
    check(load(path, layer="raw")[0], names=IDS)
    with pytest.raises(StudyError, match=r"\[not-counts\]\n.*: raw"):
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
    ad.AnnData(values, obs=obs, var=genes(2_000)).write_h5ad(tmp_path / "atlas.h5ad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse, "CHUNK", 1 << 16)
        load(tmp_path / "atlas.h5ad", subset="run=a")
        tracemalloc.start()
        counts, _ = load(tmp_path / "atlas.h5ad", subset="run=c")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (counts.X - values.tocsr()[4_000:6_000]).nnz == 0
    assert peak < size / 2


def test_parts_that_do_not_belong_together(write_10x):
    folder = write_10x("10x", barcodes=[*BARCODES, "AACC"], old=True)
    with pytest.raises(StudyError, match=r"4 rows and 3 columns.* \[unequal-sizes\]"):
        load(folder)


def test_cut_off_files(write_10x, write_h5):
    folder = write_10x("10x")
    for name in ("barcodes.tsv.gz", "matrix.mtx.gz"):
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[:-12])
        with pytest.raises(StudyError, match=rf"10x/{name}: .*\[truncated-file\]"):
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
    with pytest.raises(StudyError, match=r"matrix.h5: .*\[damaged-file\]"):
        load(path)


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
    with pytest.raises(StudyError, match=r"1 of its 1 cells .*\[unknown-cells\]"):
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


@pytest.mark.parametrize("part", ["data", "indices", "shape", "features/id"])
def test_a_10x_h5_without_a_part(write_h5, part):
    path = write_h5()
    with h5py.File(path, "a") as file:
        del file[f"matrix/{part}"]
        if part == "features/id":
            del file["matrix/features/name"]
    with pytest.raises(StudyError) as error:
        inspect((str(path),), "", "")
    assert error.value.where == str(path) and error.value.code != "unknown-structure"


def test_a_10x_h5_that_names_other_features(write_h5):
    path = write_h5()
    with h5py.File(path, "a") as file:
        file["matrix/shape"][0] = 5
    with pytest.raises(StudyError, match=r"5 features, but no table.*\[damaged-file\]"):
        inspect((str(path),), "", "")


def test_positions_beyond_the_genes_are_rejected(write_h5):
    path = write_h5()
    with h5py.File(path, "a") as file:
        file["matrix/indices"][0] = 5000
    with pytest.raises(StudyError, match=r"\[damaged-file\]"):
        load(path)


def test_other_things_beside_the_matrix_are_passed_by(write_h5):
    path = write_h5()
    with h5py.File(path, "a") as file:
        file["version"] = 3
    check(load(path)[0])


def test_counts_are_read_in_parts_as_they_are_written(write_10x, tmp_path):
    write_counts(tmp_path / "r1.h5ad", load(write_10x("r1"))[0])
    part = ad.read_h5ad(tmp_path / "r1.h5ad", backed="r")[1:].to_memory()
    np.testing.assert_array_equal(part.X.toarray(), COUNTS[1:])


def test_a_table_without_line_ends_fills_no_memory(tmp_path):
    path = tmp_path / "features.tsv.gz"
    path.write_bytes(gzip.compress(bytes(2 << 20)))
    with pytest.raises(StudyError, match=r"1 MB \[line-too-long\]"):
        read_text_table(str(path))
