"""Reads in FASTQ files: read with every check that a file needs, and joined as STAR wants them."""

import shlex
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import dnaio
from isal import igzip, isal_zlib

from latere.errors import StudyError
from latere.files import open_bytes
from latere.reads.chemistry import Chemistry

# Small enough to stay in the cache of a core: 10,000 take 2.5 times as long (measured).
BATCH = 256
# Odd lines (name, +) from the barcode read; even ones (bases, qualities) are joined. Where one file
# ends before the other, because its gzip failed, no further read comes, and STAR's count shows it.
JOIN = (
    "paste <(gzip -cdf {}) <(gzip -cdf {}) | "
    'awk -F\'\\t\' \'$1 == "" || $2 == "" {{exit 1}} '
    "{{print NR % 2 ? $1 : substr($1, 1, {}) $2}}';;"
)
# Without empty last lines: at one, STAR ends, and reads no further lane (measured on 2.7.10b). No
# read that is counted has an empty line: `check_reads` asks for a base at least.
UNPACK = "*) gzip -cdf \"$1\" | tr -s '\\n';;"
COPY_AGAIN = (
    "The file was cut off or damaged when it was written, copied or downloaded: get it again."
)


class _CleanLines:
    """A file without empty last lines, which dnaio rejects.

    It rejects Windows line ends, which dnaio ignores and STAR reads as bases.
    """

    def __init__(self, file: str, _mode: str):
        self._file, self._begin = open_bytes(file, igzip.open), b""
        # Empty lines after the last line with text, and the last two blocks up to it.
        self._empty, self._last, self._before = 0, b"", b""

    def read(self, size: int = -1) -> bytes:
        # A record has at most one empty line before a line with text, so two make it invalid.
        while data := self._file.read(size - 2 if size > 2 else size):
            text = data.rstrip(b"\n")
            if text:
                return self._add(data, len(text))
            self._empty += len(data)
        # Only a last read without bases ends in an empty line.
        lines = (self._before + self._last).rsplit(b"\n", 3)
        open_end = self._empty and len(lines) == 4 and not lines[1]
        self._empty = 0
        return b"\n" * bool(open_end)

    def _add(self, data: bytes, length: int) -> bytes:
        """A block up to its last line with text, after the empty lines before it."""
        self._begin = self._begin or data[:1]
        # What does not begin as FASTQ (an archive, bzip2) is reported as such by dnaio.
        if self._begin == b"@" and b"\r" in data:
            raise _WindowsLines
        block = b"\n" * min(self._empty, 2) + data[: length + 1]
        self._empty = max(0, len(data) - length - 1)
        self._before, self._last = self._last, block
        return block

    def close(self) -> None:
        self._file.close()


class _WindowsLines(Exception):
    """A carriage return in a FASTQ file."""


def read_batches(file: str, run: str, size: int = BATCH) -> Iterator[list]:
    """All records of a FASTQ file, gzipped (in one member or several) or plain.

    Parameters
    ----------
    file
        Path of the file.
    run
        Name of its run, for messages.
    size
        Records of a batch.

    Yields
    ------
    list
        The next records (`dnaio.SequenceRecord`).

    Raises
    ------
    StudyError
        The file is empty, cut off, damaged, has Windows line ends or is not FASTQ; reported when
        that place is reached, with the number of the record.
    """
    where = f"run {run}, {file}"
    whole = 0
    try:
        with dnaio.open(file, fileformat="fastq", opener=_CleanLines) as reader:
            try:
                while batch := list(islice(reader, size)):
                    yield batch
            finally:
                whole = reader.number_of_records
    except EOFError:
        problem = f"its gzip data end too early, after {whole:,} complete records"
        raise StudyError(where, problem, COPY_AGAIN, code="truncated-file") from None
    except (OSError, isal_zlib.error) as error:
        problem = f"cannot be read beyond the first {whole:,} complete records ({error})"
        raise StudyError(where, problem, COPY_AGAIN, code="damaged-file") from None
    except dnaio.FastqFormatError as error:
        reason = error.message.partition("\n")[0][:80]
        problem = f"record {whole + 1:,} is broken ({reason})"
        fix = "The file is not FASTQ with four lines per read, or it is damaged: get it again."
        raise StudyError(where, problem, fix, code="not-fastq") from None
    except _WindowsLines:
        problem = f"has Windows line ends (CRLF), at record {whole + 1:,} or soon after"
        raise StudyError(
            where, problem, "Convert it with dos2unix, or get it again.", code="windows-line-ends"
        ) from None
    if not whole:
        raise StudyError(
            where, "has no reads", "Give the file as it came from the sequencer.", code="no-reads"
        )


def read_barcodes(whitelist: Path) -> Iterator[list[bytes]]:
    """Lines of a list of barcodes, gzipped or plain, some at a time: it may have millions.

    Raises
    ------
    StudyError
        It cannot be read to its end.
    """
    try:
        with open_bytes(whitelist, igzip.open) as lines:
            # A barcode is short, and a file without line ends may be long.
            while block := lines.read(2**20) + lines.readline(2**20):
                yield block.splitlines()
    except (EOFError, OSError, isal_zlib.error) as error:
        problem = f"this list of barcodes cannot be read to its end ({error})"
        raise StudyError(str(whitelist), problem, COPY_AGAIN, code="damaged-file") from None


def reading_command(reads: dict, chemistry: Chemistry, folder: Path) -> list[str]:
    """Command with which STAR reads a file (``--readFilesCommand``).

    Parameters
    ----------
    reads
        Files by role and lane, as STAR is given them; relative to the folder.
    chemistry
        Of the run.
    folder
        Where STAR runs; the script that the command runs is written there.

    Returns
    -------
    list
        Words of the command. Where the UMI has a read of its own, it gives a barcode file with the
        UMIs of its lane behind the barcodes. It gives any other file as it is, gzipped or not, but
        without empty last lines.
    """
    lanes = []
    if chemistry.umi_read == "own":
        lanes = [
            f"{shlex.quote(barcode)}) "
            + JOIN.format(*map(shlex.quote, (barcode, umi)), chemistry.barcode_end)
            for barcode, umi in zip(reads["barcode"], reads["umi"], strict=True)
        ]
    script = Path(folder, "read.sh")
    script.write_text("\n".join(['case "$1" in', *lanes, UNPACK, "esac", ""]), encoding="utf-8")
    return ["bash", script.name]
