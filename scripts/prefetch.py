"""Download one SRA archive: resumed where it stopped, checked, and whole or not there."""

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
# Seconds between two lines on how much is loaded, and until a download that stands still is ended.
# The check of a whole archive stands still too: 30 minutes read 25 GB at 14 MB/s.
TELL = 60
STALL = 1800
# Bytes after which prefetch notes how far it is; by itself every 5 minutes only.
COMMIT = 2**26
# Lines in which prefetch complains: those with a level, else those that tell of a failure.
COMPLAINTS = (r"prefetch\S* (?:err|int|sys|fatal): (.+)", r"prefetch\S*: (.*(?:fail|not match).*)")


def fetch(accession: str, archive: Path, log, pause: float = PAUSE) -> None:
    """Download an archive unless it is there; others that want it at the same time wait.

    Parameters
    ----------
    accession
        Accession of the run.
    archive
        Where the archive is to lie. What is loaded so far lies beside it, in a folder `*.part`.
    log
        Logger of the job.
    pause
        Seconds before the second attempt.

    Raises
    ------
    StudyError
        It cannot be downloaded, or is damaged.
    """
    with exclusive(archive):
        if archive.is_file():
            log.info("%s: %s is there", accession, archive)
            return
        part = archive.with_suffix(".part")
        part.mkdir(exist_ok=True)
        whole = part / archive.name
        # prefetch looks at its size alone, so what another process left whole counts for nothing.
        if whole.exists():
            shutil.rmtree(part)
            part.mkdir()
        load(accession, whole, log, pause)
        validate(accession, whole)
        whole.replace(archive)
        shutil.rmtree(part)
    log.info("%s: %s bytes, whole", accession, f"{archive.stat().st_size:,}")


def load(accession: str, whole: Path, log, pause: float) -> None:
    """Call prefetch until it has the whole archive, of the size and MD5 that the SRA tells.

    Raises
    ------
    StudyError
        The disk is full, the archive is another than the SRA tells, or `ATTEMPTS` in a row brought
        no further byte.
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
            raise damaged(accession, told)
        full = why_not_writable(whole.parent)
        size = loaded(whole.parent)
        failures = 1 if size > most else failures + 1
        most = max(most, size)
        log.warning("%s: %s bytes loaded, then: %s", accession, f"{size:,}", told)
        if full:
            raise StudyError(accession, f"cannot be downloaded: {full}", "Make room; run again.")
        if failures == ATTEMPTS:
            raise StudyError(
                accession,
                f"cannot be downloaded: {told}",
                "Check the accession and the network, then run again: it goes on from the "
                f"{size / 1e9:.1f} GB in {whole.parent}.",
            )
        time.sleep(pause * 2 ** (failures - 1))


def attempt(accession: str, whole: Path, log) -> str:
    """Call prefetch once.

    Returns
    -------
    str
        What it says of it if it failed, else nothing.

    Raises
    ------
    JobError
        It is not installed.
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
        return f"it stood still for {STALL / 60:.0f} minutes"
    return complaint(words) or f"status {process.returncode}" if process.returncode else ""


def complaint(words: list[str]) -> str:
    """The last two lines in which prefetch says what went wrong, without their time."""
    for pattern in COMPLAINTS:
        if found := re.findall(pattern, "\n".join(words)):
            return "; ".join(list(dict.fromkeys(found))[-2:])
    return ""


def relay(lines, words: list, log) -> None:
    """Put what a program says into the log, and keep it."""
    for line in filter(str.strip, lines):
        log.info("%s", line.strip())
        words.append(line.strip())


def watch(process: subprocess.Popen, folder: Path, log) -> bool:
    """Tell now and then how much is in a folder, until a process ends or stands still.

    Returns
    -------
    bool
        Whether it stands still.
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
    """Check the checksums inside an archive; remove it if it is damaged.

    Raises
    ------
    StudyError
        It is damaged.
    """
    try:
        run(["vdb-validate", whole])
    except JobError as error:
        shutil.rmtree(whole.parent)
        raise damaged(accession, str(error)) from None


def damaged(accession: str, told: str) -> StudyError:
    return StudyError(
        accession,
        f"came damaged, and what was loaded is removed: {told}",
        "Run again, which downloads it anew.",
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
