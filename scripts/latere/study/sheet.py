"""The sample sheet: its rows, checked, as runs and samples."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import jsonschema

from latere.counts.files import find_files
from latere.counts.parts import table_of
from latere.counts.splitting import split_rows as split_matrix
from latere.errors import StudyError, raise_all
from latere.fault import Fault
from latere.files import read_rows, split_rows
from latere.quality import METRICS
from latere.reads.chemistry import AUTO, NAME
from latere.study.config import fault_of_name
from latere.urls import URL, find_fault
from latere.values import FORMULA_FIX, FORMULA_PROBLEM, find_invisible, is_formula

ACCESSION = re.compile(r"[SED]RR[0-9]{1,12}")
FASTQ_COLUMNS = ("fastq_1", "fastq_2", "fastq_3", "fastq_4")
# Describe the run; all other columns describe its sample.
RUN_COLUMNS = {*FASTQ_COLUMNS, "run", "sample", "chemistry", "sra", "matrix", "spots"}
RUN_COLUMNS |= {"layer", "subset", "split", "barcodes"}
# Written to the cells by the workflow itself.
CELL_COLUMNS = ("cell", "barcode", *METRICS, "s_score", "g2m_score", "phase", "reasons", "kept")
CELL_COLUMNS += ("doublet_score", "doublet")


@dataclass(frozen=True)
class Run:
    """One sequenced library: a row of the sheet.

    Attributes
    ----------
    name, sample
        As in the sheet.
    chemistry
        Its name in the table, or `AUTO`; empty for a count matrix.
    sra
        Accession or path of an archive; empty if the run has another source.
    fastq
        One tuple of lanes per mate, in the order of the sheet.
    matrix
        Files of a count matrix, by path or URL, as `latere.counts.files.find_files` gives them.
    layer
        Of an .h5ad: the layer with the counts.
    subset
        The run's cells in a matrix: ``obs_column=value`` of an .h5ad; ``barcode suffix=value``,
        ``barcode prefix=value`` or ``table.tsv=value`` of any form.
    barcodes
        `raw`, `filtered`, or empty to decide by the data.
    spots
        Number of sequenced spots; None if the sheet does not give it.
    """

    name: str
    sample: str
    chemistry: str = ""
    sra: str = ""
    fastq: tuple[tuple[str, ...], ...] = ()
    matrix: tuple[str, ...] = ()
    layer: str = ""
    subset: str = ""
    barcodes: str = ""
    spots: int | None = None

    @property
    def from_reads(self) -> bool:
        """Whether the run has to be aligned."""
        return not self.matrix

    @property
    def source(self) -> str:
        """Where the run comes from, in words."""
        files = self.sra or ", ".join(self.matrix[:1] or self.files)
        parts = [f"layer {self.layer}"] if self.layer else []
        parts += [part for part in (self.subset, self.barcodes) if part]
        return f"{files} ({', '.join(parts)})" if parts else files

    @property
    def accession(self) -> str | None:
        """Accession to download, None where the archive is a file or the run has none."""
        return self.sra if ACCESSION.fullmatch(self.sra) else None

    @property
    def files(self) -> list[str]:
        """Paths that must exist before the first job."""
        archive = [self.sra] if self.sra and not self.accession else []
        return (
            archive
            + [path for lanes in self.fastq for path in lanes]
            + [path for path in self.matrix if not URL.match(path)]
            + ([table] if (table := table_of(self.subset)) else [])
        )


def read_sheet(path: str) -> list[tuple[int, dict[str, str]]]:
    """Rows of a sample sheet with their line numbers; empty cells are left out.

    Raises
    ------
    StudyError
        No such file, not a table with tabs, a row of another length.
    """
    lines = split_rows(path, read_rows(path, "`samples` in the configuration"))
    if len(lines) < 2:
        raise StudyError(
            path, "has no run", "Add a header and one row per run.", code="empty-table"
        )
    header = lines[0][1]
    if len(header) == 1:
        raise StudyError(
            f"{path}, row {lines[0][0]}",
            f"the header has one column, {header[0]!r}{_separator(header[0])}",
            "Separate the columns by tabs. In Excel, save it as `Text (Tab delimited)`.",
            code="not-tab-separated",
        )
    raise_all(check_header(header, f"{path}, row {lines[0][0]}"))
    raise_all(
        StudyError(
            f"{path}, row {number}",
            f"has {len(cells)} columns, the header has {len(header)}",
            "Give every row the same number of tabs.",
            code="row-length",
        )
        for number, cells in lines[1:]
        if len(cells) != len(header)
    )
    return [
        (number, {key: cell for key, cell in zip(header, cells, strict=True) if cell})
        for number, cells in lines[1:]
    ]


def _separator(header: str) -> str:
    """What separates the columns of a header without tabs, in words."""
    names = {";": "semicolons", ",": "commas", "|": "bars"}
    counts = {sign: header.count(sign) for sign in names}
    most = max(counts, key=counts.get)
    return f": its columns are separated by {names[most]}" if counts[most] else ""


@cache
def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def check_header(header: list[str], where: str) -> list[StudyError]:
    """Problems of the column names of a sheet."""
    similar = {_plain(name): name for name in RUN_COLUMNS}
    errors = []
    for column, count in Counter(header).items():
        if count > 1 and column:
            problem = f"column '{column}' appears {count} times"
            errors.append(StudyError(where, problem, "Keep one.", code="duplicated-column"))
        if column in CELL_COLUMNS:
            problem = f"column '{column}' is written by the workflow"
            errors.append(StudyError(where, problem, "Rename it.", code="reserved-column"))
        if not column:
            problem = f"column {header.index(column) + 1} has no name"
            fix = "Name it, or remove the tab before it."
            errors.append(StudyError(where, problem, fix, code="unnamed-column"))
        elif not NAME.fullmatch(column):
            fault = fault_of_name(column)
            errors.append(StudyError(f"{where}, column '{column}'", *fault, code=fault.code))
        elif column not in RUN_COLUMNS and _plain(column) in similar:
            fix = f"Did you mean '{similar[_plain(column)]}'?"
            problem = f"unknown column '{column}'"
            errors.append(StudyError(where, problem, fix, code="unknown-column"))
    for column in ("run", "sample"):
        if column not in header and not errors:
            fix = "Add it; with `split` it may be empty."
            problem = f"column '{column}' is missing"
            errors.append(StudyError(where, problem, fix, code="missing-column"))
    return errors


def check_rows(rows: list[tuple[int, dict]], path: str, schema: dict) -> None:
    """Check every cell of the sheet against its schema.

    Raises
    ------
    StudyError
        With the row, the column and the value.
    """
    validator = jsonschema.Draft202012Validator(schema)
    errors = []
    for number, row in rows:
        for column, cell in row.items():
            if odd := find_invisible(cell):
                where = f"{path}, row {number}, column '{column}'"
                problem = f"{cell!r} has the invisible character {odd!r}"
                fix = "Type the value again without it."
                errors.append(StudyError(where, problem, fix, code="invisible-character"))
        for error in validator.iter_errors(row):
            if error.validator == "required":
                name = re.match("'(.*)' is a required", error.message)[1]
                where, problem = f"{path}, row {number}", f"'{name}' is empty"
                errors.append(StudyError(where, problem, "Fill it.", code="empty-value"))
                continue
            column = str(error.path[0])
            fix = error.schema.get("description", "")
            fault = Fault(f"{error.instance!r} is not valid", fix, code="invalid-value")
            if column in ("run", "sample"):
                fault = fault_of_name(error.instance)
            errors.append(
                StudyError(f"{path}, row {number}, column '{column}'", *fault, code=fault.code)
            )
        for column in [name for name in row if name not in RUN_COLUMNS]:
            if is_formula(row[column]):
                where = f"{path}, row {number}, column '{column}'"
                problem = f"{row[column]!r} is not valid: {FORMULA_PROBLEM}"
                errors.append(StudyError(where, problem, FORMULA_FIX, code="formula"))
    first = {}
    for number, row in rows:
        name = row.get("run")
        if name in first:
            errors.append(
                StudyError(
                    f"{path}, row {number}, column 'run'",
                    f"run '{name}' is duplicated, first in row {first[name]}",
                    "Give each run a name of its own; lanes of one library go into one row.",
                    code="duplicated-name",
                )
            )
        elif name:
            first[name] = number
    raise_all(errors)


def check_source_names(rows: list[tuple[int, dict]], sheet: str) -> list[StudyError]:
    """Paths and URLs of the sheet that cannot be used, before one of them is opened."""
    return [
        StudyError(f"{sheet}, row {number}, column '{column}'", *fault, code=fault.code)
        for number, row in rows
        for column in (*FASTQ_COLUMNS, "sra", "matrix")
        for path in row.get(column, "").split(",")
        if (fault := find_fault(path.strip()))
    ]


def expand_rows(
    rows: list[tuple[int, dict]], path: str
) -> tuple[list[tuple[int, dict]], dict[str, str]]:
    """The rows of the sheet, where one row per run replaces each row that names a column of runs.

    Returns
    -------
    rows : list of tuple
        With the line of the sheet that each comes from.
    left_out : dict
        As `latere.counts.splitting.split_rows` gives it, for all files.

    Raises
    ------
    StudyError
        A matrix that cannot be split in this way.
    """
    expanded, left_out, errors = [], {}, []
    for number, row in rows:
        where = f"{path}, row {number}"
        more = [name for name in ("run", "subset") if name in row]
        if "split" not in row:
            expanded.append((number, row))
        elif "matrix" not in row or more:
            problem = f"has `split` and `{more[0]}`" if more else "has `split` and no matrix"
            fix = "`split` names what distinguishes the runs in a matrix; `run` is left empty."
            errors.append(StudyError(where, problem, fix, code="invalid-split"))
        else:
            try:
                parts, without = split_matrix(row, {*RUN_COLUMNS, *CELL_COLUMNS})
                expanded += [(number, part) for part in parts]
                left_out |= without
            except StudyError as error:
                errors.append(error.within(where))
    raise_all(errors)
    return expanded, left_out


def to_runs(rows: list[tuple[int, dict]], path: str) -> list[Run]:
    """The rows of the sheet as runs.

    Raises
    ------
    StudyError
        A matrix of which a file is missing.
    """
    runs, errors = [], []
    for number, row in rows:
        try:
            runs.append(to_run(row))
        except StudyError as error:
            errors.append(error.within(f"{path}, row {number} (run {row['run']})"))
    raise_all(errors)
    return runs


def to_run(row: Mapping[str, str]) -> Run:
    """A row of the sheet as a run."""
    fastq = tuple(
        tuple(path.strip() for path in row[column].split(","))
        for column in FASTQ_COLUMNS
        if column in row
    )
    columns = ("chemistry", "sra", "layer", "subset", "barcodes")
    text = {key: row.get(key, "") for key in columns}
    matrix = find_files(row["matrix"], text["barcodes"]) if "matrix" in row else ()
    for path in matrix:
        # Names of files in a folder are not in the sheet.
        if fault := find_fault(path):
            raise StudyError(f"column 'matrix': {path!a}", *fault, code=fault.code)
    if not matrix:
        text["chemistry"] = text["chemistry"] or AUTO
    spots = int(row["spots"]) if "spots" in row else None
    return Run(row["run"], row["sample"], fastq=fastq, matrix=matrix, spots=spots, **text)


def collect_samples(rows: list[tuple[int, dict]], path: str) -> dict[str, dict[str, str]]:
    """Columns that describe the samples.

    Raises
    ------
    StudyError
        Two runs of a sample disagree.
    """
    samples, first, errors = {}, {}, []
    columns = list(dict.fromkeys(key for _, row in rows for key in row if key not in RUN_COLUMNS))
    for number, row in rows:
        name = row["sample"]
        values = {column: row.get(column, "") for column in columns}
        if name not in samples:
            samples[name], first[name] = values, number
        for column in columns:
            if values[column] != samples[name][column]:
                errors.append(
                    StudyError(
                        f"{path}, row {number}, column '{column}'",
                        f"sample '{name}' has {values[column]!r} here and "
                        f"{samples[name][column]!r} in row {first[name]}",
                        "Give all runs of a sample the same values.",
                        code="conflicting-values",
                    )
                )
    raise_all(errors)
    return samples
