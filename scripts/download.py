"""Fetch one file that the configuration names by URL or by release, and compare it with the
publisher's checksum. Besides `prefetch`, nothing else in latere uses the network."""

import http.client
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from latere.cache import exclusive, point, workshop
from latere.downloads.login import NETRC_LINE, Login
from latere.downloads.whole import OTHER_WAY, check_kind, checksum, is_html, published, shows_end
from latere.errors import StudyError
from latere.job import run_script, start
from latere.urls import hide

ATTEMPTS = 4
TIMEOUT = 60
PAUSE = 10


def fetch(url: str, path: Path) -> bool:
    """Write the content of a URL to a file.

    Returns
    -------
    bool
        Whether the file is known to be complete: the server sent its size, or sent it in chunks, of
        which the last is marked.

    Raises
    ------
    OSError
        No answer, or fewer bytes than the server announced.
    StudyError
        The server sent a web page instead.
    """
    opener = urllib.request.build_opener(Login(url))
    with opener.open(url, timeout=TIMEOUT) as answer, open(path, "wb") as file:
        chunked = getattr(answer, "chunked", False)
        announced = answer.headers.get("Content-Length", "")
        announced = int(announced) if announced.isdecimal() and not chunked else None
        shutil.copyfileobj(answer, file, 1 << 20)
        size = file.tell()
        kind = answer.headers.get_content_type() if "Content-Type" in answer.headers else ""
    if size == 0 or announced not in (None, size):
        of = "" if announced is None else f" of {announced:,}"
        raise OSError(f"received {size:,}{of} bytes")
    if is_html(path, kind):
        raise StudyError(
            url,
            "the server sent a web page (HTML) instead of the file, perhaps a login page",
            f"Check the URL in a browser. If the server needs a login, add the line {NETRC_LINE} "
            f"to ~/.netrc, or {OTHER_WAY}",
            code="web-page",
        )
    return chunked or announced is not None


def retry(url: str, attempt: Callable, log, pause: float):
    """Repeat an attempt to fetch a URL until it succeeds; return its result.

    Raises
    ------
    StudyError
        The last attempt failed too.
    """
    for number in range(1, ATTEMPTS + 1):
        try:
            return attempt()
        # Neither a chunked answer that is cut off nor a redirection to a bad URL is an OSError.
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("%s, attempt %d of %d: %s", hide(url), number, ATTEMPTS, hide(str(error)))
            if number == ATTEMPTS:
                login = "your login in ~/.netrc" if getattr(error, "code", 0) in (401, 403) else ""
                raise StudyError(
                    url,
                    f"cannot be downloaded ({error})",
                    f"Check the URL and {login or 'the network'}, or {OTHER_WAY}",
                    code="download-failed",
                ) from None
            time.sleep(pause * 2 ** (number - 1))
    raise AssertionError("the last attempt returns or raises")


def download(url: str, path: Path, checksums: str, log, pause: float = PAUSE) -> None:
    """Fetch a URL with retries; the file gets its name only when it is complete and as published.

    Parameters
    ----------
    url, path
        From where, to where.
    checksums
        URL of the publisher's list of checksums; empty if there is none.

    Raises
    ------
    StudyError
        The last attempt failed too, the list has no checksum of the file, the file is not of the
        type that its name says, or nothing shows that it is whole.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    expected = None
    with workshop(path) as folder:
        part = Path(folder, path.name)
        if checksums:
            retry(checksums, lambda: fetch(checksums, part), log, pause)
            expected = published(part.read_text(encoding="utf-8", errors="replace"), name)
            if expected is None:
                problem = f"has no checksum of {name}"
                raise StudyError(
                    checksums,
                    problem,
                    f"Check the release, or {OTHER_WAY}",
                    code="missing-checksum",
                )

        def attempt():
            is_whole = fetch(url, part)
            log.info("%s: %d bytes", hide(url), part.stat().st_size)
            check_kind(url, part)
            if expected is not None:
                if (found := checksum(part, expected[0])) != expected[1]:
                    kind, value = expected
                    raise OSError(f"its {kind} checksum is {found}; {checksums} has {value}")
                log.info("%s checksum %s, as in %s", *expected, checksums)
            elif is_whole:
                log.info("no published checksum; the size is the one that the server announced")
            elif shows_end(part):
                log.info("no published checksum and no size; the file has its end marker")
            else:
                raise StudyError(
                    url,
                    f"may be cut off after {part.stat().st_size:,} bytes: the server does not "
                    "send the size of the file, and this type of file has no end marker",
                    f"Use a gzipped copy if there is one, or {OTHER_WAY}",
                    code="unknown-size",
                )

        retry(url, attempt, log, pause)
        part.replace(path)


def main(snakemake):
    log = start(snakemake)
    shared = Path(snakemake.config["resources"], "downloads", snakemake.wildcards.name)
    with exclusive(shared):
        if shared.exists():
            log.info("%s exists and is used", shared)
        else:
            download(snakemake.params.url, shared, snakemake.params.checksums, log)
    point(Path(snakemake.output[0]), shared)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
