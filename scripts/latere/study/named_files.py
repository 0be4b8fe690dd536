"""Files that the configuration names: the reference, the tables, the folder of downloads."""

import os
import re
from collections.abc import Collection, Mapping

from latere import gene_sets
from latere.errors import StudyError
from latere.fault import Fault
from latere.files import fault_of, read_table, require_file
from latere.published import read_published
from latere.reads.genome import check_head
from latere.study.references import WAYS
from latere.study.sheet import Run
from latere.urls import URL
from latere.values import FORMULA_FIX, FORMULA_PROBLEM, is_formula

MODEL_KEY = "annotation.celltypist_model"
# A model as CellTypist itself names it.
MODEL = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.pkl)?")
MODELS = "https://www.celltypist.org/models"
MARKER_COLUMNS = ("cell_type", "lineage", "gene_name")


def check_paths(
    config: Mapping, runs: list[Run], samples: Collection[str], source: str, made: str | None
) -> list[StudyError]:
    """Files named in the configuration that are missing, or have the wrong content.

    Parameters
    ----------
    config
        With its defaults.
    runs, samples
        Of the sheet; samples by name.
    source
        Name of the configuration's file, for messages.
    made
        Prefix of the paths that the workflow itself makes.
    """
    errors = []
    if any(run.from_reads for run in runs) and "reference" not in config:
        problem = "the key 'reference' is missing, and some runs start from reads"
        errors.append(StudyError(source, problem, f"Add it. {WAYS}", code="missing-key"))
    where = f"{source}: key 'resources'"
    folder = config["resources"]
    if os.path.lexists(folder) and not os.path.isdir(folder):
        problem = f"'{folder}' is not a folder"
        errors.append(StudyError(where, problem, "Name a folder.", code="not-a-folder"))
    elif (fault := fault_of(folder)) and fault.code in ("path-too-long", "control-character"):
        errors.append(StudyError(where, f"'{folder}' {fault.problem}", fault.fix, code=fault.code))
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
                problem, fix = "must be a file, not a URL", "Download the table."
                raise StudyError(where, problem, fix, code="url-not-allowed")
            fault = fault_of(path)
            if (
                key == MODEL_KEY
                and fault
                and fault.code == "missing-file"
                and MODEL.fullmatch(path)
            ):
                fix = (
                    "The key takes a path or a URL, not the name of a model. Download it from "
                    f"{MODELS}, or give the URL of its download there."
                )
                raise StudyError(where, f"'{path}' {fault.problem}", fix, code=fault.code)
            require_file(path, where)
            if key.startswith("reference."):
                check_head(path, key.removeprefix("reference."))
        except StudyError as error:
            errors.append(error)
    if config["published_cells"]:
        try:
            names = {"run": [run.name for run in runs], "sample": samples}
            read_published(config["published_cells"], names)
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
    files[MODEL_KEY] = config["annotation"]["celltypist_model"]
    return {key: path for key, path in files.items() if path}


def check_columns(path: str, columns: tuple[str, ...], example: str, key: str) -> list[StudyError]:
    """Missing columns of a table of the configuration, and rows that a job would misread.

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
    fix = f"Give a TSV with {', '.join(columns)}, as {example}."
    if missing := [name for name in columns if name not in header]:
        return [
            StudyError(path, f"the table has no column '{missing[0]}'", fix, code="missing-column")
        ]
    if not rows:
        return [StudyError(path, "the table has no row", fix, code="empty-table")]
    faults = ((number, _row_fault(row)) for number, row in rows)
    return [
        StudyError(f"{path}, row {number}", *fault, code=fault.code)
        for number, fault in faults
        if fault
    ]


def _row_fault(row: Mapping[str, str]) -> Fault | None:
    """Why a row of a table is useless, or would be misread by its job."""
    for column, value in row.items():
        if "#" in value:
            problem = f"column '{column}' has a '#', which begins a comment"
            return Fault(problem, "Remove it.", code="comment-sign")
        if value.count('"') % 2:
            problem = f"column '{column}' has a single quotation mark"
            return Fault(problem, "Remove it.", code="unmatched-quote")
    if not row["gene_name"].strip() and not row.get("gene_id", "").strip():
        fix = "Fill the column 'gene_name', or remove the row."
        return Fault("names no gene", fix, code="missing-gene")
    if not row.get("cell_type", "x").strip():
        fix = "Fill it, or remove the row."
        return Fault("column 'cell_type' is empty", fix, code="empty-value")
    if is_formula(row.get("cell_type", "")):
        problem = f"the cell type {row['cell_type']!r} is not valid: {FORMULA_PROBLEM}"
        return Fault(problem, FORMULA_FIX, code="formula")
    if row.get("gene_set", gene_sets.GENE_SETS[0]) not in gene_sets.GENE_SETS:
        known = f"Known: {', '.join(gene_sets.GENE_SETS)}."
        problem = f"the gene set {row['gene_set']!r} is not known"
        return Fault(problem, known, code="unknown-gene-set")
    return None
