"""Bad input is told in one clear message, with exit code 1 and no traceback."""

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml

HEADER = [
    "run",
    "sample",
    "chemistry",
    "fastq_1",
    "fastq_2",
    "sra",
    "matrix",
    "layer",
    "subset",
    "split",
    "barcodes",
    "condition",
]


def sheet(rows):
    """Rows given as dictionaries, as a sheet."""
    lines = ["\t".join(HEADER)]
    lines += ["\t".join(row.get(column, "") for column in HEADER) for row in rows]
    return "\n".join(lines) + "\n"


def matrix_row(number, condition, **changes):
    """A valid row."""
    row = {"run": f"r{number}", "sample": f"s{number}", "condition": condition}
    return row | {"matrix": f"m{number}.h5ad"} | changes


def rows(**changes):
    """Four valid rows, the first with changes."""
    valid = [matrix_row(n, "case" if n < 3 else "control") for n in (1, 2, 3, 4)]
    return [valid[0] | changes, *valid[1:]]


def base():
    """A valid configuration."""
    contrast = {"column": "condition", "case": "case", "control": "control"}
    return {"study": "bad", "samples": "samples.tsv", "contrasts": {"c": contrast}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, copy_project):
    project = copy_project(tmp_path_factory.mktemp("bad_input"))
    obs = pd.DataFrame({"part": list("0123")}, index=list("abcd"))
    for number in range(1, 5):
        ad.AnnData(np.eye(4, dtype=np.float32), obs=obs).write_h5ad(project / f"m{number}.h5ad")
    for file in ("empty.fa", "10x/matrix.mtx.gz", "10x/features.tsv.gz"):
        (project / file).parent.mkdir(exist_ok=True)
        (project / file).touch()
    (project / "text.h5ad").write_text("no")
    table = (project / "config/chemistries.tsv").read_text().splitlines()
    row = next(line for line in table if line.startswith("10xv2\t")).replace("17-26", "16-25")
    (project / "chemistries.tsv").write_text(f"{table[0]}\n{row}\n")
    return project


@pytest.fixture
def dry_run(folder, snakemake):
    def call(config, text):
        (folder / "study.yaml").write_text(yaml.safe_dump(config))
        (folder / "samples.tsv").unlink(missing_ok=True)
        if text is not None:
            (folder / "samples.tsv").write_text(text)
        return snakemake(folder, "-n", "--quiet", "all", "--configfile", "study.yaml")

    return call


def with_contrast(**changes):
    config = base()
    config["contrasts"]["c"] |= changes
    return config


CASES = {
    "missing sheet": (base(), None, ["samples.tsv", "does not exist"]),
    "missing matrix": (
        base(),
        sheet(rows(matrix="no.h5ad")),
        ["row 2", "'no.h5ad' does not exist"],
    ),
    "a matrix in a bucket": (
        base(),
        sheet(rows(matrix="s3://bucket/a.h5ad")),
        ["row 2", "'s3://bucket/a.h5ad' does not exist", "Download"],
    ),
    "10x folder with a file missing": (
        base(),
        sheet(rows(matrix="10x")),
        ["row 2 (run r1): 10x", "has matrix.mtx.gz, features.tsv.gz, but no barcodes"],
    ),
    "matrix that is no HDF5": (
        base(),
        sheet(rows(matrix="text.h5ad")),
        ["row 2 (run r1): text.h5ad", "cannot be read as HDF5", "fetch it anew"],
    ),
    "layer that is not there": (
        base(),
        sheet(rows(layer="counts")),
        ["row 2 (run r1): m1.h5ad: has no layer 'counts'", "`layer` may be: X"],
    ),
    "layer of no matrix": (
        base(),
        sheet(rows(matrix="", sra="SRR1", layer="counts")),
        ["row 2 (run r1): has `layer` and no matrix"],
    ),
    "neither raw nor filtered": (
        base(),
        sheet(rows(barcodes="both")),
        ["row 2, column 'barcodes': 'both' is not valid", "(`raw`)"],
    ),
    "split into a run that has a name": (
        base(),
        sheet(rows(split="part")),
        ["row 2: has `split` and `run`", "`run` is left empty"],
    ),
    "split by no column": (
        base(),
        sheet(rows(run="", sample="", split="patient")),
        ["row 2: m1.h5ad: has no column 'patient' of cells", "Columns of obs: part."],
    ),
    "missing fastq": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a_R1.fq", fastq_2="a_R2.fq")),
        ["row 2", "'a_R1.fq', 'a_R2.fq' do not exist"],
    ),
    "unknown key": (base() | {"sed": 1}, sheet(rows()), ["study.yaml", "'sed'", "'seed'"]),
    "unknown inner key": (
        base() | {"deep": {"n_latnt": 5}},
        sheet(rows()),
        ["'deep.n_latnt'", "Did you mean 'deep.n_latent'?"],
    ),
    "unknown contrast key": (with_contrast(cse="x"), sheet(rows()), ["'contrasts.c.cse'"]),
    "missing key": ({"study": "bad"}, sheet(rows()), ["'samples' is missing"]),
    "wrong type": (
        base() | {"deep": {"n_latent": "ten"}},
        sheet(rows()),
        ["'deep.n_latent'", "'ten' is of type str, not integer"],
    ),
    "out of range": (base() | {"de": {"fdr": 2}}, sheet(rows()), ["'de.fdr'", "2 is greater than"]),
    "study name": (base() | {"study": "a b"}, sheet(rows()), ["'study'", "'a b'", "characters"]),
    "contrast name": (
        base() | {"contrasts": {"a/b": base()["contrasts"]["c"]}},
        sheet(rows()),
        ["'contrasts.a/b'", "characters"],
    ),
    "run name": (base(), sheet(rows(run="r 1")), ["row 2", "column 'run'", "'r 1'", "characters"]),
    "sample name": (base(), sheet(rows(sample="é")), ["row 2", "column 'sample'", "characters"]),
    "run named twice": (base(), sheet(rows(run="r2")), ["row 3", "'r2' is named twice", "row 2"]),
    "two sources": (
        base(),
        sheet(rows(sra="SRR1", chemistry="10xv2")),
        ["row 2", "has 2 sources (sra, matrix)"],
    ),
    "no source": (base(), sheet(rows(matrix="")), ["row 2", "has no source"]),
    "source used twice": (
        base(),
        sheet(rows(matrix="./m2.h5ad")),
        ["m2.h5ad' is used 2 times (run r1, r2)"],
    ),
    "part and whole of a matrix": (
        base(),
        sheet(rows(matrix="m2.h5ad", subset="patient=p1")),
        ["m2.h5ad' is used 2 times (run r1, r2)", "`subset`"],
    ),
    "key is no text": (
        base() | {"contrasts": {1: base()["contrasts"]["c"]}},
        sheet(rows()),
        ["'contrasts.1'", "the key 1 is no text", "Quote it"],
    ),
    "number without end": (
        base() | {"deep": {"delta": float("nan")}},
        sheet(rows()),
        ["'deep.delta'", "nan is no number"],
    ),
    "whole number as a float": (
        base() | {"seed": 1.0},
        sheet(rows()),
        ["'seed'", "1.0 is of type"],
    ),
    "line break in a name": (base() | {"study": "a\n"}, sheet(rows()), ["'study'", "characters"]),
    "chemistry of a matrix": (
        base(),
        sheet(rows(chemistry="10xv2")),
        ["row 2", "a matrix needs no chemistry"],
    ),
    "empty run": (base(), sheet(rows(run="")), ["row 2", "'run' is empty"]),
    "markers by URL": (
        base() | {"annotation": {"markers": "https://example.org/m.tsv"}},
        sheet(rows()),
        ["'annotation.markers'", "must be a file"],
    ),
    "markers without their columns": (
        base() | {"annotation": {"markers": "samples.tsv"}},
        sheet(rows()),
        ["samples.tsv", "no column 'cell_type'"],
    ),
    "missing published cells": (
        base() | {"published_cells": "no.tsv"},
        sheet(rows()),
        ["no.tsv", "does not exist", "`published_cells`"],
    ),
    "published cells of another study": (
        base() | {"published_cells": "config/published_cells.tsv"},
        sheet(rows()),
        ["row 4: run 'SRR9264343' is not in the sample sheet, nor are 22 others of the table"],
    ),
    "share above 100 percent": (
        base() | {"qc": {"min_valid_barcodes": 750}},
        sheet(rows()),
        ["'qc.min_valid_barcodes'", "750 is greater than the maximum of 100"],
    ),
    "unknown limit": (
        base() | {"qc": {"min_cell": 50}},
        sheet(rows()),
        ["unknown key 'qc.min_cell'", "Did you mean 'qc.min_cells'?"],
    ),
    "release and files": (
        base() | {"reference": {"release": "gencode-human-44", "gtf": "genes.gtf"}},
        sheet(rows()),
        ["'reference'", "names a release and gtf too"],
    ),
    "genome without annotation": (
        base() | {"reference": {"fasta": "genome.fa"}},
        sheet(rows()),
        ["'reference'", "names fasta but not gtf", "or both `fasta` and `gtf`"],
    ),
    "reference without a genome": (
        base() | {"reference": {"filter_biotypes": False}},
        sheet(rows()),
        ["'reference'", "names no genome"],
    ),
    "unknown release": (
        base() | {"reference": {"release": "gencode-human-45"}},
        sheet(rows()),
        [
            "'reference.release'",
            "unknown release 'gencode-human-45'",
            "Did you mean gencode-human-4",
        ],
    ),
    "shared folder that is a file": (
        base() | {"resources": "study.yaml"},
        sheet(rows()),
        ["study.yaml: key 'resources': 'study.yaml' is a file", "Name a folder."],
    ),
    "missing genome": (
        base() | {"reference": {"fasta": "no.fa", "gtf": "https://example.org/genes.gtf"}},
        sheet(rows()),
        ["'reference.fasta'", "'no.fa' does not exist"],
    ),
    "empty genome": (
        base() | {"reference": {"fasta": "empty.fa", "gtf": "https://example.org/genes.gtf"}},
        sheet(rows()),
        ["empty.fa", "is empty (0 bytes)", "Give the genome as FASTA"],
    ),
    "annotation that is no GTF": (
        base() | {"reference": {"fasta": "https://example.org/1.fa", "gtf": "study.yaml"}},
        sheet(rows()),
        ["study.yaml", "is not GTF: it begins with 'contrasts:'"],
    ),
    "sample columns disagree": (
        base(),
        sheet(rows(sample="s3")),
        ["row 4", "column 'condition'", "sample 's3'", "'control'", "'case' in row 2"],
    ),
    "contrast column": (
        with_contrast(column="disease"),
        sheet(rows()),
        ["contrast 'c'", "'disease' is not in samples.tsv", "condition"],
    ),
    "contrast level": (
        with_contrast(case="sick"),
        sheet(rows()),
        ["contrast 'c'", "'sick' is not a level", "Levels: case, control"],
    ),
    "one sample a side": (
        base(),
        sheet([*rows()[:3], matrix_row(4, "other")]),
        ["contrast 'c'", "control 'control' has 1 sample (s3)"],
    ),
    "covariate is confounded": (
        with_contrast(covariates=["sex"]),
        "run\tsample\tmatrix\tcondition\tsex\n"
        + "".join(
            f"r{n}\ts{n}\tm{n}.h5ad\t{'case' if n < 3 else 'control'}\t{'f' if n < 3 else 'm'}\n"
            for n in (1, 2, 3, 4)
        ),
        ["contrast 'c'", "cannot be told apart from its covariates (sex)"],
    ),
    "unknown chemistry": (
        base(),
        sheet(rows(matrix="", sra="SRR1", chemistry="10x")),
        ["row 2", "unknown chemistry '10x'", "10xv2"],
    ),
    "missing table of chemistries": (
        base() | {"chemistries": "no.tsv"},
        sheet(rows()),
        ["no.tsv", "does not exist", "`chemistries`"],
    ),
    "wrong row in the table of chemistries": (
        base() | {"chemistries": "chemistries.tsv"},
        sheet(rows()),
        ["chemistries.tsv, row 2, column 'umi'", "1-16 and 16-25 overlap", "count from 1"],
    ),
    "no reference": (
        base(),
        sheet(rows(matrix="", sra="SRR1", chemistry="10xv2")),
        ["study.yaml", "'reference' is missing"],
    ),
    "not an accession": (
        base(),
        sheet(rows(matrix="", sra="GSM123", chemistry="10xv2")),
        ["row 2", "column 'sra'", "'GSM123'"],
    ),
    "lanes differ": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a,b", fastq_2="c")),
        ["row 2", "different numbers of lanes (2, 1)"],
    ),
    "one mate": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a")),
        ["row 2", "FASTQ files of one read only"],
    ),
    "commas for tabs": (base(), sheet(rows()).replace("\t", ","), ["row 1", "tabs"]),
    "ragged row": (base(), sheet(rows()) + "r9\ts9\n", ["row 6", "has 2 columns"]),
    "mistyped column": (
        base(),
        sheet(rows()).replace("fastq_1", "FASTQ1"),
        ["'FASTQ1'", "'fastq_1'"],
    ),
    "empty sheet": (base(), "", ["samples.tsv", "holds no run"]),
    "missing markers": (
        base() | {"annotation": {"markers": "no.tsv"}},
        sheet(rows()),
        ["'annotation.markers'", "'no.tsv' does not exist"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_message(case, dry_run):
    config, text, expected = CASES[case]
    result = dry_run(config, text)
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said
    for part in expected:
        assert part in said
    assert len(said.splitlines()) <= 4, said


def test_valid_input_passes(dry_run):
    """The base of all cases is valid, so each case fails for its own reason."""
    result = dry_run(base(), sheet(rows()))
    assert result.returncode == 0, result.stderr


def test_several_problems_are_told_at_once(dry_run):
    result = dry_run(base() | {"sed": 1, "xyz": 2}, sheet(rows()))
    said = result.stdout + result.stderr
    assert "'sed'" in said and "'xyz'" in said
    result = dry_run(base(), sheet(rows(run="", sample="")))
    said = result.stdout + result.stderr
    assert "'run' is empty" in said and "'sample' is empty" in said


def test_parts_of_one_matrix_are_runs(dry_run):
    parts = [row | {"matrix": "m1.h5ad", "subset": f"part={n}"} for n, row in enumerate(rows())]
    result = dry_run(base(), sheet(parts))
    assert result.returncode == 0, result.stderr


def test_one_row_stands_for_the_runs_of_a_matrix(dry_run, folder, snakemake):
    conditions = pd.Categorical(["case", "case", "control", "control"])
    adata = ad.read_h5ad(folder / "m1.h5ad")
    adata.obs["condition"] = conditions
    adata.write_h5ad(folder / "atlas.h5ad")
    result = dry_run(base(), sheet([{"matrix": "atlas.h5ad", "split": "part"}]))
    assert result.returncode == 0, result.stderr
    jobs = snakemake(folder, "-n", "--configfile", "study.yaml").stdout
    assert re.search(r"^load_counts +4$", jobs, re.MULTILINE)
