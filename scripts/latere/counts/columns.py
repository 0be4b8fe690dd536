"""Columns of the cells of an .h5ad, read without the rest of it."""

import os
from functools import cache, lru_cache

from latere.counts.hdf5 import (
    WRITE_AGAIN,
    as_text_array,
    columns_in,
    index_of,
    open_h5,
    read_values_of,
)
from latere.errors import StudyError


def read_column(path: str, column: str):
    """A column of the cells of an .h5ad, read without the rest of it.

    Returns
    -------
    numpy.ndarray
        Code of each cell, -1 where it has no value.
    array
        Values by code, of the column's own type.

    Raises
    ------
    StudyError
        No such column.
    """
    import numpy as np
    import pandas as pd

    with open_h5(path) as file:
        table = file["obs"]
        if column not in (known := columns_in(table)) or column not in table:
            problem = f"has no column '{column}' of cells"
            fix = f"Columns of obs: {', '.join(known) or 'none'}."
            raise StudyError(path, problem, fix, code="missing-column")
        cells = read_values_of(table, column)
    if cells is None:
        problem = f"column '{column}' of obs is not a list of values"
        raise StudyError(path, problem, WRITE_AGAIN, code="unknown-structure")
    codes, values = pd.factorize(cells)
    empty = np.flatnonzero(np.asarray(values, dtype=object) == "")
    return np.where(np.isin(codes, empty), -1, codes), values


def as_text(values):
    """Values of a column as a sheet has them: whole numbers have no decimals.

    Returns
    -------
    numpy.ndarray
        Text, object.
    """
    import pandas as pd

    # Categories of numbers are numbers.
    values = pd.Series(values).astype(getattr(values, "categories", values).dtype)
    is_number = pd.api.types.is_float_dtype(values)
    if is_number and ((values % 1 == 0) & (abs(values) < 2**53)).all():
        values = values.astype("Int64")
    return values.astype(str).to_numpy(dtype=object)


@cache
def _read_labels(path: str, column: str, changed: float):
    codes, values = read_column(path, column)
    return codes, as_text(values)


def read_labels(path: str, column: str):
    """A column as `read_column` gives it, its values as text; read once for all runs of a file."""
    return _read_labels(path, column, os.stat(path).st_mtime)


def columns_of(path: str) -> list[str]:
    """Names of the columns of `obs` of an .h5ad."""
    with open_h5(path) as file:
        return columns_in(file["obs"])


def read_names(table, most: int | None = None):
    """The index of a table in an open .h5ad, of any type, as text.

    Parameters
    ----------
    table
        The group of `obs` or `var`.
    most
        Names from all over the index, at most so many; all if None.

    Returns
    -------
    numpy.ndarray
        Object.
    """
    import pandas as pd

    name = index_of(table)
    index = table[name]
    if most and hasattr(index, "shape"):
        values = as_text_array(index[:: max(1, -(-len(index) // most))])
    else:
        values = read_values_of(table, name)
    return as_text(pd.Series(values))


def read_table(table):
    """A table of an open .h5ad, its index as text.

    Returns
    -------
    DataFrame
        Without columns that are no arrays of its length.
    """
    import pandas as pd

    names = read_names(table)
    columns = {}
    for name in columns_in(table):
        values = read_values_of(table, name)
        if getattr(values, "shape", None) == names.shape:
            columns[name] = pd.Series(values, dtype=getattr(values, "dtype", None))
    return pd.DataFrame(columns).set_axis(names) if columns else pd.DataFrame(index=names)


@lru_cache(maxsize=1)
def _read_barcodes(path: str, changed: float):
    with open_h5(path) as file:
        return read_names(file["obs"])


def values_by_barcode(path: str, column: str, subset: str):
    """A column of `obs` of an .h5ad, as text by barcode; missing where a cell has no value.

    Parameters
    ----------
    path
        The .h5ad.
    column
        Its name.
    subset
        ``obs_column=value`` of the run's cells, or empty for all.

    Raises
    ------
    StudyError
        No such column.
    """
    import numpy as np
    import pandas as pd

    codes, labels = read_labels(path, column)
    rows = rows_of(path, subset) if subset else np.ones(len(codes), dtype=bool)
    # The last one for cells without a value, whose code is -1.
    values = np.append(labels, None)[codes[rows]]
    return pd.Series(values, _read_barcodes(path, os.stat(path).st_mtime)[rows], dtype=object)


def rows_of(path: str, subset: str):
    """Which cells of an .h5ad have a value in a column.

    Parameters
    ----------
    subset
        ``obs_column=value``.

    Returns
    -------
    numpy.ndarray
        Boolean, one per cell.

    Raises
    ------
    StudyError
        No such column, or no cell has the value.
    """
    column, _, value = subset.partition("=")
    codes, labels = read_labels(path, column)
    known = list(labels)
    if value not in known:
        shown = ", ".join(sorted(filter(None, known))[:20]) + (", ..." if len(known) > 20 else "")
        problem = f"no cell has {column} '{value}'"
        raise StudyError(path, problem, f"Values: {shown}.", code="unknown-value")
    return codes == known.index(value)
