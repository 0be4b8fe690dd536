"""Jobs that SLURM takes away, refuses, or takes without an answer; files that show up late."""

import getpass
import re
import shutil
from pathlib import Path

import pytest
from cluster import wait_until

SMALL = Path(__file__).with_name("small.smk")


@pytest.fixture
def project(make_project):
    """A clone whose jobs wait for a file each, `go/<job>`."""
    project = make_project()
    for name in ("go", "out"):
        (project.folder / name).mkdir()
    yield project
    project.end()


def start(project, *names, retries=0, **options):
    targets = [f"out/{name}.txt" for name in names]
    words = ["--snakefile", SMALL, "--retries", retries, *targets]
    return project.start(*words, **options)


def release(project, *names):
    for name in names:
        (project.folder / "go" / name).touch()


def running(project, run, number):
    """Ids and nodes of a run's jobs by name, once a number of them runs."""

    def find():
        assert run.process.poll() is None, run.output[-8000:]
        ours = run.submitted
        text = project.cluster.ask("squeue", "--noheader", "--states=RUNNING", "--format=%i|%N|%k")
        jobs = [line.split("|") for line in text.splitlines()]
        found = {
            re.search(r"_wildcards_(\w+)", comment)[1]: (job, node)
            for job, node, comment in jobs
            if job in ours
        }
        return found if len(found) == number else None

    return wait_until(find, f"{number} jobs run")


def read(project, run):
    """What `sacct` says of the jobs of a run, by the value of their wildcard."""
    table = project.jobs(run, "ReqMem", "NodeList", "Partition")
    table.index = table["Comment"].str.extract(r"_wildcards_(\w+)")[0]
    return table


@pytest.fixture
def urgent(cluster):
    """A partition whose jobs preempt those of the others: `cpu` requeues, `gpu` cancels."""
    cluster.ask("scontrol", "create", "PartitionName=urgent", "Nodes=ALL", "PriorityTier=10")
    cluster.ask("scontrol", "update", "PartitionName=cpu", "PreemptMode=REQUEUE")
    cluster.ask("scontrol", "update", "PartitionName=gpu", "PreemptMode=CANCEL")
    yield "urgent"
    for name in ("cpu", "gpu"):
        cluster.ask("scontrol", "update", f"PartitionName={name}", "PreemptMode=OFF")
    cluster.ask("scontrol", "delete", "PartitionName=urgent")


def test_a_preempted_job_starts_again_with_the_same_request(project, cluster, urgent):
    """Beside it one that a person cancels: Snakemake has to see that, and asks for more."""
    names = ("requeue", "cancel", "scancel")
    run = start(project, *names, retries=1)
    first = running(project, run, 3)
    for name in ("requeue", "cancel"):
        where = f"--nodelist={first[name][1]}"
        cluster.ask(
            "sbatch", f"--partition={urgent}", where, "--exclusive", "--output=/dev/null",
            "--wrap", "sleep 5"
        )  # fmt: skip
    cluster.ask("scancel", first["scancel"][0])
    release(project, *names)
    run.succeed()
    jobs = read(project, run)
    for name in ("requeue", "cancel"):
        assert list(jobs.loc[name, "State"]) == ["PREEMPTED", "COMPLETED"], run.output
        assert list(jobs.loc[name, "ReqMem"]) == ["1000M", "1000M"]
    assert list(jobs.loc["scancel", "ReqMem"]) == ["1000M", "2000M"]
    # Not started by SLURM itself as well.
    assert cluster.sacct("JobID", duplicates=True)["JobID"].is_unique


@pytest.fixture
def one_job(cluster):
    """The user may have one job in the queue, and no more."""

    def limit(number):
        user = ["user", getpass.getuser(), "set", f"MaxSubmitJobs={number}"]
        cluster.ask("sacctmgr", "--immediate", "modify", *user)

    limit(1)
    yield
    limit(-1)


def test_a_limit_of_jobs_is_waited_for(project, one_job):
    run = start(project, "one", "two")
    why = "_wildcards_{} waits to be submitted: SLURM takes no more jobs now"
    (first,) = running(project, run, 1)
    second = {"one": "two", "two": "one"}[first]
    line = f"rule_wait_for{why.format(second)} (AssocMaxSubmitJobLimit)\n"
    wait_until(lambda: line in run.output, "the reason is shown")
    release(project, "one", "two")
    run.succeed()
    assert len(run.submitted) == 2
    # For later readers too.
    (log,) = (project.folder / ".snakemake/log").glob("*.log")
    assert line in log.read_text()


@pytest.fixture
def sbatch(project):
    """An sbatch that loses the answer for the job `taken`, and the request for the job `lost`."""
    project.programs.mkdir()
    at = project.programs
    error = "Batch job submission failed: Socket timed out on send/recv operation"
    real = shutil.which("sbatch")
    (at / "sbatch").write_text(f"""#!/bin/sh
echo >>{at}/calls
once() {{ mkdir {at}/$1 2>/dev/null; }}
fail() {{ echo 'sbatch: error: {error}' >&2; exit 1; }}
case "$*" in
  *wildcards_taken*) once taken && {{ {real} "$@" >/dev/null; fail; }} ;;
  *wildcards_lost*) once lost && fail ;;
esac
exec {real} "$@"
""")
    (at / "sbatch").chmod(0o755)
    return at / "calls"


def test_a_submission_without_an_answer_makes_one_job(project, sbatch):
    names = ("taken", "lost")
    release(project, *names)
    run = start(project, *names).succeed()
    # Of all jobs, not just of those that Snakemake knows of.
    table = project.cluster.sacct("JobID", "Comment")
    jobs = table[table["Comment"].str.contains("_wildcards_(?:taken|lost)\\b")]
    assert sorted(jobs["JobID"]) == sorted(run.submitted)
    assert len(run.submitted) == 2
    assert sbatch.read_text() == "\n" * 3


def test_no_shell_reads_names(project, sbatch):
    """Neither on the submit host nor on the node; what cannot be quoted is not submitted."""
    (project.folder / "in").mkdir()
    (project.folder / "in/a $(touch READ);`touch READ`.txt").write_text("counts")
    (project.folder / "in/it's $(touch READ).txt").touch()
    # The wildcard of this rule has no constraint.
    targets = ["out/$(touch READ).txt", "copied.tsv", "quoted.tsv"]
    run = project.start("--snakefile", SMALL, "--retries", 0, *targets).fail()
    assert "rule wait_for, wildcard what: " in run.output
    assert "it's $(touch READ).txt" in run.output
    assert (project.folder / "copied.tsv").read_text() == "counts"
    assert sbatch.read_text() == "\n"
    assert not list(project.folder.rglob("READ"))


def test_a_file_that_shows_up_late_is_waited_for(project):
    """Snakemake sees another folder than the nodes do, as behind the cache of a network disk."""
    project.latency = 20
    view = project.folder / "view"
    view.mkdir()
    see = 'mount --bind view out && exec "$@"'
    project.within = ["unshare", "--mount", "sh", "-c", see, "sh"]
    if project.cluster.call(*project.within, "true", cwd=project.folder).returncode:
        pytest.skip("no folder can be mounted here")
    release(project, "late")
    run = start(project, "late")
    wait_until(lambda: "Waiting at most 20 seconds for missing files" in run.output, "it waits")
    assert list(read(project, run)["State"]) == ["COMPLETED"]
    shutil.copy2(project.folder / "out/late.txt", view)
    run.succeed()
