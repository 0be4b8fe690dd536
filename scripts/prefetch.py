"""Download one SRA archive: resume where an earlier download stopped, and keep it only if it is
complete."""

import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

from latere.cache import exclusive, point
from latere.disk import why_not_writable
from latere.errors import StudyError
from latere.job import JobError, run, run_script, start

# Attempts in a row that bring no further byte, and seconds before the second; doubled each time.
ATTEMPTS = 6
PAUSE = 10
# Seconds between two lines on the progress, and until a download without progress is ended. The
# check of a whole archive shows no progress either: 30 minutes read 25 GB at 14 MB/s.
TELL = 60
STALL = 1800
# Bytes after which prefetch records its progress; by default every 5 minutes only.
COMMIT = 2**26
# Lines in which prefetch reports errors: those with a level, else those that name a failure.
COMPLAINTS = (r"prefetch\S* (?:err|int|sys|fatal): (.+)", r"prefetch\S*: (.*(?:fail|not match).*)")


def fetch(accession: str, archive: Path, log, pause: float = PAUSE) -> None:
    """Download an archive unless it is there; others that want it at the same time wait.

    Parameters
    ----------
    accession
        Accession of the run.
    archive
        Where the archive goes. A partial download lies beside it, in a folder `*.part`.
    log
        Logger of the job.
    pause
        Seconds before the second attempt.

    Raises
    ------
    StudyError
        It cannot be downloaded, or is corrupt.
    """
    with exclusive(archive):
        if archive.is_file():
            log.info("%s: %s exists and is used", accession, archive)
            return
        part = archive.with_suffix(".part")
        part.mkdir(exist_ok=True)
        whole = part / archive.name
        # prefetch checks only its size, so a file that another process left is not trusted.
        if whole.exists():
            shutil.rmtree(part)
            part.mkdir()
        load(accession, whole, log, pause)
        validate(accession, whole)
        whole.replace(archive)
        shutil.rmtree(part)
    log.info("%s: %s bytes, verified", accession, f"{archive.stat().st_size:,}")


def load(accession: str, whole: Path, log, pause: float) -> None:
    """Call prefetch until it has the complete archive, with the size and MD5 that the SRA lists.

    Raises
    ------
    StudyError
        The disk is full, the archive does not match the SRA's size or MD5, or `ATTEMPTS` in a row
        made no progress.
    """
    most, failures = loaded(whole.parent), 0
    while True:
        # Of a prefetch that was killed; the lock is ours.
        Path(f"{whole}.lock").unlink(missing_ok=True)
        told = attempt(accession, whole, log)
        if not told:
            return
        if whole.exists():
            shutil.rmtree(whole.parent)
            raise corrupt(accession, told)
        full = why_not_writable(whole.parent)
        size = loaded(whole.parent)
        failures = 1 if size > most else failures + 1
        most = max(most, size)
        log.warning("%s: %s bytes downloaded, then: %s", accession, f"{size:,}", told)
        if full:
            raise StudyError(
                accession,
                f"cannot be downloaded: {full}",
                "Free space, then run again.",
                code="no-space",
            )
        if failures == ATTEMPTS:
            raise StudyError(
                accession,
                f"cannot be downloaded: {told}",
                "Check the accession and the network, then run again: the download resumes after "
                f"the {size / 1e9:.1f} GB in {whole.parent}.",
                code="download-failed",
            )
        time.sleep(pause * 2 ** (failures - 1))


def attempt(accession: str, whole: Path, log) -> str:
    """Call prefetch once.

    Returns
    -------
    str
        The error if it failed, else empty.

    Raises
    ------
    JobError
        prefetch is not installed.
    """
    command = ["prefetch", "--max-size", "u", "--resume", "yes", "--output-file", whole, accession]
    log.info("$ %s", " ".join(map(str, command)))
    try:
        process = subprocess.Popen(
            command,
            env={**os.environ, "NCBI_VDB_PREFETCH_COMMIT_SZ": str(COMMIT)},
            # While it lives the archive is locked, even if we are killed.
            close_fds=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise JobError("prefetch is not installed or not on the PATH.") from None
    words = []
    listener = Thread(target=relay, args=(process.stdout, words, log), daemon=True)
    listener.start()
    try:
        stalled = watch(process, whole.parent, log)
    finally:
        process.kill()
    listener.join()
    if stalled:
        return f"no progress for {STALL / 60:.0f} minutes"
    return complaint(words) or f"status {process.returncode}" if process.returncode else ""


def complaint(words: list[str]) -> str:
    """The last two error lines of prefetch, without their time."""
    for pattern in COMPLAINTS:
        if found := re.findall(pattern, "\n".join(words)):
            return "; ".join(list(dict.fromkeys(found))[-2:])
    return ""


def relay(lines, words: list, log) -> None:
    """Copy the output of a program into the log and into a list."""
    for line in filter(str.strip, lines):
        log.info("%s", line.strip())
        words.append(line.strip())


def watch(process: subprocess.Popen, folder: Path, log) -> bool:
    """Log the progress in a folder until a process ends or makes no more progress.

    Returns
    -------
    bool
        Whether it stopped making progress.
    """
    size, changed = loaded(folder), time.monotonic()
    while True:
        try:
            process.wait(TELL)
            return False
        except subprocess.TimeoutExpired:
            before, size = size, loaded(folder)
        log.info("%s MB so far, %.1f MB/s", f"{size / 1e6:,.0f}", (size - before) / 1e6 / TELL)
        if size != before:
            changed = time.monotonic()
        elif time.monotonic() - changed > STALL:
            return True


def loaded(folder: Path) -> int:
    """Bytes in the files of a folder."""
    size = 0
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # renamed meanwhile
            size += file.stat().st_size
    return size


def validate(accession: str, whole: Path) -> None:
    """Check the checksums inside an archive; delete it if it is corrupt.

    Raises
    ------
    StudyError
        It is corrupt.
    """
    try:
        run(["vdb-validate", whole])
    except JobError as error:
        shutil.rmtree(whole.parent)
        raise corrupt(accession, str(error)) from None


def corrupt(accession: str, told: str) -> StudyError:
    return StudyError(
        accession,
        f"the download is corrupt and was deleted: {told}",
        "Run again to repeat the download.",
        code="corrupt-download",
    )


def main(snakemake):
    log = start(snakemake)
    accession, output = snakemake.wildcards.accession, Path(snakemake.output[0])
    config = snakemake.config
    shared = Path(config["resources"], "sra", f"{accession}.sra")
    if config["reads"]["keep_archives"] or shared.is_file():
        fetch(accession, shared, log)
        point(output, shared)
    else:
        fetch(accession, output, log)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
