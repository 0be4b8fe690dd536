"""Count matrices as people have them: which files make one, and what can be seen of it before
the first job."""

import logging
import math
import os
import re
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path

from latere.errors import StudyError
from latere.files import read_head, require_file
from latere.urls import URL
from latere.values import FORMULA_PROBLEM, find_invisible, is_formula

HDF5 = (".h5ad", ".h5")
# Names of the three files of a 10x folder, the newer ones first.
PARTS = {
    "matrix": ("matrix.mtx.gz", "matrix.mtx"),
    "barcodes": ("barcodes.tsv.gz", "barcodes.tsv"),
    "features": ("features.tsv.gz", "features.tsv", "genes.tsv.gz", "genes.tsv"),
}
# What tells the three apart where they have names of their own; the last word of a name counts.
WORDS = {
    "mtx": "matrix",
    "barcode": "barcodes",
    "cell": "barcodes",
    "feature": "features",
    "gene": "features",
}
FORMS = (
    "a 10x folder, its three files, a 10x .h5, an .h5ad, or the output of STARsolo or CellRanger"
)
TABLE = (
    "Read it with scanpy (`read_csv`, `read_text`), turn it if its rows are genes (`adata.T`), "
    "write it with `write_h5ad`, and name that."
)
# What people have and no step reads, by the end of its name: what it is, and the mend. The first
# that fits counts.
OTHERS = {
    tuple(name for names in PARTS.values() for name in names) + (".mtx", ".mtx.gz"): (
        "one file of three",
        "Give matrix, barcodes and features, separated by commas, or their folder.",
    ),
    (".h5ad.gz", ".h5.gz"): (
        "a packed HDF5 file",
        "Unpack it with `gunzip`, and name the .h5ad or .h5.",
    ),
    # The last is how GEO's pages link to the archive of a series.
    (".tar", ".tar.gz", ".tgz", ".zip", ".7z", ".rar", "&format=file"): (
        "an archive of files",
        "Unpack it, and name in each row a 10x folder, folder/prefix as GEO names the three files, "
        "an .h5 or an .h5ad.",
    ),
    (".rds", ".rds.gz", ".rdata", ".rdata.gz", ".rda", ".robj", ".qs", ".h5seurat"): (
        "an object of R",
        'Write its counts in R: `DropletUtils::write10xCounts("folder", counts)`, of Seurat '
        '`counts <- SeuratObject::LayerData(object, layer = "counts")`; name the folder.',
    ),
    (".loom", ".loom.gz"): (
        "a loom file",
        "Read it with `scanpy.read_loom`, write it with `write_h5ad`, and name that.",
    ),
    tuple(f".{end}{packed}" for end in ("csv", "tsv", "txt", "tab") for packed in ("", ".gz")): (
        "a table of text",
        TABLE,
    ),
    (".xlsx", ".xls"): ("a spreadsheet", TABLE),
}
# Folders that hold the matrices of an output, the first that is there; of STARsolo the counts of
# exons before those of whole genes, and never `Velocyto` or `SJ`.
INNER = ("outs", "per_sample_outs/*", "count", "Gene", "GeneFull*", "*Solo.out")


def find_files(text: str, barcodes: str = "") -> tuple[str, ...]:
    """The files of a matrix as the sheet names it.

    Parameters
    ----------
    text
        Cell `matrix` of the sheet: a file, a folder, a prefix of files, or three of them
        separated by commas; URLs where it lists files.
    barcodes
        `raw` or `filtered`: which matrix of STARsolo or CellRanger, else both.

    Returns
    -------
    tuple of str
        An HDF5 file; or matrix, barcodes and features; where the cells are called already beside
        their raw matrix, then also what names them: the barcodes, or the HDF5 file, of the cells.
        What does not exist is given as it is.

    Raises
    ------
    StudyError
        A file of the three is missing, or cannot be told from the others; what is named is of a
        form that is not read.
    """
    if "," in text and not os.path.exists(text):
        return _three([part.strip() for part in text.split(",")], text)
    # Functions of `os.path` raise no error for names that no file can have.
    path = Path(text)
    if os.path.isdir(path):
        return _in_folder(path, barcodes)
    for name in PARTS["matrix"]:
        if path.name.endswith(name) and os.path.isfile(path):
            return _with_prefix(path.parent, path.name.removesuffix(name))
    for prefix in (path.name, f"{path.name}.", f"{path.name}_", f"{path.name}-"):
        if any(os.path.isfile(path.parent / f"{prefix}{name}") for name in PARTS["matrix"]):
            return _with_prefix(path.parent, prefix)
    _check_form(text)
    return (text,)


def _check_form(text: str) -> None:
    """Refuse what the end of its name tells to be no matrix, or one of another form."""
    if not URL.match(text) and not os.path.exists(text):
        return
    plain = urllib.parse.unquote(text).lower()
    # A URL may name its file in the path or in the query.
    names = (plain, urllib.parse.urlsplit(plain).path)
    for ends, (form, mend) in OTHERS.items():
        if any(name.endswith(ends) for name in names):
            raise StudyError(text, f"is {form}; it is not read as it is", mend)


def _three(files: list[str], text: str) -> tuple[str, ...]:
    """Matrix, barcodes and features among files of any name."""
    found = {}
    for file in files:
        words = re.findall("|".join(WORDS), file.rpartition("/")[2].lower())
        part = "matrix" if "mtx" in words else WORDS.get(words[-1]) if words else None
        found.setdefault(part, []).append(file)
    if set(found) != set(PARTS) or len(files) != len(PARTS):
        told = "; ".join(
            f"{part or 'unknown'}: {', '.join(named)}" for part, named in found.items()
        )
        mend = (
            "Give one of each: matrix (.mtx in its name), barcodes (or cells), features (or genes)."
        )
        raise StudyError(text, f"{len(files)} files, which are not the three ({told})", mend)
    return tuple(found[part][0] for part in PARTS)


def _with_prefix(folder: Path, prefix: str) -> tuple[str, ...]:
    """Matrix, barcodes and features of one prefix in a folder."""
    files = {}
    for part, names in PARTS.items():
        paths = [str(folder / f"{prefix}{name}") for name in names]
        # What is there and not a file is refused by its own name later.
        there = [path for path in paths if os.path.isfile(path)] or filter(os.path.lexists, paths)
        files[part] = next(iter(there), None)
    for part, file in files.items():
        if file is None:
            wanted = " or ".join(f"{prefix}{name}" for name in PARTS[part])
            has = ", ".join(Path(file).name for file in files.values() if file)
            raise StudyError(
                str(folder), f"has {has}, but no {part}: {wanted}", "Copy it into the folder, too."
            )
    return tuple(files.values())


def _in_folder(folder: Path, barcodes: str) -> tuple[str, ...]:
    """The files of a matrix in a folder: of 10x, STARsolo or CellRanger."""
    if any(os.path.lexists(folder / name) for names in PARTS.values() for name in names):
        return _with_prefix(folder, "")
    samples = _folders(folder, "per_sample_outs/*")
    if len(samples) > 1:
        # Beside them CellRanger may keep the matrix of all, which is no sample's.
        _the_one(samples, folder, "outputs")
    kinds = {kind: found for kind in ("raw", "filtered") if (found := _matrix_of(folder, kind))}
    if list(kinds) == ["filtered"] and (raw := _matrix_of(_pool(folder), "raw")):
        kinds = {"raw": raw} | kinds
    if kinds:
        wanted = [barcodes] if barcodes else ["raw", "filtered"]
        if barcodes and barcodes not in kinds:
            has = " and ".join(kinds)
            mend = f"Empty `barcodes`, or say {has}."
            raise StudyError(str(folder), f"has no {barcodes} matrix beside its {has}", mend)
        files = [kinds[kind] for kind in wanted if kind in kinds]
        cells = files[1][1 if len(files[1]) > 1 else 0 :][:1] if len(files) > 1 else ()
        return files[0] + cells
    for pattern in INNER:
        if inner := _folders(folder, pattern):
            return _in_folder(_the_one(inner, folder, "outputs"), barcodes)
    matrices = [path for name in PARTS["matrix"] for path in folder.glob(f"*{name}")]
    matrices += [path for end in HDF5 for path in folder.glob(f"*{end}")]
    if matrices:
        return find_files(str(_the_one(matrices, folder, "matrices")))
    inner = ", ".join(path.name for path in _folders(folder, "*")[:5])
    problem = f"is a folder without a count matrix{f' (it holds {inner})' if inner else ''}"
    raise StudyError(str(folder), problem, f"Give {FORMS}.")


def _folders(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_dir()]


def _pool(folder: Path) -> Path:
    """Where CellRanger's `multi` keeps the droplets of a sample that it has no others with.

    The droplets of several samples are those of none: then it is the folder itself.
    """
    samples = folder.parent.parent
    alone = samples.name == "per_sample_outs" and len(_folders(samples, "*")) == 1
    return samples.parent / "multi/count" if alone else folder


def _the_one(paths: list[Path], folder: Path, things: str) -> Path:
    """The only one of what a folder holds.

    Raises
    ------
    StudyError
        There are several.
    """
    if len(paths) > 1:
        names = sorted(str(path.relative_to(folder)) for path in paths)
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        mend = f"Name one in each row, as {folder / names[0]}."
        raise StudyError(str(folder), f"holds {len(names)} {things} ({shown})", mend)
    return paths[0]


def _matrix_of(folder: Path, kind: str) -> tuple[str, ...]:
    """The files of the raw or the filtered matrix in an output of STARsolo or CellRanger."""
    many = f"{kind}_feature_bc_matrix"
    for name in (kind, many, f"sample_{many}", f"{kind}_gene_bc_matrices"):
        # CellRanger 2 has a folder of each genome.
        inner = [
            path
            for path in (folder / name, *sorted((folder / name).glob("*/")))
            if any((path / matrix).is_file() for matrix in PARTS["matrix"])
        ]
        if len(inner) > 1:
            genomes = ", ".join(path.name for path in inner)
            problem = f"has a matrix of each of {len(inner)} genomes ({genomes})"
            raise StudyError(str(folder / name), problem, "Name the folder of one of them.")
        if inner:
            return _with_prefix(inner[0], "")
    for name in (f"{many}.h5", f"sample_{many}.h5", f"{kind}_gene_bc_matrices_h5.h5"):
        if (folder / name).is_file():
            return (str(folder / name),)
    return ()


# Of a file in the making or another program's: what `h5py` says is nothing to a reader.
DAMAGED = (
    "It may be cut off, or of another form: fetch it anew, and compare its size with the source's."
)
# Where the sizes of a MatrixMarket file stand, behind the comments.
MTX_HEAD = 1 << 20
# What h5py and anndata raise where a file holds something else than its form promises.
UNREADABLE = (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError, IndexError)
UNREADABLE += (OverflowError,)
WRITE_AGAIN = "Read it with anndata, and write it again."
# As many names as tell what an index holds.
SOME = 1000
# In one piece or in two, with whatever a program or a person wrote before and behind it.
BARCODE = re.compile(r"[ACGTN]{6,}[-_.+]?[ACGTN]{6,}")
# Ids, or symbols that no cell is called by: 5 % of the protein-coding genes of 10x's GRCh38.
GENE = re.compile(
    r"(.*_)?(ENS[A-Z]*G[0-9]{5,}.*|MT-(CO|ND|ATP|CYB)[0-9]?|mt-(Co|Nd|Atp|Cytb)[0-9]?|GAPDH|ACTB"
    r"|R(P[SL]|p[sl])[0-9]+[A-Za-z0-9]*|(ZNF|Zfp|TMEM|Tmem|LINC|Gm)[0-9]+|S(LC|lc)[0-9]+[Aa][0-9]+"
    r"|[0-9]{7}\w+Rik|A[CLP][0-9]{6}\.[0-9]+|RP[0-9]+-[0-9]+[A-Z][0-9]+\.[0-9]+)"
)


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
            mend = "Give it more memory. If that is far more than the file has, it is damaged."
            raise StudyError(path, f"takes more memory than there is ({error})", mend) from None
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
            mend = "Read it with a newer anndata, and write it again."
            raise StudyError(path, "was written by an anndata before 0.7", mend)
        groups = [group for group in file.values() if isinstance(group, h5py.Group)]
        if any("indptr" in group and "barcodes" in group for group in groups):
            return "10x h5"
        has = ", ".join(file) or "nothing"
    raise StudyError(path, f"holds no count matrix that is known; it has {has}", f"Give {FORMS}.")


def inspect(files: tuple[str, ...], layer: str, subset: str) -> None:
    """Look for faults of structure; no value of the matrix is read.

    Parameters
    ----------
    files
        As `find_files` gives them, all of them there.
    layer, subset
        As in the sheet.

    Raises
    ------
    StudyError
        What is wrong, and the mend.
    """
    for file in files:
        # Of no cell there are no barcodes.
        named = file.endswith(PARTS["barcodes"])
        if os.path.isfile(file) and not os.path.getsize(file) and not named:
            raise StudyError(file, "is empty (0 bytes)", DAMAGED)
    form = "10x folder" if len(files) > 2 else form_of(files[0])
    for column, value in (("layer", layer), ("subset", subset)):
        if value and form != "h5ad":
            raise StudyError(files[0], f"`{column}` needs an .h5ad; this is a {form}", "Empty it.")
    if form == "10x folder":
        check_mtx(files[0])
    elif form == "h5ad":
        inspect_h5ad(files[0], layer, subset)


def check_mtx(path: str) -> tuple[int, int, int]:
    """Look at the head of a MatrixMarket file.

    Returns
    -------
    tuple of int
        Rows, columns and entries.

    Raises
    ------
    StudyError
        It is none, or its first lines do not say how large the matrix is.
    """
    head = read_head(path, MTX_HEAD)
    if not re.match(b"%%MatrixMarket matrix coordinate (integer|real)", head, re.IGNORECASE):
        problem = f"is no MatrixMarket file of sparse numbers: it begins with {head[:40]!r}"
        raise StudyError(path, problem, "Give the .mtx as CellRanger or STARsolo writes it.")
    lines = [line for line in head.split(b"\n")[1:] if line.strip() and not line.startswith(b"%")]
    first = lines[0] if lines else b""
    sizes = re.fullmatch(rb"\s*(\d{1,18})\s+(\d{1,18})\s+(\d{1,18})\s*", first)
    if not sizes:
        told = f"it begins with {first[:40]!r}" if first else f"it ends after {len(head):,} bytes"
        problem = f"does not say how many rows, columns and entries it has ({told})"
        raise StudyError(path, problem, DAMAGED)
    rows, columns, entries = map(int, sizes.groups())
    if entries > rows * columns:
        problem = f"says that it has {entries:,} entries in {rows:,} rows and {columns:,} columns"
        raise StudyError(path, problem, DAMAGED)
    return rows, columns, entries


def inspect_h5ad(path: str, layer: str, subset: str) -> None:
    """Look for faults of structure in an .h5ad.

    Raises
    ------
    StudyError
        No such layer, column or value; genes where cells should be.
    """
    _inspect_whole(path, layer, os.stat(path).st_mtime)
    if subset:
        rows_of(path, subset)


@cache
def _inspect_whole(path: str, layer: str, changed: float) -> None:
    """What does not depend on the cells of a run is looked at once for all runs of a file."""
    with open_h5(path) as file:
        has = layers_of(file)
        if (layer or "X") not in has:
            problem = f"has no layer '{layer}'" if layer else "has no X"
            raise StudyError(path, problem, f"`layer` may be: {', '.join(has) or 'none'}.")
        place = has[layer or "X"]
        tables = ["obs", "raw/var" if place.startswith("raw/") else "var"]
        shape = _check_structure(file, place, tables, path)
        cells, genes = (_some_names(file[table]) for table in tables)
    looks = _share(GENE.fullmatch, cells) - _share(GENE.fullmatch, genes)
    codes = _share(BARCODE.search, genes) - _share(BARCODE.search, cells)
    if codes > 0.5 or looks > 0.03:
        problem = (
            f"is transposed: its {shape[0]:,} rows are genes ({', '.join(cells[:2])}) "
            f"and its {shape[1]:,} columns cells ({', '.join(genes[:2])})"
        )
        raise StudyError(path, problem, "Write it as cells x genes: `adata.T.write_h5ad(...)`.")


def _check_structure(file, place: str, tables: list[str], path: str) -> tuple[int, int]:
    """The shape of a matrix in an open .h5ad, which its parts and its tables must have, too.

    Parameters
    ----------
    place
        Where the matrix lies.
    tables
        Where the tables of its rows and of its columns lie.
    """
    matrix = file[place]
    if "shape" not in matrix.attrs and not hasattr(matrix, "shape"):
        raise StudyError(path, f"{place} has no shape", WRITE_AGAIN)
    shape = shape_of(matrix)
    if len(shape) != 2 or min(shape) < 0:
        raise StudyError(path, f"{place} is not a table: its shape is {shape}", WRITE_AGAIN)
    if not hasattr(matrix, "shape"):
        lengths = {name: _length(matrix, name) for name in ("data", "indices", "indptr")}
        if lost := [name for name, length in lengths.items() if length is None]:
            raise StudyError(path, f"{place} has no '{lost[0]}'", WRITE_AGAIN)
        if lengths["data"] != lengths["indices"] or lengths["indptr"] - 1 not in shape:
            told = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
            raise StudyError(path, f"the parts of {place} do not fit its shape ({told})", DAMAGED)
    for table, length in zip(tables, shape, strict=True):
        index = file[table].attrs.get("_index") if table in file else None
        if isinstance(index, bytes):  # as Julia writes it
            index = index.decode()
        named = _length(file[table], index) if isinstance(index, str) else None
        if named is None:
            raise StudyError(path, f"its table {table} has no index (`_index`)", WRITE_AGAIN)
        if named != length:
            problem = f"{place} is {shape[0]:,} x {shape[1]:,}, but {table} names {named:,}"
            raise StudyError(path, problem, WRITE_AGAIN)
    return shape


def _length(group, name: str) -> int | None:
    """Length of an array in a group; None where it is none.

    Of an array that is a group itself, as one of text with missing values, that of its values.
    """
    item = group.get(name)
    if hasattr(item, "keys"):
        item = item.get("values", item.get("codes"))
    return len(item) if getattr(item, "shape", ()) else None


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


def _some_names(table) -> list[str]:
    """Names from all over the index of a table in an open .h5ad, at most `SOME`."""
    index = table[table.attrs["_index"]]
    if not hasattr(index, "asstr"):
        return []
    return [str(name) for name in index.asstr()[:: max(1, math.ceil(len(index) / SOME))]]


def _share(looks, names: list[str]) -> float:
    """Share of names that look so."""
    return sum(map(bool, map(looks, names))) / max(len(names), 1)


@lru_cache(maxsize=1)
def _read_old_obs(path: str, changed: float):
    import anndata

    with open_h5(path) as file:
        return anndata.io.read_elem(file["obs"])


def read_column(path: str, column: str):
    """A column of the cells of an .h5ad; nothing else is read.

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
    import anndata
    import numpy as np
    import pandas as pd

    with open_h5(path) as file:
        table = file["obs"]
        if column not in table or column == table.attrs["_index"]:
            known = ", ".join(map(str, table.attrs["column-order"])) or "none"
            problem = f"has no column '{column}' of cells"
            raise StudyError(path, problem, f"Columns of obs: {known}.")
        # Where categories lie apart, as SeuratDisk writes them, a column alone is their numbers.
        if "__categories" in table:
            cells = _read_old_obs(path, os.stat(path).st_mtime)[column]
        else:
            cells = anndata.io.read_elem(table[column])
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


def rows_of(path: str, subset: str):
    """Which cells of an .h5ad have a value in a column.

    Parameters
    ----------
    subset
        ``obs_column=value``.

    Returns
    -------
    numpy.ndarray
        Boolean, one a cell.

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
        raise StudyError(path, f"no cell has {column} '{value}'", f"Values: {shown}.")
    return codes == known.index(value)


def as_name(value: str) -> str:
    """A value as the name of a run, a sample or a column: other characters become `_`."""
    return re.sub("[^A-Za-z0-9._-]+", "_", value).lstrip("._-").rstrip("_")


def split_rows(
    row: Mapping[str, str], reserved: Iterable[str]
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The runs of one .h5ad, by a column of its cells.

    Parameters
    ----------
    row
        A row of the sheet with `split`, the column of the runs; `sample`, if it is not empty,
        is the column of the samples.
    reserved
        Columns that the sheet keeps for itself.

    Returns
    -------
    rows : list of dict
        One row a run, in the order of the values. What all cells of a sample share in `obs` is
        filled in where the sheet has no value of its own.
    left_out : dict
        Why a column of `obs` is not among them, by its name.

    Raises
    ------
    StudyError
        No such column, cells without a value, runs of two samples, or values whose names fall
        together.
    """
    path = _find_h5ad(row["matrix"])
    split, sample = row["split"], row.get("sample", row["split"])
    runs = find_runs(path, split, sample)
    kept = {key: value for key, value in row.items() if key not in ("split", "run", "sample")}
    shared, left_out = find_shared(path, sample, {split, sample}, {*reserved, *kept})
    rows = [
        {
            **shared[of],
            **kept,
            "run": as_name(run),
            "sample": as_name(of),
            "subset": f"{split}={run}",
        }
        for run, of in runs
    ]
    return rows, left_out


def _find_h5ad(text: str) -> str:
    """The .h5ad that column `matrix` of a sheet names.

    Raises
    ------
    StudyError
        It names something else.
    """
    path, *others = find_files(text)
    if URL.match(path):
        raise StudyError(path, "`split` needs a file", "Download it, and name its path.")
    require_file(path)
    if others or form_of(path) != "h5ad":
        raise StudyError(path, "`split` needs an .h5ad", "Give a row to each run.")
    return path


def find_runs(path: str, split: str, sample: str) -> list[tuple[str, str]]:
    """Runs and their samples in an .h5ad, by the columns that tell them.

    Returns
    -------
    list of tuple
        Values of run and sample, in the order of the runs.

    Raises
    ------
    StudyError
        Cells without a value, a run of several samples, or values that give no names.
    """
    import pandas as pd

    coded = {column: read_labels(path, column) for column in (split, sample)}
    for column, (codes, labels) in coded.items():
        if without := (codes < 0).sum():
            problem = f"{without:,} cells have no value in column '{column}'"
            raise StudyError(path, problem, "Fill it, or give the runs one row each, by `subset`.")
        _check_names(path, column, labels)
    (runs, run_labels), (samples, sample_labels) = coded[split], coded[sample]
    pairs = pd.DataFrame({"run": runs, "sample": samples}).drop_duplicates()
    if pairs.empty:
        raise StudyError(path, "has no cells", "Give a matrix with cells.")
    pairs = sorted(zip(run_labels[pairs["run"]], sample_labels[pairs["sample"]], strict=True))
    of = defaultdict(list)
    for run, one in pairs:
        of[run].append(one)
    for run, several in of.items():
        if len(several) > 1:
            problem = f"{split} '{run}' has cells of several samples ({', '.join(several)})"
            mend = "Name a column for `sample` that is alike in each run."
            raise StudyError(path, problem, mend)
    return pairs


def _check_names(path: str, column: str, values: Iterable[str]) -> None:
    """Whether values can be told apart by their names."""
    named = Counter(map(as_name, values))
    odd = [
        repr(value) for value in sorted(values) if named[as_name(value)] > 1 or not as_name(value)
    ]
    if odd:
        mend = "Rename them in the file: letters, digits, '.', '_' and '-' tell names apart."
        problem = f"values of '{column}' give no names of their own: {', '.join(odd)}"
        raise StudyError(path, problem, mend)


def find_shared(
    path: str, sample: str, passed: Container[str], taken: Iterable[str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What all cells of a sample share in the columns of an .h5ad.

    Parameters
    ----------
    sample
        The column of the samples.
    passed
        Columns that have their place in the sheet already.
    taken
        Names that no further column of the sheet may have.

    Returns
    -------
    shared : dict
        By value of `sample`, the values of the columns, by names fit for a sheet; what is not
        known is left out.
    left_out : dict
        Why a column is not shared, by its name in the file.
    """
    import numpy as np

    samples, labels = read_labels(path, sample)
    first = np.unique(samples, return_index=True)[1]
    with open_h5(path) as file:
        columns = [str(name) for name in file["obs"].attrs["column-order"]]
    shared, left_out, taken = {label: {} for label in labels}, {}, set(taken)
    for column in columns:
        if column in passed:
            continue
        name = as_name(column)
        if not name or name in taken:
            taken_by = "its name is the workflow's, or another column's"
            left_out[column] = taken_by if name else "its name has no letter or digit"
            continue
        codes, values = read_column(path, column)
        alike = codes == codes[first][samples]
        if not alike.all():
            left_out[column] = f"not alike in all cells of '{labels[samples[alike.argmin()]]}'"
            continue
        texts = as_text(values)
        # Neither is a cell of a sheet.
        if any(re.search(r"[\t\n\r]", text) for text in texts):
            left_out[column] = "has tabs or line breaks"
            continue
        if hidden := next(filter(None, map(find_invisible, texts)), None):
            left_out[column] = f"has the invisible character {hidden!r}"
            continue
        if formula := next(filter(is_formula, texts), ""):
            left_out[column] = f"has {formula!r}, and {FORMULA_PROBLEM}"
            continue
        taken.add(name)
        for label, code in zip(labels, codes[first], strict=True):
            if code >= 0:
                shared[label][name] = texts[code]
    return shared, left_out
