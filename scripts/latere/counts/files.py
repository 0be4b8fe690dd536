"""Which files make one count matrix, as people have them."""

import os
import re
import urllib.parse
from collections import Counter
from functools import reduce
from itertools import permutations
from operator import and_
from pathlib import Path

from latere.errors import StudyError
from latere.urls import URL

HDF5 = (".h5ad", ".h5")
# Names of the three files of a 10x folder, the newer ones first.
PARTS = {
    "matrix": ("matrix.mtx.gz", "matrix.mtx"),
    "barcodes": ("barcodes.tsv.gz", "barcodes.tsv"),
    "features": ("features.tsv.gz", "features.tsv", "genes.tsv.gz", "genes.tsv"),
}
# Words that identify the three files under other names; the last one counts if a name has several.
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
    "Read it with scanpy (`read_csv`, `read_text`), transpose it if its rows are genes "
    "(`adata.T`), write it with `write_h5ad`, and name the .h5ad."
)
# Forms that people have and no step reads, by the end of the name: the form, and the fix. The
# first match counts.
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
        "Read it with `scanpy.read_loom`, write it with `write_h5ad`, and name the .h5ad.",
    ),
    tuple(f".{end}{packed}" for end in ("csv", "tsv", "txt", "tab") for packed in ("", ".gz")): (
        "a table of text",
        TABLE,
    ),
    (".xlsx", ".xls"): ("a spreadsheet", TABLE),
}
# Folders with the matrices of an output, of which the first that exists counts; for STARsolo the
# counts of exons before those of whole genes, and never `Velocyto` or `SJ`.
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
        A file that does not exist is given as named.

    Raises
    ------
    StudyError
        A file of the three is missing or cannot be identified; the file has a form that is not
        read.
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
    # The part may be in the middle of the names.
    if path.name and not os.path.lexists(path) and (files := _beside(path.parent, path.name)):
        return _three(files, text)
    _check_form(text)
    return (text,)


def _check_form(text: str) -> None:
    """Reject a file whose name ends as a form that is not read."""
    if not URL.match(text) and not os.path.exists(text):
        return
    plain = urllib.parse.unquote(text).lower()
    # A URL may name its file in the path or in the query.
    names = (plain, urllib.parse.urlsplit(plain).path)
    for ends, (form, fix) in OTHERS.items():
        if any(name.endswith(ends) for name in names):
            raise StudyError(text, f"is {form}, which is not read", fix, code="unsupported-format")


def _three(files: list[str], text: str) -> tuple[str, ...]:
    """Matrix, barcodes and features among files of any name."""
    named = {file: re.findall("[a-z0-9]+", file.rpartition("/")[2].lower()) for file in files}
    # The name of a sample may have such a word, too ("T_cells"): what all names have says nothing.
    shared = reduce(and_, map(Counter, named.values()))
    words = {
        file: re.findall("|".join(WORDS), " ".join((Counter(said) - shared).elements()))
        for file, said in named.items()
    }
    parts = {
        file: {"matrix"} if "mtx" in said else {WORDS[word] for word in said}
        for file, said in words.items()
    }
    # In a longer word ("TcellsBarcodes"): if one file can be only one part, no other is that part.
    for file, other in permutations(files, 2):
        if len(parts[other]) == 1 and len(parts[file]) > 1:
            parts[file] = parts[file] - parts[other]
    found = {}
    for file in files:
        # Else the last word of a name counts.
        part = WORDS[words[file][-1]] if len(parts[file]) > 1 else min(parts[file], default=None)
        found.setdefault(part, []).append(file)
    if set(found) != set(PARTS) or len(files) != len(PARTS):
        parts = "; ".join(
            f"{part or 'unknown'}: {', '.join(named)}" for part, named in found.items()
        )
        fix = (
            "Give one of each: matrix (.mtx in its name), barcodes (or cells), features (or genes)."
        )
        problem = f"lists {len(files)} files, which are not the three of a 10x folder ({parts})"
        raise StudyError(text, problem, fix, code="ambiguous-files")
    return tuple(found[part][0] for part in PARTS)


def _beside(folder: Path, prefix: str) -> list[str]:
    """Three files in a folder, one of them a matrix, whose names begin with a word or words."""
    if not os.access(folder, os.R_OK | os.X_OK) or not folder.is_dir():
        return []
    # Not GSM10 for GSM1.
    begins = re.compile(re.escape(prefix) + (r"(?![A-Za-z0-9])" if prefix[-1:].isalnum() else ""))
    found = sorted(
        entry.path for entry in os.scandir(folder) if begins.match(entry.name) and entry.is_file()
    )
    matrices = [name for name in found if re.search(r"\.mtx(\.gz)?$", name)]
    return found if len(found) == len(PARTS) and len(matrices) == 1 else []


def _with_prefix(folder: Path, prefix: str) -> tuple[str, ...]:
    """Matrix, barcodes and features of one prefix in a folder."""
    files = {}
    for part, names in PARTS.items():
        paths = [str(folder / f"{prefix}{name}") for name in names]
        # A path that is not a file is rejected later, by its own name.
        there = [path for path in paths if os.path.isfile(path)] or filter(os.path.lexists, paths)
        files[part] = next(iter(there), None)
    for part, file in files.items():
        if file is None:
            wanted = " or ".join(f"{prefix}{name}" for name in PARTS[part])
            has = ", ".join(Path(file).name for file in files.values() if file)
            problem, fix = f"has {has}, but no {part}: {wanted}", "Copy it into the folder, too."
            raise StudyError(str(folder), problem, fix, code="missing-file")
    return tuple(files.values())


def _in_folder(folder: Path, barcodes: str) -> tuple[str, ...]:
    """The files of a matrix in a folder: of 10x, STARsolo or CellRanger."""
    if any(os.path.lexists(folder / name) for names in PARTS.values() for name in names):
        return _with_prefix(folder, "")
    samples = _folders(folder, "per_sample_outs/*")
    if len(samples) > 1:
        # Beside them CellRanger may keep the matrix of all samples together.
        _the_one(samples, folder, "outputs")
    kinds = {kind: found for kind in ("raw", "filtered") if (found := _matrix_of(folder, kind))}
    if list(kinds) == ["filtered"] and (raw := _matrix_of(_pool(folder), "raw")):
        kinds = {"raw": raw} | kinds
    if kinds:
        wanted = [barcodes] if barcodes else ["raw", "filtered"]
        if barcodes and barcodes not in kinds:
            has = " and ".join(kinds)
            fix = f"Leave `barcodes` empty, or set it to {has}."
            problem = f"has no {barcodes} matrix beside its {has} matrix"
            raise StudyError(str(folder), problem, fix, code="missing-matrix")
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
    if files := _beside(folder, ""):
        return _three(files, str(folder))
    inner = ", ".join(path.name for path in _folders(folder, "*")[:5])
    problem = f"is a folder without a count matrix{f' (it holds {inner})' if inner else ''}"
    raise StudyError(str(folder), problem, f"Give {FORMS}.", code="missing-matrix")


def _folders(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.glob(pattern) if path.is_dir()]


def _pool(folder: Path) -> Path:
    """Where CellRanger's `multi` keeps the droplets of its only sample.

    Droplets of several samples belong to none of them: then it is the folder itself.
    """
    samples = folder.parent.parent
    alone = samples.name == "per_sample_outs" and len(_folders(samples, "*")) == 1
    return samples.parent / "multi/count" if alone else folder


def _the_one(paths: list[Path], folder: Path, things: str) -> Path:
    """The only one of several things in a folder.

    Raises
    ------
    StudyError
        There are several.
    """
    if len(paths) > 1:
        names = sorted(str(path.relative_to(folder)) for path in paths)
        shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
        fix = f"Name one in each row, such as {folder / names[0]}."
        problem = f"has {len(names)} {things} ({shown})"
        raise StudyError(str(folder), problem, fix, code="several-matrices")
    return paths[0]


def _matrix_of(folder: Path, kind: str) -> tuple[str, ...]:
    """The files of the raw or the filtered matrix in an output of STARsolo or CellRanger."""
    many = f"{kind}_feature_bc_matrix"
    for name in (kind, many, f"sample_{many}", f"{kind}_gene_bc_matrices"):
        # CellRanger 2 has one folder per genome.
        inner = [
            path
            for path in (folder / name, *sorted((folder / name).glob("*/")))
            if any((path / matrix).is_file() for matrix in PARTS["matrix"])
        ]
        if len(inner) > 1:
            genomes = ", ".join(path.name for path in inner)
            problem = f"has matrices of {len(inner)} genomes ({genomes})"
            fix = "Name the folder of one genome."
            raise StudyError(str(folder / name), problem, fix, code="several-genomes")
        if inner:
            return _with_prefix(inner[0], "")
    for name in (f"{many}.h5", f"sample_{many}.h5", f"{kind}_gene_bc_matrices_h5.h5"):
        if (folder / name).is_file():
            return (str(folder / name),)
    return ()
