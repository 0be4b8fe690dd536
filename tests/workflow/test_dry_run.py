"""The study as cloned dry-runs whole, fast, with no network and nothing downloaded."""

import re
import resource
import shutil
import subprocess
import sys
import warnings

# A resource that follows a file which is made on the way, as those of latere.cluster.needs do.
FOLLOWS = """
import os

rule all:
    input:
        "b",

rule a:
    output:
        "a",
    shell:
        "head -c 7000 /dev/zero > {output}"

rule b:
    input:
        "a",
    output:
        "b",
    resources:
        mem_mb=lambda wildcards, input, attempt: attempt * os.stat(input[0]).st_size,
    shell:
        "echo {resources.mem_mb} > {output}"
"""


def test_gse132509(tmp_path, copy_project):
    project = copy_project(tmp_path)
    words = [sys.executable, "-m", "snakemake", "-n", "--cores", "8"]
    # In a network namespace of its own the machine has no network at all.
    alone = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"]).returncode:
        warnings.warn("no network namespace here: dry run with the network", stacklevel=1)
        alone = []
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*alone, *words], cwd=project, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.M))
    expected = {
        "prefetch": 12,
        "fasterq_dump": 12,
        "fastqc": 12,
        "starsolo": 12,
        "call_cells": 12,
        "score_cells": 12,
        "select_cells": 1,
        "check_runs": 1,
        "plot_cells": 1,
        "train_scvi": 1,
        "label_cells": 1,
        "vote_types": 2,
        "sum_pseudobulks": 1,
        "build_design": 5,
        "edger_de": 5,
        "decode_states": 1,
        "state_adjusted_de": 5,
        "call_de": 10,
        "compare_branches": 1,
        "report": 1,
    }
    assert {name: int(jobs[name]) for name in expected} == expected
    assert not (project / "results").exists() and not (project / "resources").exists()
    # CPU time: the clock would tell what else this machine does.
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 10
    # Nothing is put off: the sheet tells the spots, and a genome to download counts as human.
    asked = re.findall(r"^rule starsolo:(?:\n    .*)*mem_mb=(\d+)", done.stdout, re.M)
    assert len(asked) == 12 and all(40_000 <= int(mem_mb) <= 48_000 for mem_mb in asked)
    assert "<TBD>" not in done.stdout


def test_gse132509_from_its_matrices(tmp_path, copy_project, snakemake):
    """Three files a sample from GEO; no reads, no reference."""
    config = "config/leukemia-geo/config.yaml"
    done = snakemake(copy_project(tmp_path), "-n", "--configfile", config)
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.M))
    expected = {"download": 33, "load_counts": 11, "call_cells": 11, "merge_cells": 1, "report": 1}
    assert {name: int(jobs[name]) for name in expected} == expected
    assert not {"prefetch", "starsolo", "star_index", "multiqc"} & set(jobs)


def test_embedded_study(tmp_path, copy_project, snakemake):
    project = copy_project(tmp_path)
    done = snakemake(project, "-n", "--configfile", "config/demo/config.yaml")
    assert done.returncode == 0, done.stderr
    # Neither its genome nor its reads are there before it has simulated them.
    starsolo = re.findall(r"^rule starsolo:(?:\n    .*)*mem_mb=(\S+),", done.stdout, re.M)
    assert starsolo == ["<TBD>"] * 8


def test_request_follows_a_file_made_by_the_same_run(tmp_path, snakemake):
    (tmp_path / "Snakefile").write_text(FOLLOWS)
    dry = snakemake(tmp_path, "-n")
    assert "mem_mb=<TBD>" in dry.stdout, dry.stdout + dry.stderr
    assert snakemake(tmp_path, "--cores", "1").returncode == 0
    assert (tmp_path / "b").read_text() == "7000\n"
