"""Numbers of cells that others published of a study's runs and samples."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from latere.errors import StudyError, StudyErrors
from latere.files import read_table
from latere.values import FORMULA_FIX, FORMULA_PROBLEM, is_formula

COLUMNS = ("level", "name", "cells", "source", "reference")
LEVELS = ("run", "sample")


@dataclass(frozen=True)
class Published:
    """One published number.

    Attributes
    ----------
    level
        ``run`` or ``sample``.
    name
        Name of the run or the sample.
    cells
        Number of cells.
    source
        Who counted and how, in a word or two.
    reference
        Where it was published.
    """

    level: str
    name: str
    cells: int
    source: str
    reference: str


def read_published(
    path: str | Path, names: dict[str, Collection[str]] | None = None
) -> list[Published]:
    """A table of published numbers of cells, in its order.

    Parameters
    ----------
    path
        TSV with the columns level, name, cells, source and reference; ``#`` begins a comment.
    names
        Known names by level, to check those of the table.

    Raises
    ------
    StudyError
        All that is wrong in it, by row.
    """
    header, rows = read_table(path, "`published_cells` in the configuration")
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        fix = f"Give a TSV with {', '.join(COLUMNS)}."
        raise StudyError(str(path), f"has no column '{missing[0]}'", fix, code="missing-column")
    found, unknown, errors, seen = [], [], [], set()
    for number, row in rows:
        where = f"{path}, row {number}"
        try:
            found.append(_to_published(row, where))
        except StudyError as error:
            errors.append(error)
            continue
        level, name, source = found[-1].level, found[-1].name, found[-1].source
        if (level, name, source) in seen:
            problem = f"{level} {name!r} appears twice with the source {source!r}"
            fix = "Keep one, or give the sources different names."
            errors.append(StudyError(where, problem, fix, code="duplicated-row"))
        seen.add((level, name, source))
        if names and name not in names[level]:
            unknown.append((where, f"{level} {name!r} is not in the sample sheet"))
    if unknown:
        where, problem = unknown[0]
        more = f", nor are {len(unknown) - 1} others of the table" if len(unknown) > 1 else ""
        fix = "Check that it is the table of this study."
        errors.append(StudyError(where, problem + more, fix, code="unknown-name"))
    if errors:
        raise StudyErrors(errors)
    return found


def _to_published(row: dict, where: str) -> Published:
    row = {column: row[column].strip() for column in COLUMNS}
    if row["level"] not in LEVELS:
        problem, fix = f"level {row['level']!r} is not known", f"Known: {', '.join(LEVELS)}."
        raise StudyError(where, problem, fix, code="invalid-value")
    if not re.fullmatch("[0-9]{1,12}", row["cells"]):
        problem = f"cells {row['cells']!r} is not a number"
        raise StudyError(where, problem, "Write a whole number.", code="invalid-value")
    if not row["source"]:
        fix = "Write who counted the cells."
        raise StudyError(where, "the source is empty", fix, code="empty-value")
    for column in ("source", "reference"):
        if is_formula(row[column]):
            problem = f"the {column} {row[column]!r} is not valid: {FORMULA_PROBLEM}"
            raise StudyError(where, problem, FORMULA_FIX, code="formula")
    return Published(**row | {"cells": int(row["cells"])})
