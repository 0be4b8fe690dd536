"""The site file that the cluster itself tells, and small jobs that go to it together."""

import csv
import sys

import yaml
from cluster import CORES, GPU

from latere.cluster.requests import LEAST_MEM_MB, LEAST_MINUTES

# Two small jobs of a kind, and one job of another.
ENVS = ["report", "sra"]
TARGETS = [f"versions/{env}_mqc_versions.yml" for env in ENVS]
TARGETS.append("reference/whitelists/10x_version2_whitelist.txt")


def test_cluster_tells_its_site_and_takes_jobs_by_it(cluster, make_project):
    project = make_project()

    def make_site(*words):
        """`make site` in the clone, without the set-up."""
        command = [
            "env",
            "PYTHONPATH=scripts",
            sys.executable,
            "-m",
            "latere.cluster.make_site",
            *words,
        ]
        return cluster.call(*command, cwd=project.folder)

    file = project.folder / "profiles/slurm/site.yaml"
    done = make_site()
    assert done.returncode == 0, done.stderr
    told = file.read_text()
    # What a person has written is not written over, unless that is said.
    file.write_text("jobs: 5\n")
    done = make_site()
    assert done.returncode == 1 and "[own-file]" in done.stderr
    assert file.read_text() == "jobs: 5\n"
    assert make_site("--force").returncode == 0
    assert file.read_text() == told

    site = yaml.safe_load(file.read_text())
    nodes = {"max_mem_mb": cluster.memory, "max_threads": 2 * CORES}
    assert site["partitions"] == {"cpu": nodes}
    assert site["gpu"] == {"partition": "gpu", "request": "gpus"}
    assert f"# gpu has GPUs: {GPU}; " in told

    # The one job asks for a GPU as sites do that know no `--gpus`.
    gres = {"slurm_partition": "gpu", "gres": f"gpu:{GPU}:1"}
    run = project.start(*project.targets(*TARGETS), extract_whitelist=gres).succeed()
    jobs = project.jobs(
        run, "Account", "Partition", "TimelimitRaw", "ReqMem", "ReqCPUS", "AllocTRES"
    )
    assert set(jobs["Account"]) == {site["account"]}
    assert jobs["Partition"].to_dict() == {
        "versions_tool_versions": "cpu",
        "extract_whitelist": "gpu",
    }
    assert "gres/gpu=1" in jobs.loc["extract_whitelist", "AllocTRES"]
    # One after the other: times add up, memory and cores do not.
    group = jobs.loc["versions_tool_versions"]
    assert group["TimelimitRaw"] == str(len(ENVS) * LEAST_MINUTES)
    assert (group["ReqMem"], group["ReqCPUS"]) == (f"{LEAST_MEM_MB}M", "1")

    assert "Used / asked on SLURM, by rule:" in run.output
    with (project.results / "logs/efficiency.tsv").open() as handle:
        rows = {(row["group"], row["rule"]): row for row in csv.DictReader(handle, delimiter="\t")}
    assert rows.keys() == {
        ("tool_versions", ""),
        ("tool_versions", "tool_versions"),
        ("", "extract_whitelist"),
    }
    member, alone = rows["tool_versions", "tool_versions"], rows["", "extract_whitelist"]
    assert (member["jobs"], float(member["mem_mb_asked"])) == (str(len(ENVS)), LEAST_MEM_MB)
    # Of a short job the benchmark sees little: its first look may come before Python is loaded.
    assert 0 < float(member["mem_mb_used"]) < LEAST_MEM_MB
    assert (alone["ended"], float(alone["gpus_asked"])) == ("COMPLETED 1", 1)
    assert 0 < float(alone["minutes_used"]) < float(alone["minutes_asked"]) == LEAST_MINUTES
