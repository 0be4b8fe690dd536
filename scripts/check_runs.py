"""Compare each run with the sheet and the other runs: PASS, WARN or FAIL, with metric and fix.

A check that can't answer (no column `sex`, one run, too few counts) gives no row; the log says why.
A check stops nothing: values that are not counts were rejected before. The report shows the
table.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from latere.checks.form import check_barcodes, check_genes, check_shared_genes, check_species
from latere.checks.identity import check_duplicates, check_sex
from latere.checks.labels import check_labels
from latere.checks.libraries import check_libraries
from latere.checks.names import check_names
from latere.checks.profiles import check_profiles
from latere.checks.quality import (
    check_ambient,
    check_cells,
    check_mitochondria,
    check_samples,
    check_warnings,
)
from latere.checks.runs import COLUMNS, PASS, Run, read_run
from latere.contract import write_table
from latere.gene_sets import read_gene_sets
from latere.job import run_script, start
from latere.label_genes import Model, read_markers, read_model


def check_runs(
    runs: list[Run],
    samples: dict,
    sides: dict,
    how: str,
    min_cells: int,
    remove_ambient: bool,
    model: Model | None = None,
    markers: pd.DataFrame | None = None,
    warnings: Iterable[str] = (),
) -> pd.DataFrame:
    """All checks.

    Parameters
    ----------
    samples
        The sheet's columns by sample.
    sides
        Samples of `case` and `control`, by contrast.
    how
        `intersection` or `union`.
    min_cells
        Cells that a sample must have to count in a test.
    remove_ambient
        Whether ambient RNA is removed.
    model, markers
        What labels cells: the genes of a CellTypist model, marker genes; None for what does not.
    warnings
        Of the design, in sentences.

    Returns
    -------
    pandas.DataFrame
        run (or sample, or `study`), check, verdict, value (NaN for none), detail.
    """
    rows = [
        *check_barcodes(runs),
        *check_libraries(runs),
        *check_genes(runs),
        *check_shared_genes(runs, how),
        *check_names(runs),
        *check_species(runs),
        *check_mitochondria(runs),
        *check_cells(runs),
        *check_samples(runs, list(samples), sides, min_cells),
        *check_warnings(warnings),
        *(check_ambient(runs) if remove_ambient else []),
        *check_sex(runs, samples),
        *check_duplicates(runs, sides),
        *check_profiles(runs),
        *check_labels(runs, how, model, markers),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def main(snakemake):
    log = start(snakemake)
    given, params = snakemake.input, snakemake.params
    selection = pd.read_parquet(given.selection)
    by_run = {run: cells.reset_index(drop=True) for run, cells in selection.groupby("run")}
    gene_sets = read_gene_sets(given.gene_sets)
    runs = []
    files = zip(given.counts, given.facts, given.ambient, strict=True)
    for (run, sample), (path, *reports) in zip(params.runs.items(), files, strict=True):
        facts, droplets = (json.loads(Path(file).read_text(encoding="utf-8")) for file in reports)
        about = facts, droplets["ambient"], by_run.get(run, selection[:0]), gene_sets
        runs.append(read_run(run, sample, path, *about, params.seed))
    about = params.sides, params.genes, params.min_cells, params.remove_ambient
    model, markers = given.get("model"), given.get("markers")
    sources = model and read_model(model), markers and read_markers(markers)
    table = check_runs(runs, params.samples, *about, *sources, params.warnings)
    log.info("%s", table["verdict"].value_counts().to_dict())
    for found in table[table["verdict"] != PASS].to_dict("records"):
        log.warning("%(verdict)s %(run)s, %(check)s: %(detail)s", found)
    write_table(table, snakemake.output[0], "cells/checks.tsv", digits=4)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
