"""Count matrices of every form, read as barcodes x features."""

import os

import pandas as pd

from latere.counts.columns import read_names, rows_of
from latere.counts.features import (
    features_of_h5,
    features_of_h5ad,
    features_of_text,
    matrix_in,
    place_of,
)
from latere.counts.files import HDF5
from latere.counts.hdf5 import DAMAGED, as_text_array, explain, form_of, open_h5
from latere.counts.inspection import inspect
from latere.counts.parts import take_part
from latere.counts.sparse import check_places, from_parts, read_values
from latere.counts.text_tables import read_barcodes
from latere.errors import StudyError
from latere.files import UNREADABLE, open_plain


def read_mtx(files: list[str], threads: int):
    """A matrix with its barcodes and features.

    Parameters
    ----------
    files
        Matrix, barcodes, features.

    Returns
    -------
    csr_matrix
        Barcodes x features, as stored.
    Index
        Barcodes.
    DataFrame
        Columns id, name, type.

    Raises
    ------
    StudyError
        A line of the matrix has no entry; the three do not fit together.
    """
    from scipy.io import mmread
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads), open_plain(files[0]) as file:
        try:
            matrix = mmread(file, spmatrix=True)
        except (ValueError, OverflowError) as error:
            fix = "Give the .mtx as CellRanger or STARsolo writes it."
            fix = DAMAGED if "runcated" in str(error) else fix
            problem = f"has a line that is not an entry of its matrix ({error})"
            raise StudyError(files[0], problem, fix, code="damaged-file") from None
    shape = matrix.shape
    barcodes, features = read_barcodes(files[1], shape), features_of_text(files[2], shape)
    expected = (len(features), len(barcodes))
    # As kb-python writes it.
    if shape == expected[::-1] and shape != expected:
        matrix = matrix.T
    elif shape != expected:
        problem = (
            f"has {shape[0]:,} rows and {shape[1]:,} columns, but {files[2]} names "
            f"{expected[0]:,} features and {files[1]} {expected[1]:,} barcodes"
        )
        fix = "Give three files of the same matrix, unchanged."
        raise StudyError(files[0], problem, fix, code="unequal-sizes")
    return matrix.T.tocsr(), pd.Index(barcodes), features


def read_10x_h5(path: str):
    """The matrix of CellRanger's HDF5 file, of version 2 or later; returns as `read_mtx`.

    scanpy's reader turns counts into float32, which is not exact for large counts.
    """
    with open_h5(path) as file:
        group = matrix_in(file, path)
        barcodes = pd.Index(as_text_array(group["barcodes"][:]))
        parts = tuple(group[name][:] for name in ("data", "indices", "indptr"))
    features = features_of_h5(path)
    return from_parts(parts, (len(barcodes), len(features)), path), barcodes, features


def read_cells(path: str):
    """The barcodes that are cells by their source: a list of them, or those of a 10x .h5."""
    return read_10x_h5(path)[1] if path.endswith(HDF5) else read_barcodes(path)


def read_h5ad(path: str, layer: str, subset: str):
    """The matrix of an .h5ad, or of the run's cells in it; returns as `read_mtx`."""
    rows = rows_of(path, subset) if subset else slice(None)
    place = place_of(path, layer)
    with open_h5(path) as file:
        values, barcodes = read_values(file[place], rows), read_names(file["obs"])[rows]
    return values, pd.Index(barcodes), features_of_h5ad(path, place, os.stat(path).st_mtime)


def read(files: list[str], layer: str, subset: str, threads: int):
    """A matrix of any form.

    Returns
    -------
    str
        Its form.
    tuple
        As `read_mtx` returns it.
    Index or None
        The barcodes that are cells by their source, if it has all barcodes, too.

    Raises
    ------
    StudyError
        It cannot be read.
    """
    inspect(tuple(files), layer, subset)
    names = ", ".join(files)
    try:
        if len(files) > 2:
            form, matrix, beside = "10x folder", read_mtx(files[:3], threads), files[3:]
        elif form_of(files[0]) == "h5ad":
            form, matrix, beside = "h5ad", read_h5ad(files[0], layer, subset), []
        else:
            form, matrix, beside = "10x h5", read_10x_h5(files[0]), files[1:]
        cells = read_cells(beside[0]) if beside else None
    except UNREADABLE as error:
        raise explain(names, error) from None
    check_places(matrix[0], names)
    if subset and form != "h5ad":
        matrix, cells = take_part(matrix, cells, subset, files[0])
    return form, matrix, cells
