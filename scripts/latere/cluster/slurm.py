"""What Snakemake leaves undone on SLURM: jobs of a run that was killed, logs it does not show."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from latere.snakemake_internals import hidden_logs, logger

# A job's name: host, process and start of the Snakemake that submitted it; then the plugin's own.
NAME = re.compile(r"(?P<host>[A-Za-z0-9-]+)_(?P<process>\d+)_(?P<start>\d+)_[0-9a-f-]{36}")
# SLURM first asks a job to end (KillWait, half a minute), then a node that hangs to answer.
PATIENCE, PAUSE = 300, 2  # seconds


def host_name() -> str:
    """This host, in what a job's name may hold."""
    return re.sub("[^A-Za-z0-9-]", "-", socket.gethostname().split(".")[0])[:20]


def name_run() -> str:
    """What the jobs of this process are named by, so that a later one knows whose they are."""
    process = psutil.Process()
    return f"{host_name()}_{process.pid}_{process.create_time():.0f}"


def is_alive(name: re.Match) -> bool:
    """Whether the Snakemake of this host that a job is named by is still there."""
    try:
        process = psutil.Process(int(name["process"]))
        # Another process may have its number by now. The clock may have been set by a second.
        return abs(process.create_time() - int(name["start"])) <= 2
    except psutil.NoSuchProcess:
        return False


def queued() -> dict[str, re.Match]:
    """This user's jobs in the queue, submitted by a Snakemake in this folder: names by their id.

    Raises
    ------
    subprocess.CalledProcessError
        squeue got no answer.
    """
    command = ["squeue", "--noheader", "--format=%i|%j|%Z", f"--user={getpass.getuser()}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    jobs = (line.split("|", 2) for line in done.stdout.splitlines())
    here = os.path.realpath(".")
    named = {job: NAME.fullmatch(name) for job, name, at in jobs if os.path.realpath(at) == here}
    return {job: name for job, name in named.items() if name}


def end_earlier_jobs(submits: bool) -> None:
    """Cancel what killed runs of this folder still have in the queue, and wait until it is gone.

    A run that is killed leaves its jobs to SLURM. The next run would make their files again, and
    two jobs would write one file. The jobs of a run that is still there are left to it: which
    files it makes is under Snakemake's lock.

    Parameters
    ----------
    submits
        Whether this run uses SLURM, which then has to answer.

    Raises
    ------
    SystemExit
        It is unknown whether such jobs exist, or they don't end.
    """
    if not shutil.which("squeue"):
        return
    jobs = {}
    try:
        jobs = queued()
        if far := [job for job, name in jobs.items() if name["host"] != host_name()]:
            name = jobs[far[0]]
            sys.exit(
                f"Snakemake on {name['host']} (process {name['process']}) has SLURM jobs of this "
                f"folder: {' '.join(far)}. Wait for it, or if it is dead: scancel {' '.join(far)}"
            )
        left = [job for job, name in jobs.items() if not is_alive(name)]
        if not left:
            return
        logger.warning(f"Cancelling SLURM jobs of an earlier run: {' '.join(left)}")
        subprocess.run(["scancel", *left], check=True, capture_output=True, text=True)
        end = time.monotonic() + PATIENCE
        while not queued().keys().isdisjoint(left):
            if time.monotonic() > end:
                sys.exit(
                    f"SLURM jobs of an earlier run do not end: {' '.join(left)}. Two jobs would "
                    "write one file; start again when `squeue` no longer lists them."
                )
            time.sleep(PAUSE)
    except subprocess.CalledProcessError as error:
        # SLURM's commands may be installed where no cluster is.
        if submits or jobs:
            sys.exit(f"SLURM does not answer, start again when it does: {error.stderr.strip()}")


def show_hidden_logs(logs: list[str]) -> None:
    """Show SLURM's logs of failed jobs that Snakemake did not show.

    It shows the logs of a job up to the first that is empty or absent; that of the rule comes
    first, and is empty where the disk is full or the job was ended at once.

    Parameters
    ----------
    logs
        Snakemake's own of this run.
    """
    text = "".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    for name in hidden_logs(text):
        if Path(name).is_file():
            logger.error(
                f"Logfile {name}:\n{Path(name).read_text(encoding='utf-8', errors='replace')}"
            )
