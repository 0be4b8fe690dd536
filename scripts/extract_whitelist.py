"""The barcodes that a chemistry's beads carry, from the lists that ngs-tools ships."""

import gzip
from importlib.resources import as_file, files
from pathlib import Path

from latere.errors import StudyError
from latere.job import start


def unpack_whitelist(source, target: Path, length: int) -> int:
    """Unpack a gzipped list of barcodes, one a line.

    Parameters
    ----------
    source
        Path of the list.
    length
        Bases that a barcode must have.

    Returns
    -------
    int
        Number of barcodes.

    Raises
    ------
    StudyError
        A barcode has another length.
    """
    number = 0
    with gzip.open(source, "rt") as packed, open(target, "w") as plain:
        for number, line in enumerate(packed, start=1):
            if len(line.rstrip("\n")) != length:
                raise StudyError(
                    f"{source.name}, line {number}",
                    f"the barcode {line.strip()!r} does not have {length} bases",
                    "Correct barcode_length or whitelist in config/chemistries.tsv.",
                )
            plain.write(line)
    return number


def main(snakemake):
    log = start(snakemake)
    chemistry = snakemake.params.chemistry
    source = files("ngs_tools") / "chemistry" / "whitelists" / chemistry["whitelist"]
    if not source.is_file():
        raise StudyError(
            "config/chemistries.tsv",
            f"ngs-tools has no list '{chemistry['whitelist']}'",
            "Name a file of ngs_tools/chemistry/whitelists.",
        )
    with as_file(source) as path:
        number = unpack_whitelist(path, Path(snakemake.output[0]), chemistry["barcode_length"])
    log.info("%s: %d barcodes of %s", chemistry["chemistry"], number, source.name)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
