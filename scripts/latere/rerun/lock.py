"""One run of a study at a time."""

import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from latere.errors import StudyError
from latere.locks import NoLocks, open_lock, try_lock

# The lock of a study, in its folder of results.
STUDY_LOCK = ".lock"


def hold_study(results: Path, host: str) -> BinaryIO | None:
    """Hold the results of a study for this process, until it ends.

    Snakemake's own locks do not do it: a run that ends removes those of all runs in its folder.

    Parameters
    ----------
    results
        The study's folder of results; it is made.
    host
        Name of this host, for a run that finds the study locked.

    Returns
    -------
    file or None
        The lock; it is released when the file is closed. None where nothing can be written, which
        the first job reports with its reason.

    Raises
    ------
    SystemExit
        Another run holds it, or a link is in its place.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        lock = open_lock(results / STUDY_LOCK)
    except StudyError as error:
        sys.exit(str(error))
    except OSError:
        return None
    try:
        is_ours = try_lock(lock)
    except NoLocks:
        logging.warning("%s: no locks on this file system: start no second run of it", results)
        is_ours = True
    if not is_ours:
        holder = lock.read().decode(errors="replace").strip() or "another process"
        sys.exit(
            f"{results}: this study is being run already, by {holder}. Wait until that run ends, "
            "or end it; two runs would write the same files."
        )
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    with suppress(OSError):
        os.ftruncate(lock.fileno(), 0)
        about = f"process {os.getpid()} on host {host}, started {started}\n"
        os.pwrite(lock.fileno(), about.encode(), 0)
    return lock
