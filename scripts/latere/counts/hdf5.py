"""HDF5 files of users: opened with all checks that they need, and where their matrices are."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from latere.counts.files import FORMS, HDF5
from latere.errors import StudyError
from latere.files import UNREADABLE, require_file

# The messages of `h5py` do not help a reader.
DAMAGED = (
    "It may be truncated or of another form: fetch it again, and compare its size with the source."
)
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
            logging.info("reading failed:", exc_info=True)
            reason = error.args[0] if error.args else type(error).__name__
            problem = f"its HDF5 structure is damaged ({reason})"
            raise StudyError(path, problem, DAMAGED, code="damaged-file") from None


@cache
def _other_file(path: str, changed: float) -> str:
    """The part of an HDF5 file that is stored in another file, in words; empty if none is.

    No link is followed: soft ones may lead in a circle, external ones to any file.
    """
    import h5py

    def of_link(name, link):
        if isinstance(link, h5py.ExternalLink):
            return f"'{name}' is a link to '{link.path}' in '{link.filename}'"

    def of_data(name, item):
        if not isinstance(item, h5py.Dataset):
            return None
        if item.external:
            return f"the values of '{name}' lie in '{item.external[0][0]}'"
        if item.is_virtual:
            # A point means the file itself.
            others = {source.file_name for source in item.virtual_sources()} - {"."}
            return f"the values of '{name}' lie in '{min(others)}'" if others else None

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
