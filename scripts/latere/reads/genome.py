"""Files of a reference: their form, and the contigs of the genome."""

import hashlib
import io
import re
from pathlib import Path

from latere.errors import StudyError
from latere.files import open_plain, read_head

BASES = b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx*-\r\n"
BLOCK = 1 << 22


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
    fix = {
        "fasta": "Give the genome as FASTA: '>' and a name, then bases.",
        "gtf": "Give the annotation as GTF: 9 columns, separated by tabs.",
    }[kind]
    head = io.BytesIO(read_head(path))
    lines = (line.rstrip(b"\r\n") for line in head)
    lines = [line for line in lines if line and (kind == "fasta" or not line.startswith(b"#"))]
    if not head.getvalue():
        raise StudyError(
            str(path), "is empty (0 bytes)", f"Download it again. {fix}", code="empty-file"
        )
    if head.getvalue().startswith(b"##gff-version"):
        raise StudyError(str(path), "is GFF, not GTF", fix, code="wrong-format")
    first = lines[0] if lines else b""
    fits = first.startswith(b">") if kind == "fasta" else first.count(b"\t") >= 8
    # A header longer than the part that was read decides nothing.
    if not fits and (lines or kind == "fasta"):
        told = first[:40].decode(errors="replace")
        found = "looks like FASTA" if first.startswith(b">") else f"begins with {told!r}"
        problem = f"is not {kind.upper()}: it {found}"
        raise StudyError(str(path), problem, fix, code="wrong-format")


def attribute(name: str) -> re.Pattern:
    """Pattern that finds the value of an attribute in the last column of a GTF.

    Parameters
    ----------
    name
        The attribute, as a regular expression.
    """
    return re.compile(rf'(?:^|[;\s]){name}\s+"?([^";\s]+)'.encode())


def scan_genome(fasta: str | Path) -> tuple[dict[str, int], str]:
    """Read a genome once.

    Returns
    -------
    lengths : dict
        Bases by contig.
    digest : str
        SHA-256 of the FASTA text, unpacked.

    Raises
    ------
    StudyError
        The file is not FASTA, holds no bases or other letters, or a contig appears twice.
    """
    check_head(fasta, "fasta")
    lengths, name, digest = {}, None, hashlib.sha256()
    with open_plain(fasta) as stream:
        while block := stream.read(BLOCK):
            block += stream.readline()
            digest.update(block)
            # A block begins with a line, so what comes before its first '>' goes on with `name`.
            before, *records = (b"\n" + block).split(b"\n>")
            for record in [before, *records]:
                if record is not before:
                    header, _, record = record.partition(b"\n")
                    name = (header.split() or [b""])[0].decode(errors="replace")
                    if name in lengths:
                        problem = f"contig '{name}' appears twice"
                        raise StudyError(
                            str(fasta),
                            problem,
                            "Give each contig a name of its own.",
                            code="duplicated-contig",
                        )
                    lengths[name] = 0
                elif name is None:
                    continue
                if other := record.translate(None, BASES):
                    letters = "".join(sorted(set(other.decode("latin-1"))))[:20]
                    problem = f"contig '{name}' has letters that are not bases: {letters!r}"
                    raise StudyError(
                        str(fasta), problem, "Give the genome, not proteins.", code="not-a-base"
                    )
                lengths[name] += len(record) - record.count(b"\n") - record.count(b"\r")
    if not sum(lengths.values()):
        raise StudyError(
            str(fasta),
            "has no sequence (0 bases)",
            "Give the genome as FASTA.",
            code="no-sequence",
        )
    return lengths, digest.hexdigest()
