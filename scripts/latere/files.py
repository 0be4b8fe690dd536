"""The files that a user names: checked before they are opened, and read up to a limit, so that
a pipe, a device or an endless file does not block and does not fill the memory."""

import errno
import gzip
import os
import re
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from latere.errors import StudyError, StudyErrors, fix_missing
from latere.fault import Fault

# Most bytes of a table that a person writes, and of the head of any other file.
MOST_TEXT, HEAD = 64 << 20, 1 << 16
GZIP = b"\x1f\x8b"
# Raised where a gzip stream is truncated or damaged; and where a file of any form is, or has
# other content than its form promises.
BAD_GZIP = (EOFError, gzip.BadGzipFile, zlib.error)
UNREADABLE = (*BAD_GZIP, OSError, LookupError, ValueError, TypeError, AttributeError)
UNREADABLE += (RuntimeError, OverflowError)
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
AS_TEXT = "Save it as text, separated by tabs."
# Excel's "Unicode Text" is UTF-16, its "Text (Tab delimited)" is of Windows.
TO_UTF8 = "Convert it: `iconv -f {} -t UTF-8 FILE > NEW`."
# Files that are not a table, by their first bytes.
OTHERS = {
    GZIP: ("a gzipped file", "Unpack it with `gunzip`, and name the result."),
    b"PK\x03\x04": ("a spreadsheet (.xlsx) or a zip file", AS_TEXT),
    b"\xff\xfe": ("UTF-16 text", TO_UTF8.format("UTF-16")),
    b"\xfe\xff": ("UTF-16 text", TO_UTF8.format("UTF-16")),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet of an old Excel (.xls)", AS_TEXT),
}


def fault_of(path: str | Path) -> Fault | None:
    """Why a path is not a regular file that can be read; links are followed, nothing is opened.

    Parameters
    ----------
    path
        As the user named it.

    Returns
    -------
    Fault or None
        None if nothing is wrong.
    """
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except ValueError:
        return Fault("has a NUL character in its name", "Remove it.", code="control-character")
    except OSError as error:
        return _explain(str(path), error)
    if kind != stat.S_IFREG:
        problem = f"is {KINDS.get(kind, 'of an unknown kind')}, not a file"
        return Fault(problem, "Name a regular file.", code="not-a-file")
    if not os.access(path, os.R_OK):
        fix = "Change its mode (`chmod`), or name a copy."
        return Fault("cannot be read: permission denied", fix, code="no-permission")
    return None


def _explain(path: str, error: OSError) -> Fault:
    """The fault of a path that cannot be opened."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        if os.path.islink(path):
            problem = f"is a link to '{os.readlink(path)}', which does not exist"
            return Fault(problem, "Correct the link.", code="broken-link")
        return Fault("does not exist", fix_missing(path), code="missing-file")
    if error.errno == errno.ELOOP:
        return Fault("is a link to itself", "Link it to a file.", code="circular-link")
    if error.errno == errno.ENAMETOOLONG:
        size = len(os.fsencode(path))
        problem = f"is too long ({size:,} bytes): a name has 255 at most, a path 4,095"
        fix = "Give the file a shorter name, or move it."
        return Fault(problem, fix, code="path-too-long")
    if error.errno in (errno.EACCES, errno.EPERM):
        fix = "Change the mode of its folder (`chmod`)."
        return Fault("cannot be reached: permission denied", fix, code="no-permission")
    problem = f"cannot be accessed: {error.strerror}"
    return Fault(problem, "Check the file system of the path.", code="unreadable-file")


def require_file(path: str | Path, where: str = "") -> None:
    """Reject a path that is not a regular file that can be read.

    Parameters
    ----------
    path
        As the user named it.
    where
        File and row or key that name it, for the message.

    Raises
    ------
    StudyError
        What is wrong with it.
    """
    if fault := fault_of(path):
        problem = f"'{path}' {fault.problem}" if where else fault.problem
        raise StudyError(where or str(path), problem, fault.fix, code=fault.code)


def read_text(path: str | Path, key: str, most: int = MOST_TEXT) -> str:
    """The text of a file that a person wrote.

    Parameters
    ----------
    path
        As the user named it.
    key
        Key of the configuration that names it, for the message.
    most
        Bytes that it may have.

    Raises
    ------
    StudyError
        It is not a regular file, too large, or not text in UTF-8.
    """
    if fault := fault_of(path):
        fix = f"Check {key}." if fault.code == "missing-file" and key else fault.fix
        raise StudyError(str(path), fault.problem, fix, code=fault.code)
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        fault = _explain(str(path), error)
        raise StudyError(str(path), *fault, code=fault.code) from None
    if len(data) > most:
        problem = f"is larger than {most >> 20} MB, the most that is read"
        fix = f"Check {key}: is it the right file?"
        raise StudyError(str(path), problem, fix, code="file-too-large")
    for magic, (form, fix) in OTHERS.items():
        if data.startswith(magic):
            raise StudyError(str(path), f"is {form}, not a text file", fix, code="not-text-file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"is not UTF-8: the byte 0x{data[error.start]:02x} is not text"
        fix = f"Save it as UTF-8 text. Of Excel: {TO_UTF8.format('WINDOWS-1252')}"
        raise StudyError(f"{path}, row {line}", problem, fix, code="not-utf8") from None
    if _is_utf16(data):
        problem, fix = OTHERS[b"\xff\xfe"]
        raise StudyError(str(path), f"is {problem}, not a text file", fix, code="not-text-file")
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        problem, fix = "has a NUL character", "Save it as UTF-8 text."
        raise StudyError(f"{path}, row {line}", problem, fix, code="control-character")
    return text


def _is_utf16(data: bytes) -> bool:
    """Whether text has a NUL for every other byte, as UTF-16 without its mark."""
    zeros = data[::2].count(0), data[1::2].count(0)
    return max(zeros) > 0.4 * len(data) and min(zeros) < 0.1 * len(data)


def read_rows(path: str | Path, key: str) -> list[tuple[int, str]]:
    """Lines of a table that a person wrote, with their numbers, without comments and empty lines.

    Parameters and errors as of `read_text`.
    """
    # Not `splitlines`, which splits a cell with a form feed or U+2028 into two rows.
    lines = re.split("\r\n|\n|\r", read_text(path, key))
    return [
        (number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.startswith("#")
    ]


def split_rows(path: str | Path, lines: list[tuple[int, str]]) -> list[tuple[int, list[str]]]:
    """Cells of the lines of a table, as spreadsheets save them.

    A cell in quotes loses them, and its doubled quotes become single ones. Rows without a value are
    left out, and so are columns behind the last one with a name if all their cells are empty.

    Parameters
    ----------
    path
        The table, for messages.
    lines
        As `read_rows` gives them, the header first.

    Raises
    ------
    StudyErrors
        Cells with quotes that are not closed.
    """
    rows, errors = [], []
    for number, line in lines:
        try:
            rows.append((number, [_unquote(cell.strip()) for cell in line.split("\t")]))
        except ValueError as error:
            problem = f"the quote of {str(error)[:40]!r} is not closed in its cell"
            fix = "Close or remove it; a cell has no line break and no tab."
            where = f"{path}, row {number}"
            errors.append(StudyError(where, problem, fix, code="unmatched-quote"))
    if errors:
        raise StudyErrors(errors)
    rows = [(number, cells) for number, cells in rows if any(cells)]
    width = _width(rows[0][1]) if rows else 0
    if any(any(cells[width:]) for _, cells in rows):
        # A column without a name has a value: the header shows it as it is.
        return rows
    return [(number, cells[:width]) for number, cells in rows]


def _width(cells: list[str]) -> int:
    """Number of cells up to the last that is not empty."""
    return max((at for at, cell in enumerate(cells, start=1) if cell), default=0)


def _unquote(cell: str) -> str:
    """A cell without the quotes around it.

    Raises
    ------
    ValueError
        It begins with a quote that is not closed at its end.
    """
    if not cell.startswith('"'):
        return cell
    if not re.fullmatch('"([^"]|"")*"', cell, re.DOTALL):
        raise ValueError(cell)
    return cell[1:-1].replace('""', '"').strip()


def read_table(path: str | Path, key: str) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """A table with tabs that a person wrote: its header, and its rows with their numbers.

    Parameters as of `read_text`.

    Raises
    ------
    StudyError
        As `read_text`; a column appears twice, a row has another length than the header.
    """
    lines = split_rows(path, read_rows(path, key))
    if not lines:
        fix = "Give a table with tabs between its columns."
        raise StudyError(str(path), "has no header", fix, code="empty-table")
    (first, header), *rows = lines
    if twice := [name for name, count in Counter(header).items() if count > 1]:
        where = f"{path}, row {first}"
        problem = f"column '{twice[0]}' appears twice"
        raise StudyError(where, problem, "Keep one of them.", code="duplicated-column")
    if errors := [
        StudyError(
            f"{path}, row {number}",
            f"has {len(cells)} columns, the header has {len(header)}",
            "Give every row the same number of tabs.",
            code="row-length",
        )
        for number, cells in rows
        if len(cells) != len(header)
    ]:
        raise StudyErrors(errors)
    return header, [(number, dict(zip(header, cells, strict=True))) for number, cells in rows]


def open_bytes(path: str | Path, unpack: Callable = gzip.open):
    """Open a file for reading bytes, gzipped or not, by its content and not by its name.

    Parameters
    ----------
    path
        A regular file.
    unpack
        Opens it if it is gzipped, as `gzip.open` does.
    """
    with open(path, "rb") as file:
        packed = file.read(len(GZIP)) == GZIP
    return unpack(path, "rb") if packed else open(path, "rb")


@contextmanager
def open_plain(path: str | Path) -> Iterator:
    """Open a file as `open_bytes` does, with every check that a file of a user needs.

    Raises
    ------
    StudyError
        It is not a regular file; or its gzip stream turns out to be truncated or damaged.
    """
    require_file(path)
    try:
        with open_bytes(path) as stream:
            yield stream
    except BAD_GZIP as error:
        size = f"{Path(path).stat().st_size:,} bytes"
        problem = f"its gzip stream is truncated or damaged ({size}; {error})"
        fix = "Fetch it again, and compare its size."
        raise StudyError(str(path), problem, fix, code="truncated-file") from None


def read_head(path: str | Path, size: int = HEAD) -> bytes:
    """The first bytes of a file, unpacked; never more than `size`, whatever they unpack to.

    Errors as of `open_plain`.
    """
    with open_plain(path) as stream:
        return stream.read(size)
