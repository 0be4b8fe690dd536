"""The table of chemistries: where barcode and UMI lie in a read, and which barcodes exist."""

import csv
from pathlib import Path

NUMBERS = ("barcode_start", "barcode_length", "umi_start", "umi_length")


def read_chemistry(table: Path, name: str) -> dict:
    """One row of the table of chemistries.

    Parameters
    ----------
    table
        ``config/chemistries.tsv``; starts are 1-based, lengths in bases.
    name
        Value of its column ``chemistry``.

    Raises
    ------
    KeyError
        The table has no such chemistry.
    """
    with open(table, newline="") as handle:
        rows = {row["chemistry"]: row for row in csv.DictReader(handle, delimiter="\t")}
    return {key: int(value) if key in NUMBERS else value for key, value in rows[name].items()}


def barcode_read_length(chemistry: dict) -> int:
    """Bases that a barcode read must have to hold both barcode and UMI."""
    return max(
        chemistry[f"{part}_start"] - 1 + chemistry[f"{part}_length"] for part in ("barcode", "umi")
    )
