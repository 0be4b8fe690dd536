"""What the files of a reference genome must look like."""

import io
import re
from pathlib import Path

from latere.errors import StudyError
from latere.files import read_head


def check_head(path: str | Path, kind: str) -> None:
    """Look at the beginning of a reference file.

    Parameters
    ----------
    path
        The file, gzipped or not.
    kind
        `fasta` or `gtf`.

    Raises
    ------
    StudyError
        It is empty, damaged, or not of this kind.
    """
    mend = {
        "fasta": "Give the genome as FASTA: '>' and a name, then bases.",
        "gtf": "Give the annotation as GTF: 9 columns, separated by tabs.",
    }[kind]
    head = io.BytesIO(read_head(path))
    lines = (line.rstrip(b"\r\n") for line in head)
    lines = [line for line in lines if line and (kind == "fasta" or not line.startswith(b"#"))]
    if not head.getvalue():
        raise StudyError(str(path), "is empty (0 bytes)", f"Fetch it again. {mend}")
    if head.getvalue().startswith(b"##gff-version"):
        raise StudyError(str(path), "is GFF, not GTF", mend)
    first = lines[0] if lines else b""
    fits = first.startswith(b">") if kind == "fasta" else first.count(b"\t") >= 8
    # A header longer than what was read tells nothing.
    if not fits and (lines or kind == "fasta"):
        told = first[:40].decode(errors="replace")
        found = "looks like FASTA" if first.startswith(b">") else f"begins with {told!r}"
        raise StudyError(str(path), f"is not {kind.upper()}: it {found}", mend)


def attribute(name: str) -> re.Pattern:
    """Pattern that finds the value of an attribute in the last column of a GTF.

    Parameters
    ----------
    name
        The attribute, as a regular expression.
    """
    return re.compile(rf'(?:^|[;\s]){name}\s+"?([^";\s]+)'.encode())
