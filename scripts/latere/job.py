"""How a script of a rule starts: its log, its threads, the commands it runs."""

import logging
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from latere.errors import StudyError

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)


class JobError(Exception):
    """A command of a job failed; its own words are in the rule's log."""


def start(snakemake) -> logging.Logger:
    """Send all output to the rule's log and hold libraries to the job's threads.

    Call it before numpy, numba or torch are imported: they read their number of
    threads once, when they are loaded.

    Parameters
    ----------
    snakemake
        The object that Snakemake gives to a script.

    Returns
    -------
    logging.Logger
        The logger of the job.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(snakemake.threads)
    # File descriptors, not sys.stdout: what compiled code and child processes say counts too.
    try:
        log = os.open(str(snakemake.log[0]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError as error:
        sys.exit(f"{snakemake.rule}: {error.strerror}: {error.filename}")
    terminal = os.dup(2)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.captureWarnings(True)
    # Snakemake shows no further log of a failed job, that of SLURM for one, after an empty one.
    logging.info("%s: start, threads: %d", snakemake.rule, snakemake.threads)
    sys.excepthook = partial(_explain, snakemake.rule, Path(snakemake.log[0]).parent, terminal)
    return logging.getLogger(snakemake.rule)


def _explain(rule, folder, terminal, kind, error, traceback):
    """Tell an expected error in a sentence; show the traceback of any other.

    The reason goes to where the job's errors went at first, too: the log may lie on the disk that
    is full. What a tool said of it is then lost, so it is found out anew.
    """
    expected = isinstance(error, (StudyError, JobError))
    reasons = [str(error) if expected else f"{kind.__name__}: {error}", why_not_writable(folder)]
    os.write(terminal, f"{rule}: {' '.join(filter(None, reasons))}\n".encode())
    if expected:
        logging.error("%s", error)
    else:
        sys.__excepthook__(kind, error, traceback)


def why_not_writable(folder):
    """Why a folder takes no further megabyte: full, over quota, read-only; empty if it does."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**20))
            probe.flush()
    except OSError as error:
        return f"Nothing can be written to {folder}: {error.strerror}."
    return ""


def run(command: list, **options) -> subprocess.CompletedProcess:
    """Run a command; its output goes where the job's output goes.

    Parameters
    ----------
    command
        Program and arguments.
    options
        Passed to `subprocess.run`.

    Raises
    ------
    JobError
        The program is missing or ended with another status than 0.
    """
    words = [str(word) for word in command]
    logging.info("$ %s", " ".join(words))
    try:
        return subprocess.run(words, check=True, **options)
    except FileNotFoundError:
        raise JobError(f"{words[0]} is not installed or not on the PATH.") from None
    except subprocess.CalledProcessError as error:
        raise JobError(f"{words[0]} ended with status {error.returncode}.") from None
