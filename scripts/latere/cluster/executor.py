"""Snakemake's SLURM executor, adapted: jobs that lost their node, submissions that wait.

The profile installs it in place of the plugin's own. Snakemake runs everything else as it is.
"""

import os
import re
import threading
from collections import Counter
from collections.abc import AsyncGenerator

import snakemake_executor_plugin_slurm as plugin
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

# The job did nothing wrong. The next attempt asks for the same and is not counted as a retry.
LOST = {
    "PREEMPTED": "was preempted: SLURM gave its node to another job",
    "NODE_FAIL": "lost its node, which failed",
    "BOOT_FAIL": "got a node that did not start",
}
MOST_LOSSES = 10
# Other ends without success.
FAILED = {"CANCELLED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
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


class Executor(plugin.Executor):
    """The plugin's executor. By itself it waits for ever for a preempted or cancelled job."""

    def __post_init__(self, *args, **kwargs) -> None:
        super().__post_init__(*args, **kwargs)
        self._states: dict[str, str] = {}
        self._active: set[str] = set()
        self._lost: set[JobExecutorInterface] = set()
        self._losses: Counter[JobExecutorInterface] = Counter()
        self._excluded = set(self._failed_nodes)
        # Its own warning says that SLURM will resume the job, which the profile forbids.
        self._preemption_warning = True
        self._query = plugin.query_job_status
        plugin.query_job_status = self._query_states
        self._read_notices()

    # Ends

    async def _query_states(self, command: str, logger) -> tuple[dict | None, float | None]:
        """States by job id. A job that failed and whose processes still end is COMPLETING."""
        states, seconds = await self._query(command, logger)
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
        self._states = states
        return states, seconds

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Report the jobs that have ended, and yield the others."""
        self._active = {job.external_jobid for job in active_jobs}
        async for job in super().check_active_jobs(active_jobs):
            if self._states.get(job.external_jobid) == "PREEMPTED":
                self.report_job_error(job)
            else:
                yield job

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
                    "again. Choose a partition whose jobs keep their nodes: key `resources` of "
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


def install() -> None:
    """Let Snakemake's `--executor slurm` be this one.

    Raises
    ------
    WorkflowError
        The plugin lacks what is adapted here.
    """
    if not hasattr(plugin, "query_job_status"):
        raise WorkflowError(
            "snakemake-executor-plugin-slurm is another version than the one latere needs. "
            "Run `make setup`."
        )
    ExecutorPluginRegistry().get_plugin("slurm").executor = Executor
