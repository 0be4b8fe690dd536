"""States of SLURM jobs: the command that reads them at this site, and what is said if none does."""

import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Set

from snakemake_executor_plugin_slurm.job_status_query import query_job_status_sacct

# Seconds: for sacct's first answer; without a state until an error is logged, and between two.
FIRST_ANSWER, SILENCE = 30, 300
# How often squeue is asked within the time for which SLURM remembers a finished job (MinJobAge).
LOOKS = 3


def choose_command(run: str) -> tuple[str, str]:
    """The command that reads job states at this site.

    Parameters
    ----------
    run
        Name of the jobs of this run.

    Returns
    -------
    str, str
        `sacct`, or `squeue` where the cluster keeps no accounting or does not answer from it; and
        the reason.
    """
    if not shutil.which("sacct"):
        return "squeue", "sacct is not on the PATH"
    try:
        done = _call("scontrol", "show", "config")
        storage = re.search(r"^AccountingStorageType\s*=\s*(\S+)", done.stdout, re.MULTILINE)
        if storage and (storage[1] == "(null)" or storage[1].endswith("/none")):
            return "squeue", f"the cluster keeps no accounting (AccountingStorageType={storage[1]})"
    except (OSError, subprocess.TimeoutExpired):
        pass  # What sacct answers decides.
    try:
        # The question that will be asked, as a site may refuse a part of it.
        done = _call(*shlex.split(query_job_status_sacct(run)))
    except OSError as error:
        return "squeue", f"sacct cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        return "squeue", f"sacct gave no answer within {FIRST_ANSWER} s"
    if done.returncode:
        return "squeue", f"sacct fails: {done.stderr.strip() or f'exit code {done.returncode}'}"
    return "sacct", "sacct answers"


def _call(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=FIRST_ANSWER
    )


class LastWords:
    """Takes the place of the plugin's logger and keeps why a command failed."""

    def __init__(self):
        self.text = ""

    def debug(self, text: str) -> None:
        """Keep a message."""
        self.text = text.strip()


class Silence:
    """How long jobs have been without a state."""

    def __init__(self):
        self._since: dict[str, float] = {}
        self._said = -float("inf")

    def note(self, unread: Set[str], reason: str = "") -> str:
        """Record which jobs have no state now.

        Parameters
        ----------
        unread
            Ids of the jobs.
        reason
            What SLURM's command said, if it failed.

        Returns
        -------
        str
            An error message, at most every `SILENCE` seconds; empty if nothing needs to be said.
        """
        now = time.monotonic()
        self._since = {job: self._since.get(job, now) for job in unread}
        long = sorted(job for job, since in self._since.items() if now - since >= SILENCE)
        if not long or now - self._said < SILENCE:
            return ""
        self._said = now
        minutes = int((now - min(self._since[job] for job in long)) / 60)
        shown = " ".join(long[:10]) + (f" and {len(long) - 10} more" if len(long) > 10 else "")
        return (
            f"The state of SLURM jobs could not be read for {minutes} minutes: {shown}. "
            f"{reason or 'Neither sacct nor squeue lists them.'} The jobs go on, and Snakemake "
            f"keeps asking. Try `sacct --jobs={long[0]}` and `squeue --jobs={long[0]}`. If only "
            "sacct fails, stop Snakemake with Ctrl-C and start it again: it then uses squeue. If "
            "both fail, ask the administrators of the cluster."
        )
