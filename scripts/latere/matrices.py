"""Count matrices as people have them: which files make one, and what can be seen of it before
the first job."""

import gzip
import os
import re
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path

from latere.errors import StudyError

URL = re.compile(r"(https?|ftp)://")
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
        A file of the three is missing, or cannot be told from the others.
    """
    if "," in text and not Path(text).exists():
        return _three([part.strip() for part in text.split(",")], text)
    path = Path(text)
    if path.is_dir():
        return _in_folder(path, barcodes)
    if URL.match(text) or text.endswith(HDF5):
        if ".mtx" in text:
            mend = "Give the URLs of matrix, barcodes and features, separated by commas."
            raise StudyError(text, "one file of three", mend)
        return (text,)
    for name in PARTS["matrix"]:
        if path.name.endswith(name) and path.is_file():
            return _with_prefix(path.parent, path.name.removesuffix(name))
    for prefix in (path.name, f"{path.name}.", f"{path.name}_", f"{path.name}-"):
        if any((path.parent / f"{prefix}{name}").is_file() for name in PARTS["matrix"]):
            return _with_prefix(path.parent, prefix)
    return (text,)


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
    files = {
        part: next(
            (
                str(folder / f"{prefix}{name}")
                for name in names
                if (folder / f"{prefix}{name}").is_file()
            ),
            None,
        )
        for part, names in PARTS.items()
    }
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
    if any((folder / name).is_file() for names in PARTS.values() for name in names):
        return _with_prefix(folder, "")
    kinds = {kind: found for kind in ("raw", "filtered") if (found := _matrix_of(folder, kind))}
    if kinds:
        wanted = [barcodes] if barcodes else ["raw", "filtered"]
        if barcodes and barcodes not in kinds:
            has = " and ".join(kinds)
            mend = f"Empty `barcodes`, or say {has}."
            raise StudyError(str(folder), f"has no {barcodes} matrix beside its {has}", mend)
        files = [kinds[kind] for kind in wanted if kind in kinds]
        cells = files[1][1 if len(files[1]) > 1 else 0 :][:1] if len(files) > 1 else ()
        return files[0] + cells
    inner = [folder / "outs", folder / "Gene", *sorted(folder.glob("*Solo.out"))]
    inner = [path for path in inner if path.is_dir()]
    if len(inner) == 1:
        return _in_folder(inner[0], barcodes)
    matrices = sorted(path.name for name in PARTS["matrix"] for path in folder.glob(f"*{name}"))
    if len(matrices) == 1:
        return find_files(str(folder / matrices[0]))
    if matrices:
        prefixes = ", ".join(matrices[:5]) + (", ..." if len(matrices) > 5 else "")
        problem = f"holds {len(matrices)} matrices of different prefixes ({prefixes})"
        raise StudyError(str(folder), problem, "Name one in each row: folder/prefix.")
    raise StudyError(str(folder), "is a folder without a count matrix", f"Give {FORMS}.")


def _matrix_of(folder: Path, kind: str) -> tuple[str, ...]:
    """The files of the raw or the filtered matrix in an output of STARsolo or CellRanger."""
    for name in (kind, f"{kind}_feature_bc_matrix", f"{kind}_gene_bc_matrices"):
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
    for name in (f"{kind}_feature_bc_matrix.h5", f"{kind}_gene_bc_matrices_h5.h5"):
        if (folder / name).is_file():
            return (str(folder / name),)
    return ()


# Of a file in the making or another program's: what `h5py` says is nothing to a reader.
DAMAGED = (
    "It may be cut off, or of another form: fetch it anew, and compare its size with the source's."
)
# As many names as tell what an index holds.
SOME = 200
BARCODE = re.compile(r"[ACGTN]{8,}")
GENE = re.compile(
    r"(.*_)?(ENS[A-Z]*G[0-9]{5,}|MT-[A-Z]|mt-[A-Z]|RP[SL][0-9]|Rp[sl][0-9]|GAPDH|ACTB)"
)


def form_of(path: str) -> str:
    """The form of an HDF5 file, by what is in it: `h5ad` or `10x h5`.

    Raises
    ------
    StudyError
        It is no HDF5 file, damaged, or of another form.
    """
    import h5py

    try:
        with h5py.File(path) as file:
            if "obs" in file and "var" in file:
                return "h5ad"
            if any("indptr" in group for group in file.values() if isinstance(group, h5py.Group)):
                return "10x h5"
            has = ", ".join(file) or "nothing"
    except OSError as error:
        size = Path(path).stat().st_size
        first = str(error).split(" (")[-1].rstrip(")")
        problem = f"cannot be read as HDF5, which its name promises ({size:,} bytes; {first})"
        raise StudyError(path, problem, DAMAGED) from None
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
        if Path(file).is_file() and not Path(file).stat().st_size and not named:
            raise StudyError(file, "is empty (0 bytes)", DAMAGED)
    form = "10x folder" if len(files) > 2 else form_of(files[0])
    for column, value in (("layer", layer), ("subset", subset)):
        if value and form != "h5ad":
            raise StudyError(files[0], f"`{column}` needs an .h5ad; this is a {form}", "Empty it.")
    if form == "10x folder":
        check_mtx(files[0])
    elif form == "h5ad":
        inspect_h5ad(files[0], layer, subset)


def open_plain(path: str):
    """Open a file to read its bytes, unpacked if it is gzipped, whatever its name says."""
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else open(path, "rb")


def check_mtx(path: str) -> None:
    """Look at the first line of a MatrixMarket file.

    Raises
    ------
    StudyError
        It is none.
    """
    try:
        with open_plain(path) as file:
            line = file.readline(200)
    except (OSError, EOFError) as error:
        raise StudyError(path, f"cannot be read ({error})", DAMAGED) from None
    if not re.match(b"%%MatrixMarket matrix coordinate (integer|real)", line, re.IGNORECASE):
        problem = f"is no MatrixMarket file of sparse numbers: it begins with {line[:40]!r}"
        raise StudyError(path, problem, "Give the .mtx as CellRanger or STARsolo writes it.")


def inspect_h5ad(path: str, layer: str, subset: str) -> None:
    """Look for faults of structure in an .h5ad.

    Raises
    ------
    StudyError
        No such layer, column or value; genes where cells should be.
    """
    import h5py

    with h5py.File(path) as file:
        if not isinstance(file["obs"], h5py.Group) or not isinstance(file["var"], h5py.Group):
            mend = "Read it with a newer anndata, and write it again."
            raise StudyError(path, "was written by an anndata before 0.7", mend)
        has = layers_of(file)
        if (layer or "X") not in has:
            problem = f"has no layer '{layer}'" if layer else "has no X"
            raise StudyError(path, problem, f"`layer` may be: {', '.join(has) or 'none'}.")
        shape = shape_of(file[has[layer or "X"]])
        var = file["raw/var"] if has[layer or "X"].startswith("raw/") else file["var"]
        cells, genes = _some_names(file["obs"]), _some_names(var)
    looks = sum(map(bool, map(GENE.match, cells))) - sum(map(bool, map(GENE.match, genes)))
    codes = sum(map(bool, map(BARCODE.match, genes))) > len(genes) / 2
    if codes or looks > len(cells) / 20:
        problem = (
            f"is transposed: its {shape[0]:,} rows are genes ({', '.join(cells[:2])}) "
            f"and its {shape[1]:,} columns cells ({', '.join(genes[:2])})"
        )
        raise StudyError(path, problem, "Write it as cells x genes: `adata.T.write_h5ad(...)`.")
    if subset:
        rows_of(path, subset)


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
    """The first names of the index of a table in an open .h5ad."""
    index = table[table.attrs["_index"]]
    return [str(name) for name in index.asstr()[:SOME]] if hasattr(index, "asstr") else []


@cache
def _read_column(path: str, column: str, changed: float):
    import anndata
    import h5py

    with h5py.File(path) as file:
        table = file["obs"]
        if column not in table or column == table.attrs["_index"]:
            known = ", ".join(map(str, table.attrs["column-order"])) or "none"
            problem = f"has no column '{column}' of cells"
            raise StudyError(path, problem, f"Columns of obs: {known}.")
        # Where categories lie apart, as SeuratDisk writes them, a column alone is their numbers.
        if "__categories" in table:
            return anndata.io.read_elem(table)[column]
        return anndata.io.read_elem(table[column])


def read_column(path: str, column: str):
    """A column of the cells of an .h5ad as text; nothing else is read.

    Returns
    -------
    pandas.Series
        One text a cell; NaN where there is no value. Whole numbers have no decimals.

    Raises
    ------
    StudyError
        No such column.
    """
    import pandas as pd

    values = pd.Series(_read_column(path, column, os.stat(path).st_mtime))
    known = values.notna()
    if pd.api.types.is_float_dtype(values) and (values[known] % 1 == 0).all():
        values = values.astype("Int64")
    text = values.astype(str).astype(object)
    return text.where(known & (text != ""))


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
    labels = read_column(path, column)
    if not (labels == value).any():
        known = sorted(labels.dropna().unique())
        shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
        raise StudyError(path, f"no cell has {column} '{value}'", f"Values: {shown}.")
    return (labels == value).to_numpy()


def as_name(value: str) -> str:
    """A value as the name of a run, a sample or a column: other characters become `_`."""
    return re.sub("[^A-Za-z0-9._-]+", "_", value).lstrip("._-").rstrip("_")


def split_rows(row: Mapping[str, str], reserved: Container[str]) -> list[dict[str, str]]:
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
    list of dict
        One row a run, in the order of the values. What all cells of a sample share in `obs` is
        filled in where the sheet has no value of its own.

    Raises
    ------
    StudyError
        No such column, cells without a value, runs of two samples, or values whose names fall
        together.
    """
    import h5py
    import pandas as pd

    path, *others = find_files(row["matrix"])
    if URL.match(path):
        raise StudyError(path, "`split` needs a file", "Download it, and name its path.")
    if not Path(path).is_file():
        raise StudyError(path, "does not exist", "Check the path.")
    if others or form_of(path) != "h5ad":
        raise StudyError(path, "`split` needs an .h5ad", "Give a row to each run.")
    split = row["split"]
    columns = {"run": split, "sample": row.get("sample", split)}
    table = pd.DataFrame({key: read_column(path, column) for key, column in columns.items()})
    for key, column in columns.items():
        if table[key].isna().any():
            problem = f"{table[key].isna().sum():,} cells have no value in column '{column}'"
            raise StudyError(path, problem, "Fill it, or give the runs one row each, by `subset`.")
    pairs = table.drop_duplicates().sort_values("run", kind="stable")
    if not pairs["run"].is_unique:
        run = pairs.loc[pairs["run"].duplicated(), "run"].iloc[0]
        samples = ", ".join(pairs.loc[pairs["run"] == run, "sample"])
        problem = f"{split} '{run}' has cells of several samples ({samples})"
        raise StudyError(path, problem, "Name a column for `sample` that is alike in each run.")
    for key, column in columns.items():
        values = pairs[key].drop_duplicates()
        names = values.map(as_name)
        if (names == "").any() or not names.is_unique:
            odd = ", ".join(
                repr(value) for value in values[names.duplicated(keep=False) | (names == "")]
            )
            mend = "Rename them in the file: letters, digits, '.', '_' and '-' tell names apart."
            raise StudyError(path, f"values of '{column}' give no names of their own: {odd}", mend)
    with h5py.File(path) as file:
        told = [str(name) for name in file["obs"].attrs["column-order"]]
    shared = {}
    for column in told:
        name = as_name(column)
        if not name or name in reserved or column in columns.values() or name in row:
            continue
        values = read_column(path, column)
        # Text with a line break or a tab is no cell of a sheet.
        by_sample = values.groupby(table["sample"]).nunique(dropna=False)
        if (by_sample == 1).all() and not values.astype(str).str.contains(r"[\t\n]").any():
            shared[name] = values.groupby(table["sample"]).first()
    kept = {key: value for key, value in row.items() if key not in ("split", "run", "sample")}
    return [
        {
            **{name: of[sample] for name, of in shared.items() if isinstance(of[sample], str)},
            **kept,
            "run": as_name(run),
            "sample": as_name(sample),
            "subset": f"{split}={run}",
        }
        for run, sample in pairs.itertuples(index=False)
    ]
