"""The study: configuration and sample sheet, read and checked before the first job."""

import difflib
import math
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import jsonschema
import yaml

from latere import gene_sets
from latere.counts.files import find_files
from latere.counts.inspection import inspect
from latere.counts.splitting import split_rows
from latere.design import MIN_SAMPLES, is_estimable
from latere.errors import StudyError, StudyErrors, mend_missing
from latere.files import MISSING, fault_of, read_rows, read_table, require_file
from latere.published import read_published
from latere.quality import METRICS
from latere.reads.chemistry import AUTO, NAME, Chemistry, read_chemistries
from latere.reads.genome import check_head
from latere.study.references import WAYS, read_releases, resolve
from latere.urls import URL, conceal, find_fault
from latere.values import FORMULA_FIX, FORMULA_PROBLEM, find_invisible, is_formula

# No path and no level has them; single halves of UTF-16 pairs are no characters at all.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
ACCESSION = re.compile(r"[SED]RR[0-9]{1,12}")
# Characters of a name, as in the schemas: files are called by it.
MOST_NAME = 100
FASTQ_COLUMNS = ("fastq_1", "fastq_2", "fastq_3", "fastq_4")
# Tell where a run comes from; all others describe its sample.
RUN_COLUMNS = {*FASTQ_COLUMNS, "run", "sample", "chemistry", "sra", "matrix", "spots"}
RUN_COLUMNS |= {"layer", "subset", "split", "barcodes"}
MARKER_COLUMNS = ("cell_type", "lineage", "gene_name")
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
        One tuple of lanes a mate, in the order of the sheet.
    matrix
        Files of a count matrix, by path or URL, as `latere.counts.files.find_files` gives them.
    layer, subset
        Of an .h5ad: the layer with the counts, and ``obs_column=value`` of the run's cells.
    barcodes
        `raw`, `filtered`, or empty where the data tell.
    spots
        Number of sequenced spots; None where the sheet does not tell.
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
        )


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes
    ----------
    name
        Name of the study.
    config
        The configuration with defaults filled in.
    runs
        Runs by name, in the order of the sheet.
    samples
        Columns that describe a sample, by its name.
    chemistries
        The table of chemistries, by name.
    left_out
        Why a column of an .h5ad that is split into runs does not describe its samples, by name.
    urls
        URLs of files to download, by what stands for them in `config` and `runs`.
    """

    name: str
    config: dict
    runs: dict[str, Run]
    samples: dict[str, dict[str, str]]
    chemistries: dict[str, Chemistry] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def contrasts(self) -> dict[str, dict]:
        """Contrasts by name."""
        return self.config["contrasts"]

    def sides(self, contrast: str) -> dict[str, list[str]]:
        """Names of the samples on the two sides of a contrast, as `case` and `control`."""
        return sides(self.contrasts[contrast], self.samples)

    def limits(self, sample: str) -> dict[str, float | dict | None]:
        """Limits on the cells of a sample: its own, and those of the study for what it leaves out.

        Returns
        -------
        dict
            By key of the configuration: a number, None, or deviations, floor and ceiling.
        """
        cells = self.config["cells"]
        own, limits = cells["samples"].get(sample, {}), {}
        for name in [name for name in cells if name.startswith(("min_", "max_"))]:
            rule = own.get(name, cells[name])
            if isinstance(rule, Mapping):
                of_study = cells[name] if isinstance(cells[name], Mapping) else {}
                rule = dict.fromkeys(("deviations", "floor", "ceiling")) | of_study | rule
            limits[name] = rule
        return limits

    def chemistries_of(self, run: str) -> dict[str, Chemistry]:
        """The chemistries that a run may be of: the one in the sheet, or all of the table."""
        name = self.runs[run].chemistry
        return self.chemistries if name == AUTO else {name: self.chemistries[name]}


def load_study(config: Mapping, source: str, tables: Path, submits: bool = False) -> Study:
    """Read the sheet and check it with the configuration.

    Parameters
    ----------
    config
        The configuration as written.
    source
        Name of its file, for messages.
    tables
        The folder with `schemas/` and `references.tsv`.
    submits
        Whether jobs go to SLURM, in command lines of Snakemake.

    Raises
    ------
    StudyError
        Whatever is wrong, all problems of one stage at once.
    """
    config = check_config(config, source, load_schema(tables / "schemas/config.schema.yaml"))
    if "reference" in config:
        releases = read_releases(tables / "references.tsv")
        config["reference"] = resolve(config["reference"], releases, source)
    # The embedded study makes its own input.
    made = f"results/{config['study']}/simulated/" if "simulation" in config else None
    sheet = config["samples"]
    rows = read_sheet(sheet)
    _raise(check_source_names(rows, sheet))
    rows, left_out = expand_rows(rows, sheet)
    check_rows(rows, sheet, load_schema(tables / "schemas/samples.schema.yaml"))
    config, runs, urls = conceal_urls(config, to_runs(rows, sheet))
    lines = {run.name: line for run, (line, _) in zip(runs, rows, strict=True)}
    chemistries = read_chemistries(Path(config["chemistries"]))
    _raise(
        check_sources(runs, lines, sheet, list(chemistries))
        or (submits and check_quotes(runs, lines, sheet))
        or check_files(runs, lines, sheet, made)
        or check_matrices(runs, lines, sheet, made)
    )
    samples = collect_samples(rows, sheet)
    by_name = {run.name: run for run in runs}
    study = Study(config["study"], config, by_name, samples, chemistries, left_out, urls)
    _raise(check_contrasts(config["contrasts"], samples, source, sheet, left_out))
    _raise(check_limits(study, source, sheet))
    _raise(check_paths(study, source, made))
    return study


def load_schema(path: Path) -> dict:
    """A JSON schema written as YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check_config(config: Mapping, source: str, schema: dict) -> dict:
    """The configuration with defaults, if it follows the schema.

    Raises
    ------
    StudyError
        Unknown, missing or mistyped keys.
    """
    _raise(_odd_values(config, source))
    validator = _Validator(schema, format_checker=_FORMATS)
    problems = sorted(validator.iter_errors(config), key=lambda error: error.json_path)
    _raise(told for problem in problems for told in _config_problems(problem, source))
    return fill_defaults(config, schema)


# YAML knows more than JSON: a whole number written as 1.0 is a float to everything after.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


# Every key that is a path has the format `path` in the schema.
_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("path", raises=StudyError)
def _is_path(value) -> bool:
    fault = find_fault(value) if isinstance(value, str) else None
    if fault:
        raise StudyError("", *fault)
    return True


def _odd_values(value, source: str, key: str = ""):
    """Problems that a JSON schema cannot see: keys that are no text, numbers without end, text
    with characters that no file can have in its name.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            path = f"{key}.{name}" if key else str(name)
            if not isinstance(name, str):
                mend = "Quote it, or rename it."
                yield StudyError(f"{source}: key '{path}'", f"the key {name!r} is no text", mend)
            yield from _odd_values(inner, source, path)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _odd_values(inner, source, f"{key}.{at}")
    elif isinstance(value, float) and not math.isfinite(value):
        yield StudyError(f"{source}: key '{key}'", f"{value} is no number", "Give a finite one.")
    elif isinstance(value, int) and value.bit_length() > 63:
        problem = f"the number has {value.bit_length():,} bits"
        yield StudyError(f"{source}: key '{key}'", problem, "Give one below 2^63.")
    elif isinstance(value, str) and (odd := CONTROL.search(value)):
        problem = f"{value!r} has the control character {odd[0]!r}"
        yield StudyError(f"{source}: key '{key}'", problem, "Remove it.")


def _config_problems(error: jsonschema.ValidationError, source: str):
    """A schema error in words for a person; several for several unknown keys."""
    key = ".".join(map(str, error.absolute_path))
    where = f"{source}: key '{key}'" if key else source
    prefix = f"{key}." if key else ""
    properties = error.schema.get("properties", {})
    described = error.schema.get("description", "").rstrip(".")
    if error.validator == "additionalProperties":
        for name in [name for name in error.instance if name not in properties]:
            close = difflib.get_close_matches(name, properties, n=1)
            known = f"Known: {', '.join(properties)}."
            mend = f"Did you mean '{prefix}{close[0]}'?" if close else known
            yield StudyError(source, f"unknown key '{prefix}{name}'", mend)
    elif error.validator == "required":
        # The schema tells each missing key by an error of its own.
        name = re.match("'(.*)' is a required", error.message)[1]
        mend = f"Add it: {properties[name]['description']}"
        yield StudyError(where, f"the key '{name}' is missing", mend)
    elif error.validator == "type":
        kinds = error.validator_value
        kinds = kinds if isinstance(kinds, str) else " or ".join(kinds)
        problem = f"{error.instance!r} is of type {type(error.instance).__name__}, not {kinds}"
        quote = " Quote a name that looks like a number." if kinds == "string" else ""
        yield StudyError(where, problem, f"{described}.{quote}")
    elif error.validator in ("pattern", "maxLength"):
        if "propertyNames" in error.absolute_schema_path:
            where = f"{source}: key '{prefix}{error.instance}'"
        yield StudyError(where, *_bad_name(error.instance))
    elif error.validator == "format":
        yield StudyError(where, error.cause.problem, error.cause.mend)
    else:
        yield StudyError(where, error.message, f"{described}." if described else "")


def _bad_name(name: str) -> tuple[str, str]:
    """What is wrong with a name, and the mend."""
    if len(name) > MOST_NAME:
        return f"{name!r} has {len(name):,} characters", f"Use {MOST_NAME} at most."
    return (
        f"{name!r} has characters outside letters, digits, '.', '_' and '-'",
        "Rename it; a name begins with a letter or a digit.",
    )


def fill_defaults(value: Mapping, schema: dict) -> dict:
    """A copy of a configuration in which missing keys have the schema's defaults.

    Where a default is a map itself, it holds for the keys that a map leaves out.
    """
    filled = dict(value)
    for key, part in schema.get("properties", {}).items():
        if key not in filled and "default" in part:
            filled[key] = part["default"]
    more = schema.get("additionalProperties")
    for key, inner in filled.items():
        part = schema.get("properties", {}).get(key, more)
        if isinstance(inner, Mapping) and isinstance(part, dict):
            filled[key] = fill_defaults({**(part.get("default") or {}), **inner}, part)
    return filled


def read_sheet(path: str) -> list[tuple[int, dict[str, str]]]:
    """Rows of a sample sheet with their line numbers; empty cells are left out.

    Raises
    ------
    StudyError
        No such file, not a table with tabs, a row of another length.
    """
    lines = [
        (number, [cell.strip() for cell in line.split("\t")])
        for number, line in read_rows(path, "`samples` in the configuration")
    ]
    if len(lines) < 2:
        raise StudyError(path, "holds no run", "Add a header and one row a run.")
    header = lines[0][1]
    if len(header) == 1:
        raise StudyError(
            f"{path}, row {lines[0][0]}",
            f"the header has one column, {header[0]!r}",
            "Separate the columns by tabs, not by commas or spaces.",
        )
    _raise(check_header(header, f"{path}, row {lines[0][0]}"))
    _raise(
        StudyError(
            f"{path}, row {number}",
            f"has {len(cells)} columns, the header has {len(header)}",
            "Give every row the same number of tabs.",
        )
        for number, cells in lines[1:]
        if len(cells) != len(header)
    )
    return [
        (number, {key: cell for key, cell in zip(header, cells, strict=True) if cell})
        for number, cells in lines[1:]
    ]


@cache
def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def check_header(header: list[str], where: str) -> list[StudyError]:
    """Problems of the column names of a sheet."""
    similar = {_plain(name): name for name in RUN_COLUMNS}
    errors = []
    for column, count in Counter(header).items():
        if count > 1:
            errors.append(
                StudyError(where, f"column '{column}' stands there {count} times", "Keep one.")
            )
        if column in CELL_COLUMNS:
            errors.append(
                StudyError(where, f"column '{column}' is written by the workflow", "Rename it.")
            )
        if not column:
            problem = f"column {header.index(column) + 1} has no name"
            errors.append(StudyError(where, problem, "Name it, or remove the tab before it."))
        elif not NAME.fullmatch(column):
            errors.append(StudyError(f"{where}, column '{column}'", *_bad_name(column)))
        elif column not in RUN_COLUMNS and _plain(column) in similar:
            mend = f"Did you mean '{similar[_plain(column)]}'?"
            errors.append(StudyError(where, f"unknown column '{column}'", mend))
    for column in ("run", "sample"):
        if column not in header and not errors:
            mend = "Add it; with `split` it may be empty."
            errors.append(StudyError(where, f"column '{column}' is missing", mend))
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
                errors.append(StudyError(where, problem, "Type the value again without it."))
        for error in validator.iter_errors(row):
            if error.validator == "required":
                name = re.match("'(.*)' is a required", error.message)[1]
                errors.append(StudyError(f"{path}, row {number}", f"'{name}' is empty", "Fill it."))
                continue
            column = str(error.path[0])
            told = (f"{error.instance!r} is not valid", error.schema.get("description", ""))
            if column in ("run", "sample"):
                told = _bad_name(error.instance)
            errors.append(StudyError(f"{path}, row {number}, column '{column}'", *told))
        for column in [name for name in row if name not in RUN_COLUMNS]:
            if is_formula(row[column]):
                where = f"{path}, row {number}, column '{column}'"
                problem = f"{row[column]!r} is not valid: {FORMULA_PROBLEM}"
                errors.append(StudyError(where, problem, FORMULA_FIX))
    first = {}
    for number, row in rows:
        name = row.get("run")
        if name in first:
            errors.append(
                StudyError(
                    f"{path}, row {number}, column 'run'",
                    f"run '{name}' is named twice, first in row {first[name]}",
                    "Give each run a name of its own; lanes of one library go into one row.",
                )
            )
        elif name:
            first[name] = number
    _raise(errors)


def check_source_names(rows: list[tuple[int, dict]], sheet: str) -> list[StudyError]:
    """Paths and URLs of the sheet that cannot be used, before one of them is opened."""
    return [
        StudyError(f"{sheet}, row {number}, column '{column}'", *fault)
        for number, row in rows
        for column in (*FASTQ_COLUMNS, "sra", "matrix")
        for path in row.get(column, "").split(",")
        if (fault := find_fault(path.strip()))
    ]


def expand_rows(
    rows: list[tuple[int, dict]], path: str
) -> tuple[list[tuple[int, dict]], dict[str, str]]:
    """The rows of the sheet, with one row a run in place of each that names a column of runs.

    Returns
    -------
    rows : list of tuple
        With the line of the sheet that each comes from.
    left_out : dict
        As `split_rows` tells it, of all files.

    Raises
    ------
    StudyError
        A matrix that cannot be split so.
    """
    expanded, left_out, errors = [], {}, []
    for number, row in rows:
        where = f"{path}, row {number}"
        more = [name for name in ("run", "subset") if name in row]
        if "split" not in row:
            expanded.append((number, row))
        elif "matrix" not in row or more:
            problem = f"has `split` and `{more[0]}`" if more else "has `split` and no matrix"
            mend = "`split` names the column of the runs in an .h5ad; `run` is left empty."
            errors.append(StudyError(where, problem, mend))
        else:
            try:
                parts, without = split_rows(row, {*RUN_COLUMNS, *CELL_COLUMNS})
                expanded += [(number, part) for part in parts]
                left_out |= without
            except StudyError as error:
                errors.append(StudyError(f"{where}: {error.where}", error.problem, error.mend))
    _raise(errors)
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
            where = f"{path}, row {number} (run {row['run']}): {error.where}"
            errors.append(StudyError(where, error.problem, error.mend))
    _raise(errors)
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
        # Names inside of a folder are not those of the sheet.
        if fault := find_fault(path):
            raise StudyError(f"column 'matrix': {path!a}", *fault)
    if not matrix:
        text["chemistry"] = text["chemistry"] or AUTO
    spots = int(row["spots"]) if "spots" in row else None
    return Run(row["run"], row["sample"], fastq=fastq, matrix=matrix, spots=spots, **text)


def check_sources(
    runs: list[Run], lines: Mapping[str, int], sheet: str, chemistries: list[str]
) -> list[StudyError]:
    """Problems of where the runs come from: one source each, complete."""
    errors = []
    for run in runs:
        where = f"{sheet}, row {lines[run.name]} (run {run.name})"
        sources = [
            name
            for name, value in (("sra", run.sra), ("fastq_*", run.fastq), ("matrix", run.matrix))
            if value
        ]
        if len(sources) != 1:
            found = (
                f"has {len(sources)} sources ({', '.join(sources)})" if sources else "has no source"
            )
            errors.append(
                StudyError(where, found, "Fill one of: sra, fastq_1 with fastq_2, matrix.")
            )
            continue
        if run.matrix and run.chemistry:
            mend = "Its cells are counted already: empty it."
            errors.append(StudyError(where, "a matrix needs no chemistry", mend))
        about = [name for name in ("layer", "subset", "barcodes") if getattr(run, name)]
        if about and not run.matrix:
            mend = "Empty it: these columns tell how a matrix is to be read."
            errors.append(StudyError(where, f"has `{about[0]}` and no matrix", mend))
        if run.from_reads and run.chemistry not in (AUTO, *chemistries):
            mend = f"Known: {', '.join(chemistries)}; empty or '{AUTO}': found out from the reads."
            errors.append(StudyError(where, f"unknown chemistry '{run.chemistry}'", mend))
        if run.fastq and len(run.fastq) < 2:
            errors.append(
                StudyError(
                    where,
                    "has the FASTQ files of one read only",
                    "Give the barcode read and the cDNA read, in fastq_1 and fastq_2.",
                )
            )
        if len({len(lanes) for lanes in run.fastq}) > 1:
            counts = ", ".join(str(len(lanes)) for lanes in run.fastq)
            errors.append(
                StudyError(
                    where,
                    f"its FASTQ columns list different numbers of lanes ({counts})",
                    "List the same lanes in the same order in each.",
                )
            )
        if any(not path for lanes in run.fastq for path in lanes):
            errors.append(StudyError(where, "has an empty FASTQ name", "Remove the extra comma."))
    return errors


def check_files(
    runs: list[Run], lines: Mapping[str, int], sheet: str, made: str | None
) -> list[StudyError]:
    """Files that are missing or used twice.

    Parameters
    ----------
    made
        Prefix of the paths that the workflow itself makes.
    """
    errors = []
    users = defaultdict(list)
    for run in runs:
        where = f"{sheet}, row {lines[run.name]} (run {run.name})"
        faults = {
            path: fault_of(path) for path in run.files if not (made and path.startswith(made))
        }
        missing = [path for path, fault in faults.items() if fault and fault[0] == MISSING]
        if missing:
            named = ", ".join(f"'{path}'" for path in missing)
            problem = f"{named} {'does' if len(missing) == 1 else 'do'} not exist"
            errors.append(StudyError(where, problem, mend_missing(*missing)))
        errors += [
            StudyError(where, f"'{path}' {fault[0]}", fault[1])
            for path, fault in faults.items()
            if fault and path not in missing
        ]
        # Of a matrix the values count: runs may share the table of their genes.
        for source in run.matrix[:1] or [*run.files, *filter(None, [run.accession])]:
            users[_true_path(source) if source in run.files else source].append(run)
    for source, sharing in users.items():
        # Parts of one matrix may be runs, if one column of its cells tells them apart.
        parts = {run.subset.partition("=")[::2] for run in sharing}
        columns = {column for column, _ in parts}
        if len(sharing) > 1 and not (
            len(columns) == 1 and "" not in columns and len(parts) == len(sharing)
        ):
            names = ", ".join(run.name for run in sharing)
            problem = f"'{source}' is used {len(sharing)} times (run {names})"
            mend = "Use every source once, or parts of a matrix by `subset` over one column."
            errors.append(StudyError(sheet, problem, mend))
    return errors


def _true_path(path: str) -> str:
    """A path without links; as it is where no file can have its name."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path


def check_quotes(runs: list[Run], lines: Mapping[str, int], sheet: str) -> list[StudyError]:
    """Files whose names Snakemake's quotes around an input of a submitted job do not hold."""
    return [
        StudyError(
            f"{sheet}, row {lines[run.name]} (run {run.name})",
            f"'{path}' has a quote or a backslash, which no job on SLURM can be given",
            "Rename the file or the folder, or link to it by another name.",
        )
        for run in runs
        for path in run.files
        if re.search(r"""['"\\]""", path)
    ]


def check_matrices(
    runs: list[Run], lines: Mapping[str, int], sheet: str, made: str | None
) -> list[StudyError]:
    """Faults of matrices that can be seen without reading their values."""
    errors = []
    for run in runs:
        if not run.matrix or len(run.files) < len(run.matrix):
            continue
        if made and run.matrix[0].startswith(made):
            continue
        try:
            inspect(run.matrix, run.layer, run.subset)
        except StudyError as error:
            where = f"{sheet}, row {lines[run.name]} (run {run.name}): {error.where}"
            errors.append(StudyError(where, error.problem, error.mend))
    return errors


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
                    )
                )
    _raise(errors)
    return samples


def sides(contrast: Mapping, samples: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Names of the samples on each side of a contrast."""
    return {
        side: [name for name, row in samples.items() if row[contrast["column"]] == contrast[side]]
        for side in ("case", "control")
    }


def check_contrasts(
    contrasts: Mapping[str, Mapping],
    samples: Mapping[str, Mapping[str, str]],
    source: str,
    sheet: str,
    left_out: Mapping[str, str],
) -> list[StudyError]:
    """Problems of the contrasts: columns, levels, replicates, covariates.

    Parameters
    ----------
    left_out
        Why a column that a user may expect in the sheet is not there, by its name.
    """
    columns = list(next(iter(samples.values())))
    errors = []
    for name, contrast in contrasts.items():
        where = f"{source}: contrast '{name}'"
        named = [contrast["column"], *contrast["covariates"]]
        missing = [column for column in named if column not in columns]
        if missing:
            known = ", ".join(columns) or "none"
            why = left_out.get(missing[0])
            problem = f"column '{missing[0]}' is not in {sheet}" + (f" ({why})" if why else "")
            errors.append(StudyError(where, problem, f"Columns that describe samples: {known}."))
            continue
        if contrast["case"] == contrast["control"]:
            errors.append(StudyError(where, "case and control are the same level", "Name two."))
            continue
        if contrast["column"] in contrast["covariates"]:
            errors.append(StudyError(where, "its column is also a covariate", "Remove it there."))
            continue
        levels = list(dict.fromkeys(row[contrast["column"]] for row in samples.values()))
        by_look = defaultdict(list)
        for level in levels:
            by_look[unicodedata.normalize("NFKC", level)].append(level)
        if twins := next((several for several in by_look.values() if len(several) > 1), None):
            problem = f"levels {ascii(twins[0])} and {ascii(twins[1])} look the same"
            errors.append(StudyError(where, problem, f"Write them one way in {sheet}."))
            continue
        absent = [side for side in ("case", "control") if contrast[side] not in levels]
        if absent:
            errors.append(
                StudyError(
                    where,
                    f"{absent[0]} '{contrast[absent[0]]}' is not a level of column "
                    f"'{contrast['column']}' in {sheet}",
                    f"Levels: {', '.join(level for level in levels if level)}.",
                )
            )
            continue
        names = sides(contrast, samples)
        few = [side for side in names if len(names[side]) < MIN_SAMPLES]
        if few:
            errors.append(
                StudyError(
                    where,
                    f"its {few[0]} '{contrast[few[0]]}' has {len(names[few[0]])} sample "
                    f"({', '.join(names[few[0]])})",
                    f"Samples are the replicates; a side needs at least {MIN_SAMPLES}.",
                )
            )
            continue
        used = names["case"] + names["control"]
        blank = [
            (sample, column)
            for sample in used
            for column in contrast["covariates"]
            if not samples[sample][column]
        ]
        if blank:
            problem = f"sample '{blank[0][0]}' has no value for covariate '{blank[0][1]}'"
            errors.append(StudyError(where, problem, f"Fill it in {sheet}."))
            continue
        covariates = [
            [samples[sample][column] for sample in used] for column in contrast["covariates"]
        ]
        if not is_estimable(
            [True] * len(names["case"]) + [False] * len(names["control"]), covariates
        ):
            errors.append(
                StudyError(
                    where,
                    "cannot be told apart from its covariates "
                    f"({', '.join(contrast['covariates'])}), or they leave no replicate",
                    "Remove a covariate, or choose samples that vary within it.",
                )
            )
    return errors


def check_limits(study: Study, source: str, sheet: str) -> list[StudyError]:
    """Limits for a sample that is not in the sheet, that set none, or that leave no cell."""
    errors = []
    own = study.config["cells"]["samples"]
    for sample in [name for name in own if name not in study.samples]:
        close = difflib.get_close_matches(sample, study.samples, n=1)
        known = ", ".join(study.samples)
        mend = f"Did you mean '{close[0]}'?" if close else f"Samples: {known}."
        where = f"{source}: key 'cells.samples.{sample}'"
        errors.append(StudyError(where, f"sample '{sample}' is not in {sheet}", mend))
    for sample in ["", *own]:
        for name, rule in study.limits(sample).items():
            if not isinstance(rule, Mapping) or (sample and name not in own[sample]):
                continue
            where = f"{source}: key 'cells.{f'samples.{sample}.' * bool(sample)}{name}'"
            floor, ceiling = rule["floor"], rule["ceiling"]
            # The other end only bounds what these two set.
            end = "floor" if name.startswith("min") else "ceiling"
            if rule["deviations"] is None and rule[end] is None:
                problem = f"sets no limit: it has neither deviations nor a {end}"
                mend = "Give one of them, or a number for a fixed limit; null for none."
                errors.append(StudyError(where, problem, mend))
            elif None not in (floor, ceiling) and floor > ceiling:
                problem = f"its floor, {floor}, is above its ceiling, {ceiling}"
                mend = "Give a floor that is no greater; null for none."
                errors.append(StudyError(where, problem, mend))
        limits = study.limits(sample)
        for figure in ("counts", "genes"):
            least, most = (limits[f"{side}_{figure}"] for side in ("min", "max"))
            least = least["floor"] if isinstance(least, Mapping) else least
            most = most["ceiling"] if isinstance(most, Mapping) else most
            if None not in (least, most) and least > most:
                where = f"{source}: key 'cells{'.samples.' * bool(sample)}{sample}'"
                problem = f"no cell has {least} {figure} at least and {most} at most"
                errors.append(StudyError(where, problem, "Give limits that leave cells."))
    return errors


def check_paths(study: Study, source: str, made: str | None) -> list[StudyError]:
    """Files named in the configuration that are missing."""
    config = study.config
    errors = []
    if any(run.from_reads for run in study.runs.values()) and "reference" not in config:
        problem = "the key 'reference' is missing, and some runs start from reads"
        errors.append(StudyError(source, problem, f"Add it. {WAYS}"))
    where = f"{source}: key 'resources'"
    if os.path.isfile(config["resources"]):
        errors.append(StudyError(where, f"'{config['resources']}' is a file", "Name a folder."))
    elif os.path.lexists(config["resources"]) and not os.path.isdir(config["resources"]):
        errors.append(StudyError(where, f"'{config['resources']}' is not a folder", "Name one."))
    elif (fault := fault_of(config["resources"])) and fault[0].startswith(("is too", "has a NUL")):
        errors.append(StudyError(where, f"'{config['resources']}' {fault[0]}", fault[1]))
    tables = {
        "annotation.markers": (config["annotation"]["markers"], MARKER_COLUMNS),
        "cells.gene_sets": (config["cells"]["gene_sets"], gene_sets.COLUMNS),
    }
    files = fetched(config)
    for key, path in [*files.items(), *((key, path) for key, (path, _) in tables.items())]:
        where = f"{source}: key '{key}'"
        if key in files and (URL.match(path) or (made and path.startswith(made))):
            continue
        try:
            if URL.match(path):
                raise StudyError(where, "must be a file, not a URL", "Download the table.")
            require_file(path, where)
            if key.startswith("reference."):
                check_head(path, key.removeprefix("reference."))
        except StudyError as error:
            errors.append(error)
    if config["published_cells"]:
        try:
            read_published(config["published_cells"], {"run": study.runs, "sample": study.samples})
        except StudyError as error:
            errors.append(error)
    examples = {key: f"config/{key.rpartition('.')[2]}.tsv" for key in tables}
    return errors or [
        error
        for key, table in tables.items()
        for error in check_columns(*table, examples[key], key)
    ]


def fetched(config: Mapping) -> dict[str, str]:
    """Files that the configuration names by path or by URL, by key."""
    files = {f"reference.{key}": config.get("reference", {}).get(key) for key in ("fasta", "gtf")}
    files["annotation.celltypist_model"] = config["annotation"]["celltypist_model"]
    return {key: path for key, path in files.items() if path}


def conceal_urls(config: dict, runs: list[Run]) -> tuple[dict, list[Run], dict[str, str]]:
    """Configuration and runs without the secrets of URLs, so that no job records or shows one.

    Returns
    -------
    config, runs
        With each URL as `latere.urls.conceal` gives it.
    urls : dict
        The URLs themselves, by what stands for them.
    """
    files = fetched(config)
    paths = [*files.values(), *(path for run in runs for path in run.matrix)]
    for key, path in files.items():
        section, name = key.split(".")
        config = config | {section: config[section] | {name: conceal(path)}}
    runs = [replace(run, matrix=tuple(map(conceal, run.matrix))) for run in runs]
    return config, runs, {conceal(path): path for path in paths if URL.match(path)}


def check_columns(path: str, columns: tuple[str, ...], example: str, key: str) -> list[StudyError]:
    """Columns that a table of the configuration lacks, and rows that a job would read otherwise.

    Parameters
    ----------
    path
        The table.
    columns
        What it must have.
    example
        A table of the kind.
    key
        What names it in the configuration.
    """
    try:
        header, rows = read_table(path, f"`{key}` in the configuration")
    except StudyError as error:
        return [error]
    mend = f"Give a TSV with {', '.join(columns)}, as {example}."
    if missing := [name for name in columns if name not in header]:
        return [StudyError(path, f"the table has no column '{missing[0]}'", mend)]
    if not rows:
        return [StudyError(path, "the table has no row", mend)]
    told = ((number, _row_fault(row)) for number, row in rows)
    return [StudyError(f"{path}, row {number}", *fault) for number, fault in told if fault]


def _row_fault(row: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a row of a table is useless, or read by its job otherwise than it looks."""
    for column, value in row.items():
        if "#" in value:
            return f"column '{column}' has a '#', which begins a comment", "Remove it."
        if value.count('"') % 2:
            return f"column '{column}' has a single quotation mark", "Remove it."
    if not row["gene_name"].strip() and not row.get("gene_id", "").strip():
        return "names no gene", "Fill the column 'gene_name', or remove the row."
    if not row.get("cell_type", "x").strip():
        return "column 'cell_type' is empty", "Fill it, or remove the row."
    if is_formula(row.get("cell_type", "")):
        return f"the cell type {row['cell_type']!r} is not valid: {FORMULA_PROBLEM}", FORMULA_FIX
    if row.get("gene_set", gene_sets.GENE_SETS[0]) not in gene_sets.GENE_SETS:
        known = f"Known: {', '.join(gene_sets.GENE_SETS)}."
        return f"the gene set {row['gene_set']!r} is not known", known
    return None


def _raise(errors) -> None:
    errors = list(errors)
    if errors:
        raise StudyErrors(errors)
