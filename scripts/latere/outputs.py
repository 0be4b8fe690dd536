"""Outputs of a job: complete or absent, and unchanged when the next job reads them.

A job writes beside its outputs and renames them when its script has ended without an error. With
each output there is a record of its size and checksum, which each job that reads it compares first.
"""

import hashlib
import json
import os
import shutil
from pathlib import Path

from latere.errors import StudyError

# Hidden folders beside the outputs: those that are being made, and the records of the finished.
# The first stays when it is empty: another job may be about to write there.
MAKING, RECORDS = ".making", ".records"
# Greatest file whose content is compared too, in bytes; of a larger one (reads, an index) the size.
# sha256 reads 1.5 GB/s with the instructions of today's processors.
MOST = 2**28


def place(path: Path) -> Path:
    """Where an output is while it is made: under its own name, in a folder beside it."""
    return path.parent / MAKING / path.name


def stage(paths: list[str]) -> None:
    """Prepare the folders for the outputs of a job; leftovers of an ended job are removed.

    Parameters
    ----------
    paths
        The outputs of the job, by their final names.
    """
    for path in map(place, map(Path, paths)):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(path)


def publish(paths: list[str]) -> None:
    """Give finished outputs their final names, and record their contents.

    Parameters
    ----------
    paths
        The outputs of the job, by their final names.
    """
    for path in map(Path, paths):
        made = place(path)
        if not os.path.lexists(made):
            continue  # Snakemake reports an output that a script did not write.
        record = _record(path)
        # Never beside another content than its own.
        record.unlink(missing_ok=True)
        if made.is_dir() and not made.is_symlink():
            _remove(path)
        made.replace(path)
        _write_record(path, record)


def verify(paths: list[str]) -> None:
    """Compare files with the records of what was written.

    Parameters
    ----------
    paths
        Inputs of a job; those without a record (a user's own files) are not looked at.

    Raises
    ------
    StudyError
        A file is missing, cut off or changed since it was made.
    """
    for path in map(Path, paths):
        record = _record(path)
        try:
            content = json.loads(record.read_text("utf-8"))
        except OSError:
            continue
        except ValueError:
            fix = f"Remove the record and {path}, then run again: both are made again."
            raise StudyError(
                str(record),
                "is damaged: it is not a record of an output",
                fix,
                code="damaged-record",
            ) from None
        for name, (size, digest) in content.items():
            _compare(path, path / name, size, digest)


def _compare(path: Path, file: Path, size: int, digest: str | None) -> None:
    """Compare one file of an output with its record."""
    fix = f"It was cut off or changed after it was written. Remove {path} and run again."
    try:
        # Of an open file: NFS may know the size of an older one by its name.
        with open(file, "rb") as opened:
            found = os.fstat(opened.fileno()).st_size
    except OSError as error:
        problem = f"cannot be read ({error.strerror}); it was written by an earlier job"
        raise StudyError(str(file), problem, fix, code="unreadable-output") from None
    if found != size:
        raise StudyError(
            str(file),
            f"has {found:,} bytes, but {size:,} bytes were written",
            fix,
            code="changed-output",
        )
    if digest and _digest(file) != digest:
        raise StudyError(str(file), "was changed: its checksum differs", fix, code="changed-output")


def _record(path: Path) -> Path:
    """Where the record of an output is."""
    return path.parent / RECORDS / f"{path.name}.json"


def _write_record(path: Path, record: Path) -> None:
    """Record size and checksum of each file of an output."""
    if path.is_symlink():
        return  # a file that studies share: any of them may make it again
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
    content = {
        str(file.relative_to(path)): (
            file.stat().st_size,
            _digest(file) if file.stat().st_size <= MOST else None,
        )
        for file in files
    }
    record.parent.mkdir(exist_ok=True)
    fresh = record.with_suffix(".part")
    fresh.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    fresh.replace(record)


def _digest(file: Path) -> str:
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
