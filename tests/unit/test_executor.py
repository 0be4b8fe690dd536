"""Job states, jobs that lose their node, GPU types, QOS; wildcards that a shell could misread.

Snakemake's own scheduler decides. tests/cluster has a real SLURM.
"""

import asyncio
import logging
from collections import Counter
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from latere.cluster.executor import MOST_LOSSES, Executor, find_unsafe, request_gpus
from latere.cluster.states import SILENCE, Silence, choose_command


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
    executor._command, executor._silence, executor._missed = "sacct", Silence(), set()
    executor._is_ready = True
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


def ask(executor, active, **answers):
    """States of jobs, after the answers of SLURM's commands; None is a command that fails."""

    async def query(command, logger):
        answer = answers[command.split()[0]]
        if answer is None:
            logger.debug("SLURM query command failed: no such database")
        return answer, None if answer is None else 0.1

    executor._query, executor._active = query, set(active)
    return asyncio.run(executor._query_states(executor._command, logging))[0]


@pytest.mark.parametrize(
    "sacct, squeue, states",
    [
        # The accounting fails, or is late for one job, or knows more than the queue.
        (None, {"1": "RUNNING"}, {"1": "RUNNING"}),
        ({"2": "COMPLETED"}, {"1": "PENDING", "2": "RUNNING"}, {"1": "PENDING", "2": "COMPLETED"}),
        ({"2": "COMPLETED"}, None, {"2": "COMPLETED"}),
        (None, None, None),
    ],
)
def test_the_queue_tells_what_the_accounting_does_not(executor, sacct, squeue, states):
    assert ask(executor, "12", sacct=sacct, squeue=squeue) == states


def test_without_accounting_a_job_that_has_left_the_queue_is_lost(executor):
    """Nobody knows how it ended. It must neither be waited for nor pass as done."""
    executor._command = "squeue"
    assert ask(executor, "12", squeue={"1": "RUNNING"}) == {"1": "RUNNING"}
    assert ask(executor, "12", squeue=None) is None
    assert ask(executor, "12", squeue={"1": "RUNNING"}) == {"1": "RUNNING", "2": "UNKNOWN"}
    job = Job()
    assert end(executor, job, "UNKNOWN") and job.attempt == 1
    job.restart_times = 0
    for _ in range(MOST_LOSSES - 2):
        assert end(executor, job, "UNKNOWN")
    assert not end(executor, job, "UNKNOWN")
    assert "MinJobAge" in job.messages[-1]


def test_a_state_that_cannot_be_read_is_an_error_every_five_minutes(executor, monkeypatch):
    said, now = [], [0.0]
    executor.logger = SimpleNamespace(error=said.append)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    expected = 0
    for minute in range(12):
        now[0] = 60.0 * minute
        # Whether SLURM fails or does not know the job.
        silent = None if minute % 2 else {}
        ask(executor, "1", sacct=silent, squeue=silent)
        expected += minute in (SILENCE / 60, 2 * SILENCE / 60)
        assert len(said) == expected, minute
    assert "no such database" in said[0] and "squeue --jobs=1" in said[0]
    # A state that can be read again ends it.
    ask(executor, "1", sacct={"1": "RUNNING"}, squeue=None)
    now[0] += 2 * SILENCE
    ask(executor, "1", sacct=None, squeue=None)
    assert len(said) == expected


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands of SLURM that answer as given: a line of shell by name."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("latere.cluster.states.FIRST_ANSWER", 1)

    def write(**commands):
        monkeypatch.setattr(
            "shutil.which", lambda name: str(tmp_path / name) if name in commands else None
        )
        for name, line in commands.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)

    return write


CONFIG = "echo 'AccountingStorageType   = {}'"


@pytest.mark.parametrize(
    "commands, command, why",
    [
        ({"scontrol": CONFIG.format("accounting_storage/slurmdbd"), "sacct": ":"}, "sacct", ""),
        ({"scontrol": "exit 1", "sacct": "echo '1|RUNNING'"}, "sacct", ""),
        ({"scontrol": CONFIG.format("accounting_storage/none"), "sacct": ":"}, "squeue", "none"),
        ({"scontrol": CONFIG.format("(null)"), "sacct": ":"}, "squeue", "(null)"),
        (
            {"scontrol": "exit 1", "sacct": "echo 'Connection refused' >&2; exit 1"},
            "squeue",
            "Connection refused",
        ),
        # A database of another site.
        ({"scontrol": "exit 1", "sacct": "exec sleep 9"}, "squeue", "no answer"),
        # A part of the question is refused.
        (
            {"scontrol": ":", "sacct": 'case "$*" in *--clusters*) echo all? >&2; exit 1; esac'},
            "squeue",
            "all?",
        ),
        ({"scontrol": ":"}, "squeue", "PATH"),
    ],
)
def test_how_states_are_read_suits_the_site(slurm, commands, command, why):
    slurm(**commands)
    chosen, reason = choose_command("run")
    assert chosen == command and why in reason


class Asked(dict):
    """Resources of a job, as Snakemake has them."""

    __getattr__ = dict.__getitem__


@pytest.mark.parametrize(
    "resources, options",
    [
        ({"gpu": 1, "gpu_model": "nvidia_a100-sxm4-80gb"}, "--gpus=nvidia_a100-sxm4-80gb:1"),
        ({"gpu_model": "nvidia_h100_nvl-1g.12gb"}, "--gpus=nvidia_h100_nvl-1g.12gb:1"),
        ({"gres": "gpu:tesla-v100-32gb:2"}, "--gres=gpu:tesla-v100-32gb:2"),
        ({"gres": "gpu:a-b:1", "gpu": 3}, "--gres=gpu:a-b:1 --gpus=3"),
        ({"gpu": 1, "gpu_model": "a100"}, "--gpus=a100:1"),
        ({"gpu": 1}, "--gpus=1"),
        ({"gres": "gpu:1"}, "--gres=gpu:1"),
        ({}, ""),
    ],
)
def test_gpu_types_may_have_hyphens(resources, options):
    assert request_gpus(SimpleNamespace(resources=Asked(resources))).strip() == options


@pytest.mark.parametrize("name", ["a-b;id", "a-b c", "a-$(id)", "-"])
def test_a_gpu_type_holds_nothing_for_a_shell(name):
    from snakemake_interface_common.exceptions import WorkflowError

    with pytest.raises(WorkflowError):
        request_gpus(SimpleNamespace(resources=Asked(gres=f"gpu:{name}:x")))
    if name != "-":
        with pytest.raises(WorkflowError):
            request_gpus(SimpleNamespace(resources=Asked(gpu_model=name)))


@pytest.mark.parametrize(
    "partition, options",
    [
        ("main", "-p main --qos=medium --constraint='ib&avx'"),
        ("gold", "-p gold --qos=gold --constraint='ib&avx'"),
        ("elsewhere", "-p elsewhere --qos=medium --constraint='ib&avx'"),
        (None, "--qos=medium --constraint='ib&avx'"),
    ],
)
def test_a_partition_brings_its_qos(executor, partition, options):
    partitions = {"main": {}, "gold": {"qos": "gold"}}
    executor.site = {"partitions": partitions, "qos": "medium", "constraint": "ib&avx"}
    executor._partitions, executor._fallback_partition = [], ""
    job = SimpleNamespace(resources=Asked(slurm_partition=partition))
    assert executor.get_partition_arg(job).strip() == options


def test_jobs_are_kept_while_slurm_does_not_answer(executor, monkeypatch):
    """The plugin would forget them, and wait for ever."""

    async def none(self, active_jobs):
        self.next_seconds_between_status_checks = 180
        await self._query_states("sacct", logging)
        return
        yield

    async def fail(command, logger):
        return None, None

    monkeypatch.setattr("snakemake_executor_plugin_slurm.Executor.check_active_jobs", none)
    executor._query = fail
    active = [SimpleNamespace(external_jobid="1"), SimpleNamespace(external_jobid="2")]

    async def check():
        return [job async for job in executor.check_active_jobs(active)]

    assert asyncio.run(check()) == active
    assert executor.next_seconds_between_status_checks <= SILENCE / 5


def test_the_thread_that_asks_for_states_may_start_before_the_set_up():
    """An error would end it, and Snakemake would wait for ever."""

    async def check(executor):
        return [job async for job in executor.check_active_jobs([])]

    assert asyncio.run(check(object.__new__(Executor))) == []
