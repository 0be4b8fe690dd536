"""Count matrices of every form, read as barcodes x features."""

import pandas as pd
from scipy.sparse import csr_matrix

from latere.counts.columns import rows_of
from latere.counts.files import HDF5
from latere.counts.genes import features_of, types_of
from latere.counts.hdf5 import DAMAGED, form_of, layers_of, open_h5
from latere.counts.inspection import inspect
from latere.counts.sparse import read_values
from latere.errors import StudyError
from latere.files import UNREADABLE, open_plain, read_head

# Most bytes of a line of barcodes or features, which is read whole.
LONGEST_LINE = 1 << 20


def read_lines(path: str):
    """The columns of a table of barcodes or features, as text.

    Returns
    -------
    DataFrame
        One row per line; columns 0, 1, ...

    Raises
    ------
    StudyError
        Its first line is longer than a line may be.
    """
    head = read_head(path, LONGEST_LINE)
    if len(head) == LONGEST_LINE and b"\n" not in head:
        problem = f"its first line is longer than {LONGEST_LINE >> 20} MB"
        fix = "Give the table as CellRanger or STARsolo writes it."
        raise StudyError(path, problem, fix, code="line-too-long")

    options = {"sep": "\t", "header": None, "dtype": str, "quoting": 3, "keep_default_na": False}
    with open_plain(path) as file:
        try:
            return pd.read_csv(file, **options)
        except pd.errors.EmptyDataError:
            return pd.DataFrame({0: pd.Series(dtype=str)})


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
        The three do not fit together.
    """
    from scipy.io import mmread
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads), open_plain(files[0]) as file:
        matrix = mmread(file, spmatrix=True)
    barcodes, table = read_lines(files[1])[0], read_lines(files[2])
    expected, shape = (len(table), len(barcodes)), matrix.shape
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
    features = pd.DataFrame(
        {
            "id": table[0],
            "name": table.get(1, table[0]),
            "type": types_of(table.get(2, table[0])),
        }
    )
    return matrix.T.tocsr(), pd.Index(barcodes), features


def read_10x_h5(path: str):
    """The matrix of CellRanger's HDF5 file, of version 2 or later; returns as `read_mtx`.

    scanpy's reader turns counts into float32, which is not exact for large counts.

    Raises
    ------
    StudyError
        It has matrices of several genomes.
    """
    import h5py

    with open_h5(path) as file:
        tables = {name: group for name, group in file.items() if isinstance(group, h5py.Group)}
        groups = [name for name, group in tables.items() if "indptr" in group]
        if len(groups) > 1:
            problem = f"has matrices of {len(groups)} genomes ({', '.join(groups)})"
            fix = "Give the 10x folder of one genome."
            raise StudyError(path, problem, fix, code="several-genomes")
        group = file[groups[0]]
        table = group.get("features", group)
        names = ("id", "name") if "features" in group else ("genes", "gene_names")
        features = pd.DataFrame(
            {key: table[name].asstr()[:] for key, name in zip(("id", "name"), names, strict=True)}
        )
        column = "feature_type" if "feature_type" in table else names[0]
        features["type"] = types_of(pd.Series(table[column].asstr()[:]))
        barcodes = pd.Index(group["barcodes"].asstr()[:])
        parts = tuple(group[name][:] for name in ("data", "indices", "indptr"))
    return csr_matrix(parts, shape=(len(barcodes), len(features))), barcodes, features


def read_cells(path: str):
    """The barcodes that are cells by their source: a list of them, or those of a 10x .h5."""
    return read_10x_h5(path)[1] if path.endswith(HDF5) else read_lines(path)[0]


def read_h5ad(path: str, layer: str, subset: str):
    """The matrix of an .h5ad, or of the run's cells in it; returns as `read_mtx`."""
    import anndata

    rows = rows_of(path, subset) if subset else slice(None)
    with open_h5(path) as file:
        place = layers_of(file)[layer or "X"]
        values = read_values(file[place], rows)
        obs = file["obs"]
        barcodes = anndata.io.read_elem(obs[obs.attrs["_index"]])[rows]
        var = anndata.io.read_elem(file["raw/var" if place.startswith("raw/") else "var"])
    return values, pd.Index(barcodes).astype(str), features_of(var)


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
    try:
        if len(files) > 2:
            form, matrix, beside = "10x folder", read_mtx(files[:3], threads), files[3:]
        elif form_of(files[0]) == "h5ad":
            form, matrix, beside = "h5ad", read_h5ad(files[0], layer, subset), []
        else:
            form, matrix, beside = "10x h5", read_10x_h5(files[0]), files[1:]
        # scipy takes the positions of the columns on trust.
        matrix[0].check_format(full_check=True)
        return form, matrix, read_cells(beside[0]) if beside else None
    except UNREADABLE as error:
        names = ", ".join(files)
        problem = f"cannot be read ({error})"
        raise StudyError(names, problem, DAMAGED, code="damaged-file") from None
