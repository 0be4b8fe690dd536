"""Fetch one file that the configuration names by URL; nothing else in latere uses the network
but `prefetch`."""

import shutil
import time
import urllib.request
from pathlib import Path

from latere.errors import StudyError
from latere.job import start

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


def download(url: str, path: Path, log, pause: float = PAUSE) -> None:
    """Fetch a URL with retries; the file gets its name only when it is whole.

    Raises
    ------
    StudyError
        The last attempt failed too.
    """
    part = path.with_name(path.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            log.info("%s: %d bytes", url, fetch(url, part))
            part.replace(path)
            return
        except OSError as error:
            part.unlink(missing_ok=True)
            log.warning("%s, attempt %d of %d: %s", url, attempt, ATTEMPTS, error)
            if attempt == ATTEMPTS:
                raise StudyError(
                    url,
                    f"cannot be downloaded ({error})",
                    "Check the URL and the network, or fetch the file by other means "
                    "and name its path in the configuration.",
                ) from None
            time.sleep(pause * 2 ** (attempt - 1))


def main(snakemake):
    log = start(snakemake)
    download(snakemake.params.url, Path(snakemake.output[0]), log)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
