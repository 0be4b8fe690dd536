"""How a script of a rule starts and ends: its log, its threads, its outputs, its commands."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Thread
from traceback import format_exception

from latere import outputs
from latere.disk import why_not_writable
from latere.errors import StudyError
from latere.urls import hide

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


# Seconds between two looks at whether Snakemake is there, and until a job that was asked to end
# is killed.
LOOK, PATIENCE = 0.5, 10
SHELLS = {"bash", "sh", "dash", "zsh", "ksh"}


class JobError(Exception):
    """A command of a job failed; its own output is in the rule's log."""


def run_script(main: Callable, snakemake) -> None:
    """Run a rule's script so that its outputs are complete or absent, however it ends.

    Parameters
    ----------
    main
        What the script does; it calls `start` first.
    snakemake
        The object that Snakemake gives to a script. While `main` runs, its outputs are elsewhere.
    """
    final = list(map(str, snakemake.output))
    snakemake.output = type(snakemake.output)(
        toclone=snakemake.output, custom_map=lambda path: str(outputs.place(Path(path)))
    )
    try:
        outputs.stage(final)
    except OSError as error:
        sys.exit(f"{snakemake.rule}: {error.strerror}: {error.filename}")
    caller = _chain()
    main(snakemake)
    if not _is_served(caller):
        end_job()  # the last look: the next Snakemake may be making the same files
    outputs.publish(final)


def start(snakemake) -> logging.Logger:
    """Send all output to the rule's log, hold libraries to the job's threads, check the inputs.

    From now on the job ends with the Snakemake that started it.

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

    Raises
    ------
    StudyError
        An input is not what an earlier job wrote.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = str(snakemake.threads)
    # File descriptors, not sys.stdout: compiled code and child processes write there, too.
    try:
        log = os.open(str(snakemake.log[0]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    except OSError as error:
        sys.exit(f"{snakemake.rule}: {error.strerror}: {error.filename}")
    terminal = os.dup(2)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutSecrets("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    # For the authors of libraries, whose versions are pinned here; and a hint of Lightning, on a
    # cluster where Snakemake starts the jobs.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
    # Snakemake shows no further log of a failed job, that of SLURM for one, after an empty one.
    logging.info("%s: start, threads: %d", snakemake.rule, snakemake.threads)
    sys.excepthook = partial(_explain, snakemake.rule, terminal)
    WRITES_TO[:] = _folders(snakemake)
    # So that temporary folders are removed: SLURM asks first, and so does `end_job`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))
    Thread(target=_end_with_caller, args=(_chain(),), daemon=True).start()
    outputs.verify(list(map(str, getattr(snakemake, "input", []))))
    return logging.getLogger(snakemake.rule)


def hush(*libraries: str) -> None:
    """Let libraries log warnings and errors only, and by the job's handler instead of their own.

    Below a warning they log tips, adverts and progress.

    Parameters
    ----------
    libraries
        Names of imported packages: some set their level and handlers when they are imported.
    """
    for name in [*libraries, *logging.root.manager.loggerDict]:
        if name.partition(".")[0] in libraries:
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.propagate = True
            logger.setLevel(logging.WARNING)


# The folders that the job writes to, with what to call them.
WRITES_TO: list[tuple[str, Path]] = []


def _folders(snakemake) -> list[tuple[str, Path]]:
    """Folders that a job writes to: of its log, its outputs, its temporary files."""
    files = [*snakemake.log, *getattr(snakemake, "output", [])]
    folders = dict.fromkeys(Path(file).parent for file in files)
    # As Snakemake gives it: where TMPDIR is full, `tempfile` takes another folder.
    scratch = getattr(getattr(snakemake, "resources", None), "tmpdir", tempfile.gettempdir())
    return [("", folder) for folder in folders] + [("TMPDIR, ", Path(scratch))]


def _chain() -> list[int]:
    """This process, shells above it, and the process that they serve: Snakemake."""
    chain = [os.getpid(), os.getppid()]
    with suppress(OSError):  # it has ended meanwhile, or there is no /proc here
        while (about := _status(chain[-1]))[0] in SHELLS:
            chain.append(about[1])
    return chain


def _is_served(caller: list[int]) -> bool:
    """Whether the processes of a chain are there; each knows the one above it as its parent."""
    if os.getppid() != caller[1]:
        return False
    for process, parent in pairwise(caller[1:]):
        try:
            if _status(process)[1] != parent:
                return False
        except (FileNotFoundError, ProcessLookupError):
            return False
        except OSError:  # no file can be opened now: nothing is known
            continue
    return True


def _status(process: int) -> tuple[str, int]:
    """Name and parent of a process."""
    text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])


def _descendants(process: int) -> Iterator[int]:
    """Processes that a process has started, and that these have."""
    children = []
    with suppress(OSError):  # they end while we look
        for listed in Path(f"/proc/{process}/task").glob("*/children"):
            with suppress(OSError):
                children += map(int, listed.read_text(encoding="utf-8").split())
    for child in children:
        yield child
        yield from _descendants(child)


def _end_with_caller(caller: list[int]) -> None:
    """Wait until Snakemake is gone, by `kill -9` for one, and end this job.

    By looking again and again: `PR_SET_PDEATHSIG` follows the thread that started us, not its
    process, and `pidfd_open` needs Linux 5.3.
    """
    while _is_served(caller):
        time.sleep(LOOK)
    end_job()


def end_job() -> None:
    """End this job with all that it started, so that it writes no output any more."""
    logging.error("Snakemake has ended, so this job ends, too")
    for process in list(_descendants(os.getpid())):
        with suppress(OSError):
            os.kill(process, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(PATIENCE)
    os.kill(os.getpid(), signal.SIGKILL)


class _WithoutSecrets(logging.Formatter):
    """Lines of a log without passwords and signatures of URLs, tracebacks included."""

    def format(self, record):
        return hide(super().format(record))


def _explain(rule, terminal, kind, error, traceback):
    """Report an expected error in a sentence; show the traceback of any other.

    The reason also goes to where the job's errors went at first: the log may be on the disk that
    is full. The message of a tool is then missing, so the reason is found again.
    """
    expected = isinstance(error, (StudyError, JobError))
    reason, full = str(error) if expected else f"{kind.__name__}: {error}", why_full()
    reasons = [reason] if full in reason else [reason, full]
    os.write(terminal, hide(f"{rule}: {' '.join(reasons)}\n").encode())
    if expected:
        logging.error("%s", error)
    else:
        logging.error("%s", "".join(format_exception(kind, error, traceback)))


def why_full() -> str:
    """Why a folder of the job cannot be written to; empty if all of them can."""
    reasons = (why_not_writable(folder, name) for name, folder in WRITES_TO)
    return next(filter(None, reasons), "")


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
        The program is missing or its exit status is not 0.
    """
    words = [str(word) for word in command]
    logging.info("$ %s", " ".join(words))
    try:
        return subprocess.run(words, check=True, **options)
    except FileNotFoundError:
        raise JobError(f"{words[0]} is not installed or not on the PATH.") from None
    except subprocess.CalledProcessError as error:
        # Before the job's temporary files go, which may be what fills the disk.
        reasons = [f"{words[0]} ended with status {error.returncode}.", why_full()]
        raise JobError(" ".join(filter(None, reasons))) from None
