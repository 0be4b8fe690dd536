"""What goes wrong on a cluster, made to go wrong on a real one."""

import re
import subprocess
import time

import psutil
import pytest
from cluster import wait_until

EMBEDDING, LABELS = "manual/embedding.parquet", "deep/cell_types.parquet"
# One rule after another, both of seconds.
SUMS, DESIGN = "design/sums.h5ad", "design/subtype_A_vs_B.json"
TESTS = "manual/tests/subtype_A_vs_B.parquet"


def test_a_node_that_dies_takes_no_result_with_it(executed, cluster, assert_same_tables):
    """The only one of its partition, as a node with GPUs may be; it comes back."""
    executed.forget(EMBEDDING)
    words = [*executed.targets(EMBEDDING), "--retries", 0]
    run = executed.start(*words, log_pca={"slurm_partition": "gpu"})
    (script,) = executed.hold("log_pca")
    node = script.environ()["SLURMD_NODENAME"]
    cluster.kill_node(node)
    assert not script.is_running()
    try:
        wait_until(lambda: "NODE_FAIL" in set(executed.jobs(run)["State"]), "SLURM notices")
    finally:
        cluster.start_node(node)
    run.succeed()
    wait_until(lambda: cluster.node_states()[node] == "IDLE", f"{node} is idle")
    jobs = executed.jobs(run, "NodeList", "ReqMem")
    assert list(jobs["State"]) == ["NODE_FAIL", "COMPLETED"]
    assert list(jobs["NodeList"]) == [node, node]
    # It did nothing wrong, and asks for no more.
    assert jobs["ReqMem"].nunique() == 1
    # SLURM did not start it once more by itself: two jobs would write one file.
    assert cluster.sacct("JobID", duplicates=True)["JobID"].is_unique
    assert_same_tables(executed.results, EMBEDDING)


def test_the_next_run_takes_over_from_one_that_was_killed(executed, assert_same_tables):
    """One job ends by itself after its Snakemake, one still runs, one was never submitted."""
    executed.forget(SUMS, DESIGN, TESTS, LABELS)
    targets = executed.targets(TESTS, LABELS)
    killed = executed.start(*targets)
    scripts = executed.hold("sum_pseudobulks", "vote_types")
    killed.process.kill()
    killed.wait()
    scripts[0].resume()
    wait_until(lambda: "COMPLETED" in set(executed.jobs(killed)["State"]), "sum_pseudobulks ends")

    assert "--unlock" in executed.start(*targets).fail().output
    executed.start("--unlock").succeed()
    run = executed.start(*targets).succeed()
    before, after = (executed.jobs(one, "Start", "End") for one in (killed, run))
    assert before["State"].str.split().str[0].to_dict() == {
        "sum_pseudobulks": "COMPLETED",
        "vote_types": "CANCELLED",
    }
    running = before.loc["vote_types"]
    assert f"Cancelling SLURM jobs of an earlier run: {running['JobID']}\n" in run.output
    assert sorted(after.index) == ["build_design", "edger_de", "vote_types"]
    # Two texts in ISO form: never two writers of one file.
    assert running["End"] <= after.loc["vote_types", "Start"]
    assert_same_tables(executed.results, TESTS, LABELS)


def test_a_controller_that_is_away_is_waited_for(executed, cluster, assert_same_tables):
    """For a minute, while one job runs and another becomes ready; the accounting for a while."""
    executed.forget(SUMS, DESIGN, TESTS, LABELS)
    run = executed.start(*executed.targets(TESTS, LABELS))
    sums, labels = executed.hold("sum_pseudobulks", "vote_types")
    # Accounting knows of an end by the controller, which has to tell it first. Snakemake is held
    # so that it does not submit what comes next in between.
    snakemake = psutil.Process(run.process.pid)
    snakemake.suspend()
    sums.resume()
    wait_until(lambda: "COMPLETED" in set(executed.jobs(run)["State"]), "sum_pseudobulks ends")
    end = time.monotonic() + 60
    cluster.stop_controller()
    try:
        assert cluster.call("sinfo").returncode != 0
        snakemake.resume()
        wait_until(lambda: "rule build_design:" in run.output, "build_design is ready")
        labels.resume()
        cluster.stop_accounting()
        assert cluster.call("sacct").returncode != 0
        time.sleep(max(20, end - time.monotonic()))
        # What is ready waits, and has failed no attempt.
        assert len(run.submitted) == 2
    finally:
        cluster.start_accounting()
        cluster.start_controller()
    run.succeed()
    rules = ("vote_types", "sum_pseudobulks", "build_design", "edger_de")
    done = dict.fromkeys(rules, "COMPLETED")
    assert len(run.submitted) == 4
    assert executed.jobs(run)["State"].to_dict() == done
    assert_same_tables(executed.results, TESTS, LABELS)


@pytest.fixture(scope="module")
def over_limits(make_executed):
    """A run of two jobs: one asks for too little memory; the other hangs, and has a minute."""
    project = make_executed()
    project.forget(EMBEDDING, LABELS)
    project.start(
        *project.targets(EMBEDDING, LABELS),
        log_pca={"mem_mb": "200 if attempt == 1 else 4000"},
        vote_types={"runtime": "attempt"},
    )
    project.hold("vote_types")
    return project


@pytest.fixture
def small_disk(executed):
    """The results, on a disk of their own."""
    results = executed.folder / "results"
    aside = results.rename(executed.folder.parent / "aside")
    results.mkdir()
    size = sum(file.stat().st_size for file in aside.rglob("*")) + 2**26
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", results]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", results], check=True)
        yield results
    finally:
        executed.end()
        subprocess.run(["umount", "--lazy", results], check=True)


def remount(disk, mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)


# `over_limits`: its minute passes meanwhile.
def test_a_disk_that_is_full_or_read_only_is_told(
    over_limits, small_disk, executed, assert_same_tables
):
    executed.forget(EMBEDDING)
    targets = executed.targets(EMBEDDING)

    remount(small_disk, "ro")
    run = executed.start(*targets, "--retries", 0).fail()
    (job,) = run.submitted
    # Of the job itself: it finds its result's place closed, before its script starts.
    reason = f"OSError: [Errno 30] Read-only file system: '{targets[0]}'\n"
    log = executed.folder / f".snakemake/slurm_logs/rule_log_pca/{job}.log"
    assert reason in log.read_text() and reason in run.output, run.output
    remount(small_disk, "rw")

    with pytest.raises(OSError, match="No space"), (small_disk / "filler").open("wb") as filler:
        while True:
            filler.write(bytes(2**20))
    run = executed.start(*targets, "--retries", 0).fail()
    assert len(run.submitted) == 1
    # Of the job itself, whose log lies on the same disk.
    told = re.search("^log_pca: .*No space left on device", run.output, re.MULTILINE)
    assert told, run.output
    assert not (executed.results / EMBEDDING).exists()
    (small_disk / "filler").unlink()

    executed.start(*targets).succeed()
    assert_same_tables(executed.results, EMBEDDING)


def test_a_job_over_its_memory_or_time_succeeds_with_more(over_limits, assert_same_tables):
    """SLURM ends both; what they ask for grows with each attempt."""
    (run,) = over_limits.runs
    run.succeed()
    jobs = over_limits.jobs(run, "ReqMem", "TimelimitRaw")
    hung, grown = jobs.loc["vote_types"], jobs.loc["log_pca"]
    assert list(hung["State"]) == ["TIMEOUT", "COMPLETED"]
    assert list(hung["TimelimitRaw"]) == ["1", "2"]
    # Where a site has cgroups, the first is OUT_OF_MEMORY.
    assert list(grown["State"]) == ["FAILED", "COMPLETED"]
    assert list(grown["ReqMem"]) == ["200M", "4000M"]
    logs = over_limits.folder / ".snakemake/slurm_logs/rule_log_pca"
    assert "exceeded memory limit" in (logs / f"{grown['JobID'].iloc[0]}.log").read_text()
    assert_same_tables(over_limits.results, EMBEDDING, LABELS)
