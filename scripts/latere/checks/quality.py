"""Checks of quality: the cells of runs and samples, their limits, their ambient RNA."""

import numpy as np

from latere.checks.runs import FAIL, FEW_CELLS, PASS, STUDY, WARN, Run, row
from latere.design import MIN_SAMPLES
from latere.doublets import expected_doublets

# Limits remove a tail; where most cells are beyond them, the limits or the run are wrong.
MOST_REMOVED = 1 / 3
# An alarm needs three times the expected doublets, and a fifth of the run, as overloaded runs have
# their share by design.
MANY_DOUBLETS, TIMES_DOUBLETS = 0.2, 3


def check_cells(runs: list[Run]):
    """Cells of each run: how many are called and kept, and how many are doublets."""
    for run in runs:
        removed = 1 - run.kept / max(run.called, 1)
        detail = f"{run.kept:,} of {run.called:,} called cells are kept"
        verdict, fix = PASS, "."
        barcodes = run.facts["barcodes"]
        if not run.called:
            verdict, detail = FAIL, f"No cell is called among {barcodes['number']:,} barcodes"
            fix = (
                ": none has a count. Check the source of the run, or remove its row from the sheet."
            )
            if barcodes["with_counts"]:
                fix = ". See the knee plot; to leave the run out, remove its row."
        elif not run.kept:
            verdict = FAIL
            fix = ". See cells/limits.tsv and the knee plot; to leave the run out, remove its row."
        elif run.kept < FEW_CELLS:
            verdict, fix = (
                WARN,
                f": fewer than {FEW_CELLS}. See the knee plot and cells/qc.tsv.",
            )
        yield row(run.name, "cells", verdict, run.kept, detail + fix)
        if run.called:
            many = removed > MOST_REMOVED
            detail = f"{removed:.0%} of the called cells are removed by the limits or as doublets"
            fix = ". See the waterfall, and set `cells.samples` for this sample." if many else "."
            yield row(run.name, "cells removed", WARN if many else PASS, removed, detail + fix)
        if run.doublets is not None and run.called:
            share, usual = run.doublets / run.called, expected_doublets(run.called)
            many = share > max(MANY_DOUBLETS, TIMES_DOUBLETS * usual)
            detail = (
                f"{share:.1%} of {run.called:,} called cells are marked as doublets; 10x Genomics "
                f"expects {usual:.1%} for this number of cells"
            )
            fix = (
                ". Look at the scores: cells between two types may be marked, too." if many else "."
            )
            yield row(run.name, "doublets", WARN if many else PASS, share, detail + fix)


def check_samples(runs: list[Run], samples: list[str], sides: dict, min_cells: int):
    """Cells of each sample, and whether the contrasts have the samples that they need.

    Parameters
    ----------
    sides
        Samples of `case` and `control`, by contrast.
    min_cells
        Cells that a sample must have to count in a test.
    """
    of = {sample: [run.name for run in runs if run.sample == sample] for sample in samples}
    kept = {sample: sum(run.kept for run in runs if run.sample == sample) for sample in samples}
    for sample, number in kept.items():
        few = number < min_cells
        runs_of = f"run{'s' * (len(of[sample]) > 1)} {', '.join(of[sample])}"
        detail = f"{number:,} cells are kept from {runs_of}"
        fix = (
            f": fewer than {min_cells} (`de.min_cells`), so it is not a replicate." if few else "."
        )
        yield row(sample, "cells of the sample", (FAIL if few else PASS), number, detail + fix)
    for contrast, names in sides.items():
        enough = {
            side: [sample for sample in of_side if kept[sample] >= min_cells]
            for side, of_side in names.items()
        }
        numbers = ", ".join(
            f"{len(enough[side])} of {len(names[side])} {side} samples" for side in names
        )
        least = min(map(len, enough.values()))
        detail = f"Contrast {contrast}: {numbers} have at least {min_cells} cells"
        few = least < MIN_SAMPLES
        fix = (
            f". A side needs {MIN_SAMPLES}: widen the limits, or drop the contrast." if few else "."
        )
        yield row(STUDY, "design", FAIL if few else PASS, least, detail + fix)


def check_warnings(warnings: list[str]):
    """Warnings of the design, which the dry run shows, too."""
    for warning in warnings:
        yield row(STUDY, "contrast", WARN, np.nan, warning[:1].upper() + warning[1:])


def check_mitochondria(runs: list[Run]):
    """Whether the limit on mitochondrial counts can hold."""
    for run in runs:
        if run.called and not run.has_mitochondria:
            detail = (
                "No gene has a name of a mitochondrial gene in `cells.gene_sets`, so "
                "`max_percent_mt` removes no cell of this run. Give the matrix with all genes, or "
                "add the names."
            )
            yield row(run.name, "mitochondrial genes", WARN, 0, detail)


def check_ambient(runs: list[Run]):
    """Whether ambient RNA was removed from all runs, where the configuration asks for it."""
    left = [run.name for run in runs if run.ambient["share"] is None]
    for run in runs:
        share = run.ambient["share"]
        if share is None:
            detail = f"No ambient RNA was removed. {run.ambient['reason']}"
            yield row(run.name, "ambient RNA", WARN, np.nan, detail)
        else:
            yield row(
                run.name,
                "ambient RNA",
                PASS,
                share,
                f"{share:.1%} of the molecules in cells were removed as ambient RNA.",
            )
    if 0 < len(left) < len(runs):
        detail = (
            f"Ambient RNA was removed from {len(runs) - len(left)} runs, but not from "
            f"{', '.join(left)}: this may cause differences between them. Give raw "
            "matrices of all runs, or set `cells.remove_ambient` to false."
        )
        yield row(STUDY, "ambient RNA", FAIL, len(left), detail)
