"""Bad studies with the message that each must end in: a configuration, a sheet, words."""

HEADER = [
    *("run", "sample", "chemistry", "fastq_1", "fastq_2", "sra", "matrix", "layer", "subset"),
    *("split", "barcodes", "spots", "condition"),
]


def matrix_row(number, condition, **changes):
    """A valid row."""
    row = {"run": f"r{number}", "sample": f"s{number}", "condition": condition}
    return row | {"matrix": f"m{number}.h5ad"} | changes


def rows(**changes):
    """Four valid rows, the first with changes."""
    valid = [matrix_row(n, "case" if n < 3 else "control") for n in (1, 2, 3, 4)]
    return [valid[0] | changes, *valid[1:]]


def sheet(rows):
    """Rows given as dictionaries, as a sheet."""
    lines = ["\t".join(HEADER)]
    lines += ["\t".join(row.get(column, "") for column in HEADER) for row in rows]
    return "\n".join(lines) + "\n"


def base():
    """A valid configuration."""
    contrast = {"column": "condition", "case": "case", "control": "control"}
    return {"study": "bad", "samples": "samples.tsv", "contrasts": {"c": contrast}}


def with_contrast(**changes):
    """A configuration whose contrast differs."""
    config = base()
    config["contrasts"]["c"] |= changes
    return config


CASES = {
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
    "ragged row": (base(), sheet(rows()) + "r9\ts9\n", ["row 6", "has 2 columns"]),
    "mistyped column": (
        base(),
        sheet(rows()).replace("fastq_1", "FASTQ1"),
        ["'FASTQ1'", "'fastq_1'"],
    ),
}
