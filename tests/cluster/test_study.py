"""The embedded study on SLURM: where its jobs ran, and the same tables as without it.

Two of its runs go the whole way on the cluster. The others bring their files, as runs that another
machine has counted: so each rule runs as a job, at a third of the time.
"""

import os
import re
import runpy
import shutil
import time

import pandas as pd
import pytest

# One of a sample with two runs, and the one whose chemistry is found out.
COUNTED_HERE = ("healthy_1a", "B_2")


def of_runs(runs, folder):
    """What lies below a folder and belongs to one of the runs, named from there."""
    names = re.compile(rf"(?:.*/)?(?:{'|'.join(runs)})(?:[._].*|/.*)?")
    files = (at.relative_to(folder) for at in sorted(folder.rglob("*")))
    return [file for file in files if names.fullmatch(str(file))]


@pytest.fixture(scope="module")
def project(make_executed, root):
    project = make_executed()
    elsewhere = project.results.rename(project.results.with_name("elsewhere"))
    made = [
        target
        for record in of_runs(COUNTED_HERE, elsewhere)
        if record.parent.name == ".records"
        and (elsewhere / (target := record.parents[1] / record.stem)).exists()
    ]
    project.start(*project.targets(*made)).succeed()

    others = set(pd.read_table(root / "config/demo/samples.tsv")["run"]) - set(COUNTED_HERE)
    now = time.time()
    for file in of_runs(others, elsewhere):
        new = project.results / file
        if (elsewhere / file).is_dir():
            new.mkdir(parents=True, exist_ok=True)
        else:
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(elsewhere / file, new)
            os.utime(new, (now, now), follow_symlinks=False)
    shutil.rmtree(elsewhere)
    project.start("-n").succeed()
    project.start().succeed()
    return project


def test_each_rule_ran_and_training_alone_took_a_gpu(project, demo):
    counted, _, rest = project.runs
    rules = set(re.findall(r"^ *rule (\w+):$", counted.output + rest.output, re.MULTILINE))
    assert rules >= {at.stem for at in (demo / "benchmarks").iterdir()}
    jobs = pd.concat(project.jobs(run, "Partition", "AllocTRES") for run in (counted, rest))
    assert set(jobs["State"]) == {"COMPLETED"}
    gpus = jobs["AllocTRES"].str.extract(r"gres/gpu=(\d+)")[0].dropna()
    assert gpus.to_dict() == {"train_scvi": "1"}
    assert jobs["Partition"][jobs["Partition"] != "cpu"].to_dict() == {"train_scvi": "gpu"}


def test_files_of_other_runs_are_taken_as_they_are(project):
    counted, _, rest = project.runs
    output = counted.output + rest.output
    for rule in ("starsolo", "call_cells", "score_cells"):
        runs = re.findall(
            rf"^ *rule {rule}:$(?:\n .*)*?\n +wildcards: run=(\w+)", output, re.MULTILINE
        )
        assert sorted(runs) == sorted(COUNTED_HERE), rule


def test_tables_are_those_of_a_local_run(project, demo, assert_same_tables):
    patterns = ["*/*.parquet", "*/*/*.parquet", "*/*.tsv", "*/de/*.tsv"]
    tables = {
        str(file.relative_to(demo))
        for branch in ("cells", "deep", "manual", "comparison")
        for pattern in patterns
        for file in demo.glob(pattern.replace("*", branch, 1))
    } - {"deep/kernels.tsv"}  # it holds times
    assert len(tables) > 20
    assert_same_tables(project.results, *sorted(tables))


def test_calls_of_sbatch_are_those_of_a_dry_run(project, root):
    """What `make bench` counts for 100 runs by a dry run, a real run does."""
    count_calls = runpy.run_path(str(root / "tests/bench/sbatch_calls.py"))["count_calls"]
    _, previewed, done = project.runs
    assert len(done.submitted) == count_calls(previewed.output)
