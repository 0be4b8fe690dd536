"""Faults of a count matrix that its structure, its features and its first values show, found
before the first job."""

import os
import re
from functools import cache

import numpy as np

from latere.counts.columns import read_names, rows_of
from latere.counts.content import BARCODE, EXPRESSION, SOME, share, some_of
from latere.counts.faults import fault_of, first_of_h5, first_of_h5ad, first_of_mtx, not_counts
from latere.counts.features import (
    features_of_h5,
    features_of_h5ad,
    features_of_text,
    place_of,
    table_of,
)
from latere.counts.files import PARTS
from latere.counts.hdf5 import (
    DAMAGED,
    WRITE_AGAIN,
    form_of,
    index_of,
    layers_of,
    len_of,
    open_h5,
    shape_of,
)
from latere.counts.sparse import check_places
from latere.errors import StudyError
from latere.files import read_head

# Bytes at the start of a MatrixMarket file that include its sizes, after the comments; and its
# first values.
MTX_HEAD, MTX_VALUES = 1 << 20, 1 << 18
# Ids, or symbols that are no names of cells: 5 % of the protein-coding genes of 10x's GRCh38.
GENE = re.compile(
    r"(.*_)?(ENS[A-Z]*G[0-9]{5,}.*|MT-(CO|ND|ATP|CYB)[0-9]?|mt-(Co|Nd|Atp|Cytb)[0-9]?|GAPDH|ACTB"
    r"|R(P[SL]|p[sl])[0-9]+[A-Za-z0-9]*|(ZNF|Zfp|TMEM|Tmem|LINC|Gm)[0-9]+|S(LC|lc)[0-9]+[Aa][0-9]+"
    r"|[0-9]{7}\w+Rik|A[CLP][0-9]{6}\.[0-9]+|RP[0-9]+-[0-9]+[A-Z][0-9]+\.[0-9]+)"
)


def inspect(files: tuple[str, ...], layer: str, subset: str) -> None:
    """Look for faults; of the values of the matrix, the first are read.

    Parameters
    ----------
    files
        As `find_files` gives them; all exist.
    layer, subset
        As in the sheet.

    Raises
    ------
    StudyError
        What is wrong, and the fix.
    """
    for file in files:
        # A matrix without cells has an empty table of barcodes.
        named = file.endswith(PARTS["barcodes"])
        if os.path.isfile(file) and not os.path.getsize(file) and not named:
            raise StudyError(file, "is empty (0 bytes)", DAMAGED, code="empty-file")
    form = "10x folder" if len(files) > 2 else form_of(files[0])
    if layer and form != "h5ad":
        problem = f"`layer` needs an .h5ad; this is a {form}"
        raise StudyError(files[0], problem, "Leave `layer` empty.", code="needs-h5ad")
    if form == "10x folder":
        rows, columns, _ = check_mtx(files[0])
        if os.path.isfile(files[2]):
            _inspect_text(files, (rows, columns))
    elif form == "h5ad":
        inspect_h5ad(files[0], layer, subset)
    else:
        _check_values(first_of_h5(files[0]), features_of_h5(files[0]), files)
    if subset and form != "h5ad":
        rows_of(files, subset)


def check_mtx(path: str) -> tuple[int, int, int]:
    """Look at the head of a MatrixMarket file.

    Returns
    -------
    tuple of int
        Rows, columns and entries.

    Raises
    ------
    StudyError
        It is not a MatrixMarket file, or its first lines do not say how large the matrix is.
    """
    head = read_head(path, MTX_HEAD)
    if not re.match(b"%%MatrixMarket matrix coordinate (integer|real)", head, re.IGNORECASE):
        problem = f"is not a MatrixMarket file of sparse numbers: it begins with {head[:40]!r}"
        fix = "Give the .mtx as CellRanger or STARsolo writes it."
        raise StudyError(path, problem, fix, code="not-matrixmarket")
    lines = [line for line in head.split(b"\n")[1:] if line.strip() and not line.startswith(b"%")]
    first = lines[0] if lines else b""
    sizes = re.fullmatch(rb"\s*(\d{1,18})\s+(\d{1,18})\s+(\d{1,18})\s*", first)
    if not sizes:
        text = f"it begins with {first[:40]!r}" if first else f"it ends after {len(head):,} bytes"
        problem = f"does not say how many rows, columns and entries it has ({text})"
        raise StudyError(path, problem, DAMAGED, code="damaged-file")
    rows, columns, entries = map(int, sizes.groups())
    if entries > rows * columns:
        problem = f"says that it has {entries:,} entries in {rows:,} rows and {columns:,} columns"
        raise StudyError(path, problem, DAMAGED, code="damaged-file")
    return rows, columns, entries


def _inspect_text(files: tuple[str, ...], shape: tuple[int, int]) -> None:
    """The features of a MatrixMarket file, and its first values."""
    features = features_of_text(files[2], shape)
    if len(features) not in shape:
        return  # `read_mtx` knows how many barcodes there are, too
    try:
        head = read_head(files[0], MTX_VALUES)
        values = first_of_mtx(head, len(head) < MTX_VALUES, shape, len(features))
    except (ValueError, OverflowError):
        return  # what is no entry is reported by `read_mtx`, with its line
    _check_values(values, features, files)


def _check_values(values, features, files: tuple[str, ...], layer: str = "") -> None:
    """Reject values of genes that are not counts; antibodies may be normalised beside them."""
    # Before columns are chosen: what is outside would be read from anywhere.
    check_places(values, files[0])
    fault, genes = fault_of(values), (features["type"] == EXPRESSION).to_numpy()
    if fault and not genes.all() and values.dtype.kind in "biuf":
        fault = fault_of(values[:, np.flatnonzero(genes)])
    if fault:
        raise not_counts(fault, files, layer, files[0])


def inspect_h5ad(path: str, layer: str, subset: str) -> None:
    """Look for faults in an .h5ad.

    Raises
    ------
    StudyError
        No such layer, column or value; genes where cells should be; features without names; values
        that are not counts.
    """
    changed = os.stat(path).st_mtime
    _inspect_whole(path, layer, changed)
    place = place_of(path, layer)
    rows = np.flatnonzero(rows_of(path, subset)) if subset else None
    features = features_of_h5ad(path, place, changed)
    values = first_of_h5ad(path, place, rows)
    if values.shape[1] < len(features):
        features = features[: values.shape[1]]
    _check_values(values, features, (path,), layer)


@cache
def _inspect_whole(path: str, layer: str, changed: float) -> None:
    """Checks that do not depend on the cells of a run: once for all runs of a file."""
    with open_h5(path) as file:
        has = layers_of(file)
        if (layer or "X") not in has:
            problem = f"has no layer '{layer}'" if layer else "has no X"
            fix = f"`layer` may be: {', '.join(has) or 'none'}."
            raise StudyError(path, problem, fix, code="missing-layer")
        place = has[layer or "X"]
        tables = ["obs", table_of(place)]
        shape = _check_structure(file, place, tables, path)
        cells, genes = (list(some_of(read_names(file[table], SOME))) for table in tables)
    looks = share(GENE.fullmatch, cells) - share(GENE.fullmatch, genes)
    codes = share(BARCODE.search, genes) - share(BARCODE.search, cells)
    if codes > 0.5 or looks > 0.03:
        problem = (
            f"is transposed: its {shape[0]:,} rows are genes ({', '.join(cells[:2])}) "
            f"and its {shape[1]:,} columns cells ({', '.join(genes[:2])})"
        )
        fix = "Write it as cells x genes: `adata.T.write_h5ad(...)`."
        raise StudyError(path, problem, fix, code="transposed")


def _check_structure(file, place: str, tables: list[str], path: str) -> tuple[int, int]:
    """The shape of a matrix in an open .h5ad, which its parts and its tables must have, too.

    Parameters
    ----------
    place
        Where the matrix is.
    tables
        Where the tables of its rows and of its columns are.
    """
    matrix = file[place]
    if "shape" not in matrix.attrs and not hasattr(matrix, "shape"):
        raise StudyError(path, f"{place} has no shape", WRITE_AGAIN, code="damaged-file")
    shape = shape_of(matrix)
    if len(shape) != 2 or min(shape) < 0:
        problem = f"{place} is not a table: its shape is {shape}"
        raise StudyError(path, problem, WRITE_AGAIN, code="damaged-file")
    if not hasattr(matrix, "shape"):
        lengths = {name: len_of(matrix, name) for name in ("data", "indices", "indptr")}
        if missing := [name for name, length in lengths.items() if length is None]:
            problem = f"{place} has no '{missing[0]}'"
            raise StudyError(path, problem, WRITE_AGAIN, code="damaged-file")
        if lengths["data"] != lengths["indices"] or lengths["indptr"] - 1 not in shape:
            sizes = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            problem = f"the parts of {place} do not fit its shape ({sizes})"
            raise StudyError(path, problem, DAMAGED, code="damaged-file")
    for table, length in zip(tables, shape, strict=True):
        group = file.get(table)
        index = index_of(group) if hasattr(group, "keys") else None
        named = len_of(group, index) if index else None
        if named is None:
            problem = f"its table {table} has no index (`_index`)"
            raise StudyError(path, problem, WRITE_AGAIN, code="damaged-file")
        if named != length:
            problem = f"{place} is {shape[0]:,} x {shape[1]:,}, but {table} names {named:,}"
            raise StudyError(path, problem, WRITE_AGAIN, code="damaged-file")
    return shape
