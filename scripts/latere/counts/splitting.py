"""One matrix of several runs, split by a column of its cells or by its barcodes."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence

from latere.counts.columns import as_text, columns_of, labels_of, read_column
from latere.counts.files import find_files
from latere.counts.hdf5 import form_of
from latere.counts.parts import of_barcodes
from latere.errors import StudyError
from latere.files import require_file
from latere.urls import URL
from latere.values import FORMULA_PROBLEM, find_invisible, is_formula


def as_name(value: str) -> str:
    """A value as the name of a run, a sample or a column: other characters become `_`."""
    return re.sub("[^A-Za-z0-9._-]+", "_", value).lstrip("._-").rstrip("_")


def split_rows(
    row: Mapping[str, str], reserved: Iterable[str]
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The runs of one matrix, by a column of its cells or by its barcodes.

    Parameters
    ----------
    row
        A row of the sheet with `split`, the column of the runs or what distinguishes their
        barcodes; `sample`, if it is not empty, is the same for samples.
    reserved
        Columns that the sheet keeps for itself.

    Returns
    -------
    rows : list of dict
        One row per run, in the order of the values. Columns of `obs` with one value per sample
        are added where the sheet has no such column.
    left_out : dict
        Why a column of `obs` is not among them, by its name.

    Raises
    ------
    StudyError
        Not a file, no such column, cells without a value, runs of two samples, or values that
        give the same name.
    """
    files = find_files(row["matrix"], row.get("barcodes", ""))
    for file in files:
        if URL.match(file):
            problem, fix = "`split` needs a file", "Download it, and name its path."
            raise StudyError(file, problem, fix, code="url-not-allowed")
        require_file(file)
    split, sample = row["split"], row.get("sample", row["split"])
    runs = find_runs(files, split, sample)
    kept = {key: value for key, value in row.items() if key not in ("split", "run", "sample")}
    shared, left_out = {}, {}
    if len(files) == 1 and form_of(files[0]) == "h5ad":
        shared, left_out = find_shared(files[0], sample, {split, sample}, {*reserved, *kept})
    rows = [
        {
            **shared.get(of, {}),
            **kept,
            "run": as_name(run),
            "sample": as_name(of),
            "subset": f"{split}={run}",
        }
        for run, of in runs
    ]
    return rows, left_out


def find_runs(files: Sequence[str], split: str, sample: str) -> list[tuple[str, str]]:
    """Runs and their samples in a matrix, by what names them.

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

    path, coded = files[0], {column: labels_of(files, column) for column in (split, sample)}
    for column, (codes, labels) in coded.items():
        if without := (codes < 0).sum():
            of = "by" if of_barcodes(column) else "in column"
            problem = f"{without:,} of {len(codes):,} cells have no value {of} '{column}'"
            fix = "Fill it, or give each run its own row, with `subset`."
            raise StudyError(path, problem, fix, code="empty-value")
        _check_names(path, column, labels)
    (runs, run_labels), (samples, sample_labels) = coded[split], coded[sample]
    pairs = pd.DataFrame({"run": runs, "sample": samples}).drop_duplicates()
    if pairs.empty:
        raise StudyError(path, "has no cells", "Give a matrix with cells.", code="no-cells")
    pairs = sorted(zip(run_labels[pairs["run"]], sample_labels[pairs["sample"]], strict=True))
    of = defaultdict(list)
    for run, one in pairs:
        of[run].append(one)
    for run, several in of.items():
        if len(several) > 1:
            problem = f"{split} '{run}' has cells of several samples ({', '.join(several)})"
            fix = "Name a column in `sample` that has one value per run."
            raise StudyError(path, problem, fix, code="several-samples")
    return pairs


def _check_names(path: str, column: str, values: Iterable[str]) -> None:
    """Check that values have different names."""
    named = Counter(map(as_name, values))
    odd = [
        repr(value) for value in sorted(values) if named[as_name(value)] > 1 or not as_name(value)
    ]
    if odd:
        fix = "Rename them in the file; names may differ in letters, digits, '.', '_' and '-'."
        problem = f"values of '{column}' do not give different names: {', '.join(odd)}"
        raise StudyError(path, problem, fix, code="ambiguous-names")


def find_shared(
    path: str, sample: str, passed: Container[str], taken: Iterable[str]
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """The columns of an .h5ad with one value per sample.

    Parameters
    ----------
    sample
        The column of the samples.
    passed
        Columns that the sheet uses already.
    taken
        Names that no other column of the sheet may have.

    Returns
    -------
    shared : dict
        By value of `sample`, the values of the columns, by names valid in a sheet; missing values
        are left out.
    left_out : dict
        Why a column is not shared, by its name in the file.
    """
    import numpy as np

    samples, labels = labels_of([path], sample)
    first = np.unique(samples, return_index=True)[1]
    shared, left_out, taken = {label: {} for label in labels}, {}, set(taken)
    for column in columns_of(path):
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
        # A cell of a sheet has neither.
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
