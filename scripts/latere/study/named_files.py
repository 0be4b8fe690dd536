"""Files that the configuration names: the reference, the tables, the folder of downloads."""

import os
from collections.abc import Collection, Mapping

from latere import gene_sets
from latere.errors import StudyError
from latere.files import fault_of, read_table, require_file
from latere.published import read_published
from latere.reads.genome import check_head
from latere.study.references import WAYS
from latere.study.sheet import Run
from latere.urls import URL
from latere.values import FORMULA_FIX, FORMULA_PROBLEM, is_formula

MARKER_COLUMNS = ("cell_type", "lineage", "gene_name")


def check_paths(
    config: Mapping, runs: list[Run], samples: Collection[str], source: str, made: str | None
) -> list[StudyError]:
    """Files named in the configuration that are missing, or do not hold what they should.

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
    files["annotation.celltypist_model"] = config["annotation"]["celltypist_model"]
    return {key: path for key, path in files.items() if path}


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
    fix = f"Give a TSV with {', '.join(columns)}, as {example}."
    if missing := [name for name in columns if name not in header]:
        return [StudyError(path, f"the table has no column '{missing[0]}'", fix)]
    if not rows:
        return [StudyError(path, "the table has no row", fix)]
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
