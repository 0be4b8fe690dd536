"""`snakemake plan` tells what a study will cost before anything is submitted."""

import re

import pandas as pd
import yaml


def plan(snakemake, folder, *words):
    """The plan's table, as text by stage and column, and the notes below it."""
    done = snakemake(folder, *words, "--", "plan")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    start = next(at for at, line in enumerate(lines) if line.split()[:3] == ["jobs", "to", "do"])
    end = start + lines[start:].index("")
    columns = ["stage", "jobs", "to do", "core", "gpu", "memory", "peak", "final"]
    rows = [re.split(r"\s{2,}", line) for line in lines[start + 1 : end]]
    return pd.DataFrame(rows, columns=columns).set_index("stage"), "\n".join(lines[end:])


def test_gse132509(tmp_path, copy_project, snakemake):
    project = copy_project(tmp_path)
    table, notes = plan(snakemake, project)
    dry = snakemake(project, "-n")
    total = int(re.search(r"^total +(\d+)$", dry.stdout, re.M)[1])
    # All but the target itself, and all of it left to do.
    assert table.loc["in all", ["jobs", "to do"]].tolist() == [str(total - 1)] * 2
    stages = ["reference", "reads", "quantify", "cells", "deep", "manual"]
    stages += ["explore", "annotate", "design", "compare"]
    assert table.index.tolist() == [*stages, "report", "in all"]
    assert "unknown" not in table.to_string() + notes
    assert 40 <= float(table.loc["in all", "memory"]) <= 48
    # 303 GB of archives stay; of the 12 runs 6 at a time lie unpacked, and all 12 if there is room.
    assert 303 < float(table.loc["reads", "final"]) < 310
    peak = float(table.loc["in all", "peak"])
    assert peak < 600 and "of 6 runs unpacked" in " ".join(notes.split())
    assert float(table.loc["deep", "gpu"]) > 0 and table.loc["reads", "gpu"] == "-"
    total = re.search(r"^total: ([0-9.]+) CPU hours and ([0-9.]+) GPU hours\.$", notes, re.M)
    assert [*total.groups()] == table.loc["in all", ["core", "gpu"]].tolist()
    # The sum of Cell Ranger 3.1 by run, which is more than that of Cell Ranger 2.1 by sample.
    assert "cells: 51,074 (as published of 12 runs)" in notes
    assert max(map(len, [*table.to_string().splitlines(), *notes.splitlines()])) <= 100
    # It tells again, and of the configuration and the bound that it is given.
    config = yaml.safe_load((project / "config/config.yaml").read_text())
    config |= {"deep": {"max_epochs": 1}, "reads": {"keep_archives": False}}
    (project / "my.yaml").write_text(yaml.safe_dump(config))
    words = ["--configfile", "my.yaml", "--resources", "unpacked=1"]
    short, notes = plan(snakemake, project, *words)
    assert float(short.loc["deep", "gpu"]) < float(table.loc["deep", "gpu"])
    # One run with its archive, instead of six runs and all archives.
    assert "of 1 run unpacked" in " ".join(notes.split())
    assert float(short.loc["in all", "peak"]) < 200 and float(short.loc["reads", "final"]) < 10


def test_matrices_only(tmp_path, copy_project, snakemake, real):
    project = copy_project(tmp_path)
    source = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    (project / "samples.tsv").write_text(f"run\tsample\tmatrix\nr\ts\t{source}\n")
    (project / "my.yaml").write_text("study: my\nsamples: samples.tsv\ncontrasts: {}\n")
    # As on a submit host, and with no SLURM that answers.
    table, notes = plan(snakemake, project, "--profile", "slurm", "--configfile", "my.yaml")
    assert "reads" not in table.index and "unknown" not in table.to_string()
    assert "cells: 2,170" in notes and "starsolo" not in notes


def test_embedded_study_before_it_is_simulated(tmp_path, copy_project, snakemake):
    project = copy_project(tmp_path)
    table, notes = plan(snakemake, project, "--configfile", "config/demo/config.yaml")
    assert table.loc["quantify", "core"] == table.loc["in all", "peak"] == "unknown"
    assert "genome.fa is not there yet" in notes and "spots of run" in notes
    assert "total: at least " in notes


def test_other_targets_still_need_a_number_of_cores(tmp_path, copy_project, snakemake):
    project = copy_project(tmp_path)
    for words in [["plan", "all"], []]:
        done = snakemake(project, *words)
        assert done.returncode != 0 and "cores have to be specified" in done.stderr, words


def test_executed_study_has_nothing_to_do(root, snakemake, demo):
    table, _ = plan(snakemake, root, "--configfile", "config/demo/config.yaml")
    assert table.loc["in all", "to do"] == "0" and "unknown" not in table.to_string()
