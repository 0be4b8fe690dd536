"""Locks that end with the process that holds them, by `flock`.

On NFS Linux turns them into locks of the server, unless it is mounted with `local_lock` (flock(2),
nfs(5)).
"""

import errno
import fcntl
import logging
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from latere.errors import StudyError

# The lock of a study, in its folder of results.
STUDY_LOCK = ".lock"


class NoLocks(Exception):
    """The file system has no locks."""


def open_lock(path: Path) -> BinaryIO:
    """Open a file to lock it; it is made if it is not there, and what it holds stays.

    Raises
    ------
    StudyError
        A link lies in its place, which would let another user choose the file that we write.
    """
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o666)
        except PermissionError:
            # Of another user; to lock it, it is enough to read it.
            lock = os.open(path, os.O_RDONLY | flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        problem = "is a symbolic link, and a lock file may not be one"
        raise StudyError(str(path), problem, "Remove the link.") from None
    return os.fdopen(lock, "rb", buffering=0)


def try_lock(lock: BinaryIO) -> bool:
    """Take a lock unless another process holds it.

    Returns
    -------
    bool
        Whether it is ours.

    Raises
    ------
    NoLocks
        The file system has none.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # NFS locks no file that was opened to be read (EBADF).
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF):
            raise NoLocks from None
        raise
    return True


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
        Another run holds it, or a link lies in its place.
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
