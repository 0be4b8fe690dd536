"""Signs that a file is the right one, and complete: its first bytes, its end, a checksum."""

import gzip
import hashlib
import re
import subprocess
from pathlib import Path

from latere.errors import StudyError
from latere.files import BAD_GZIP, GZIP

HDF5 = b"\x89HDF\r\n\x1a\n"
# What a file begins with, by the end of its name.
BEGINS = {(".gz",): ("gzip", GZIP), (".h5ad", ".h5"): ("HDF5", HDF5)}
HTML = re.compile(
    r"(?>\s+|<!--.*?-->|<\?xml.*?\?>)*+<(!doctype\s+html|html|head|body|title|script)\b",
    re.IGNORECASE | re.DOTALL,
)
# The block that ends a file of `bgzip` (SAM format specification, 4.1.2).
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
OTHER_WAY = "download the file yourself and give its path in the sheet or configuration."


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
    """Check that a file has the type of its suffix.

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
            problem = f"has the suffix {path.suffix} but is not {form}: it begins with {head!r}"
            fix = f"Check the URL in a browser, or {OTHER_WAY}"
            raise StudyError(url, problem, fix, code="wrong-suffix")


def shows_end(path: Path) -> bool:
    """Whether the content of a file shows that it is complete.

    Returns
    -------
    bool
        True for gzip that unpacks to its end with the right checksums, and for HDF5 that is as
        long as its superblock says; False for what has no end of its own.

    Raises
    ------
    OSError
        It is gzip or HDF5, and cut off or corrupt.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        head = file.read(64)
        file.seek(max(0, size - len(BGZF_END)))
        tail = file.read()
    if head.startswith(GZIP):
        # `bgzip` alone writes an extra field BC, and its blocks are streams of their own.
        if head[3] & 4 and head[12:14] == b"BC" and tail != BGZF_END:
            raise OSError(f"the gzip data are cut off after {size:,} bytes")
        try:
            with gzip.open(path) as stream:
                while stream.read(1 << 20):
                    pass
        except BAD_GZIP as error:
            raise OSError(f"the gzip data are cut off or corrupt ({error})") from None
        return True
    if head.startswith(HDF5):
        end = hdf5_end(head)
        if end != size:
            raise OSError(f"received {size:,} bytes of an HDF5 file of {end:,} bytes")
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


def _begins(path: Path, begin: bytes) -> bool:
    """Whether a file has a signature: at its start, or where HDF5 may have it behind other data."""
    places = [0]
    if begin == HDF5:
        places += [2**n for n in range(9, path.stat().st_size.bit_length())]
    with open(path, "rb") as file:
        return any(file.seek(place) == place and file.read(len(begin)) == begin for place in places)


def published(listing: str, name: str) -> tuple[str, str] | None:
    """Checksum of a file in a publisher's list.

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
