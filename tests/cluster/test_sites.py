"""Sites that differ: no accounting, an sacct that fails, a partition for one QOS only."""

import getpass
from pathlib import Path

import pytest
import yaml
from cluster import Cluster
from project import Project

SMALL = Path(__file__).with_name("small.smk")


def run_small(project, name, **site):
    """Run one small job by a site file with further keys."""
    path = project.folder / "profiles/slurm/site.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | site))
    for folder in ("go", "out"):
        (project.folder / folder).mkdir()
    (project.folder / "go" / name).touch()
    run = project.start("--snakefile", SMALL, "--retries", 0, f"out/{name}.txt").succeed()
    assert (project.folder / f"out/{name}.txt").read_text() == f"{name}\n"
    return run


def test_a_cluster_without_accounting(cluster, copy_project, tmp_path):
    (tmp_path / "clone").mkdir()
    with Cluster(tmp_path / "slurm", accounting=False) as bare:
        project = Project(copy_project(tmp_path / "clone"), bare)
        try:
            run = run_small(project, "bare")
        finally:
            project.end()
    assert "Job states are read with squeue: the cluster keeps no accounting" in run.output


def test_an_sacct_that_fails(make_project):
    project = make_project()
    project.programs.mkdir()
    sacct = project.programs / "sacct"
    sacct.write_text("#!/bin/sh\necho 'slurm_persist_conn_open: Connection refused' >&2\nexit 1\n")
    sacct.chmod(0o755)
    run = run_small(project, "refused")
    assert "read with squeue: sacct fails: slurm_persist_conn_open: Connection ref" in run.output


@pytest.fixture
def gold(cluster):
    """The first partition takes jobs of a QOS that is not the user's default one."""

    def modify(*words):
        cluster.ask("sacctmgr", "--immediate", "modify", "user", getpass.getuser(), "set", *words)

    cluster.ask("sacctmgr", "--immediate", "add", "qos", "gold")
    modify("qos=normal,gold")
    cluster.ask("scontrol", "update", "PartitionName=cpu", "AllowQos=gold")
    yield "gold"
    cluster.ask("scontrol", "update", "PartitionName=cpu", "AllowQos=ALL")


def test_a_partition_for_one_qos(cluster, make_project, gold):
    refused = cluster.call("sbatch", "--partition=cpu", "--output=/dev/null", "--wrap", "true")
    assert refused.returncode != 0 and "qos" in refused.stderr.lower()
    project = make_project()
    run = run_small(project, "gold", qos="normal", partitions={"cpu": {"qos": gold}})
    assert list(project.jobs(run, "QOS")["QOS"]) == [gold]
