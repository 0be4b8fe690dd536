"""Tables of genes and of barcodes as text, however they are written: with tabs, blanks or commas,
quotes, a line of column names, row numbers."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pandas as pd

from latere.counts.content import kind_of, share, some_of
from latere.errors import StudyError
from latere.files import open_plain, read_head

# Most bytes of a line, which is read whole.
LONGEST_LINE = 1 << 20
# Types of features have blanks themselves.
BLANKS = re.compile(r"\s+(?!Expression\b|Capture\b|Guide\b)")
# Names of columns in a header.
HEADER = re.compile(
    r"|x|[VX]\d+|rownames|names?|symbols?|ids?"
    r"|(cell|gene|feature|barcode|ensembl)s?([_. ][\w. ]*)?",
    re.IGNORECASE,
)
# Kinds of columns that their values show.
KNOWN = {"id", "number", "type", "barcode", "accession"}


def read_text_table(
    path: str, lengths: tuple[int, ...] = (), most: int | None = None
) -> pd.DataFrame:
    """A table of barcodes or features, as text.

    Parameters
    ----------
    path
        The file.
    lengths
        Lengths that it may have by the matrix; if none is known, its values show whether the first
        line has the names of the columns.
    most
        Bytes to read, to the end of a line; all if None.

    Returns
    -------
    DataFrame
        One row per line, without a header; columns by their names in the header, or 0, 1, ...

    Raises
    ------
    StudyError
        Its first line is longer than a line may be; it is not text.
    """
    head = read_head(path, LONGEST_LINE)
    if len(head) == LONGEST_LINE and b"\n" not in head:
        problem = f"its first line is longer than {LONGEST_LINE >> 20} MB"
        fix = "Give the table as CellRanger or STARsolo writes it."
        raise StudyError(path, problem, fix, code="line-too-long")
    try:
        table = _read_columns(path, most)
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text ({error.reason})"
        raise StudyError(path, problem, "Save it as UTF-8 text.", code="not-utf8") from None
    table = table.apply(_without_quotes)
    surplus = len(table) - 1 in lengths and len(table) not in lengths
    if len(table) > 1 and (surplus or not lengths):
        table = _without_header(table, surplus)
    return table


@contextmanager
def _open(path: str, most: int | None) -> Iterator[IO[bytes]]:
    """A table without compression, whole or its first lines."""
    if most is None:
        with open_plain(path) as file:
            yield file
    else:
        head = read_head(path, most)
        yield io.BytesIO(head if len(head) < most else head[: head.rfind(b"\n") + 1])


def _read_columns(path: str, most: int | None) -> pd.DataFrame:
    """The columns of a table, by the character between them."""
    options = {"sep": "\t", "header": None, "dtype": str, "quoting": 3, "keep_default_na": False}
    with _open(path, most) as file:
        try:
            table = pd.read_csv(file, **options).fillna("")
        except pd.errors.EmptyDataError:
            return pd.DataFrame({0: pd.Series(dtype=str)})
        except pd.errors.ParserError:
            table = None
    if table is None:  # a later line is longer than the first
        with _open(path, most) as file:
            text = io.TextIOWrapper(file, encoding="utf-8-sig")
            return _to_table([line.rstrip("\r\n").split("\t") for line in text if line.strip()])
    return table if len(table.columns) > 1 or table.empty else _split(table, path)


def _split(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """The columns of lines without tabs; the lines if they are no columns.

    Raises
    ------
    StudyError
        It has blanks between its columns, and some lines have more of them than others.
    """
    last = table[0].iloc[-10:].str.strip()
    for separator in (",", ";", " "):
        # So that millions of barcodes are not split in vain.
        if not last.str.contains(separator, regex=False).all():
            continue
        lines = table[0].str.strip()
        blank = separator == " "
        rows = list(map(BLANKS.split, lines) if blank else csv.reader(lines, delimiter=separator))
        # The first line may be a header.
        widths = {len(row) for row in rows[1:]}
        if len(widths) == 1 and widths != {1}:
            columns = _to_table(rows).apply(_without_quotes)
            if {kind_of(columns[column].iloc[1:]) for column in columns} & KNOWN:
                return columns
        elif blank and kind_of(pd.Series([row[0] for row in rows])) in ("id", "number"):
            problem = f"has blanks between its columns, and {min(widths)} to {max(widths)} columns"
            fix = "Write it with tabs between the columns."
            raise StudyError(path, problem, fix, code="row-length")
    return table


def _to_table(rows: list[list[str]]) -> pd.DataFrame:
    """Rows as a table. A header that R writes over row names has one field less than they."""
    if {len(row) for row in rows[1:]} == {len(rows[0]) + 1}:
        rows = [["", *rows[0]], *rows[1:]]
    return pd.DataFrame(rows, dtype=object).fillna("")


def _without_quotes(values: pd.Series) -> pd.Series:
    some = some_of(values)
    if any(value != value.strip() for value in some):
        values = values.str.strip()
    if any(value.strip()[:1] in ('"', "'") for value in some if value.strip()):
        values = values.str.replace(r"^(['\"])(.*)\1$", r"\2", regex=True)
    return values


def _without_header(table: pd.DataFrame, surplus: bool) -> pd.DataFrame:
    """A table whose first line, if it has the names of the columns, names them.

    Parameters
    ----------
    surplus
        Whether the table has one line more than the matrix.
    """
    first, rest = table.iloc[0], table.iloc[1:].reset_index(drop=True)
    kinds = {column: kind_of(rest[column]) for column in table}
    unlike = [
        kind in KNOWN and kind_of(first[[column]]) not in ((kind,) if surplus else (kind, "empty"))
        for column, kind in kinds.items()
    ]
    # Genes may be called gene_1.
    is_header = surplus and all(
        HEADER.fullmatch(name) and share(HEADER.fullmatch, some_of(rest[column])) < 0.5
        for column, name in first.items()
    )
    if not any(unlike) and not is_header:
        return table
    return rest.set_axis([name or number for number, name in enumerate(first)], axis=1)


def read_barcodes(path: str, lengths: tuple[int, ...] = (), most: int | None = None) -> pd.Series:
    """The barcodes in a table of barcodes; parameters and errors as of `read_text_table`.

    Returns
    -------
    Series
        The first column that has sequences; else the first that does not number its rows.
    """
    table = read_text_table(path, lengths, most)
    if len(table.columns) == 1:
        return table.iloc[:, 0]
    kinds = [kind_of(table.iloc[:, column]) for column in range(len(table.columns))]
    for wanted in (("barcode",), ("text", "id", "accession")):
        for column, kind in enumerate(kinds):
            if kind in wanted:
                return table.iloc[:, column]
    return table.iloc[:, 0]
