"""Fetch one file that the configuration names by URL or by release, and hold it against the
publisher's checksum; nothing else in latere uses the network but `prefetch`."""

import base64
import gzip
import hashlib
import http.client
import logging
import netrc
import os
import re
import shutil
import subprocess
import time
import urllib.request
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from latere.cache import exclusive, point, workshop
from latere.errors import StudyError
from latere.files import GZIP
from latere.job import run_script, start
from latere.urls import hide

ATTEMPTS = 4
TIMEOUT = 60
PAUSE = 10
HDF5 = b"\x89HDF\r\n\x1a\n"
# What a file begins with, by the end of its name.
BEGINS = {(".gz",): ("gzip", GZIP), (".h5ad", ".h5"): ("HDF5", HDF5)}
HTML = re.compile(
    r"(?>\s+|<!--.*?-->|<\?xml.*?\?>)*+<(!doctype\s+html|html|head|body|title|script)\b",
    re.IGNORECASE | re.DOTALL,
)
# The block that ends a file of `bgzip` (SAM format specification, 4.1.2).
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
NETRC_LINE = "`machine HOST login USER password PASSWORD`"
OTHER_WAY = "fetch the file by other means and name its path in the sheet or configuration."


class Login(urllib.request.BaseHandler):
    """Sends the user and the password that netrc has for a host, to that host only.

    The standard library would take a header on to the host of a redirection, also over a connection
    that is not encrypted.

    Parameters
    ----------
    url
        What is asked for first: its server gets its login; another only by https at its usual port.

    Raises
    ------
    StudyError
        The netrc cannot be read.
    """

    def __init__(self, url: str):
        self.first = _server(url)
        path = os.environ.get("NETRC")
        try:
            hosts = netrc.netrc(path).hosts
        except FileNotFoundError:
            if path:
                fix = "Correct the environment variable NETRC, or unset it."
                raise StudyError(path, "the netrc does not exist", fix) from None
            hosts = {}
        # What the parser says of a line quotes it.
        except (netrc.NetrcParseError, UnicodeDecodeError, OSError) as error:
            problem = "the netrc cannot be read"
            if line := getattr(error, "lineno", None):
                problem += f" (line {line})"
            fix = f"Write {NETRC_LINE}; only you may read the file (chmod 600)."
            fault = StudyError(path or "~/.netrc", problem, fix)
            if path:
                raise fault from None
            # Most servers need no login.
            logging.warning("%s", fault)
            hosts = {}
        # Its entry `default` is for any host, and so is not used.
        self.hosts = {host.lower(): login for host, login in hosts.items() if host != "default"}

    def http_request(self, request):
        server = _server(request.full_url)
        scheme, host, port = server
        if host in self.hosts and (server == self.first or (scheme, port) == ("https", 443)):
            user, _, password = self.hosts[host]
            words = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {words}")
        return request

    https_request = http_request

    def ftp_request(self, request):
        server = _server(request.full_url)
        if server == self.first and server[1] in self.hosts:
            user, _, password = self.hosts[server[1]]
            request.host = f"{quote(user, safe='')}:{quote(password, safe='')}@{request.host}"
        return request


def _server(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    usual = {"http": 80, "https": 443, "ftp": 21}
    return parts.scheme, parts.hostname or "", parts.port or usual.get(parts.scheme, 0)


def fetch(url: str, path: Path) -> bool:
    """Write the content of a URL to a file.

    Returns
    -------
    bool
        Whether the server gave its size, or it came in pieces of which the last says so: then all
        of it is there.

    Raises
    ------
    OSError
        No answer, or the connection ended before the announced size was reached.
    StudyError
        A page of HTML came instead.
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
        of = "an unknown number" if announced is None else f"{announced:,}"
        raise OSError(f"{size:,} bytes came of {of}")
    if is_html(path, kind):
        raise StudyError(
            url,
            "is answered with a web page (HTML) instead of the file, perhaps a login page",
            f"Check the URL in a browser. For a server with a login write a line {NETRC_LINE} into "
            f"~/.netrc; or {OTHER_WAY}",
        )
    return chunked or announced is not None


def is_html(path: Path, kind: str) -> bool:
    """Whether a file is a web page, by its beginning or else by the type that its server gives."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
    if head.startswith((GZIP, HDF5)):
        return False
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = head.decode(encoding, errors="replace")
    return bool(HTML.match(text)) or kind in ("text/html", "application/xhtml+xml")


def check_kind(url: str, path: Path) -> None:
    """Whether a file is what its name says.

    Parameters
    ----------
    url
        From where it came, for the message.
    path
        The file, by a name that ends as its own.

    Raises
    ------
    StudyError
        It is not gzip, or not HDF5.
    """
    for ends, (form, begin) in BEGINS.items():
        if path.name.lower().endswith(ends) and not _begins(path, begin):
            with open(path, "rb") as file:
                head = file.read(20)
            problem = f"its name ends with {path.suffix}, but it is not {form}: it begins {head!r}"
            fix = f"Check the URL in a browser; or {OTHER_WAY}"
            raise StudyError(url, problem, fix)


def _begins(path: Path, begin: bytes) -> bool:
    """Whether a file has a signature: at its start, or where HDF5 may have it behind other data."""
    places = [0]
    if begin == HDF5:
        places += [2**n for n in range(9, path.stat().st_size.bit_length())]
    with open(path, "rb") as file:
        return any(file.seek(place) == place and file.read(len(begin)) == begin for place in places)


def shows_end(path: Path) -> bool:
    """Whether a file shows by itself that it is whole.

    Returns
    -------
    bool
        True for gzip that unpacks to its end with the right checksums, and for HDF5 that is as
        long as its superblock says; False for what has no end of its own.

    Raises
    ------
    OSError
        It is gzip or HDF5 and cut off or damaged.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(64)
        file.seek(max(0, size - len(BGZF_END)))
        tail = file.read()
    if head.startswith(GZIP):
        # `bgzip` alone writes an extra field BC, and its blocks are streams of their own.
        if head[3] & 4 and head[12:14] == b"BC" and tail != BGZF_END:
            raise OSError(f"its gzip stream is cut off at {size:,} bytes")
        try:
            with gzip.open(path) as stream:
                while stream.read(1 << 20):
                    pass
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise OSError(f"its gzip stream is cut off or damaged ({error})") from None
        return True
    if head.startswith(HDF5):
        end = hdf5_end(head)
        if end != size:
            raise OSError(f"{size:,} bytes came of the {end:,} of an HDF5 file")
        return True
    return False


def hdf5_end(head: bytes) -> int:
    """Size of an HDF5 file, by its superblock (HDF5 file format specification, II.A).

    Parameters
    ----------
    head
        Its first 64 bytes or more; the superblock is at the beginning.

    Returns
    -------
    int
        Bytes; 0 where the superblock is not known.
    """
    version = head[8]
    # Positions of the size of an address, and of the first address. The first address is the base
    # of the file, the third its end.
    places = {0: (13, 24), 1: (13, 28), 2: (9, 12), 3: (9, 12)}
    if version not in places:
        return 0
    width, first = head[places[version][0]], places[version][1]
    base, end = (
        int.from_bytes(head[first + at * width : first + (at + 1) * width], "little")
        for at in (0, 2)
    )
    return base + end


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
        # A chunked answer that is cut off is no OSError, nor is a redirection to what is no URL.
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("%s, attempt %d of %d: %s", hide(url), number, ATTEMPTS, hide(str(error)))
            if number == ATTEMPTS:
                login = "a login, in ~/.netrc" if getattr(error, "code", 0) in (401, 403) else ""
                raise StudyError(
                    url,
                    f"cannot be downloaded ({error})",
                    f"Check the URL and {login or 'the network'}, or {OTHER_WAY}",
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
        The last attempt failed too, the list does not name the file, it is not what its name says,
        or nothing shows that it is whole.
    """
    name = unquote(urlsplit(url).path.rpartition("/")[2])
    expected = None
    with workshop(path) as folder:
        part = Path(folder, path.name)
        if checksums:
            retry(checksums, lambda: fetch(checksums, part), log, pause)
            expected = published(part.read_text(encoding="utf-8", errors="replace"), name)
            if expected is None:
                problem = f"does not tell the checksum of {name}"
                raise StudyError(checksums, problem, f"Check the release, or {OTHER_WAY}")

        def attempt():
            is_whole = fetch(url, part)
            log.info("%s: %d bytes", hide(url), part.stat().st_size)
            check_kind(url, part)
            if expected is not None:
                if (found := checksum(part, expected[0])) != expected[1]:
                    kind, value = expected
                    raise OSError(f"its {kind} is {found}, that of {checksums} is {value}")
                log.info("%s %s, as %s tells", *expected, checksums)
            elif is_whole:
                log.info("no published checksum is known; the size is as announced")
            elif shows_end(part):
                log.info("no published checksum and no size is known; the file shows its end")
            else:
                raise StudyError(
                    url,
                    f"may be cut off at {part.stat().st_size:,} bytes: the server does not give "
                    "the size of the file, and nothing in the file shows its end",
                    f"Name a gzipped copy if there is one; or {OTHER_WAY}",
                )

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
