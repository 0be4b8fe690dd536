"""What a study tells of its runs and of the columns of its sheet."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from latere.study import Run, check_contrasts, expand_rows

CONTRAST = {"column": "stage", "case": "late", "control": "early", "covariates": []}


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


def test_contrast_over_a_column_that_was_left_out_tells_why(tmp_path):
    obs = pd.DataFrame({"donor": ["d1", "d1", "d2"], "stage": ["late", "early", "early"]})
    obs.index = ["a", "b", "c"]
    ad.AnnData(np.ones((3, 2)), obs=obs).write_h5ad(tmp_path / "a.h5ad")
    sheet = [(2, {"matrix": str(tmp_path / "a.h5ad"), "split": "donor"})]
    rows, left_out = expand_rows(sheet, "sheet.tsv")
    assert [(line, row["run"]) for line, row in rows] == [(2, "d1"), (2, "d2")]
    samples = {"d1": {"age": "61"}, "d2": {"age": "7"}}
    (error,) = check_contrasts({"c": CONTRAST}, samples, "c.yaml", "sheet.tsv", left_out)
    told = "column 'stage' is not in sheet.tsv (not alike in all cells of 'd1')"
    assert error.problem == told and "describe samples: age." in error.mend
