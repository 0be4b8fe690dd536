"""Files that several studies share: one job at a time makes each, and every study links to them.

Snakemake knows the links only: it removes what it calls an output before a job and after one that
failed, while another study may be reading it.
"""

import errno
import fcntl
import logging
import os
from contextlib import contextmanager
from pathlib import Path

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def exclusive(path: Path):
    """Hold a shared file or folder for one job; others wait.

    The lock ends with the process, and with its children that were started with `close_fds=False`.
    On NFS Linux turns it into a lock of the server, unless it is mounted with `local_lock`
    (flock(2), nfs(5)).

    Parameters
    ----------
    path
        What is to be made; its folder is made too. The lock is a hidden file beside it.

    Yields
    ------
    bool
        Whether it is held: some file systems have no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        held = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logging.info("%s: another job makes it; waiting", path)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            logging.warning("%s: no locks on this file system", path)
            held = False
        os.set_inheritable(lock.fileno(), True)
        yield held


def link(shared: Path, path: Path) -> None:
    """Give a study a shared file: a hard link, which stays and moves with its results; a symbolic
    one where the file system does not let it be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(shared, path)
    except OSError:
        path.symlink_to(shared.resolve())
