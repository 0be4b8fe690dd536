"""Where runs come from: each from one place, complete, with files that can be read."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping

from latere.counts.inspection import inspect
from latere.counts.parts import parse_subset
from latere.errors import StudyError, fix_missing
from latere.files import fault_of
from latere.reads.chemistry import AUTO
from latere.study.sheet import Run
from latere.urls import URL


def check_sources(
    runs: list[Run], lines: Mapping[str, int], sheet: str, chemistries: list[str]
) -> list[StudyError]:
    """Problems of the sources of runs: each run has one, which is complete."""
    errors = []
    for run in runs:
        where = f"{sheet}, row {lines[run.name]} (run {run.name})"
        sources = [
            name
            for name, value in (("sra", run.sra), ("fastq_*", run.fastq), ("matrix", run.matrix))
            if value
        ]
        fix = "Fill one of: sra, fastq_1 with fastq_2, matrix."
        if not sources:
            errors.append(StudyError(where, "has no source", fix, code="no-source"))
            continue
        if len(sources) > 1:
            problem = f"has {len(sources)} sources ({', '.join(sources)})"
            errors.append(StudyError(where, problem, fix, code="several-sources"))
            continue
        if run.matrix and run.chemistry:
            fix = "Leave `chemistry` empty: the reads are counted already."
            problem = "a matrix needs no chemistry"
            errors.append(StudyError(where, problem, fix, code="chemistry-of-matrix"))
        about = [name for name in ("layer", "subset", "barcodes") if getattr(run, name)]
        if about and not run.matrix:
            fix = f"Leave `{about[0]}` empty: the column describes a matrix."
            problem = f"has `{about[0]}` and no matrix"
            errors.append(StudyError(where, problem, fix, code="needs-matrix"))
        if run.from_reads and run.chemistry not in (AUTO, *chemistries):
            fix = f"Known: {', '.join(chemistries)}; empty or '{AUTO}': detected from the reads."
            problem = f"unknown chemistry '{run.chemistry}'"
            errors.append(StudyError(where, problem, fix, code="unknown-chemistry"))
        if run.fastq and len(run.fastq) < 2:
            errors.append(
                StudyError(
                    where,
                    "has the FASTQ files of one read only",
                    "Give the barcode read and the cDNA read, in fastq_1 and fastq_2.",
                    code="missing-read",
                )
            )
        if len({len(lanes) for lanes in run.fastq}) > 1:
            counts = ", ".join(str(len(lanes)) for lanes in run.fastq)
            errors.append(
                StudyError(
                    where,
                    f"its FASTQ columns list different numbers of lanes ({counts})",
                    "List the same lanes in the same order in each.",
                    code="unequal-lanes",
                )
            )
        if any(not path for lanes in run.fastq for path in lanes):
            problem, fix = "has an empty FASTQ name", "Remove the extra comma."
            errors.append(StudyError(where, problem, fix, code="empty-path"))
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
        missing = [path for path, fault in faults.items() if fault and fault.code == "missing-file"]
        if missing:
            named = ", ".join(f"'{path}'" for path in missing)
            problem = f"{named} {'does' if len(missing) == 1 else 'do'} not exist"
            errors.append(StudyError(where, problem, fix_missing(*missing), code="missing-file"))
        errors += [
            StudyError(where, f"'{path}' {fault.problem}", fault.fix, code=fault.code)
            for path, fault in faults.items()
            if fault and path not in missing
        ]
        # Runs may share the table of their genes, not the values of a matrix.
        for source in run.matrix[:1] or [*run.files, *filter(None, [run.accession])]:
            users[_true_path(source) if source in run.files else source].append(run)
    for source, sharing in users.items():
        if len(sharing) > 1 and (reason := _why_not_parts(sharing)) is not None:
            # A part that the matrix does not have is the cause, not that it is named beside others.
            wrong = check_matrices(sharing, lines, sheet, made) if not errors else []
            names = ", ".join(run.name for run in sharing)
            problem = f"'{source}' is used {len(sharing)} times (run {names}){reason}"
            fix = "Use every source once, or select a part of the matrix in each row by `subset`."
            errors += wrong or [StudyError(sheet, problem, fix, code="duplicated-source")]
    return errors


def _why_not_parts(sharing: list[Run]) -> str | None:
    """Why runs of one source are not parts of one matrix, each its own; None if they are."""
    if not sharing[0].matrix:
        return ""
    if not any(run.subset for run in sharing):
        return ", and no row has a value in a column `subset`"
    if whole := [run.name for run in sharing if not run.subset]:
        return f": without `subset` run {', '.join(whole)} takes all of its cells"
    by_part, by_column = defaultdict(list), defaultdict(list)
    for run in sharing:
        part = parse_subset(run.subset)
        by_part[part].append(run.name)
        by_column[part[0]].append(run.name)
    if len(by_column) > 1:
        named = "; ".join(f"{column}: run {', '.join(of)}" for column, of in by_column.items())
        return f", with `subset` by different columns, which may name the same cells ({named})"
    twice = [f"{'='.join(part)}: run {', '.join(of)}" for part, of in by_part.items() if of[1:]]
    return f", and runs have the same `subset` ({'; '.join(twice)})" if twice else None


def _true_path(path: str) -> str:
    """A path without links; unchanged if no file can have its name."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path


def check_quotes(runs: list[Run], lines: Mapping[str, int], sheet: str) -> list[StudyError]:
    """Files whose names break Snakemake's quotes around an input of a submitted job."""
    return [
        StudyError(
            f"{sheet}, row {lines[run.name]} (run {run.name})",
            f"'{path}' has a quote or a backslash, which cannot be passed to a job on SLURM",
            "Rename the file or the folder, or link to it by another name.",
            code="quote-in-path",
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
        if not run.matrix or any(map(URL.match, run.matrix)):
            continue
        if made and run.matrix[0].startswith(made):
            continue
        try:
            inspect(run.matrix, run.layer, run.subset)
        except StudyError as error:
            errors.append(error.within(f"{sheet}, row {lines[run.name]} (run {run.name})"))
    return errors
