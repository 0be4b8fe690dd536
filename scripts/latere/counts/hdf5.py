"""HDF5 files of users: opened with all checks that they need, and where their matrices are."""

import logging
import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from latere import __version__
from latere.counts.files import FORMS, HDF5
from latere.errors import StudyError
from latere.files import BAD_GZIP, UNREADABLE, require_file

# The messages of `h5py` do not help a reader.
DAMAGED = (
    "It may be truncated or of another form: fetch it again, and compare its size with the source."
)
# Names of the modality of genes in a MuData.
RNA = ("rna", "gex", "gene expression", "transcriptome")
WRITE_AGAIN = "Read it with anndata, and write it again."


@contextmanager
def open_h5(path: str) -> Iterator:
    """Open an HDF5 file of a user, which must not refer to other files.

    Raises
    ------
    StudyError
        It is not an HDF5 file or damaged; it reads other files; it lacks what is looked up.
    """
    import h5py

    require_file(path)
    try:
        file = h5py.File(path)
    except OSError as error:
        size = Path(path).stat().st_size
        first = str(error).split(" (")[-1].rstrip(")")
        if not path.endswith(HDF5):
            problem, fix = "has an unknown form", f"Give {FORMS}."
            raise StudyError(path, problem, fix, code="unsupported-format") from None
        problem = f"cannot be read as HDF5, which its name promises ({size:,} bytes; {first})"
        raise StudyError(path, problem, DAMAGED, code="not-hdf5") from None
    with file:
        try:
            if elsewhere := _other_file(path, os.stat(path).st_mtime):
                problem = f"reads another file: {elsewhere}"
                raise StudyError(path, problem, WRITE_AGAIN, code="external-link")
            yield file
        except MemoryError as error:
            fix = "Give the job more memory. If the file is far smaller than that, it is damaged."
            problem = f"needs more memory than there is ({error})"
            raise StudyError(path, problem, fix, code="too-little-memory") from None
        except UNREADABLE as error:
            raise explain(path, error) from None


def explain(path: str, error: Exception) -> StudyError:
    """The error of a file that was opened and could not be read.

    Parameters
    ----------
    path
        The file, or several.
    error
        What was raised. Only what comes from reading bytes means that the file is damaged; another
        error is as likely a fault of this program.
    """
    logging.info("reading failed:", exc_info=error)
    said = getattr(error, "strerror", None) or next(iter(error.args), "no reason given")
    frames, reason = traceback.extract_tb(error.__traceback__), str(said)
    # The library of HDF5 has no error of its own; what is missing may be named otherwise.
    of_hdf5 = frames[-1].filename.endswith(".pyx") and "doesn't exist" not in reason
    if isinstance(error, (OSError, *BAD_GZIP)) or (
        of_hdf5 and isinstance(error, (RuntimeError, KeyError))
    ):
        problem = f"its content is damaged ({reason})"
        return StudyError(path, problem, DAMAGED, code="damaged-file")
    ours = [frame for frame in frames if Path(frame.filename).parent == Path(__file__).parent]
    at = f"{Path(ours[-1].filename).name}, line {ours[-1].lineno}" if ours else "no line known"
    problem = f"has a structure that latere cannot read ({reason}; {at})"
    fix = (
        "This is a fault of latere if another program reads the file. Report this message, the "
        f"version ({__version__}), the program that wrote the file, and the traceback in the log, "
        "if there is one. Until then, read the file with that program and write it again."
    )
    return StudyError(path, problem, fix, code="unknown-structure")


@cache
def _other_file(path: str, changed: float) -> str:
    """The part of an HDF5 file that is stored in another file, in words; empty if none is.

    No link is followed: soft ones may lead in a circle, external ones to any file.
    """
    import h5py

    def of_link(name, link):
        if isinstance(link, h5py.ExternalLink):
            return f"'{name}' is a link to '{link.path}' in '{link.filename}'"
        return None

    def of_data(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external:
            return f"the values of '{name}' are in '{item.external[0][0]}'"
        if item.is_virtual:
            # A point means the file itself.
            others = {source.file_name for source in item.virtual_sources()} - {"."}
            return f"the values of '{name}' are in '{min(others)}'" if others else None
        return None

    with h5py.File(path) as file:
        return file.visititems_links(of_link) or file.visititems(of_data) or ""


def form_of(path: str) -> str:
    """The form of an HDF5 file, by its content: `h5ad` or `10x h5`.

    Raises
    ------
    StudyError
        It is not an HDF5 file, damaged, or of another form.
    """
    import h5py

    with open_h5(path) as file:
        if "mod" in file and isinstance(file["mod"], h5py.Group) and "X" not in file:
            raise _mudata(path, list(file["mod"]))
        if "obs" in file and "var" in file:
            if all(isinstance(file[table], h5py.Group) for table in ("obs", "var")):
                return "h5ad"
            fix = "Read it with a newer anndata, and write it again."
            problem = "was written by an anndata before 0.7"
            raise StudyError(path, problem, fix, code="old-anndata")
        groups = [group for group in file.values() if isinstance(group, h5py.Group)]
        if any("indptr" in group and "barcodes" in group for group in groups):
            return "10x h5"
        has = ", ".join(file) or "nothing"
    problem = f"has no count matrix of a known form; it has {has}"
    raise StudyError(path, problem, f"Give {FORMS}.", code="unsupported-format")


def _mudata(path: str, modalities: list[str]) -> StudyError:
    """The error of a MuData, which has a matrix per modality."""
    genes = [name for name in modalities if name.lower() in RNA] or modalities or ["rna"]
    problem = f"is a MuData, with the modalities {', '.join(modalities) or 'none'}"
    fix = (
        f"Write its genes: `mudata.read_h5mu(...)['{genes[0]}'].write_h5ad('{genes[0]}.h5ad')`, "
        "and name the .h5ad."
    )
    return StudyError(path, problem, fix, code="unsupported-format")


def layers_of(file) -> dict[str, str]:
    """Where the matrices of an open .h5ad are, by their name in column `layer`."""
    places = {"X": "X", **{name: f"layers/{name}" for name in file.get("layers", ())}}
    if "raw" in file and "raw" not in places:
        places["raw"] = "raw/X"
    return {name: place for name, place in places.items() if _is_matrix(file, place)}


def _is_matrix(file, place: str) -> bool:
    return place in file and file[place].attrs.get("encoding-type") != "null"


def shape_of(matrix) -> tuple[int, int]:
    """Shape of a matrix in an open .h5ad, dense or sparse."""
    shape = matrix.shape if hasattr(matrix, "shape") else matrix.attrs["shape"]
    return tuple(int(size) for size in shape)


def index_of(table) -> str | None:
    """Name of the index of a table in an open .h5ad; None if it has none.

    Parameters
    ----------
    table
        The group of `obs` or `var`. anndata names its index in an attribute, as text or, from
        Julia, as bytes; other programs leave an array of a usual name.
    """
    named = table.attrs.get("_index")
    if isinstance(named, bytes):
        named = named.decode(errors="replace")
    if named is None:
        named = next((name for name in ("_index", "index") if name in table), None)
    return named if isinstance(named, str) and named in table else None


def columns_in(table) -> list[str]:
    """Names of the columns of a table in an open .h5ad, in their order, without its index."""
    ordered = table.attrs.get("column-order")
    names = table if ordered is None else ordered
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in names]
    return [name for name in names if name not in ("__categories", index_of(table))]


def read_values_of(table, name: str):
    """Values of a column or of the index of a table in an open .h5ad.

    Returns
    -------
    array
        Of the type that anndata gives them; None if they are not values of rows.
    """
    import anndata
    import h5py
    import numpy as np
    import pandas as pd

    item = table[name]
    # Words apart from their numbers: SeuratDisk and an older anndata put all words in one place,
    # R counts from one.
    words, numbers, first = table.get("__categories", {}).get(name), item, 0
    if words is None and "encoding-type" in item.attrs:
        values = anndata.io.read_elem(item)
        return as_text_array(values) if isinstance(values, np.ndarray) else values
    for word, number, least in (("categories", "codes", 0), ("levels", "values", 1)):
        if isinstance(item, h5py.Group) and word in item and number in item:
            words, numbers, first = item[word], item[number], least
    if words is not None:
        codes = numbers[:].astype(np.int64) - first
        # R has a negative number for a missing value.
        return pd.Categorical.from_codes(np.maximum(codes, -1), as_text_array(words[:]))
    return as_text_array(item[()]) if isinstance(item, h5py.Dataset) else None


def as_text_array(values):
    """Values whose bytes, as other programs than anndata write text, are text."""
    import numpy as np

    if values.dtype.kind == "S":
        return np.char.decode(values, "utf-8").astype(object)
    if values.dtype.kind == "O":
        return np.array(
            [value.decode() if isinstance(value, bytes) else value for value in values],
            dtype=object,
        )
    return values


def len_of(group, name: str) -> int | None:
    """Length of an array in a group; None if it is not an array.

    An array may be a group itself, such as text with missing values: then that of its values.
    """
    item = group.get(name)
    if hasattr(item, "keys"):
        item = item.get("values", item.get("codes"))
    return len(item) if getattr(item, "shape", ()) else None
