"""One page on the reads: FastQC, STAR, what STARsolo found in each run, versions of all tools."""

import csv
import json
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.job import run, start

# Points of a knee curve: enough for its form, few enough for a light page.
KNEE_POINTS = 200

FRACTION = {"min": 0, "max": 100, "suffix": " %", "format": "{:,.1f}"}
NUMBER = {"min": 0, "format": "{:,.0f}"}
# Figure of STARsolo's summary -> column of the table.
COLUMNS = {
    "Number of Reads": NUMBER | {"title": "Reads", "scale": "Greys"},
    "Reads With Valid Barcodes": FRACTION
    | {
        "title": "Valid barcodes",
        "description": "Reads whose barcode is in the chemistry's list, at most one base off",
        "scale": "RdYlGn",
    },
    "Reads Mapped to Genome: Unique": FRACTION
    | {"title": "In genome", "description": "Reads that map to one place", "scale": "Greens"},
    "Reads Mapped to Gene: Unique Gene": FRACTION
    | {"title": "In genes", "description": "Reads that map to one gene", "scale": "Greens"},
    "Sequencing Saturation": FRACTION
    | {
        "title": "Saturation",
        "description": "Reads that repeat a molecule already seen, of those with a valid "
        "barcode in a gene",
        "scale": "Purples",
    },
    "Estimated Number of Cells": NUMBER
    | {"title": "Cells", "description": "Cells called (EmptyDrops_CR)", "scale": "Blues"},
    "Fraction of Unique Reads in Cells": FRACTION
    | {
        "title": "Reads in cells",
        "description": "Of the reads in genes, those of called cells; the rest is ambient",
        "scale": "RdYlGn",
    },
    "Median UMI per Cell": NUMBER
    | {"title": "UMIs per cell", "description": "Median over the called cells", "scale": "Blues"},
    "Median Gene per Cell": NUMBER
    | {"title": "Genes per cell", "description": "Median over the called cells", "scale": "Blues"},
    "Total Gene Detected": NUMBER
    | {"title": "Genes", "description": "Genes seen in any called cell", "scale": "Greys"},
}


def read_summary(path: Path) -> dict[str, float]:
    """Figures of a STARsolo ``Summary.csv`` that the table shows; shares as percent.

    Those that STARsolo has no value for are left out.
    """
    with open(path, newline="") as handle:
        found = dict(csv.reader(handle))
    figures = {}
    for name, column in COLUMNS.items():
        value = float(found[name])
        if math.isfinite(value):
            figures[name] = value * 100 if "suffix" in column else value
    return figures


def knee_curve(umis: list[int], points: int = KNEE_POINTS) -> list[list[int]]:
    """UMIs of a barcode over its rank, thinned evenly on a logarithmic axis.

    Parameters
    ----------
    umis
        UMIs of every barcode that has any, descending.
    points
        Number of ranks to keep, at most.

    Returns
    -------
    list
        Pairs of rank, from 1, and UMIs.
    """
    if not umis:
        return []
    step = math.log(len(umis)) / max(points - 1, 1)
    ranks = sorted({round(math.exp(at * step)) for at in range(points)})
    return [[rank, umis[rank - 1]] for rank in ranks if rank <= len(umis)]


def starsolo_table(summaries: dict[str, dict[str, float]]) -> dict:
    """MultiQC content: one row a run."""
    return {
        "id": "starsolo",
        "section_name": "STARsolo",
        "description": "What counting found in each run.",
        "plot_type": "table",
        "pconfig": {"id": "starsolo_table", "title": "STARsolo: counts of each run"},
        "headers": COLUMNS,
        "data": summaries,
    }


def knee_plot(curves: dict[str, list[list[int]]]) -> dict:
    """MultiQC content: one knee curve a run."""
    return {
        "id": "starsolo_knee",
        "section_name": "STARsolo: molecules per barcode",
        "description": "Barcodes of cells stand on the left shoulder; below the knee are droplets "
        "that hold ambient RNA only. A run without a knee has no clear cells.",
        "plot_type": "linegraph",
        "pconfig": {
            "id": "starsolo_knee_plot",
            "title": "STARsolo: UMIs by rank of barcode",
            "xlab": "Barcode, by rank",
            "ylab": "UMIs",
            "xlog": True,
            "ylog": True,
        },
        "data": curves,
    }


def main(snakemake):
    start(snakemake)
    folders = dict(zip(snakemake.params.runs, map(Path, snakemake.input.starsolo), strict=True))
    genes = {name: folder / f"{name}.Solo.out" / "Gene" for name, folder in folders.items()}
    umis = {
        name: [int(line) for line in (gene / "UMIperCellSorted.txt").read_text().split()]
        for name, gene in genes.items()
    }
    contents = [
        starsolo_table({name: read_summary(gene / "Summary.csv") for name, gene in genes.items()}),
        knee_plot({name: knee_curve(counts) for name, counts in umis.items() if counts}),
    ]
    page = Path(snakemake.output[0])
    with TemporaryDirectory() as made:
        for content in filter(lambda content: content["data"], contents):
            Path(made, f"{content['id']}_mqc.json").write_text(json.dumps(content))
        logs = [folder / f"{name}.Log.final.out" for name, folder in folders.items()]
        command = [sys.executable, "-m", "multiqc", "--config", snakemake.input.config]
        command += ["--title", f"latere: reads of {snakemake.params.study}", "--no-data-dir"]
        command += ["--force", "--outdir", page.parent, "--filename", page.name]
        run([*command, *snakemake.input.fastqc, *logs, made, *snakemake.input.versions])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
