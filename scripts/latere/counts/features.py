"""Features of a count matrix of any form: their ids, names and types."""

from functools import cache

import pandas as pd

from latere.counts.columns import read_table
from latere.counts.genes import features_of
from latere.counts.hdf5 import as_text_array, layers_of, open_h5
from latere.counts.text_tables import read_text_table


def features_of_text(path: str, lengths: tuple[int, ...] = ()) -> pd.DataFrame:
    """Those of `features.tsv` or `genes.tsv`; returns as `features_of`.

    Parameters
    ----------
    path, lengths
        As of `read_text_table`.
    """
    return features_of(read_text_table(path, lengths), path)


def matrix_in(file):
    """The group of the matrix in an open 10x .h5, and all groups that have one."""
    groups = [name for name, group in file.items() if "indptr" in getattr(group, "keys", list)()]
    return file[groups[0]], groups


def features_of_h5(path: str) -> pd.DataFrame:
    """Those of a 10x .h5 of any version; returns as `features_of`."""
    with open_h5(path) as file:
        group, _ = matrix_in(file)
        table = group.get("features", group)
        # Version 2 has its tables beside the matrix.
        apart = {"barcodes", "data", "indices", "indptr", "shape"} if table == group else set()
        columns = {
            name: as_text_array(item[:])
            for name, item in table.items()
            if name not in apart and getattr(item, "ndim", 0) == 1
        }
    length = max(map(len, columns.values()), default=0)
    # Names of tags are fewer.
    return features_of(
        pd.DataFrame({name: values for name, values in columns.items() if len(values) == length}),
        path,
    )


@cache
def features_of_h5ad(path: str, place: str, changed: float) -> pd.DataFrame:
    """Those of a matrix in an .h5ad; returns as `features_of`.

    Parameters
    ----------
    path
        The file.
    place
        Where the matrix is in it.
    changed
        Time of its last change.
    """
    with open_h5(path) as file:
        return features_of(read_table(file[table_of(place)]), path)


def table_of(place: str) -> str:
    """Where the genes of a matrix in an .h5ad are."""
    return "raw/var" if place.startswith("raw/") else "var"


def place_of(path: str, layer: str) -> str:
    """Where the matrix of a layer is in an .h5ad."""
    with open_h5(path) as file:
        return layers_of(file)[layer or "X"]
