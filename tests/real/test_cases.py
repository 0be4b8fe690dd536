"""Inputs from practice that failed once (../shared/cases): each gives what its README calls right.

Small studies in a clone whose path has blanks and quotes, which is a case too (e05). Jobs run as
far as the answer needs. Sites of SLURM (e03) are in tests/unit/test_site.py and tests/cluster.
"""

import json
import re
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.real

CASES = Path(__file__).resolve().parents[3] / "shared/cases"


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project):
    if not CASES.is_dir():
        pytest.skip("the cases (../shared/cases) are not beside this clone")
    folder = tmp_path_factory.mktemp("cases") / "O'Brien lab (2)"
    folder.mkdir()
    return copy_project(folder)


class Study:
    """A study of one case, or of several."""

    def __init__(self, folder, name, snakemake):
        self.folder, self.name, self.snakemake = folder, name, snakemake
        self.results = folder / "results" / name

    def write(self, config, text):
        sheet = self.folder / f"{self.name}.tsv"
        sheet.write_text(text)
        config = config | {"study": self.name, "samples": sheet.name}
        (self.folder / f"{self.name}.yaml").write_text(yaml.safe_dump(config))
        return self

    def run(self, *words, **options):
        return self.snakemake(self.folder, *words, "--configfile", f"{self.name}.yaml", **options)

    def dry_run(self, *words):
        done = self.run("-n", *words)
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    def make(self, *targets):
        files = [f"results/{self.name}/{target}" for target in targets]
        done = self.run("--cores", 2, *files)
        assert done.returncode == 0, done.stderr[-5000:]
        return self

    @property
    def checks(self):
        table = pd.read_csv(self.results / "cells/checks.tsv", sep="\t", keep_default_na=False)
        return table[table["verdict"] != "PASS"]


def short(case):
    """The number of a case."""
    return case.split("-")[0]


def read_case(case):
    """Configuration and sheet of a case, with the places filled in."""
    places = {"@CASE@": str(CASES / case), "@WORK@": ".", "@REAL@": str(CASES.parent / "real")}
    texts = [(CASES / case / f"{name}.in").read_text() for name in ("config.yaml", "samples.tsv")]
    texts = [re.sub("@[A-Z]+@", lambda found: places[found[0]], text) for text in texts]
    config = yaml.safe_load(texts[0])
    # The key has moved since the cases were written.
    number = config.get("cells", {}).pop("n_highly_variable", None)
    if number:
        config["manual"] = config.get("manual", {}) | {"n_highly_variable": number}
    return config, texts[1]


@pytest.fixture(scope="module")
def make_study(project, snakemake):
    def make(case):
        return Study(project, short(case), snakemake).write(*read_case(case))

    return make


@pytest.fixture(scope="module")
def joined(project, snakemake):
    """One study of several cases, whose runs are named by case."""

    def join(name, cases, rows):
        tables = []
        for case in cases:
            config, text = read_case(case)
            lines = [line.split("\t") for line in text.splitlines()]
            table = pd.DataFrame(lines[1 : 1 + rows], columns=lines[0])
            table["run"] = table["sample"] = [f"{short(case)}_{run}" for run in table["run"]]
            tables.append(table)
        sheet = pd.concat(tables).fillna("").to_csv(sep="\t", index=False, quoting=3)
        return Study(project, name, snakemake).write(config, sheet)

    return join


# First: files of genes and barcodes as others write them.
MATRICES = ("b02-header-in-genes", "b03-space-separated", "b04-swapped-columns")
MATRICES += ("b05-row-numbers", "b11-seuratdisk-raw", "b12-integer-index", "b13-numbered-genes")
MATRICES += ("b19-geo-names-with-cell",)


@pytest.fixture(scope="module")
def matrices(joined):
    return joined("matrices", MATRICES, 1).make(*(f"counts/{short(c)}_S1.h5ad" for c in MATRICES))


@pytest.mark.parametrize("case", MATRICES)
def test_genes_and_counts_are_those_of_plain_files(matrices, case):
    """The files of b19 are plain ones, but for their names. Two cases have no ids of genes."""
    plain, other = (
        ad.read_h5ad(matrices.results / f"counts/{run}_S1.h5ad") for run in ("b19", short(case))
    )
    known = "gene_name" if short(case) in ("b11", "b13") else "gene_id"
    expected, found = (cells.var.reset_index()[known].tolist() for cells in (plain, other))
    assert found == expected
    assert other.var["gene_name"].tolist() == plain.var["gene_name"].tolist()
    assert (other.X != plain.X).nnz == 0


READS = ("a01-readids-four-reads", "a02-spaces-in-paths", "a04-first-base-n", "a05-sra-lite")
READS += ("a07-mgi-and-chunks", "a08-shell-in-name", "a09-each-read-its-own-accession")


@pytest.fixture(scope="module")
def reads(joined):
    runs = ["a01_three", "a01_four", "a01_two", *(f"{short(case)}_a" for case in READS[1:])]
    return joined("reads", READS, 3).make(*(f"checked/{run}.json" for run in runs))


@pytest.mark.parametrize("run", ["a01_three", "a01_four", "a01_two"])
def test_spots_with_numbered_reads_are_the_same(reads, run):
    assert json.loads((reads.results / f"checked/{run}.json").read_text())["reads"] > 0


@pytest.mark.parametrize(
    ("case", "number"),
    [("a02", 0), ("a04", 0), ("a05", 1200), ("a07", 1200), ("a08", 1200), ("a09", 0)],
)
def test_reads_are_taken(reads, case, number):
    found = json.loads((reads.results / f"checked/{case}_a.json").read_text())["reads"]
    assert found == number or not number and found > 0


def test_a_command_in_a_name_is_not_run(reads):
    assert not list(reads.folder.rglob("INJECTED"))


def test_a_mudata_is_named(make_study):
    status, output = make_study("b14-mudata").dry_run()
    assert status == 1 and "is a MuData, with the modalities prot, rna" in output


@pytest.mark.parametrize(
    "change",
    [str, lambda text: text.replace("\tdiagnosis", "\tdiagnosis\t\t").rstrip("\n") + "\t\t\n"],
    ids=["quotes", "quotes and empty columns"],
)
def test_a_sheet_from_a_spreadsheet(project, snakemake, change):
    config, text = read_case("c05-sheet-from-excel")
    study = Study(project, "c05", snakemake).write(config, change(text))
    status, output = study.dry_run()
    assert status == 0, output


def test_age_is_a_number_if_the_contrast_says_so(project, snakemake):
    config, text = read_case("c01-age-in-years")
    study = Study(project, "c01", snakemake).write(config, text)
    status, output = study.dry_run()
    assert status == 1 and "numeric_covariates" in output, output
    for contrast, column in (("ties", "age_tied"), ("unique", "age")):
        config["contrasts"][contrast].pop("covariates")
        config["contrasts"][contrast]["numeric_covariates"] = [column]
    status, output = study.write(config, text).dry_run()
    assert status == 0, output


def test_a_matrix_of_four_libraries(make_study):
    study = make_study("b15-aggr")
    status, output = study.dry_run()
    assert status == 0 and "4 libraries" in output
    found = study.make("cells/checks.tsv").checks.set_index(["run", "check"])
    assert found.loc[("S1", "libraries"), "verdict"] == "FAIL"
    # With one row for each of them, nothing is found.
    config, text = read_case("b15-aggr")
    header, first, *_ = text.splitlines()
    rows = [f"{header}\tsubset"]
    for number, level in enumerate(("control", "control", "treated", "treated"), 1):
        cells = first.split("\t")
        cells[0] = cells[1] = f"A{number}"
        rows.append("\t".join([*cells[:3], level, f"barcode suffix={number}"]))
    study.write(config, "\n".join(rows) + "\n")
    status, output = study.dry_run()
    assert status == 0 and "libraries" not in output


@pytest.mark.parametrize(
    ("case", "check", "verdict", "detail"),
    [
        ("b17-excel-dates", "spreadsheets", "WARN", "MARCH1"),
        ("b18-ids-only", "marker genes", "FAIL", "0 of 155 markers"),
        ("d01-model-shares-nine-genes", "genes of the model", "FAIL", "9 of the 336 genes"),
    ],
)
def test_names_of_genes_that_are_of_no_use(make_study, case, check, verdict, detail):
    study = make_study(case).make("cells/checks.tsv")
    found = study.checks
    row = found[found["check"].str.contains(check)].iloc[0]
    assert row["verdict"] == verdict and detail in row["detail"]
