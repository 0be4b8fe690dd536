"""Jobs read from a dry run's text, and their costs by stage."""

import numpy as np
import pandas as pd
import pytest

from latere.cluster.sizes import Sizes
from latere.study.sheet import Run
from latere.study.study import Study
from plan import cost_jobs, describe_columns, describe_warnings, parse_jobs, show, sum_stages

TEXT = """
Job stats:
job         count
--------  -------
all             1
prefetch        1
starsolo        2
total           4

localrule prefetch:
    output: resources/sra/SRR1.sra
    jobid: 3
    wildcards: accession=SRR1
    resources: tmpdir=/tmp, downloads=1
Shell command: None

[Sun Nov 22 18:33:12 2026]
rule starsolo:
    jobid: 52
    wildcards: run=a
    threads: 8
    resources: tmpdir=/tmp, runtime=1125

rule starsolo:
    jobid: 53
    wildcards: run=b
    threads: 8

localrule all:
    jobid: 0

"""
STAGES = {"prefetch": "reads", "starsolo": "quantify", "report": "report"}


@pytest.fixture
def jobs():
    return parse_jobs(TEXT)


@pytest.fixture
def sizes(tmp_path):
    runs = {
        "a": Run("a", "a", sra="SRR1", spots=10**9),
        "b": Run("b", "b", sra="SRR2"),
    }
    config = {"reference": {"fasta": "https://example.org/genome.fa.gz"}}
    config["reads"] = {"keep_archives": True, "keep_fastq": False, "bam": False}
    return Sizes(Study("s", config, runs, {}), tmp_path / "results", tmp_path / "resources")


def test_jobs_of_a_dry_run(jobs):
    assert jobs.values.tolist() == [
        ["prefetch", {"accession": "SRR1"}, 1],
        ["starsolo", {"run": "a"}, 8],
        ["starsolo", {"run": "b"}, 8],
    ]


def test_another_form_of_the_text_is_an_error_not_a_smaller_study():
    with pytest.raises(ValueError, match="other numbers of jobs"):
        parse_jobs(TEXT.replace("rule starsolo", "checkpoint starsolo"))


def test_nothing_to_do_is_no_job():
    assert len(parse_jobs("Nothing to be done (all requested files are present).\n")) == 0


def test_unknown_is_told_and_never_summed(jobs, sizes):
    costs = cost_jobs(jobs, sizes)
    assert costs["missing"].astype(bool).tolist() == [False, False, True]
    assert costs.loc[1, "core_hours"] == pytest.approx(82e-6 * 10**9 / 3600)
    table = sum_stages(jobs, costs, jobs.iloc[1:], STAGES, 6)
    assert table.index.tolist() == ["reads", "quantify", "in all"]
    assert table["jobs"].tolist() == [1, 2, 3] and table["to do"].tolist() == [0, 2, 2]
    assert table.loc["reads", "disk final"] == pytest.approx(85)
    assert table.loc[["quantify", "in all"], "core-hours"].isna().all()
    shown = show(table)
    assert shown.count("unknown") == 2 * 5


@pytest.mark.parametrize("unpacked, peak", [(1, 4 + 5 + 13), (2, 4 + 5 + 23), (9, 4 + 5 + 23)])
def test_disk_peaks_with_what_is_kept_and_the_largest_runs_that_wait(unpacked, peak):
    rules = ["prefetch", "starsolo", *["prefetch"] * 3]
    costs = pd.DataFrame(
        {
            "core_hours": [1.0, 2.0, 0, 0, 0],
            "gpu_hours": 0.0,
            "memory": [2.0, 44.0, 0, 0, 0],
            "scratch": [0.0, 5.0, 0, 0, 0],
            "waiting": [0.0, 0, 3, 10, 10],
            "kept": [3.0, 1.0, 0, 0, 0],
            "run": ["", "a", "b", "b", "c"],
        }
    )
    jobs = pd.DataFrame({"rule": rules})
    total = sum_stages(jobs, costs, jobs[:0], STAGES, unpacked).loc["in all"]
    assert total[["core-hours", "memory", "disk peak", "disk final"]].tolist() == [3, 44, peak, 4]
    assert not np.isnan(total["GPU-hours"])


def test_columns_of_a_split_matrix_are_told():
    left_out = {"score": "not alike", "lane": "not alike", "kept": "taken"}
    study = Study("s", {}, {}, {"d1": {"age": "61", "sex": "f"}}, left_out=left_out)
    told = " ".join(describe_columns(study).split())
    assert "columns that describe samples: age, sex." in told
    assert "Left out of obs: score, lane (not alike); kept (taken)." in told
    assert describe_columns(Study("s", {}, {}, {"d1": {}})) == ""


def test_warnings_of_the_design_stand_in_the_plan():
    contrast = {"column": "state", "case": "ill", "control": "well"}
    contrast |= {"covariates": [], "numeric_covariates": []}
    samples = {
        name: {"state": state} for name, state in zip("abc", ["ill", "well", ""], strict=True)
    }
    study = Study("s", {"contrasts": {"k": contrast}, "samples": "sheet.tsv"}, {}, samples)
    told = describe_warnings(study)
    assert told.startswith("WARN contrast 'k': leaves out c,") and told.count("\n") == 2
