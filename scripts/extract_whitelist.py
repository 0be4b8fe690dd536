"""A list of barcodes, shipped with ngs-tools or from a file, checked and unpacked for STAR."""

from pathlib import Path

from latere.errors import StudyError
from latere.job import run_script, start
from latere.reads.chemistry import find_whitelist
from latere.reads.fastq import read_barcodes


def unpack_whitelist(source: Path, target: Path, length: int) -> int:
    """Unpack a list of barcodes, one per line, gzipped or not.

    Parameters
    ----------
    source
        Path of the list.
    target
        Where to write it.
    length
        Bases that a barcode must have.

    Returns
    -------
    int
        Number of barcodes.

    Raises
    ------
    StudyError
        The list has no barcodes, or a line is not a barcode.
    """
    number = 0
    with open(target, "wb") as plain:
        for codes in read_barcodes(source):
            if set(map(len, codes)) != {length} or b"".join(codes).translate(None, b"ACGT"):
                at, code = next(
                    (at, code)
                    for at, code in enumerate(codes, start=number + 1)
                    if len(code) != length or code.translate(None, b"ACGT")
                )
                raise StudyError(
                    f"{source}, line {at:,}",
                    f"{code.decode(errors='replace')[:40]!r} is not a barcode of {length} bases",
                    "Correct `barcode` or `whitelist` in the table of chemistries; a list has one "
                    "barcode per line, in capital letters, and nothing else.",
                    code="not-a-barcode",
                )
            number += len(codes)
            plain.write(b"\n".join(codes) + b"\n")
    if not number:
        raise StudyError(
            str(source),
            "has no barcodes",
            "Give a list with one barcode per line.",
            code="no-barcodes",
        )
    return number


def main(snakemake):
    log = start(snakemake)
    source = find_whitelist(snakemake.params.whitelist)
    number = unpack_whitelist(source, Path(snakemake.output[0]), snakemake.params.length)
    log.info("%s: %d barcodes", source.name, number)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
