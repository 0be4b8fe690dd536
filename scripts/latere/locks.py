"""Locks that end with the process that holds them, by `flock`.

On NFS Linux turns them into locks of the server, unless it is mounted with `local_lock` (flock(2),
nfs(5)).
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from latere.errors import StudyError


class NoLocks(Exception):
    """The file system has no locks."""


def open_lock(path: Path) -> BinaryIO:
    """Open a file to lock it; it is made if it is not there, and what it holds stays.

    Raises
    ------
    StudyError
        The path is a link, by which another user could choose the file that we write.
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
        problem = "is a symbolic link, but a lock file must be a regular file"
        raise StudyError(str(path), problem, "Remove the link.", code="symbolic-link") from None
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
