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
        ["row 2", "'no.h5ad' does not exist [missing-file]"],
    ),
    "a matrix in a bucket": (
        base(),
        sheet(rows(matrix="s3://bucket/a.h5ad")),
        ["row 2", "'s3://bucket/a.h5ad' does not exist [missing-file]", "Download"],
    ),
    "layer that is not there": (
        base(),
        sheet(rows(layer="counts")),
        ["row 2 (run r1): m1.h5ad: has no layer 'counts' [missing-layer]", "`layer` may be: X"],
    ),
    "layer of no matrix": (
        base(),
        sheet(rows(matrix="", sra="SRR1", layer="counts")),
        ["row 2 (run r1): has `layer` and no matrix [needs-matrix]"],
    ),
    "neither raw nor filtered": (
        base(),
        sheet(rows(barcodes="both")),
        ["row 2, column 'barcodes': 'both' is not valid [invalid-value]", "(`raw`)"],
    ),
    "split into a run that has a name": (
        base(),
        sheet(rows(split="part")),
        ["row 2: has `split` and `run` [invalid-split]", "`run` is left empty"],
    ),
    "split by no column": (
        base(),
        sheet(rows(run="", sample="", split="patient")),
        ["row 2: m1.h5ad: has no column 'patient' of cells [missing-column]", "part"],
    ),
    "missing fastq": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a_R1.fq", fastq_2="a_R2.fq")),
        ["row 2", "'a_R1.fq', 'a_R2.fq' do not exist [missing-file]"],
    ),
    "unknown key": (
        base() | {"sed": 1},
        sheet(rows()),
        ["study.yaml", "'sed' [unknown-key]", "'seed'"],
    ),
    "unknown inner key": (
        base() | {"deep": {"n_latnt": 5}},
        sheet(rows()),
        ["'deep.n_latnt'", "Did you mean 'deep.n_latent'?"],
    ),
    "unknown contrast key": (
        with_contrast(cse="x"),
        sheet(rows()),
        ["'contrasts.c.cse' [unknown-key]"],
    ),
    "missing key": ({"study": "bad"}, sheet(rows()), ["'samples' is missing [missing-key]"]),
    "wrong type": (
        base() | {"deep": {"n_latent": "ten"}},
        sheet(rows()),
        ["'deep.n_latent'", "'ten' is of type str, not integer [wrong-type]"],
    ),
    "out of range": (
        base() | {"de": {"fdr": 2}},
        sheet(rows()),
        ["'de.fdr'", "2 is greater than", "[invalid-value]"],
    ),
    "study name": (
        base() | {"study": "a b"},
        sheet(rows()),
        ["'study'", "'a b'", "[invalid-name]"],
    ),
    "contrast name": (
        base() | {"contrasts": {"a/b": base()["contrasts"]["c"]}},
        sheet(rows()),
        ["'contrasts.a/b'", "[invalid-name]"],
    ),
    "run name": (
        base(),
        sheet(rows(run="r 1")),
        ["row 2", "column 'run'", "'r 1'", "[invalid-name]"],
    ),
    "sample name": (
        base(),
        sheet(rows(sample="é")),
        ["row 2", "column 'sample'", "[invalid-name]"],
    ),
    "run named twice": (
        base(),
        sheet(rows(run="r2")),
        ["row 3", "'r2' is duplicated", "[duplicated-name]", "row 2"],
    ),
    "two sources": (
        base(),
        sheet(rows(sra="SRR1", chemistry="10xv2")),
        ["row 2", "(sra, matrix) [several-sources]"],
    ),
    "no source": (base(), sheet(rows(matrix="")), ["row 2", "[no-source]"]),
    "source used twice": (
        base(),
        sheet(rows(matrix="./m2.h5ad")),
        ["m2.h5ad' is used 2 times (run r1, r2), and no row has", "[duplicated-source]"],
    ),
    "part and whole of a matrix": (
        base(),
        sheet(rows(matrix="m2.h5ad", subset="part=0")),
        ["m2.h5ad' is used 2 times (run r1, r2): without `subset` run r2", "[duplicated-source]"],
    ),
    "no row with a subset": (
        base(),
        sheet([matrix_row(n, "case", matrix="m2.h5ad") for n in (1, 2, 3, 4)]),
        ["is used 4 times", "no row has a value in a column `subset` [duplicated-source]"],
    ),
    "one part in two rows": (
        base(),
        sheet(
            [
                *(matrix_row(n, "case", matrix="m2.h5ad", subset="part=0") for n in (1, 2)),
                *rows()[2:],
            ]
        ),
        ["is used 2 times", "the same `subset` (part=0: run r1, r2) [duplicated-source]"],
    ),
    "parts by two columns, of which one does not exist": (
        base(),
        sheet(
            [
                matrix_row(1, "case", matrix="m2.h5ad", subset="part=0"),
                matrix_row(2, "case", matrix="m2.h5ad", subset="prat=1"),
                *rows()[2:],
            ]
        ),
        ["row 3 (run r2): m2.h5ad: has no column 'prat' of cells [missing-column]", "part"],
    ),
    "a part that does not exist": (
        base(),
        sheet(rows(subset="part=9")),
        ["row 2 (run r1): m1.h5ad: no cell has part '9' [unknown-value]", "0 ("],
    ),
    "table of barcodes that does not exist": (
        base(),
        sheet(rows(subset="cells.csv=9")),
        ["row 2 (run r1): 'cells.csv' does not exist [missing-file]"],
    ),
    "key is not text": (
        base() | {"contrasts": {1: base()["contrasts"]["c"]}},
        sheet(rows()),
        ["'contrasts.1'", "the key 1 is not text [not-text]"],
    ),
    "number that is not finite": (
        base() | {"deep": {"delta": float("nan")}},
        sheet(rows()),
        ["'deep.delta'", "nan", "[not-finite]"],
    ),
    "whole number as a float": (
        base() | {"seed": 1.0},
        sheet(rows()),
        ["'seed'", "1.0 is of type", "[wrong-type]"],
    ),
    "line break in a name": (
        base() | {"study": "a\n"},
        sheet(rows()),
        ["'study'", "[invalid-name]"],
    ),
    "chemistry of a matrix": (
        base(),
        sheet(rows(chemistry="10xv2")),
        ["row 2", "[chemistry-of-matrix]"],
    ),
    "empty run": (base(), sheet(rows(run="")), ["row 2", "'run' is empty [empty-value]"]),
    "markers by URL": (
        base() | {"annotation": {"markers": "https://example.org/m.tsv"}},
        sheet(rows()),
        ["'annotation.markers'", "[url-not-allowed]"],
    ),
    "markers without their columns": (
        base() | {"annotation": {"markers": "samples.tsv"}},
        sheet(rows()),
        ["samples.tsv", "no column 'cell_type' [missing-column]"],
    ),
    "published cells of another study": (
        base() | {"published_cells": "config/published_cells.tsv"},
        sheet(rows()),
        [
            "row 4: run 'SRR9264343' is not in the sample sheet, nor are 22 others",
            "[unknown-name]",
        ],
    ),
    "share above 100 percent": (
        base() | {"qc": {"min_valid_barcodes": 750}},
        sheet(rows()),
        ["'qc.min_valid_barcodes'", "750", "100 [invalid-value]"],
    ),
    "unknown limit": (
        base() | {"qc": {"min_cell": 50}},
        sheet(rows()),
        ["unknown key 'qc.min_cell' [unknown-key]", "Did you mean 'qc.min_cells'?"],
    ),
    "release and files": (
        base() | {"reference": {"release": "gencode-human-44", "gtf": "genes.gtf"}},
        sheet(rows()),
        ["'reference'", "gtf [two-references]"],
    ),
    "genome without annotation": (
        base() | {"reference": {"fasta": "genome.fa"}},
        sheet(rows()),
        ["'reference'", "names fasta but not gtf [incomplete-reference]"],
    ),
    "reference without a genome": (
        base() | {"reference": {"filter_biotypes": False}},
        sheet(rows()),
        ["'reference'", "[incomplete-reference]"],
    ),
    "unknown release": (
        base() | {"reference": {"release": "gencode-human-45"}},
        sheet(rows()),
        [
            "'reference.release'",
            "unknown release 'gencode-human-45' [unknown-release]",
            "Did you mean gencode-human-4",
        ],
    ),
    "sample columns disagree": (
        base(),
        sheet(rows(sample="s3")),
        [
            "row 4",
            "column 'condition'",
            "sample 's3'",
            "'control'",
            "'case' in row 2 [conflicting-values]",
        ],
    ),
    "contrast column": (
        with_contrast(column="disease"),
        sheet(rows()),
        ["contrast 'c'", "'disease' is not in samples.tsv [missing-column]", "condition"],
    ),
    "contrast level": (
        with_contrast(case="sick"),
        sheet(rows()),
        ["contrast 'c'", "'sick'", "[unknown-level]", "case, control"],
    ),
    "one sample per side": (
        base(),
        sheet([*rows()[:3], matrix_row(4, "other")]),
        ["contrast 'c'", "control 'control' has 1 sample (s3) [too-few-samples]"],
    ),
    "covariate is confounded": (
        with_contrast(covariates=["sex"]),
        "run\tsample\tmatrix\tcondition\tsex\n"
        + "".join(
            f"r{n}\ts{n}\tm{n}.h5ad\t{'case' if n < 3 else 'control'}\t{'f' if n < 3 else 'm'}\n"
            for n in (1, 2, 3, 4)
        ),
        ["contrast 'c'", "'sex' separates", "f only in case (s1, s2)", "[confounded-covariate]"],
    ),
    "unknown chemistry": (
        base(),
        sheet(rows(matrix="", sra="SRR1", chemistry="10x")),
        ["row 2", "unknown chemistry '10x' [unknown-chemistry]", "10xv2"],
    ),
    "no reference": (
        base(),
        sheet(rows(matrix="", sra="SRR1", chemistry="10xv2")),
        ["study.yaml", "'reference' is missing", "[missing-key]"],
    ),
    "not an accession": (
        base(),
        sheet(rows(matrix="", sra="GSM123", chemistry="10xv2")),
        ["row 2", "column 'sra'", "'GSM123'", "[invalid-value]"],
    ),
    "lanes differ": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a,b", fastq_2="c")),
        ["row 2", "(2, 1) [unequal-lanes]"],
    ),
    "one mate": (
        base(),
        sheet(rows(matrix="", chemistry="10xv2", fastq_1="a")),
        ["row 2", "[missing-read]"],
    ),
    "ragged row": (base(), sheet(rows()) + "r9\ts9\n", ["row 6", "has 2 columns", "[row-length]"]),
    "mistyped column": (
        base(),
        sheet(rows()).replace("fastq_1", "FASTQ1"),
        ["'FASTQ1' [unknown-column]", "'fastq_1'"],
    ),
}
