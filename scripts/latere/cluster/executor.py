"""Snakemake's SLURM executor, adapted to sites: job states, lost nodes, waiting, QOS, GPU types.

The profile installs it in place of the plugin's own. Snakemake runs everything else as it is.
"""

import os
import re
import shlex
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

import snakemake_executor_plugin_slurm as plugin
from snakemake_executor_plugin_slurm.job_status_query import (
    get_min_job_age,
    query_job_status_squeue,
)
from snakemake_executor_plugin_slurm.partitions import Partition, PartitionLimits
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from latere.cluster.site import GPU_TYPE, GRES
from latere.cluster.states import LOOKS, SILENCE, LastWords, Silence, choose_command

# The job did nothing wrong. The next attempt asks for the same and is not counted as a retry.
LOST = {
    "PREEMPTED": "was preempted: SLURM gave its node to another job",
    "NODE_FAIL": "lost its node, which failed",
    "BOOT_FAIL": "got a node that did not start",
    "UNKNOWN": "left SLURM's queue, and how it ended is not known",
}
MOST_LOSSES = 10
# Other ends without success.
FAILED = {"CANCELLED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
# Keys of a partition in the site file that are options of sbatch; its others are limits.
OPTIONS = {"qos": "--qos", "constraint": "--constraint"}
# Values of wildcards become parts of paths and of shell commands. `/` is for `name` alone, the path
# below `downloads/`.
SAFE = re.compile(r"[A-Za-z0-9._+-]+")
SAFE_NAME = re.compile(r"[A-Za-z0-9._/-]+")
# What Snakemake's quotes around the name of an input file do not hold.
UNQUOTABLE = re.compile(r"""['"\\\x00-\x1f\x7f]""")
# Where profiles/slurm/bin/sbatch writes what the person at Snakemake should know.
NOTICES, LAST_NOTICE = "LATERE_NOTICES", "\0"


def find_unsafe(job: JobExecutorInterface) -> str | None:
    """What a shell could misread in the command of a job, or of a group of jobs.

    Returns
    -------
    str or None
        Where, what and what to do; nothing if the command is safe.
    """
    for one in job.jobs if job.is_group() else [job]:
        for name, value in one.wildcards_dict.items():
            safe = SAFE_NAME if name == "name" else SAFE
            if not safe.fullmatch(str(value)) or ".." in str(value).split("/"):
                return (
                    f"rule {one.rule.name}, wildcard {name}: value holds characters other than "
                    "letters, digits and `._+-`. Rename what the sheet or the configuration names."
                )
    for file in map(str, job.get_wait_for_files()):
        if UNQUOTABLE.search(file):
            return f"{file!r}: name holds a quote, a backslash or a control character. Rename it."
    return None


def request_gpus(job: JobExecutorInterface, plugins=plugin.set_gres_string) -> str:
    """Options of sbatch for the GPUs of a job.

    The plugin rejects hyphens, which NVIDIA's library has in names (nvidia_a100-sxm4-80gb).
    """
    gres, model = (str(job.resources.get(name) or "") for name in ("gres", "gpu_model"))
    if "-" not in gres + model:
        return plugins(job)
    if (gres and not GRES.fullmatch(gres)) or (model and not GPU_TYPE.fullmatch(model)):
        raise WorkflowError(f"{gres or model!r} is not a name of a generic resource or GPU type.")
    number = job.resources.get("gpu")
    gpus = f" --gpus={model}:{number or 1}" if model else f" --gpus={number}" if number else ""
    return (f" --gres={gres}" if gres else "") + gpus


def list_partitions(site: Mapping) -> list[Partition]:
    """CPU partitions of a site, as the plugin has them: it picks a GPU partition for no job."""
    return [
        Partition(name, PartitionLimits(**{k: v for k, v in keys.items() if k not in OPTIONS}))
        for name, keys in site["partitions"].items()
    ]


class Executor(plugin.Executor):
    """The plugin's executor. By itself it waits for ever for a preempted or cancelled job."""

    # As `install` gets it.
    site: Mapping = {"partitions": {}, "qos": None, "constraint": None}
    # Seconds between two looks at job states; without a limit, the plugin goes up to 180.
    longest_pause: float = float("inf")
    # The thread that asks for job states starts before this is set up.
    _is_ready = False

    def __post_init__(self, *args, **kwargs) -> None:
        self._silence, self._missed = Silence(), set()
        self._answered = True
        self._states: dict[str, str] = {}
        self._active: set[str] = set()
        self._lost: set[JobExecutorInterface] = set()
        self._losses: Counter[JobExecutorInterface] = Counter()
        super().__post_init__(*args, **kwargs)
        if self._partitions is None:
            self._partitions = list_partitions(self.site)
        self._choose_command()
        self._excluded = set(self._failed_nodes)
        # Its own warning says that SLURM will resume the job, which the profile forbids.
        self._preemption_warning = True
        self._query = plugin.query_job_status
        plugin.query_job_status = self._query_states
        self._read_notices()
        self._is_ready = True

    # Ends

    def _choose_command(self) -> None:
        """Decide how job states are read, and log it."""
        if self.workflow.executor_settings.status_command == "squeue":
            self._command, why = "squeue", "sacct is missing, or --slurm-status-command says so"
        else:
            self._command, why = choose_command(self.run_uuid)
        self.logger.info(f"Job states are read with {self._command}: {why}.")
        if self._command == "squeue" and (age := get_min_job_age()):
            self.longest_pause = min(self.longest_pause, max(1, age // LOOKS))
            if age < 30:
                self.logger.warning(
                    f"SLURM forgets a finished job after {age} s (MinJobAge), so squeue may not "
                    "show how it ended, and it may run again. Ask the administrators for "
                    "accounting (sacct), or for a MinJobAge of 300."
                )
        # Else the plugin would go back to a sacct that does not answer.
        plugin.is_query_tool_available = lambda tool: tool == self._command

    def get_status_command(self) -> str:
        """The command that reads job states at this site."""
        return self._command

    async def _query_states(self, command: str, logger) -> tuple[dict | None, float | None]:
        """States by job id; an error is logged if those of jobs can not be read for minutes."""
        words = LastWords()
        states, seconds = await self._read_states(command, words)
        self._answered = states is not None
        unread = self._active - (states or {}).keys()
        if self._command == "squeue" and self._answered:
            # The queue holds every job that has not ended. Two answers, to be sure.
            states |= dict.fromkeys(unread & self._missed, "UNKNOWN")
            self._missed = unread
        if message := self._silence.note(unread - (states or {}).keys(), words.text):
            self.logger.error(message)
        if self._answered:
            self._states = states
        return states, seconds

    async def _read_states(self, command: str, logger) -> tuple[dict | None, float | None]:
        """States by job id. A job that failed and whose processes still end is COMPLETING."""
        states, seconds = await self._query(command, logger)
        if self._command == "sacct" and (states is None or self._active - states.keys()):
            # The accounting is away or late: the controller knows what is in the queue.
            queued, took = await self._query(query_job_status_squeue(self.run_uuid), logger)
            if queued is not None:
                states, seconds = queued | (states or {}), seconds or took
        if states is None:
            return None, None
        # "CANCELLED by 1000", which the plugin does not know and takes for a running job.
        states = {job: state.split()[0] for job, state in states.items() if state}
        if any(states.get(job) in FAILED | LOST.keys() for job in self._active):
            # Its next attempt would write the same files beside it.
            ask = f"squeue --noheader --states=COMPLETING --format=%i|%T --name={self.run_uuid}"
            ending, _ = await self._query(ask, logger)
            if ending is None:
                return None, None
            states |= ending
        return states, seconds

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended, and yield the others."""
        if not self._is_ready:
            return  # no job was submitted
        self._active = {job.external_jobid for job in active_jobs}
        async for job in super().check_active_jobs(active_jobs):
            # Not known to the plugin as ends.
            if self._states.get(job.external_jobid) in {"PREEMPTED", "UNKNOWN"}:
                self.report_job_error(job)
            else:
                yield job
        if not self._answered:
            # The plugin forgets them after its attempts (slurm-status-attempts).
            for job in active_jobs:
                yield job
        # Soon again where nothing is known: an error is due after minutes of silence.
        most = self.longest_pause if self._answered else SILENCE / 5
        pause = self.next_seconds_between_status_checks
        self.next_seconds_between_status_checks = min(pause, most)

    def report_job_error(self, job_info: SubmittedJobInfo, msg=None, **kwargs) -> None:
        """Say what happened to a job; one that was lost keeps its attempt."""
        job, state = job_info.job, self._states.get(job_info.external_jobid)
        if state in LOST:
            self._lost.add(job)
            self._losses[job] += 1
            # SLURM itself uses no node that is down; a cluster may have no other GPU.
            self._failed_nodes = set(self._excluded)
            msg = f"SLURM job {job_info.external_jobid} {LOST[state]} ({state}). "
            if self._losses[job] < MOST_LOSSES:
                msg += (
                    f"It is submitted again with the same resources (loss {self._losses[job]} of "
                    f"at most {MOST_LOSSES}; retries are not used up)."
                )
            else:
                msg += (
                    f"This happened {MOST_LOSSES} times to this job, and it is not submitted "
                    "again. "
                ) + (
                    "Ask the administrators for accounting (sacct), or for a longer MinJobAge."
                    if state == "UNKNOWN"
                    else "Choose a partition whose jobs keep their nodes: key `resources` of "
                    "profiles/slurm/site.yaml, slurm_partition of this rule."
                )
        super().report_job_error(job_info, msg=msg, **kwargs)

    def handle_job_error(self, job: JobExecutorInterface) -> None:
        """Set the attempt before Snakemake decides on the next one, which has the next number."""
        super().handle_job_error(job)
        if job in self._lost:
            self._lost.discard(job)
            over = self._losses[job] >= MOST_LOSSES
            job.attempt = job.restart_times + 1 if over else job.attempt - 1

    # Submission

    def run_job(self, job: JobExecutorInterface) -> None:
        """Submit a job whose command a shell can not misread."""
        if problem := find_unsafe(job):
            self._report_job_error_threadsafe(
                SubmittedJobInfo(job), f"{problem} The job is not submitted."
            )
        else:
            super().run_job(job)

    def get_partition_arg(self, job: JobExecutorInterface) -> str:
        """Options for the partition of a job, with its QOS and constraint.

        Those that a rule has come after them in the command, where the last one counts.
        """
        partition = super().get_partition_arg(job)
        name = shlex.split(partition)[-1] if partition else ""
        own = self.site["partitions"].get(name, {})
        values = {key: own.get(key) or self.site[key] for key in OPTIONS}
        options = [
            f" {OPTIONS[key]}={shlex.quote(value)}" for key, value in values.items() if value
        ]
        return partition + "".join(options)

    def _read_notices(self) -> None:
        """Log what waiting calls of sbatch write, whose own output nobody sees."""
        read, self._notices = os.pipe()
        os.environ[NOTICES] = f"/proc/{os.getpid()}/fd/{self._notices}"

        def show() -> None:
            with os.fdopen(read) as lines:
                for line in map(str.strip, lines):
                    if line == LAST_NOTICE:
                        break
                    self.logger.warning(line)

        threading.Thread(target=show, daemon=True).start()

    def cancel(self) -> None:
        """Give up submissions that wait, then cancel what was submitted."""
        self._job_submission_executor.shutdown(wait=False, cancel_futures=True)
        # The reader goes, which ends each sbatch that waits and would write to it.
        os.write(self._notices, f"{LAST_NOTICE}\n".encode())
        super().cancel()


def install(site: Mapping) -> None:
    """Let Snakemake's `--executor slurm` be this one.

    Parameters
    ----------
    site
        As `latere.cluster.site.read_site` gives it.

    Raises
    ------
    WorkflowError
        The plugin lacks what is adapted here.
    """
    adapted = ("query_job_status", "is_query_tool_available", "set_gres_string")
    if not all(hasattr(plugin, name) for name in adapted):
        raise WorkflowError(
            "snakemake-executor-plugin-slurm is another version than the one latere needs. "
            "Run `make setup`."
        )
    plugin.set_gres_string = request_gpus
    Executor.site = site
    ExecutorPluginRegistry().get_plugin("slurm").executor = Executor
