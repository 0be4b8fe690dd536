"""Whether a folder can be written to, and a message if it cannot."""

import errno
import sys
import tempfile
from pathlib import Path

# Errors of a disk without room: the last is a quota that is used up.
FULL = {errno.ENOSPC, errno.EDQUOT}
FULL_DISK = "The disk is full. "


def why_not_writable(folder: Path, name: str = "") -> str:
    """Why another megabyte cannot be written to a folder: full, over quota, read-only; else empty.

    Parameters
    ----------
    folder
        The folder.
    name
        What to call it in front of its path, with a comma.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(2**20))
            probe.flush()
    except OSError as error:
        full = FULL_DISK if error.errno in FULL else ""
        return f"{full}Nothing can be written to {name}{folder}: {error.strerror}."
    return ""


def report_full(folders: list[Path]) -> None:
    """Report at the end of a run which of its folders is full.

    Where Snakemake cannot write its own records, its last line asks for write permissions.
    """
    reasons = (why_not_writable(folder) for folder in folders if folder.is_dir())
    if reason := next((reason for reason in reasons if reason.startswith(FULL_DISK)), ""):
        print(f"{reason} Free space there, then run the same command again.", file=sys.stderr)
