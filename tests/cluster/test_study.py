"""The embedded study, whole, on SLURM: where its jobs ran, and the same tables as without it."""

import runpy

import pytest


@pytest.fixture(scope="module")
def project(make_project):
    project = make_project()
    project.start().succeed()
    return project


def test_training_takes_one_gpu_and_no_other_job_does(project):
    jobs = project.jobs(project.runs[0], "Partition", "AllocTRES")
    assert set(jobs["State"]) == {"COMPLETED"}
    gpus = jobs["AllocTRES"].str.extract(r"gres/gpu=(\d+)")[0].dropna()
    assert gpus.to_dict() == {"train_scvi": "1"}
    assert jobs["Partition"][jobs["Partition"] != "cpu"].to_dict() == {"train_scvi": "gpu"}


def test_tables_are_those_of_a_local_run(project, demo, assert_same_tables):
    patterns = ["*/*.parquet", "*/*/*.parquet", "*/*.tsv", "*/de/*.tsv"]
    tables = {
        str(file.relative_to(demo))
        for branch in ("cells", "deep", "manual", "comparison")
        for pattern in patterns
        for file in demo.glob(pattern.replace("*", branch, 1))
    }
    assert len(tables) > 20
    assert_same_tables(project.results, *sorted(tables))


def test_calls_of_sbatch_are_those_of_a_dry_run(project, root, snakemake, copy_project, tmp_path):
    """What `make bench` counts for 100 runs by a dry run, a real run does."""
    count_calls = runpy.run_path(str(root / "tests/bench/sbatch_calls.py"))["count_calls"]
    words = ["-n", "--profile", "slurm", "--configfile", "config/demo/config.yaml"]
    done = snakemake(copy_project(tmp_path), *words)
    assert done.returncode == 0, done.stderr
    assert len(project.runs[0].submitted) == count_calls(done.stdout + done.stderr)
