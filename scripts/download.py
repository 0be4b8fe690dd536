"""Fetch one file that the configuration names by URL or by release, and hold it against the
publisher's checksum; nothing else in latere uses the network but `prefetch`."""

import hashlib
import http.client
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from latere.cache import exclusive, point, workshop
from latere.errors import StudyError
from latere.job import run_script, start

ATTEMPTS = 4
TIMEOUT = 60
PAUSE = 10


def fetch(url: str, path: Path) -> int:
    """Write the content of a URL to a file.

    Returns
    -------
    int
        Size in bytes.

    Raises
    ------
    OSError
        No answer, or the connection ended before the announced size was reached.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        announced = answer.headers.get("Content-Length")
        shutil.copyfileobj(answer, file, 1 << 20)
        size = file.tell()
    if size == 0 or (announced and size != int(announced)):
        raise OSError(f"{size:,} bytes came of {announced or 'an unknown number'}")
    return size


def published(listing: str, name: str) -> tuple[str, str] | None:
    """What a publisher's list of checksums says of a file.

    Parameters
    ----------
    listing
        Lines of `md5sum` (GENCODE's MD5SUMS) or of BSD's `sum` (Ensembl's CHECKSUMS: checksum,
        blocks of 1,024 bytes, name).
    name
        The file.

    Returns
    -------
    tuple or None
        Kind, `md5` or `sum`, and value; None if the list does not name the file.
    """
    for line in listing.splitlines():
        words = line.split()
        if not words or words[-1].lstrip("*").removeprefix("./") != name:
            continue
        if len(words) == 2 and re.fullmatch("[0-9a-fA-F]{32}", words[0]):
            return "md5", words[0].lower()
        if len(words) == 3 and words[0].isdecimal() and words[1].isdecimal():
            return "sum", f"{int(words[0])} {int(words[1])}"
    return None


def checksum(path: Path, kind: str) -> str:
    """Checksum of a file, in the form that `published` gives."""
    if kind == "md5":
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    with open(path, "rb") as file:
        done = subprocess.run(["sum", "-r"], stdin=file, capture_output=True, check=True)
    return " ".join(str(int(word)) for word in done.stdout.split()[:2])


def retry(url: str, attempt: Callable, log, pause: float):
    """What an attempt to fetch a URL gives, at the latest the last of some.

    Raises
    ------
    StudyError
        The last attempt failed too.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        # A chunked answer that is cut off, or a URL with a blank, is no OSError.
        except (OSError, http.client.HTTPException) as error:
            log.warning("%s, attempt %d of %d: %s", url, number, ATTEMPTS, error)
            if number == ATTEMPTS:
                raise StudyError(
                    url,
                    f"cannot be downloaded ({error})",
                    "Check the URL and the network, or fetch the file by other means "
                    "and name its path in the configuration.",
                ) from None
            time.sleep(pause * 2 ** (number - 1))


def download(url: str, path: Path, checksums: str, log, pause: float = PAUSE) -> None:
    """Fetch a URL with retries; the file gets its name only when it is whole and as published.

    Parameters
    ----------
    url, path
        From where, to where.
    checksums
        URL of the publisher's list of checksums; empty if there is none.

    Raises
    ------
    StudyError
        The last attempt failed too, or the list does not name the file.
    """
    name = url.rsplit("/", 1)[1]
    expected = None
    with workshop(path) as folder:
        part = Path(folder, path.name)
        if checksums:
            retry(checksums, lambda: fetch(checksums, part), log, pause)
            expected = published(part.read_text(errors="replace"), name)
            if expected is None:
                problem = f"does not tell the checksum of {name}"
                mend = "Fetch the file by other means and name its path in the configuration."
                raise StudyError(checksums, problem, mend)

        def attempt():
            log.info("%s: %d bytes", url, fetch(url, part))
            if expected is None:
                log.info("no published checksum is known; the size is as announced")
            elif (found := checksum(part, expected[0])) != expected[1]:
                kind, value = expected
                raise OSError(f"its {kind} is {found}, that of {checksums} is {value}")
            else:
                log.info("%s %s, as %s tells", *expected, checksums)

        retry(url, attempt, log, pause)
        part.replace(path)


def main(snakemake):
    log = start(snakemake)
    shared = Path(snakemake.config["resources"], "downloads", snakemake.wildcards.name)
    with exclusive(shared):
        if shared.exists():
            log.info("%s is there", shared)
        else:
            download(snakemake.params.url, shared, snakemake.params.checksums, log)
    point(Path(snakemake.output[0]), shared)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
