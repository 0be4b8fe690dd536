"""Features of a count matrix of any form: their ids, names and types."""

from functools import cache

import pandas as pd

from latere.counts.columns import read_table
from latere.counts.genes import features_of
from latere.counts.hdf5 import DAMAGED, as_text_array, layers_of, len_of, open_h5
from latere.counts.text_tables import read_text_table
from latere.errors import StudyError

# Columns of a 10x .h5 in the order of `features.tsv`; version 2 has the others.
FIRST = ("id", "genes", "name", "gene_names")


def features_of_text(path: str, lengths: tuple[int, ...] = ()) -> pd.DataFrame:
    """Those of `features.tsv` or `genes.tsv`; returns as `features_of`.

    Parameters
    ----------
    path, lengths
        As of `read_text_table`.
    """
    return features_of(read_text_table(path, lengths), path)


def matrix_in(file, path: str):
    """The group of the matrix in an open 10x .h5.

    Raises
    ------
    StudyError
        It has matrices of several genomes, or a part of the matrix is missing.
    """
    groups = [name for name, group in file.items() if "indptr" in getattr(group, "keys", list)()]
    if len(groups) > 1:
        problem = f"has matrices of {len(groups)} genomes ({', '.join(groups)})"
        fix = "Give the 10x folder of one genome."
        raise StudyError(path, problem, fix, code="several-genomes")
    group = file[groups[0]]
    lengths = {name: len_of(group, name) for name in ("barcodes", "data", "indices", "indptr")}
    missing = [name for name, length in lengths.items() if length is None]
    missing += [] if len_of(group, "shape") == 2 else ["shape"]
    if missing:
        problem = f"its group '{groups[0]}' has no '{missing[0]}'"
        raise StudyError(path, problem, DAMAGED, code="damaged-file")
    if lengths["data"] != lengths["indices"] or lengths["indptr"] != lengths["barcodes"] + 1:
        sizes = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        problem = f"the parts of its group '{groups[0]}' do not fit together ({sizes})"
        raise StudyError(path, problem, DAMAGED, code="damaged-file")
    return group


def features_of_h5(path: str) -> pd.DataFrame:
    """Those of a 10x .h5 of any version; returns as `features_of`."""
    with open_h5(path) as file:
        group = matrix_in(file, path)
        table = group.get("features", group)
        # Version 2 has its tables beside the matrix.
        apart = {"barcodes", "data", "indices", "indptr", "shape"} if table == group else set()
        columns = {
            name: as_text_array(item[:])
            for name, item in table.items()
            if name not in apart and getattr(item, "ndim", 0) == 1
        }
        number = int(group["shape"][0])
    # In HDF5 they are sorted by name; lists of tags are shorter.
    columns = {name: columns.pop(name) for name in FIRST if name in columns} | columns
    columns = {name: values for name, values in columns.items() if len(values) == number}
    if not columns:
        problem = f"its matrix has {number:,} features, but no table names as many"
        raise StudyError(path, problem, DAMAGED, code="damaged-file")
    return features_of(pd.DataFrame(columns), path)


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
