"""Matrices that join libraries: seen by their barcodes, and split by them in every form."""

import gzip

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from count_matrices import load
from scipy.sparse import csr_matrix

from latere.checks.libraries import check_libraries
from latere.checks.runs import FAIL, PASS, WARN, Run
from latere.counts.columns import some_barcodes
from latere.counts.files import find_files
from latere.counts.inspection import inspect
from latere.counts.parts import describe_libraries, find_libraries, parse_subset, split_barcode
from latere.counts.splitting import split_rows
from latere.counts.text_tables import read_barcodes
from latere.errors import StudyError
from latere.study.libraries import find_joined
from latere.study.sheet import Run as SheetRun

GENES = ["ENSG00000000001", "ENSG00000000002", "ENSG00000000003"]


def sequences(number, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(letters) for letters in rng.choice(list("ACGT"), (number, 16))]


AGGR = [f"{bases}-{n}" for n in (1, 2, 3, 11) for bases in sequences(10)]
# By where it comes from: barcodes of three libraries, and the value of the last in the sheet.
JOINED = {
    "cellranger aggr": (
        [f"{bases}-{n}" for n in (1, 2, 3) for bases in sequences(10)],
        "barcode suffix",
        "3",
    ),
    "Seurat, add.cell.ids": (
        [f"S_{n}_{bases}-1" for n in (1, 2, 3) for bases in sequences(10)],
        "barcode prefix",
        "S_3",
    ),
    "Seurat, merged without names": (
        [f"{bases}-1_{n}" for n in (1, 2, 3) for bases in sequences(10)],
        "barcode suffix",
        "1_3",
    ),
    "scanpy, only the second and third marked": (
        [f"{bases}{end}" for end in ("", "-x", "-y") for bases in sequences(10)],
        "barcode suffix",
        "y",
    ),
    "velocyto": (
        [f"run{n}:{bases}x" for n in (1, 2, 3) for bases in sequences(10)],
        "barcode prefix",
        "run3",
    ),
    "several rounds of barcodes": (
        [f"P{n}.{b[:8]}_{b[8:]}_{b[:8]}" for n in (1, 2, 3) for b in sequences(10)],
        "barcode prefix",
        "P3",
    ),
}
# Barcodes of one library.
ALONE = {
    "of 10x": [f"{bases}-1" for bases in sequences(30)],
    "without a suffix": sequences(30),
    "behind the name of a run": [f"S1_{bases}-1" for bases in sequences(30)],
    "numbered": [f"{bases}-{n}" for n, bases in enumerate(sequences(30))],
    "numbers": [str(n) for n in range(30)],
    "wells of a plate": [f"plate{n % 2}_A{n}" for n in range(30)],
    "few": ["ACGTACGT-1", "ACGTACGT-2"],
    "with one odd": [f"{bases}-{1 + (n == 7)}" for n, bases in enumerate(sequences(60))],
    "none": [],
}


@pytest.fixture
def write(tmp_path):
    """Write counts of cells, n and 1 in the n-th, in a form; return the path."""

    def call(form, barcodes, name="m"):
        counts = csr_matrix(np.array([[n + 1, 0, 1] for n in range(len(barcodes))], dtype=np.int32))
        path = tmp_path / (name + {"folder": "", "h5": ".h5", "h5ad": ".h5ad"}[form])
        if form == "folder":
            path.mkdir()
            rows, columns = counts.nonzero()
            lines = ["%%MatrixMarket matrix coordinate integer general"]
            lines += [f"{len(GENES)} {len(barcodes)} {counts.nnz}"]
            lines += [f"{j + 1} {i + 1} {counts[i, j]}" for i, j in zip(rows, columns, strict=True)]
            texts = {"matrix.mtx": lines, "barcodes.tsv": barcodes}
            texts["features.tsv"] = [f"{gene}\t{gene}\tGene Expression" for gene in GENES]
            for file, text in texts.items():
                (path / f"{file}.gz").write_bytes(gzip.compress("\n".join([*text, ""]).encode()))
        elif form == "h5":
            with h5py.File(path, "w") as file:
                group = file.create_group("matrix")
                for part in ("data", "indices", "indptr"):
                    group[part] = getattr(counts, part)
                group["shape"] = counts.shape[::-1]
                group["barcodes"] = np.array(barcodes, "S")
                for key, values in (("id", GENES), ("name", GENES)):
                    group[f"features/{key}"] = np.array(values, "S")
                group["features/feature_type"] = np.array(["Gene Expression"] * 3, "S")
        else:
            obs = pd.DataFrame({"donor": ["d"] * len(barcodes)}, index=barcodes)
            ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=GENES)).write_h5ad(path)
        return str(path)

    return call


@pytest.mark.parametrize("name", JOINED)
def test_libraries_that_barcodes_show(name):
    barcodes, by, _ = JOINED[name]
    found, libraries = find_libraries(barcodes)
    assert found == by and sorted(libraries.values()) == [10, 10, 10]


@pytest.mark.parametrize("name", ALONE)
def test_barcodes_of_one_library(name):
    _, libraries = find_libraries(ALONE[name])
    assert len(libraries) < 2


def test_words_for_several_libraries():
    assert describe_libraries(*find_libraries(AGGR)) == "barcodes end in -1 to -11: 4 libraries"
    two = describe_libraries("barcode prefix", {"b_": 3, "": 4})
    assert two == "barcodes begin with nothing and b_: 2 libraries"
    assert split_barcode("GATTACA_ACGTACGTACGT-1") == ("", "-1")
    assert split_barcode("CATCAT#x.ACGTACGTACGT") == ("CATCAT#x.", "")


@pytest.mark.parametrize("form", ["folder", "h5", "h5ad"])
@pytest.mark.parametrize("name", JOINED)
def test_each_form_is_split_by_its_barcodes(write, form, name):
    barcodes, by, value = JOINED[name]
    path = write(form, barcodes)
    rows, _ = split_rows({"matrix": path, "split": by}, set())
    assert len(rows) == 3 and rows[-1]["subset"] == f"{by}={value}"
    assert [row["sample"] for row in rows] == [row["run"] for row in rows]
    parts = []
    for row in rows:
        counts, facts = load(path, subset=row["subset"])
        assert counts.shape == (10, 3) and facts["subset"] == row["subset"]
        parts.append(counts.X.toarray()[:, 0])
    assert sorted(np.concatenate(parts)) == list(range(1, 31))
    assert list(parts[-1]) == list(range(21, 31))


@pytest.mark.parametrize("form", ["folder", "h5", "h5ad"])
@pytest.mark.parametrize(("sign", "ending"), [("\t", "tsv"), (",", "csv")])
def test_each_form_is_split_by_a_table(write, tmp_path, form, sign, ending):
    barcodes = [f"{bases}-1" for bases in sequences(9)]
    table = tmp_path / f"a=b.{ending}"
    lines = [f'"{name[:-2]}"{sign}"donor {n % 3}"' for n, name in enumerate(barcodes)]
    table.write_text("\n".join([f"Barcode{sign}Donor", *lines[:8], ""]))
    path = write(form, barcodes)
    counts, _ = load(path, subset=f"{table}=donor 1")
    assert list(counts.X.toarray()[:, 0]) == [2, 5, 8]
    assert parse_subset(f"{table}=x=y") == (str(table), "x=y")
    with pytest.raises(StudyError, match=r"1 of 9 cells have no value .*\[empty-value\]"):
        split_rows({"matrix": path, "split": str(table)}, set())
    table.write_text("\n".join([f"Barcode{sign}Donor", *lines, ""]))
    rows, _ = split_rows({"matrix": path, "split": str(table)}, set())
    assert [row["run"] for row in rows] == ["donor_0", "donor_1", "donor_2"]


BAD_TABLES = {
    "no header": ("ACGTACGTAAAA-1,s1\n", "missing-column"),
    "many columns": ("barcode,status,assignment\nACGTACGTAAAA-1,singlet,0\n", "missing-column"),
    "empty": ("", "missing-column"),
    "no row": ("barcode,sample\n", "empty-table"),
    "short row": ("barcode,sample\nACGTACGTAAAA-1\n", "row-length"),
    "two values": ("barcode,sample\nAC-1,s1\nAC-1,s2\n", "duplicated-barcode"),
    "of another matrix": ("barcode,sample\nTTTTTTTTTTTT-1,s1\n", "unknown-cells"),
    "UTF-16": ("\ufeffbarcode,sample\n".encode("utf-16"), "not-text-file"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_tables_that_do_not_split(write, tmp_path, name):
    text, code = BAD_TABLES[name]
    table = tmp_path / "t.csv"
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    files = find_files(write("folder", AGGR))
    with pytest.raises(StudyError) as error:
        inspect(files, "", f"{table}=s1")
    assert error.value.code == code and str(table) in error.value.where


def test_parts_that_do_not_exist(write, tmp_path):
    files = find_files(write("h5", AGGR))
    inspect(files, "", "barcode suffix=-2")
    assert parse_subset("barcode suffix=-2") == parse_subset("barcode suffix=2")
    for subset, code, words in (
        ("barcode suffix=4", "unknown-value", r"1 \(10\), 2 \(10\), 3 \(10\), 11 \(10\)"),
        ("barcode prefix=S1", "unknown-value", r"none \(40\)"),
        (f"{tmp_path}/no.csv=S1", "missing-file", "no.csv"),
        ("donor=S1", "needs-h5ad", "`barcode suffix`"),
    ):
        with pytest.raises(StudyError, match=words) as error:
            inspect(files, "", subset)
        assert error.value.code == code
    files = find_files(write("folder", ALONE["numbers"], "numbers"))
    with pytest.raises(StudyError, match=r"'0'.*\[no-sequence\]\n.*table"):
        inspect(files, "", "barcode suffix=1")


def test_called_cells_of_a_part(write, tmp_path):
    """Cells of other libraries are not missing among the barcodes of this one."""
    folder = tmp_path / "outs"
    folder.mkdir()
    write("h5", AGGR, "outs/raw_feature_bc_matrix")
    write("h5", AGGR[::2], "outs/filtered_feature_bc_matrix")
    counts, facts = load(folder, subset="barcode suffix=2")
    assert facts["barcodes"]["given"] == 5 and counts.n_obs == 10
    assert list(counts.obs["given"]) == [True, False] * 5


@pytest.mark.parametrize("sign", ["{n}\t{name}", '"{name}"', "{name},x", "{name} {n}"])
def test_the_dry_run_reads_a_table_of_barcodes_as_the_job_does(write, tmp_path, sign):
    path = find_files(write("folder", AGGR))
    lines = [sign.format(n=n, name=name) for n, name in enumerate(AGGR, 1)]
    (tmp_path / "m/barcodes.tsv.gz").write_bytes(gzip.compress("\n".join([*lines, ""]).encode()))
    assert list(some_barcodes(path)) == AGGR == read_barcodes(path[1]).tolist()


def test_the_dry_run_warns_and_the_check_fails(write):
    runs = []
    for form in ("folder", "h5", "h5ad"):
        matrix = find_files(write(form, AGGR, f"aggr_{form}"))
        runs.append(SheetRun(form, form, matrix=matrix))
        runs.append(SheetRun(f"{form}_2", form, matrix=matrix, subset="barcode suffix=2"))
    matrix = find_files(write("folder", ALONE["of 10x"], "one"))
    runs += [SheetRun("one", "one", matrix=matrix), SheetRun("reads", "reads", sra="SRR1")]
    runs += [SheetRun("url", "url", matrix=("https://example.org/m.h5",))]
    runs += [SheetRun("made", "made", matrix=("results/not_yet.h5ad",))]
    warnings = find_joined(runs, "sheet.tsv")
    named = [warning.where.split(", ")[1] for warning in warnings]
    assert named == ["run folder", "run h5", "run h5ad"]
    assert all("barcodes end in -1 to -11: 4 libraries" in str(warning) for warning in warnings)

    def run(name, barcodes, subset=""):
        cells = pd.DataFrame({"barcode": barcodes})
        return Run(name, name, {"subset": subset}, pd.Index([]), barcodes=cells)

    rows = list(
        check_libraries(
            [run("a", AGGR), run("b", AGGR, "donor=d"), run("c", ALONE["of 10x"]), run("d", [])]
        )
    )
    assert [row["verdict"] for row in rows] == [FAIL, WARN, PASS, PASS]
    assert rows[0]["detail"].startswith(
        "Barcodes end in -1 to -11: 4 libraries in one run (-1: 10 cells, -2: 10 cells"
    )
    assert "barcode suffix=1" in rows[0]["detail"]
