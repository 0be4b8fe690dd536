"""How cells were called, checked and selected, and which genes the study has."""

import base64
import re
from pathlib import Path

import pandas as pd

from latere.quality import REASON_NAMES
from latere.report.formats import format_limit, format_range, format_share, records
from latere.report.inputs import Inputs
from latere.tables import read_tsv
from merge_cells import MIN_COUNTS_TESTABLE, MIN_SAMPLES_TESTABLE

# How `call_cells` called the cells, what a matrix holds, and what set a limit in `select_cells`.
METHODS = {
    "given": "source",
    "all": "filtered matrix",
    "emptyDrops": "EmptyDrops",
    "threshold": "UMI threshold",
}
MATRICES = {"both": "raw and cells"}
SET_BY = {"deviations": "MAD", "floor": "floor", "ceiling": "ceiling", "fixed": "fixed"}
PHASES = ("G1", "S", "G2M")
# Number of the most frequent genes of the ambient RNA that are shown.
AMBIENT_GENES = 6
# Pixels per point: the text of a figure becomes as large as that of its caption.
SCALE = 1.9


def embed(path) -> dict:
    """A figure for the page: its SVG as a data URI, and how wide it is shown, in pixels."""
    svg = Path(path).read_bytes()
    points = float(re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)[1])
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return {"uri": uri, "width": round(points * SCALE)}


def describe_limits(limits: pd.DataFrame) -> tuple[list[dict], list[tuple]]:
    """The limits by sample, and what set each.

    Parameters
    ----------
    limits
        As `select_cells` gives them.

    Returns
    -------
    tuple
        Rows, and for each column its key, heading and format. A limit that no sample has gets no
        column.
    """
    used = limits[limits["value"].notna()]
    names = [name for name in limits["limit"].unique() if name in set(used["limit"])]
    rows = []
    for sample in limits["sample"].unique():
        row = {"sample": sample} | dict.fromkeys(names, "none")
        for limit in used[used["sample"] == sample].itertuples():
            row[limit.limit] = f"{format_limit(limit.value)} ({SET_BY[limit.set_by]})"
        rows.append(row)
    headings = [(name, name.replace("_", " ").replace("percent", "%"), "right") for name in names]
    return rows, [("sample", "sample", "text"), *headings]


def describe_call(facts: dict, ambient: dict, doublets: dict) -> dict:
    """How the cells of a run were called, its ambient RNA and its doublets.

    Parameters
    ----------
    facts, ambient, doublets
        What `load_counts`, `call_cells` and `score_cells` report for the run.
    """
    barcodes, calling, share = facts["barcodes"], ambient["calling"], ambient["ambient"]
    genes = [f"{gene['gene_name']} {format_share(gene['share'])}" for gene in share["top_genes"]]
    left_out = [f"{number:,} of {name}" for name, number in facts["left_out"].items()]
    kind = barcodes["kind"]
    found, cells = doublets["n_doublets"], doublets["n_cells"]
    return {
        "run": facts["run"],
        "form": facts["form"],
        "matrix": f"{MATRICES.get(kind, kind)} ({barcodes['decided_by']})",
        "genes": facts["genes"],
        "left_out": ", ".join(left_out) or "none",
        "with_counts": barcodes["with_counts"],
        "called": calling["called"],
        "method": METHODS[calling["method"]],
        "called_why": calling["reason"],
        "empty_droplets": calling["empty_droplets"],
        "knee": calling["knee"],
        "inflection": calling["inflection"],
        "ambient": share["share"],
        "per_droplet": share["molecules_per_droplet"],
        "made_of": share["reason"] or ", ".join(genes[:AMBIENT_GENES]),
        "expected": doublets["expected_rate"],
        "threshold": doublets["threshold"],
        "doublets": found,
        "doublet_share": found / cells if found is not None and cells else None,
        "doublets_why": doublets["reason"],
    }


def count_phases(selection: pd.DataFrame, samples) -> list[dict]:
    """Kept cells of each sample, and the share of them in each phase of the cell cycle.

    Parameters
    ----------
    selection
        sample, phase (null where not known) and kept, by called cell.
    samples
        Their names, in the order of the rows.
    """
    kept = selection[selection["kept"]]
    numbers = pd.crosstab(kept["sample"], kept["phase"].fillna("not known").astype(str))
    numbers = numbers.reindex(columns=[*PHASES, "not known"], fill_value=0)
    numbers = numbers.reindex(samples, fill_value=0)
    shares = numbers.div(numbers.sum(axis=1), axis=0).assign(cells=numbers.sum(axis=1))
    return records(shares.rename_axis("sample").reset_index())


def used_reasons(qc: pd.DataFrame) -> list[tuple]:
    """Key, heading and format of the reasons that removed a cell."""
    return [(key, name, "count") for key, name in REASON_NAMES.items() if qc[key].any()]


def collect(inputs: Inputs) -> dict:
    """Calling, limits, ambient RNA, doublets, cell cycle and genes."""
    files = inputs.files
    calls = [
        describe_call(*reports)
        for reports in zip(inputs.facts, inputs.ambient, inputs.doublets, strict=True)
    ]
    limit_table = read_tsv(files.limits)
    limits, limit_columns = describe_limits(limit_table)
    numbers = [call["genes"] for call in calls]
    figures = [path for path in map(Path, files.figures) if path.suffix == ".svg"]
    return {
        "figures": {path.stem: embed(path) for path in figures},
        "calls": calls,
        "corrected": inputs.corrected,
        "qc": records(inputs.qc),
        "reasons": used_reasons(inputs.qc),
        "n_called": int(inputs.qc["called"].sum()),
        "n_cells": len(inputs.cells),
        "limits": limits,
        "limit_columns": limit_columns,
        "has_phases": bool(inputs.selection["phase"].notna().any()),
        "phases": count_phases(inputs.selection, limit_table["sample"].unique()),
        "n_genes": len(inputs.genes),
        "n_testable": int(inputs.genes["testable"].sum()),
        "genes_of_runs": format_range(min(numbers), max(numbers), "{:,}".format),
        "min_counts": MIN_COUNTS_TESTABLE,
        "min_samples": min(MIN_SAMPLES_TESTABLE, len(inputs.samples)),
    }
