"""The metrics of one counted run, from STAR's own tables.

A step of its own: metrics can change without counting again.
"""

import csv
import gzip
import json
import math
from pathlib import Path

from latere.job import run_script, start
from latere.reads.star import read_call, read_log, read_strands

# Points of a knee curve: enough for its shape, few enough for a small page.
KNEE_POINTS = 200
FEATURES = ("Gene", "GeneFull")


def to_number(text: str) -> float | None:
    """A metric of STARsolo; None where it has no value (``-nan``, ``-inf``, ``NoMulti``)."""
    try:
        number = float(text)
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return number if "." in text else int(number)


def read_summary(path: Path) -> dict[str, float | None]:
    """Metrics of a STARsolo ``Summary.csv``, by the names that they have there."""
    with open(path, encoding="utf-8", newline="") as handle:
        return {name: to_number(value) for name, value in csv.reader(handle)}


def figures_of_reads(summary: dict) -> dict[str, float | None]:
    """Metrics of a summary that are the same whatever is counted."""
    return {
        "valid_barcodes": summary["Reads With Valid Barcodes"],
        "q30_barcode": summary["Q30 Bases in CB+UMI"],
        "q30_cdna": summary["Q30 Bases in RNA read"],
    }


def figures_of_counts(summary: dict, feature: str, reads: int) -> dict[str, float | None]:
    """Metrics of a summary that depend on what is counted.

    Parameters
    ----------
    summary
        As `read_summary` returns it.
    feature
        What is counted: ``Gene`` (exons) or ``GeneFull`` (exons and introns).
    reads
        Reads of the run.

    Returns
    -------
    dict
        None where STARsolo has no value, and for all metrics of cells where none is called.
    """
    cells = int(summary.get("Estimated Number of Cells") or 0)
    of_cells = {
        "reads_in_cells": "Fraction of Unique Reads in Cells",
        "median_umis": "Median UMI per Cell",
        "median_genes": f"Median {feature} per Cell",
        "genes": f"Total {feature} Detected",
    }
    return {
        "in_genes": summary[f"Reads Mapped to {feature}: Unique {feature}"],
        "saturation": summary["Sequencing Saturation"],
        "cells": cells,
        "reads_per_cell": round(reads / cells, 1) if cells else None,
        **{name: summary[line] if cells else None for name, line in of_cells.items()},
    }


def umis_of_cells(matrix: Path) -> list[int]:
    """UMIs of each called cell, descending, from a gzipped matrix of genes x cells."""
    with gzip.open(matrix, "rt") as lines:
        entries = (line for line in lines if not line.startswith("%"))
        _, cells, _ = map(int, next(entries).split())
        umis = [0] * cells
        for entry in entries:
            _, cell, count = entry.split()
            umis[int(cell) - 1] += int(count)
    return sorted(umis, reverse=True)


def knee_curve(umis: list[int], called: list[int], points: int = KNEE_POINTS) -> list[list]:
    """UMIs of a barcode over its rank, thinned evenly on a logarithmic axis.

    Parameters
    ----------
    umis
        UMIs of every barcode that has any, descending.
    called
        UMIs of those that are called cells, descending.
    points
        Number of ranks to keep, at most.

    Returns
    -------
    list
        For each kept rank, from 1: the rank, its UMIs, and the share of called cells among the
        barcodes after the last kept rank, this one included.
    """
    is_cell, at = [], 0
    for count in umis:
        # Of barcodes with the same number of UMIs, those of cells come first.
        is_cell.append(at < len(called) and called[at] == count)
        at += is_cell[-1]
    if at < len(called):
        raise ValueError(f"{len(called) - at} called cells have UMIs that no barcode has")
    if not umis:
        return []
    step = math.log(len(umis)) / max(points - 1, 1)
    ranks = sorted({round(math.exp(number * step)) for number in range(points)})
    curve = []
    for before, rank in zip([0, *ranks], ranks, strict=False):
        share = sum(is_cell[before:rank]) / (rank - before)
        curve.append([rank, umis[rank - 1], round(share, 3)])
    return curve


def run_metrics(folder: Path, run: str) -> dict:
    """All metrics of a run.

    Parameters
    ----------
    folder
        What STARsolo left.

    Returns
    -------
    dict
        Shares of the reads; `counts` by what is counted (``Gene``, ``GeneFull``), of them
        `reads_in_cells` as a share of the reads in genes; `knee` of ``Gene``; STAR's call.
    """
    prefix, solo = f"{folder}/{run}.", folder / f"{run}.Solo.out"
    reads = read_log(Path(f"{prefix}Log.final.out"))
    call = read_call(Path(f"{prefix}Log.out"))
    strands = read_strands(Path(f"{prefix}ReadsPerGene.out.tab"))
    if call["parameters"]["soloStrand"] == "Reverse":
        strands = {"sense": strands["antisense"], "antisense": strands["sense"]}
    total = reads.pop("reads")
    shares = {
        name: round(count / total, 6) if total else None
        for name, count in (reads | strands).items()
    }
    summaries = {name: read_summary(solo / name / "Summary.csv") for name in FEATURES}
    metrics = {"run": run, "reads": total} | shares | figures_of_reads(summaries["Gene"])
    counts = {name: figures_of_counts(summaries[name], name, total) for name in FEATURES}
    gene = solo / "Gene"
    umis = [
        int(line) for line in (gene / "UMIperCellSorted.txt").read_text(encoding="utf-8").split()
    ]
    # Without a single counted molecule STAR writes no folder of called cells.
    matrix = gene / "filtered/matrix.mtx.gz"
    called = umis_of_cells(matrix) if matrix.is_file() else []
    return metrics | {"counts": counts, "STAR": call, "knee": knee_curve(umis, called)}


def main(snakemake):
    start(snakemake)
    name = snakemake.wildcards.run
    metrics = run_metrics(Path(snakemake.input.starsolo), name)
    evidence = json.loads(Path(snakemake.input.strand).read_text(encoding="utf-8"))
    about = {key: evidence[key] for key in ("run", "chemistry", "strand")}
    metrics = about | {"sample": snakemake.params.sample} | metrics
    Path(snakemake.output[0]).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
