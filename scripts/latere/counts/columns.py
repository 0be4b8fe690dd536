"""Values of the cells of a matrix: columns of an .h5ad, or parts of barcodes; read without the rest
of it."""

import os
from collections.abc import Sequence
from functools import cache, lru_cache

from latere.counts.hdf5 import (
    WRITE_AGAIN,
    as_text_array,
    columns_in,
    form_of,
    index_of,
    open_h5,
    read_values_of,
)
from latere.counts.parts import (
    BY_BARCODE,
    is_table,
    of_barcodes,
    parse_subset,
    part_barcodes,
    rows_with,
)
from latere.errors import StudyError
from latere.files import require_file

# Barcodes that show what the others look like, and bytes of a table of barcodes to find them in.
SOME, HEAD = 2000, 1 << 24


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
def _read_labels(path: str, column: str, changed: tuple[float, ...]):
    if of_barcodes(column):
        return part_barcodes(_read_barcodes(path, changed[0]), column, path)
    codes, values = read_column(path, column)
    return codes, as_text(values)


def read_labels(path: str, column: str):
    """A column as `read_column` gives it, its values as text; or parts of barcodes, as
    `part_barcodes` gives them. Read once for all runs of a file.

    Parameters
    ----------
    path
        An .h5ad; for parts of barcodes also a 10x .h5, or the table of the barcodes of a folder.
    """
    files = [path, column] if is_table(column) else [path]
    for file in files:
        require_file(file)
    return _read_labels(path, column, tuple(os.stat(file).st_mtime for file in files))


def labels_of(files: Sequence[str], column: str):
    """Values of the cells of a matrix of any form, as `read_labels` gives them.

    Raises
    ------
    StudyError
        A column of `obs`, and the matrix has none.
    """
    form = "10x folder" if len(files) > 2 else form_of(files[0])
    if form != "h5ad" and not of_barcodes(column):
        problem = f"has no columns of cells such as '{column}': it is a {form}, not an .h5ad"
        raise StudyError(files[0], problem, f"Name {BY_BARCODE}.", code="needs-h5ad")
    return read_labels(files[1] if form == "10x folder" else files[0], column)


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
        Names from all over the index, at most this number; all if None.

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
    import h5py

    from latere.counts.text_tables import read_barcodes

    if not h5py.is_hdf5(path):
        return read_barcodes(path).to_numpy()
    with open_h5(path) as file:
        if form_of(path) == "10x h5":
            return as_text_array(_table_of_h5(file)["barcodes"][:])
        return read_names(file["obs"])


def some_barcodes(files: Sequence[str]) -> list[str]:
    """Barcodes from all over a matrix of any form, at most `SOME`.

    Of a table of barcodes, the first `HEAD` bytes are read: all but those of raw matrices.
    """
    import h5py

    from latere.counts.text_tables import read_barcodes

    path = files[1] if len(files) > 2 else files[0]
    if not h5py.is_hdf5(path):
        names = read_barcodes(path, most=HEAD)
        return list(names[:: len(names) // SOME + 1])
    if form_of(path) == "10x h5":
        with open_h5(path) as file:
            names = _table_of_h5(file)["barcodes"]
            return list(names.asstr()[:: len(names) // SOME + 1])
    names = _read_barcodes(path, os.stat(path).st_mtime)
    return list(names[:: len(names) // SOME + 1])


def _table_of_h5(file):
    """The group with the barcodes of an open 10x .h5."""
    import h5py

    groups = [group for group in file.values() if isinstance(group, h5py.Group)]
    return next(group for group in groups if "barcodes" in group)


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


def rows_of(files: str | Sequence[str], subset: str):
    """Which cells of a matrix belong to a part.

    Parameters
    ----------
    files
        An .h5ad, or the files of a matrix of any form.
    subset
        As in the sheet: ``obs_column=value``, ``barcode suffix=value`` and so on.

    Returns
    -------
    numpy.ndarray
        Boolean, one per cell.

    Raises
    ------
    StudyError
        No such column, or no cell has the value.
    """
    files = [files] if isinstance(files, str) else files
    return rows_with(*labels_of(files, parse_subset(subset)[0]), subset, files[0])
