"""What Snakemake leaves undone on SLURM: jobs of a run that was killed, logs it does not show."""

import getpass
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from snakemake.logging import logger

# The name of a run's jobs, as the plugin tells it.
RUN_ID = re.compile(r"^SLURM run ID: (\S+)$", re.MULTILINE)
# SLURM's log of a job that failed, as Snakemake names it.
FAILED_LOG = re.compile(r"(/[^,\n]*/slurm_logs/[^,\n]*\.log) \(check log")
# SLURM first asks a job to end (KillWait, half a minute), then a node that hangs to answer.
PATIENCE, PAUSE = 300, 2  # seconds


def earlier_runs(logs: Path, results: str) -> set[str]:
    """Names of SLURM jobs that earlier runs of a study gave them.

    Parameters
    ----------
    logs
        Folder of Snakemake's own logs.
    results
        Folder of the study's results, as rules name it. Another study in the same folder may be
        running right now; one of this study can't be, for Snakemake's lock.

    Returns
    -------
    set of str
        One a run.
    """
    texts = (log.read_text(errors="replace") for log in logs.glob("*.log"))
    return {name for text in texts if f"{results}/" in text for name in RUN_ID.findall(text)}


def queued(names: set[str]) -> list[str]:
    """Ids of this user's jobs of these names that wait, run or are just ending.

    Raises
    ------
    subprocess.CalledProcessError
        squeue got no answer.
    """
    command = ["squeue", "--noheader", "--format=%i|%j", f"--user={getpass.getuser()}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    jobs = (line.split("|", 1) for line in done.stdout.splitlines())
    return [job for job, name in jobs if name in names]


def end_earlier_jobs(results: str, logs: Path = Path(".snakemake/log")) -> None:
    """Cancel what earlier runs of a study still have in the queue, and wait until it is gone.

    A run that is killed leaves its jobs to SLURM. The next run would submit them again, and two
    jobs would write one file.

    Parameters
    ----------
    results
        Folder of the study's results, as rules name it.
    logs
        Folder of Snakemake's own logs.

    Raises
    ------
    SystemExit
        It can't be told whether such jobs are there, or they don't end.
    """
    names = earlier_runs(logs, results)
    if not names or not shutil.which("squeue"):
        return
    try:
        jobs = queued(names)
        if not jobs:
            return
        logger.warning(f"Cancelling SLURM jobs of an earlier run: {' '.join(jobs)}")
        subprocess.run(["scancel", *jobs], check=True, capture_output=True, text=True)
        end = time.monotonic() + PATIENCE
        while jobs := queued(names):
            if time.monotonic() > end:
                sys.exit(
                    f"SLURM jobs of an earlier run do not end: {' '.join(jobs)}. Two jobs would "
                    "write one file; start again when `squeue` no longer lists them."
                )
            time.sleep(PAUSE)
    except subprocess.CalledProcessError as error:
        sys.exit(
            "An earlier run of this study used SLURM, and whether its jobs still run can't be "
            f"told: {error.stderr.strip()}\nStart again when SLURM answers. If that cluster is "
            f"gone, remove its logs: grep -l 'SLURM run ID' {logs}/*.log"
        )


def show_hidden_logs(logs: list[str]) -> None:
    """Show SLURM's logs of failed jobs that Snakemake did not show.

    It shows the logs of a job up to the first that is empty or absent; that of the rule comes
    first, and is empty where the disk is full or the job was ended at once.

    Parameters
    ----------
    logs
        Snakemake's own of this run.
    """
    text = "".join(Path(log).read_text(errors="replace") for log in logs)
    for name in dict.fromkeys(FAILED_LOG.findall(text)):
        if f"Logfile {name}:" not in text and Path(name).is_file():
            logger.error(f"Logfile {name}:\n{Path(name).read_text(errors='replace')}")
