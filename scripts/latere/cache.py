"""Files that several studies share: one job at a time makes each, and every study links to them.

Snakemake knows the links only: it removes what it calls an output before a job and after one that
failed, while another study may be reading it.
"""

import fcntl
import glob
import logging
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.locks import NoLocks, open_lock, try_lock


@contextmanager
def exclusive(path: Path):
    """Hold a shared file or folder for one job until it is made; others wait.

    A file that exists is complete, and its folder may not be writable: so it needs no lock.
    The lock ends with the process, and with its children that were started with `close_fds=False`.

    Parameters
    ----------
    path
        What is to be made; its folder is made too. The lock is a hidden file beside it. What jobs
        that were killed left in a `workshop` of it is removed.
    """
    if path.exists():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_lock(path.with_name(f".{path.name}.lock")) as lock:
        try:
            if not try_lock(lock):
                logging.info("%s: another job is making it; waiting", path)
                fcntl.flock(lock, fcntl.LOCK_EX)
        except NoLocks:
            # Another job may be at work in its own workshop.
            logging.warning("%s: this file system has no locks", path)
            yield
            return
        os.set_inheritable(lock.fileno(), True)
        for left in path.parent.glob(f"{glob.escape(path.name)}.part-*"):
            shutil.rmtree(left)
        yield


def workshop(path: Path) -> TemporaryDirectory:
    """A folder beside a shared file to make it in: one of its own for each job, as file systems
    without locks let two at it."""
    return TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.part-")


def point(path: Path, target: Path) -> None:
    """Give a study a shared file by a symbolic link, made in one step: a download that outlived its
    Snakemake may do the same.

    Not by a hard link: Snakemake sets the time of each new output, so that the file of one study
    would become newer than what another made of it; and a copy of the results would hold it.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    # Absolute: the folder of results may be a link itself.
    fresh.symlink_to(target.absolute())
    fresh.replace(path)


def link(shared: Path, path: Path) -> None:
    """Give a study a file of a shared folder: a hard link, which stays and moves with its results;
    a symbolic one where the file system does not let it be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        os.link(shared, path)
    except OSError:
        path.symlink_to(shared.resolve())
