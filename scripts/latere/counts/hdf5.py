"""HDF5 files of users: opened with every check that they need, and where their matrices lie."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from latere.counts.files import FORMS, HDF5
from latere.errors import StudyError
from latere.files import UNREADABLE, require_file

# Of a file in the making or another program's: what `h5py` says is nothing to a reader.
DAMAGED = (
    "It may be cut off, or of another form: fetch it anew, and compare its size with the source's."
)
WRITE_AGAIN = "Read it with anndata, and write it again."


@contextmanager
def open_h5(path: str) -> Iterator:
    """Open an HDF5 file of a user, which must hold all that it shows.

    Raises
    ------
    StudyError
        It is no HDF5 file or damaged; it reads other files; what is looked up in it is not there.
    """
    import h5py

    require_file(path)
    try:
        file = h5py.File(path)
    except OSError as error:
        size = Path(path).stat().st_size
        first = str(error).split(" (")[-1].rstrip(")")
        if not path.endswith(HDF5):
            raise StudyError(path, "is of no form that is known", f"Give {FORMS}.") from None
        problem = f"cannot be read as HDF5, which its name promises ({size:,} bytes; {first})"
        raise StudyError(path, problem, DAMAGED) from None
    with file:
        try:
            if elsewhere := _other_file(path, os.stat(path).st_mtime):
                raise StudyError(path, f"reads another file: {elsewhere}", WRITE_AGAIN)
            yield file
        except MemoryError as error:
            fix = "Give it more memory. If that is far more than the file has, it is damaged."
            raise StudyError(path, f"takes more memory than there is ({error})", fix) from None
        except UNREADABLE as error:
            logging.info("what could not be read:", exc_info=True)
            told = error.args[0] if error.args else type(error).__name__
            raise StudyError(path, f"its HDF5 structure is damaged ({told})", DAMAGED) from None


@cache
def _other_file(path: str, changed: float) -> str:
    """What of an HDF5 file lies in another one, in words; empty if nothing does.

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
            # A point stands for the file itself.
            others = {source.file_name for source in item.virtual_sources()} - {"."}
            return f"the values of '{name}' lie in '{min(others)}'" if others else None

    with h5py.File(path) as file:
        return file.visititems_links(of_link) or file.visititems(of_data) or ""


def form_of(path: str) -> str:
    """The form of an HDF5 file, by what is in it: `h5ad` or `10x h5`.

    Raises
    ------
    StudyError
        It is no HDF5 file, damaged, or of another form.
    """
    import h5py

    with open_h5(path) as file:
        if "obs" in file and "var" in file:
            if all(isinstance(file[table], h5py.Group) for table in ("obs", "var")):
                return "h5ad"
            fix = "Read it with a newer anndata, and write it again."
            raise StudyError(path, "was written by an anndata before 0.7", fix)
        groups = [group for group in file.values() if isinstance(group, h5py.Group)]
        if any("indptr" in group and "barcodes" in group for group in groups):
            return "10x h5"
        has = ", ".join(file) or "nothing"
    raise StudyError(path, f"holds no count matrix that is known; it has {has}", f"Give {FORMS}.")


def layers_of(file) -> dict[str, str]:
    """Where the matrices of an open .h5ad lie, by what `layer` calls them."""
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
