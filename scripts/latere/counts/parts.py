"""Parts of a matrix by its barcodes: what comes before or after the sequence of each, or a table.

Cell Ranger writes `-1` behind each barcode of a library, and `-2` and so on only for the further
libraries of a matrix that was joined. Seurat and scanpy join with prefixes and suffixes as well.
"""

import csv
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cache

import numpy as np

from latere.errors import StudyError
from latere.files import read_text, require_file

# What `split` and `subset` name instead of a column, and the place of the text in a barcode.
PLACES = {"barcode prefix": 0, "barcode suffix": 1}
TABLE = re.compile(r".+\.(tsv|csv|txt)")
# A sequence in one part or several, as designs with several rounds of barcodes have them.
SEQUENCE = re.compile(r"[ACGTN]{6,}(?:[-_.+][ACGTN]{6,})*")
SEPARATORS = "-_.:#|~ "
# The value of barcodes without a prefix or suffix where others have one.
NONE = "none"
# With fewer barcodes for each, prefixes or suffixes are names of cells, not of libraries.
FEW_BARCODES = 5
# Bytes of a table of barcodes: 6.8 million lines of 20 characters are 136 MB.
MOST_TABLE = 1 << 28
# So many values are listed in a message.
SHOWN = 20
BY_BARCODE = "`barcode suffix`, `barcode prefix` or a table with the columns barcode and sample"


def is_table(column: str) -> bool:
    """Whether `split` or the column of `subset` is the path of a table of barcodes."""
    return bool(TABLE.fullmatch(column))


def of_barcodes(column: str) -> bool:
    """Whether `split` or the column of `subset` means barcodes, not a column of `obs`."""
    return column in PLACES or is_table(column)


def parse_subset(subset: str) -> tuple[str, str]:
    """What distinguishes the parts of a matrix, and the value of a part.

    Parameters
    ----------
    subset
        As in the sheet. The path of a table may have equals signs; a prefix or suffix may be
        written with its separators.
    """
    if of_table := re.fullmatch(rf"({TABLE.pattern})=(.+)", subset):
        return of_table[1], of_table[3]
    column, _, value = subset.partition("=")
    return column, value_of(value) if column in PLACES else value


def table_of(subset: str) -> str:
    """The table that `subset` names; empty if it names none."""
    column, _ = parse_subset(subset)
    return column if is_table(column) else ""


def split_barcode(name: str) -> tuple[str, str] | None:
    """What comes before and after the sequence of a barcode; None if it has no sequence."""
    longest = max(SEQUENCE.finditer(name), key=lambda match: len(match[0]), default=None)
    return longest and (name[: longest.start()], name[longest.end() :])


def find_libraries(names: Collection[str]) -> tuple[str, Counter]:
    """The libraries that barcodes show.

    Returns
    -------
    str
        `barcode prefix` or `barcode suffix`, whichever shows more.
    Counter
        Barcodes by prefix or suffix as it is there, separators included; less than two if the
        barcodes do not show several libraries.
    """
    texts = [text for text in map(split_barcode, names) if text]
    numbers = {by: Counter(text[place] for text in texts) for by, place in PLACES.items()}
    many = {
        by: Counter({text: number for text, number in found.items() if number >= FEW_BARCODES})
        for by, found in numbers.items()
    }
    # Names of cells, some of which are equal, are not libraries either.
    shown = {by: n if 2 * n.total() > len(texts) else Counter() for by, n in many.items()}
    return max(shown.items(), key=lambda item: len(item[1]))


def describe_libraries(by: str, libraries: Iterable[str]) -> str:
    """How several libraries show in barcodes: `barcodes end in -1 to -4: 4 libraries`."""
    texts = sorted(libraries, key=_natural)
    verb = "begin with" if by == "barcode prefix" else "end in"
    shown = [text or "nothing" for text in texts]
    listed = f"{shown[0]} to {shown[-1]}" if len(shown) > 2 else " and ".join(shown)
    return f"barcodes {verb} {listed}: {len(shown)} libraries"


def value_of(text: str) -> str:
    """A prefix or suffix as a value of the sheet: without separators around it."""
    return text.strip(SEPARATORS) or NONE


def part_barcodes(names: Sequence[str], column: str, where: str):
    """The parts of barcodes.

    Parameters
    ----------
    names
        All barcodes of a matrix.
    column
        `barcode prefix`, `barcode suffix`, or the path of a table.
    where
        The matrix, for messages.

    Returns
    -------
    numpy.ndarray
        Code of each barcode, -1 where it has no value.
    numpy.ndarray
        Values by code, text.

    Raises
    ------
    StudyError
        No barcode has a sequence; or the table is not one of these barcodes.
    """
    if (place := PLACES.get(column)) is not None:
        found = map(split_barcode, names)
        codes, labels = _to_codes(texts and value_of(texts[place]) for texts in found)
        if len(codes) and not len(labels):
            problem = f"its barcodes, such as {str(names[0])!r}, have no sequence of bases"
            fix = "Name a table with the columns barcode and sample instead."
            raise StudyError(where, problem, fix, code="no-sequence")
        return codes, labels
    require_file(column)
    by_barcode = _read_table(column, os.stat(column).st_mtime)
    codes, labels = _to_codes(map(by_barcode.get, names))
    if len(codes) and not len(labels):
        # Some programs write barcodes without the `-1` that all of them have.
        short = dict(zip(_plain(by_barcode), by_barcode.values(), strict=True))
        codes, labels = _to_codes(map(short.get, _plain(names)))
    if len(codes) and not len(labels):
        first = next(iter(by_barcode))
        problem = f"has none of the barcodes of {where} ({first!r} here, {str(names[0])!r} there)"
        fix = "Write the barcodes as the matrix has them."
        raise StudyError(column, problem, fix, code="unknown-cells")
    return codes, labels


def _to_codes(values: Iterable[str | None]):
    """Codes of values, -1 for those that are missing or empty, and the values by code.

    One pass, as there may be millions.
    """
    seen: dict[str, int] = {}
    coded = (seen.setdefault(value, len(seen)) if value else -1 for value in values)
    codes = np.fromiter(coded, dtype=np.int32)
    return codes, np.array(list(seen), dtype=object)


def _plain(names: Collection[str]) -> list[str]:
    """Barcodes without the suffix `-1`, if all have it."""
    all_have = all(name.endswith("-1") for name in names)
    return [name.removesuffix("-1") for name in names] if all_have else list(names)


@cache
def _read_table(path: str, changed: float) -> dict[str, str]:
    """A table of barcodes, with tabs or commas: the value of each.

    Raises
    ------
    StudyError
        No column `barcode` or none beside it, or a barcode with two values.
    """
    text = read_text(path, "`split` or `subset` in the sheet", MOST_TABLE)
    lines = text.splitlines()
    sign = "\t" if "\t" in "".join(lines[:1]) else ","
    header, *rows = list(csv.reader(lines, delimiter=sign)) or [[]]
    names = [name.strip().lower() for name in header]
    values = [at for at, name in enumerate(names) if name not in ("", "barcode")]
    if names.count("barcode") != 1 or len(values) != 1:
        problem = f"needs a column 'barcode' and one of values; it has {', '.join(names) or 'none'}"
        fix = "Give a TSV or CSV with a header and two columns, such as barcode and sample."
        raise StudyError(path, problem, fix, code="missing-column")
    key, value = names.index("barcode"), values[0]
    by_barcode = {}
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        if len(row) <= max(key, value):
            problem = f"has {len(row)} columns, the header has {len(header)}"
            fix = "Give every row the same number of columns."
            raise StudyError(f"{path}, row {number}", problem, fix, code="row-length")
        name, of = row[key].strip(), row[value].strip()
        if by_barcode.setdefault(name, of) != of:
            problem = f"barcode '{name}' has two values: {by_barcode[name]} and {of}"
            fix = "Keep one of its rows; without a row the barcode is left out."
            raise StudyError(f"{path}, row {number}", problem, fix, code="duplicated-barcode")
    if not by_barcode:
        raise StudyError(path, "has no barcode", "Add a row per barcode.", code="empty-table")
    return by_barcode


def rows_with(codes, labels, subset: str, where: str):
    """Which cells belong to a part.

    Parameters
    ----------
    codes, labels
        Value of each cell, as `part_barcodes` gives them.
    subset
        As in the sheet.
    where
        The matrix, for messages.

    Returns
    -------
    numpy.ndarray
        Boolean, one per cell.

    Raises
    ------
    StudyError
        No cell has the value; the message lists the values with their numbers of cells.
    """
    column, value = parse_subset(subset)
    known = list(labels)
    if value not in known:
        numbers = np.bincount(codes[codes >= 0], minlength=len(known))
        listed = sorted(
            (_natural(name), name, n) for name, n in zip(known, numbers, strict=True) if name
        )
        shown = ", ".join(f"{name} ({n:,})" for _, name, n in listed[:SHOWN])
        shown += ", ..." if len(listed) > SHOWN else ""
        problem = f"no cell has {column} '{value}'"
        fix = f"Values, with their cells: {shown or 'none'}."
        raise StudyError(where, problem, fix, code="unknown-value")
    return codes == known.index(value)


def take_part(matrix: tuple, cells, subset: str, where: str) -> tuple:
    """A part of a matrix that was read whole.

    Parameters
    ----------
    matrix
        As `latere.counts.readers.read_mtx` returns it.
    cells
        The barcodes that are cells by their source, or None.
    subset, where
        As of `rows_with`.

    Returns
    -------
    tuple
        The part of the matrix, and the cells without those of other parts.
    """
    values, barcodes, features = matrix
    rows = rows_with(*part_barcodes(barcodes, parse_subset(subset)[0], where), subset, where)
    if cells is not None:
        cells = cells[~cells.isin(barcodes[~rows])]
    return (values[rows], barcodes[rows], features), cells


def _natural(text: str) -> list:
    """A key that sorts numbers in a text by their size."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in re.split(r"([0-9]+)", text)
        if part
    ]
