"""What becomes of jobs that lose their node; wildcards that a shell could misread.

Snakemake's own scheduler decides. tests/cluster has a real SLURM.
"""

import asyncio
import logging
from collections import Counter
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from latere.cluster.executor import MOST_LOSSES, Executor, find_unsafe


class Job:
    """A job of a rule, with two retries; its wildcards are given."""

    restart_times = 2

    def __init__(self, **wildcards):
        self.attempt, self.messages = 1, []
        self.rule = SimpleNamespace(name="download")
        self.wildcards_dict = wildcards

    def is_group(self):
        return False

    def log_error(self, msg, **kwargs):
        self.messages.append(msg)


@pytest.fixture
def executor():
    """The executor, with no SLURM and no thread."""
    executor = object.__new__(Executor)
    executor._lost, executor._losses = set(), Counter()
    executor._failed_nodes, executor._excluded = {"gpu1", "bad"}, {"bad"}
    executor.run_uuid = "run"
    executor.workflow = SimpleNamespace(
        scheduler=SimpleNamespace(error_callback=lambda job: None),
    )
    return executor


def end(executor, job, state):
    """Let a job end as SLURM says; whether Snakemake starts it again."""
    executor._states = {"17": state}
    executor.report_job_error(SimpleNamespace(job=job, external_jobid="17"), msg="plugin")
    scheduler = SimpleNamespace(
        workflow=SimpleNamespace(
            dryrun=True, dag=SimpleNamespace(jobid=lambda job: 1, _ready_jobs=set())
        ),
        get_executor=lambda job: executor,
        running={job},
        failed=set(),
        _free_resources=lambda job: None,
    )
    JobScheduler._handle_error(scheduler, job)
    return job in scheduler.workflow.dag._ready_jobs


def test_a_lost_node_takes_no_attempt_up_to_a_bound(executor):
    job = Job()
    assert end(executor, job, "TIMEOUT") and job.attempt == 2
    for state in ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL") * (MOST_LOSSES // 3):
        assert end(executor, job, state) and job.attempt == 2
    # Failures of its own count as before.
    assert end(executor, job, "FAILED") and job.attempt == 3
    assert not end(executor, job, "PREEMPTED")
    assert "not submitted again" in job.messages[-1] and "slurm_partition" in job.messages[-1]


def test_no_retries_are_none_but_for_lost_jobs(executor):
    job = Job()
    job.restart_times = 0
    assert end(executor, job, "PREEMPTED") and job.attempt == 1
    assert not end(executor, job, "FAILED")


def test_a_node_that_failed_is_not_excluded_for_good(executor):
    """It may be the only one with a GPU."""
    end(executor, Job(), "NODE_FAIL")
    assert executor._failed_nodes == {"bad"}


@pytest.mark.parametrize(
    "squeue, state",
    [({"17": "COMPLETING"}, "COMPLETING"), ({}, "CANCELLED"), (None, None)],
)
def test_a_job_has_ended_when_its_processes_have(executor, squeue, state):
    """Else its next attempt would write the same files beside it."""
    answers = {"sacct": {"17": "CANCELLED by 1000", "16": "FAILED"}, "squeue": squeue}

    async def query(command, logger):
        answer = answers[command.split()[0]]
        return answer, answer and 0.1

    executor._query, executor._active = query, {"17"}
    states, _ = asyncio.run(executor._query_states("sacct", logging))
    assert (states and states["17"]) == state


@pytest.mark.parametrize(
    "wildcards, files, where",
    [
        ({"run": "SRR1.a_b-2"}, ["a b.fastq", "$(x)"], None),
        ({"name": "https/host/a.h5ad"}, [], None),
        ({"run": "a/b"}, [], "rule download, wildcard run"),
        ({"run": "a", "name": "http/h/$(id>X).h5ad"}, [], "rule download, wildcard name"),
        ({"name": "a/../../b"}, [], "rule download, wildcard name"),
        ({"name": "a\n"}, [], "rule download, wildcard name"),
        ({"run": "ä"}, [], "rule download, wildcard run"),
        ({}, ["a", "it's"], "it's"),
        ({}, ["'a'$(id)'b'"], "$(id)"),
        ({}, ['a"b'], 'a"b'),
        ({}, ["a\nb"], "a\\nb"),
        ({}, ["a\\b"], "a\\\\b"),
    ],
)
def test_what_a_shell_could_misread_is_found(wildcards, files, where):
    job = Job(**wildcards)
    group = SimpleNamespace(is_group=lambda: True, jobs=[Job(run="a"), job])
    for one in (job, group):
        one.get_wait_for_files = lambda: files
        problem = find_unsafe(one)
        assert problem is None if where is None else where in problem
