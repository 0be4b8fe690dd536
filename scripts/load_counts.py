"""Counts of one run in one form, whichever form they come in; what are no counts is refused with
the reason, and what is raw or filtered is found out from the data."""

import gzip
import json
import zlib
from collections import Counter
from pathlib import Path

from latere.counts import matrices
from latere.errors import StudyError
from latere.files import open_plain, read_head
from latere.job import run_script, start
from latere.tables import write_counts

# Bytes of a line of barcodes or features, which is read whole.
LONGEST_LINE = 1 << 20
ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
NAME_COLUMNS = ("gene_symbols", "gene_name", "gene_symbol", "feature_name", "symbol")
EXPRESSION = "Gene Expression"
# The types of features that CellRanger knows; a column with none of them tells something else, as
# the biotype of genes.
FEATURE_TYPES = {EXPRESSION, "Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture"}
FEATURE_TYPES |= {"Antigen Capture", "Custom", "Peaks"}
SUFFIX = "-1"
# Droplets with this many molecules or fewer are taken for empty (default of EmptyDrops).
EMPTY = 100
# No cell is called with as few, and no run of droplets has as many cells.
NEARLY_NONE, DROPLETS = 10, 50_000
# With fewer barcodes their distribution says nothing.
FEW = 100
BINS = 256
# Entries that are looked at or read at a time.
CHUNK = 1 << 22
MOST = 2**31 - 1
ENSEMBL = r"^(?P<id>(?:.*_)?(?P<prefix>ENS[A-Z]*G)\d+)(?:\.\d+)?(?P<par>_PAR_Y)?$"
UNREADABLE = (OSError, EOFError, zlib.error, gzip.BadGzipFile, OverflowError)
# What libraries raise where a file holds something else than its form promises.
UNREADABLE += (KeyError, ValueError, TypeError, AttributeError)


def read_lines(path: str):
    """The columns of a table of barcodes or features, as text.

    Returns
    -------
    DataFrame
        One row a line; columns 0, 1, ...

    Raises
    ------
    StudyError
        Its first line has no end within what a line may have.
    """
    import pandas as pd

    head = read_head(path, LONGEST_LINE)
    if len(head) == LONGEST_LINE and b"\n" not in head:
        problem = f"its first line is longer than {LONGEST_LINE >> 20} MB"
        raise StudyError(path, problem, "Give the table as CellRanger or STARsolo writes it.")

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
    import pandas as pd
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
        raise StudyError(files[0], problem, "Give three files that belong together, as they are.")
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

    scanpy's reader turns counts into float32, which does not hold all of them.

    Raises
    ------
    StudyError
        It has a matrix of each of several genomes.
    """
    import h5py
    import pandas as pd
    from scipy.sparse import csr_matrix

    with matrices.open_h5(path) as file:
        tables = {name: group for name, group in file.items() if isinstance(group, h5py.Group)}
        groups = [name for name, group in tables.items() if "indptr" in group]
        if len(groups) > 1:
            problem = f"has a matrix of each of {len(groups)} genomes ({', '.join(groups)})"
            raise StudyError(path, problem, "Give the 10x folder of one of them.")
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
    """The barcodes that a source calls cells: a list of them, or those of a 10x .h5."""
    return read_10x_h5(path)[1] if path.endswith(matrices.HDF5) else read_lines(path)[0]


def read_h5ad(path: str, layer: str, subset: str):
    """The matrix of an .h5ad, or of the run's cells in it; returns as `read_mtx`."""
    import anndata
    import pandas as pd

    rows = matrices.rows_of(path, subset) if subset else slice(None)
    with matrices.open_h5(path) as file:
        place = matrices.layers_of(file)[layer or "X"]
        values = read_values(file[place], rows)
        obs = file["obs"]
        barcodes = anndata.io.read_elem(obs[obs.attrs["_index"]])[rows]
        var = anndata.io.read_elem(file["raw/var" if place.startswith("raw/") else "var"])
    return values, pd.Index(barcodes).astype(str), features_of(var)


def read_values(matrix, rows):
    """Some rows of a matrix in an open .h5ad; what else it holds is passed by in parts.

    Parameters
    ----------
    matrix
        Group or dataset: CSR, CSC or dense.
    rows
        Boolean, one a row; or a slice of all of them.

    Returns
    -------
    csr_matrix
        As stored.
    """
    import anndata
    import numpy as np
    from scipy.sparse import csr_matrix, hstack, vstack

    shape = matrices.shape_of(matrix)
    dense = hasattr(matrix, "shape")
    stored = matrix if dense else anndata.io.sparse_dataset(matrix)
    if isinstance(rows, slice) and not dense:
        return stored.to_memory().tocsr()
    wanted = np.ones(shape[0], bool) if isinstance(rows, slice) else rows
    by_column = not dense and stored.format == "csc"
    entries = np.prod(shape, dtype=float) if dense else len(matrix["data"])
    lines = shape[1] if by_column else shape[0]
    step = max(1, int(lines * CHUNK / max(entries, 1)))
    blocks = []
    for first in range(0, lines, step):
        part = slice(first, first + step)
        if by_column:
            blocks.append(stored[:, part][wanted])
        elif wanted[part].any():
            blocks.append(csr_matrix(stored[part][wanted[part]]))
    if not blocks:
        return csr_matrix((0, shape[1]), dtype=np.float32)
    return csr_matrix(hstack(blocks, "csc") if by_column else vstack(blocks, "csr"))


def types_of(column):
    """Types of features; all are genes where a column knows no type of CellRanger's."""
    return column if column.isin(FEATURE_TYPES).any() else column.map(lambda _: EXPRESSION)


def features_of(var):
    """Ids, names and types of the genes of an .h5ad, in any of the usual layouts.

    Parameters
    ----------
    var
        DataFrame of the genes; what its index holds is the id unless a column has the ids.

    Returns
    -------
    DataFrame
        Columns id, name, type; the name is the id where none is known.
    """
    import pandas as pd

    index = pd.Series(var.index.astype(str), index=var.index)
    ids = next((var[name].astype("string") for name in ID_COLUMNS if name in var), index)
    ids = ids.where(ids.notna() & (ids != ""), index).astype(str)
    names = next((var[name].astype("string") for name in NAME_COLUMNS if name in var), index)
    names = names.where(names.notna() & (names != ""), ids).astype(str)
    types = types_of(var.get("feature_types", index).astype(str))
    features = pd.DataFrame({"id": ids, "name": names, "type": types})
    return features.reset_index(drop=True).astype(object)


def in_parts(data, test) -> bool:
    """Whether a test holds of any entry; the array is looked at in parts."""
    return any(test(data[first : first + CHUNK]).any() for first in range(0, len(data), CHUNK))


def fault_of(values) -> str:
    """Why values are no counts, in words; empty if they are.

    Parameters
    ----------
    values
        CSR, cells x genes.
    """
    import numpy as np

    data = values.data
    exact = np.issubdtype(data.dtype, np.floating)
    if exact and in_parts(data, lambda part: ~np.isfinite(part)):
        return "it has values that are not finite (NaN, infinite)"
    fractions = exact and in_parts(data, lambda part: part != np.floor(part))
    if in_parts(data, lambda part: part < 0):
        kind = "it was scaled or corrected" if fractions else "counts are never below 0"
        return f"it has negative values (the least: {data.min():.3g}), so {kind}"
    if fractions:
        return describe_fractions(values)
    largest = data.max() if data.size else 0
    if largest > MOST:
        return f"its largest value, {largest:,.0f}, is above 2^31: no count of molecules in a cell"
    limit = 2 ** (np.finfo(data.dtype).nmant + 1) if exact else MOST
    if largest > limit:
        return (
            f"its largest value, {largest:,.0f}, is above {limit:,}, and as {data.dtype} "
            "it is not exact any more"
        )
    return ""


def describe_fractions(values) -> str:
    """What values with fractions look like: log-normalised to a number, scaled, or neither."""
    import numpy as np

    filled = np.flatnonzero(np.diff(values.indptr))
    some = values[filled[:: max(1, len(filled) // 500)]].astype(np.float64)
    backs = {
        "log-normalised with log1p": np.expm1,
        "log-normalised with log2(x + 1)": lambda x: np.exp2(x) - 1,
        "log-normalised with log10(x + 1)": lambda x: 10**x - 1,
        "normalised, without a logarithm,": lambda x: x,
    }
    with np.errstate(over="ignore", invalid="ignore"):
        for told, back in backs.items():
            linear = some.copy()
            linear.data = back(some.data)
            sums = np.asarray(linear.sum(axis=1)).ravel()
            if len(sums) > 1 and np.std(sums) < 0.01 * np.mean(sums):
                return f"it looks {told} to {np.mean(sums):,.0f} a cell"
        for told, back in backs.items():
            cells = [back(cell.data) for cell in some if len(np.unique(cell.data)) > 2]
            whole = [_are_multiples(cell / cell.min()) for cell in cells]
            if whole and np.mean(whole) > 0.9:
                return f"it looks {told} by the size of each cell"
    example = values.data[values.data != np.floor(values.data)][0]
    return f"it has fractions such as {example:.3g}, as corrected, imputed or estimated values have"


def _are_multiples(ratios) -> bool:
    import numpy as np

    return bool(np.isfinite(ratios).all() and np.abs(ratios - ratios.round()).max() < 0.01)


def layers_with_counts(path: str) -> list[str]:
    """What `layer` may be, by the first values of each matrix of an .h5ad."""
    import anndata
    from scipy.sparse import csr_matrix

    found = []
    with matrices.open_h5(path) as file:
        for name, place in matrices.layers_of(file).items():
            stored = file[place]
            if not hasattr(stored, "shape"):
                stored = anndata.io.sparse_dataset(stored)
            by_column = getattr(stored, "format", "") == "csc"
            some = csr_matrix(stored[:, :FEW] if by_column else stored[:FEW])
            if some.nnz and not fault_of(some):
                found.append(name)
    return found


def to_counts(values):
    """Values that are counts as int32, in place where their type allows it.

    Parameters
    ----------
    values
        CSR; it is given up.

    Returns
    -------
    csr_matrix
        int32, with sorted indices and no explicit zeros.
    """
    import numpy as np

    values.data = values.data.astype(np.int32, copy=False)
    values.sum_duplicates()
    values.eliminate_zeros()
    return values


def with_counts(counts, n_counts):
    """The rows that have a count; their values are not copied."""
    import numpy as np
    from scipy.sparse import csr_matrix

    indptr = np.append(0, counts.indptr[1:][n_counts > 0]).astype(counts.indptr.dtype)
    shape = (len(indptr) - 1, counts.shape[1])
    return csr_matrix((counts.data, counts.indices, indptr), shape=shape, copy=False)


def otsu_threshold(values) -> float:
    """The threshold that best parts values in two (Otsu 1979, IEEE Trans SMC 9:62).

    Parameters
    ----------
    values
        Shape (n,), not all equal.

    Returns
    -------
    float
        Amid the gap, where values of the two groups lie apart.
    """
    import numpy as np

    numbers, edges = np.histogram(values, bins=BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(numbers)[:-1]
    above = numbers.sum() - below
    sum_below = np.cumsum(numbers * centres)[:-1]
    sum_above = (numbers * centres).sum() - sum_below
    between = below * above * (sum_below / below - sum_above / above) ** 2
    # Bins without a value do as well as their neighbours: amid them.
    return float(edges[1:-1][np.isclose(between, between.max(), rtol=1e-12)].mean())


def find_kind(n_counts) -> tuple[str, str]:
    """Whether barcodes are all droplets (raw) or called cells (filtered), by their molecules.

    Raw is a matrix where most barcodes have next to none; or that has more barcodes than a run has
    cells, most of them as poor as empty droplets; or whose molecules a barcode fall into two groups
    with next to nothing between them, of which the poor one is the larger. The limits were chosen
    on the demo's raw matrices without their empty rows, on filtered matrices and gene panels of
    10x and microwells, and on simulated ones.

    Parameters
    ----------
    n_counts
        Molecules of each barcode.

    Returns
    -------
    str, str
        `raw` or `filtered`, and why.
    """
    import numpy as np

    number, counts = len(n_counts), n_counts[n_counts > 0]
    if number - len(counts) > number / 2:
        return "raw", f"{number - len(counts):,} of {number:,} barcodes have no molecule"
    if len(counts) < FEW:
        return "filtered", f"only {len(counts):,} barcodes have molecules"
    least, median = counts.min(), np.median(counts)
    if median <= (EMPTY if len(counts) > DROPLETS else NEARLY_NONE):
        reason = f"half of {len(counts):,} barcodes have at most {median:,.0f} molecules"
        return "raw", reason
    if least == counts.max():
        return "filtered", f"all of {len(counts):,} barcodes have {least:,} molecules"
    logs = np.log10(counts)
    threshold = otsu_threshold(logs)
    low, high = np.median(logs[logs <= threshold]), np.median(logs[logs > threshold])
    third = (high - low) / 3
    between = ((logs > low + third) & (logs < high - third)).mean()
    poor = (logs <= threshold).mean()
    told = (
        f"{poor:.0%} of {len(counts):,} barcodes have about {10**low:,.0f} molecules, the others "
        f"about {10**high:,.0f}, and {between:.1%} lie between"
    )
    if poor > 0.5 and 10**low <= EMPTY and between < 0.05:
        return "raw", told
    return (
        "filtered",
        f"no crowd of empty droplets: least {least:,}, median {median:,.0f} molecules",
    )


def check_kind(said: str, n_counts, where: str) -> dict:
    """What the barcodes are: as the sheet says, if the data do not rule it out, else as they show.

    Raises
    ------
    StudyError
        They are said to be raw, and there is no empty droplet.
    """
    kind, reason = find_kind(n_counts)
    facts = {"kind": said or kind, "decided_by": "sheet" if said else "data", "looks": kind}
    if said == "raw" and kind == "filtered" and not (n_counts <= EMPTY).any():
        least = n_counts.min() if len(n_counts) else 0
        problem = (
            "the sheet says `barcodes` raw, but there is no empty droplet: the least of "
            f"{len(n_counts):,} barcodes has {least:,} molecules"
        )
        raise StudyError(where, problem, "Say filtered, or give the raw matrix.")
    if said and said != kind:
        reason = f"the sheet says {said}, though the data look {kind}: {reason}"
    return facts | {"reason": reason}


def gene_table(features) -> tuple:
    """Ids and names of the genes.

    Parameters
    ----------
    features
        DataFrame with id and name.

    Returns
    -------
    DataFrame
        Index ``gene_id``, unique, Ensembl ids without version; column ``gene_name``.
    dict
        What the identifiers are: kind, prefix, species, and what was mended.
    """
    import pandas as pd
    from anndata.utils import make_index_unique

    ids, names = features["id"].astype(str), features["name"].astype(str)
    found = ids.str.extract(ENSEMBL)
    ensembl = found["id"].notna()
    plain = (found["id"] + found["par"].fillna("")).where(ensembl, ids)
    shown = plain.where(ids == names, names).to_numpy(dtype=object)
    kind = "other"
    if ensembl.mean() > 0.5:
        kind = "ensembl"
    elif (ids == names).mean() > 0.5:
        kind = "symbol"
    prefixes = Counter(found["prefix"].dropna())
    facts = {
        "kind": kind,
        "prefix": prefixes.most_common(1)[0][0] if kind == "ensembl" else None,
        "species": find_species(prefixes, names if kind != "ensembl" else names[:0]),
        "versions": bool((plain != ids).any()),
        "duplicated_names": int(names.duplicated().sum()),
        "duplicated_ids": int(plain.duplicated().sum()),
    }
    unique = make_index_unique(pd.Index(plain.to_numpy(dtype=object))).rename("gene_id")
    return pd.DataFrame({"gene_name": shown}, index=unique), facts


def find_species(prefixes: Counter, names) -> dict:
    """Species of the genes, by the prefixes of Ensembl or else by how symbols are written.

    Returns
    -------
    dict
        ``name``: human, mouse, mixed or unknown; ``human``, ``mouse``: genes of each.
    """
    human, mouse = prefixes["ENSG"], prefixes["ENSMUSG"]
    if len(names):
        # CD3E is human, Cd3e is of the mouse; C1orf43 is neither way.
        human = int(names.str.fullmatch(r"[A-Z][A-Z0-9-]{2,}").sum())
        mouse = int(names.str.fullmatch(r"(?:[A-Z][a-z][A-Za-z0-9-]+|mt-\w+)").sum())
    of_all = max(sum(prefixes.values()), len(names), 1)
    if human + mouse < of_all / 2:
        name = "unknown"
    elif min(human, mouse) > 0.1 * (human + mouse):
        name = "mixed"
    else:
        name = "human" if human > mouse else "mouse"
    return {"name": name, "human": human, "mouse": mouse}


def cell_names(barcodes, where: str):
    """Barcodes without the ``-1`` that CellRanger adds, if all have it.

    Raises
    ------
    StudyError
        A barcode stands there twice.
    """
    import pandas as pd

    names = pd.Index(barcodes.astype(str), dtype=object, name="barcode")
    if len(names) and names.str.endswith(SUFFIX).all():
        names = names.str.removesuffix(SUFFIX)
    if not names.is_unique:
        twice = names.duplicated()
        raise StudyError(
            where,
            f"barcode {names[twice][0]} stands there twice, as do {twice.sum() - 1:,} others",
            "Give the cells of one run: a merged matrix needs `subset` or `split` in the sheet.",
        )
    return names


def read(files: list[str], layer: str, subset: str, threads: int):
    """A matrix of any form.

    Returns
    -------
    str
        Its form.
    tuple
        As `read_mtx` returns it.
    Index or None
        The barcodes that its source calls cells, beside all of them.

    Raises
    ------
    StudyError
        It cannot be read.
    """
    matrices.inspect(tuple(files), layer, subset)
    try:
        if len(files) > 2:
            form, matrix, beside = "10x folder", read_mtx(files[:3], threads), files[3:]
        elif matrices.form_of(files[0]) == "h5ad":
            form, matrix, beside = "h5ad", read_h5ad(files[0], layer, subset), []
        else:
            form, matrix, beside = "10x h5", read_10x_h5(files[0]), files[1:]
        # scipy takes the positions of the columns on trust.
        matrix[0].check_format(full_check=True)
        return form, matrix, read_cells(beside[0]) if beside else None
    except UNREADABLE as error:
        names = ", ".join(files)
        raise StudyError(names, f"cannot be read ({error})", matrices.DAMAGED) from None


def raw_counts(values, files: list[str], layer: str, where: str):
    """Values as counts, if that is what they are.

    Parameters
    ----------
    values
        CSR, barcodes x genes; it is given up.
    files, layer, where
        What they were read from, for the message.

    Returns
    -------
    csr_matrix
        As `to_counts` gives it.

    Raises
    ------
    StudyError
        They are no counts; the message names the layers that hold some.
    """
    if not (fault := fault_of(values)):
        return to_counts(values)
    stored = len(files) == 1 and matrices.form_of(files[0]) == "h5ad"
    instead = layers_with_counts(files[0]) if stored else []
    mend = "Give the matrix before any normalisation, scaling or correction."
    if instead:
        mend = f"Name what holds counts in column `layer` of the sheet: {', '.join(instead)}."
    held = f"layer '{layer}'" if layer else "the matrix"
    raise StudyError(where, f"{held} holds no raw counts: {fault}", mend)


def given_cells(barcodes, cells, where: str):
    """Which barcodes their source calls cells, boolean.

    Raises
    ------
    StudyError
        Cells that are no barcodes of the raw matrix.
    """
    given = barcodes.isin(cells)
    if (lost := len(cells) - given.sum()) > 0:
        problem = f"{lost:,} of its {len(cells):,} cells are not among its raw barcodes"
        raise StudyError(where, problem, "Give raw and filtered matrix of one count.")
    return given


def load_counts(files: list[str], layout: dict, where: str, threads: int) -> tuple:
    """The counts of a run in the form that all later steps read.

    Parameters
    ----------
    files
        As `latere.counts.matrices.find_files` gives them.
    layout
        layer, subset and barcodes, as in the sheet.

    Returns
    -------
    AnnData
        X: int32 CSR, barcodes x genes; obs: by barcode, with `given` where the source says which
        are cells; var: gene_name, by gene_id.
    dict
        What was found, for people and checks.

    Raises
    ------
    StudyError
        It cannot be read, holds no counts, or is not what the sheet says.
    """
    import numpy as np
    import pandas as pd
    from anndata import AnnData

    layer = layout["layer"]
    form, (values, barcodes, features), cells = read(files, layer, layout["subset"], threads)
    genes = (features["type"] == EXPRESSION).to_numpy()
    left_out = features.loc[~genes, "type"].value_counts().to_dict()
    if not genes.any():
        has = ", ".join(f"{kind}: {number:,}" for kind, number in left_out.items()) or "no feature"
        raise StudyError(where, f"has no gene expression ({has})", "Give the matrix of the RNA.")
    if left_out:
        values = values[:, genes]
    stored_as = str(values.dtype)
    counts = raw_counts(values, files, layer, where)
    del values
    n_counts = np.asarray(counts.sum(axis=1, dtype=np.int64)).ravel()
    filled = n_counts[n_counts > 0]
    obs = pd.DataFrame(index=cell_names(barcodes, where))
    if cells is None:
        about = check_kind(layout["barcodes"], n_counts, where)
    else:
        obs["given"] = given_cells(barcodes, cells, where)
        reason = "the source has raw barcodes, and says which are cells"
        about = {"kind": "both", "decided_by": "source", "looks": "raw", "reason": reason}
    about |= {
        "number": len(obs),
        "with_counts": filled.size,
        "given": None if cells is None else int(obs["given"].sum()),
    }
    if about["kind"] != "filtered":
        counts = with_counts(counts, n_counts)
        obs = obs[n_counts > 0]
    var, identifiers = gene_table(features[genes])
    facts = {
        "source": [str(file) for file in files],
        "form": form,
        "barcodes": about,
        "genes": len(var),
        "molecules": int(n_counts.sum()),
        "entries": int(counts.nnz),
        "largest_count": int(counts.data.max()) if counts.nnz else 0,
        # Depth varies from cell to cell, unless somebody took that out.
        "depth_cv": float(filled.std() / filled.mean()) if filled.size else None,
        "left_out": left_out,
        "identifiers": identifiers,
        "counts": {"layer": (layer or "X") if form == "h5ad" else None, "stored_as": stored_as},
    }
    return AnnData(counts, obs=obs, var=var), facts


def tell(facts: dict, where: str, log) -> None:
    """Say what was found, and what a person should look at."""
    barcodes = facts["barcodes"]
    log.info(
        "%s: %s, %s barcodes (decided by %s: %s)",
        where,
        facts["form"],
        barcodes["kind"],
        barcodes["decided_by"],
        barcodes["reason"],
    )
    log.info(
        "%s: %d barcodes, %d of them with counts, %d genes, %d molecules",
        where,
        barcodes["number"],
        barcodes["with_counts"],
        facts["genes"],
        facts["molecules"],
    )
    if barcodes["kind"] not in ("both", barcodes["looks"]):
        log.warning("%s: %s", where, barcodes["reason"])
    for kind, number in facts["left_out"].items():
        log.warning("%s: %d features of type %s are left out", where, number, kind)
    if facts["identifiers"]["duplicated_ids"]:
        log.warning("%s: gene ids stand there twice: %s", where, facts["identifiers"])


def main(snakemake):
    log = start(snakemake)
    files, run = [str(file) for file in snakemake.input], snakemake.wildcards.run
    if Path(files[0]).is_dir():
        files = list(matrices.find_files(files[0]))
    where = f"run {run}, {files[0]}"
    counts, facts = load_counts(files, snakemake.params.layout, where, snakemake.threads)
    tell(facts, where, log)
    write_counts(snakemake.output.counts, counts)
    Path(snakemake.output.facts).write_text(
        json.dumps({"run": run} | facts, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
