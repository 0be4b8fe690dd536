"""What was done, for the methods section of a paper: facts of this run, settings and constants.

The sentences on one branch are in a partial template, `methods/<branch>.html.j2`.
"""

from dataclasses import dataclass

import build_design
import call_cells
import label_cells
import merge_cells
import scvi_de
from latere import design, doublets, droplets, label_genes, quality
from latere.report.formats import format_number
from latere.report.inputs import Inputs, read_json
from latere.report.reading import describe_groups
from latere.tables import PER_CELL, UNKNOWN, read_by_cell


@dataclass(frozen=True)
class Constants:
    """Numbers in the sentences, each from the code that uses it."""

    per_cell: float = PER_CELL
    permutations: int = droplets.PERMUTATIONS
    expected_cells: int = droplets.EXPECTED_CELLS
    rich: float = droplets.RICH
    poor: float = droplets.POOR
    least_empty: int = call_cells.LEAST_EMPTY
    doublet_genes: int = doublets.VARIABLE_GENES
    simulated_per_cell: int = doublets.SIMULATED_PER_CELL
    doublets_per_1000: float = 1000 * doublets.DOUBLETS_PER_CELL
    most_doublets: float = doublets.MAX_DOUBLETS
    plausible: float = doublets.MAX_PLAUSIBLE_RATE
    least_scored: int = doublets.MIN_CELLS
    mad_scale: float = quality.MAD_SCALE
    testable_counts: int = merge_cells.MIN_COUNTS_TESTABLE
    marker_bins: int = label_cells.BINS
    random_genes: int = label_cells.RANDOM_GENES
    model_enough: float = label_genes.MODEL_ENOUGH
    type_enough: float = label_genes.TYPE_ENOUGH
    least_samples: int = design.MIN_SAMPLES
    least_genes: int = build_design.MIN_GENES
    most_decoded: int = design.MOST_DECODED
    posterior_pairs: int = scvi_de.N_PAIRS
    most_cells: int = scvi_de.MAX_CELLS


METRIC_NAMES = {
    "n_counts": "UMI counts",
    "n_genes": "detected genes",
    "percent_mt": "% mitochondrial counts",
    "percent_ribo": "% ribosomal counts",
    "percent_hb": "% haemoglobin counts",
}


def describe_rule(name: str, rule: float | dict | None) -> str:
    """A limit of the configuration in words; empty if there is none.

    Parameters
    ----------
    name
        Of the limit; it begins with ``min`` or ``max``.
    rule
        A number; or deviations, floor and ceiling, each a number or None; or None for no limit.
    """
    if rule is None:
        return ""
    metric = METRIC_NAMES[quality.LIMITS[name].metric]
    kind = "minimum" if name.startswith("min") else "maximum"
    if not isinstance(rule, dict):
        return f"{kind} {metric} {format_number(rule)}"
    bounds = [
        f"{bound} {rule[bound]:,}" for bound in ("floor", "ceiling") if rule[bound] is not None
    ]
    if rule["deviations"] is not None:
        side = "below" if kind == "minimum" else "above"
        bounds.insert(0, f"{format_number(rule['deviations'])} MADs {side} the median")
    return f"{kind} {metric}: {', '.join(bounds)}" if bounds else ""


def describe_rules(cells: dict) -> list[str]:
    """The limits of all samples, from section `cells` of the configuration."""
    return list(filter(None, (describe_rule(name, cells[name]) for name in quality.LIMITS)))


def count_variable(inputs: Inputs) -> int | None:
    """Highly variable genes, where a branch chose some."""
    import pandas as pd

    path = inputs.files.get("variable_genes")
    return int(pd.read_parquet(path)["highly_variable"].sum()) if path else None


def list_sources(inputs: Inputs) -> dict[str, list[str]]:
    """What labelled the cells, by kind: CellTypist models and tables of markers."""
    names = {name for table in inputs.labels.values() for name in table["source"].unique()}
    if (origin := inputs.config["groups"]["from"]) in ("celltypist", "markers"):
        groups = read_by_cell(inputs.files.groups, inputs.cells.index)
        names |= {name.removeprefix(f"{origin}: ") for name in groups["source"].unique()}
    markers = {name for name in names if name.startswith("markers ")}
    return {
        "celltypist": [name.removeprefix("CellTypist ") for name in sorted(names - markers)],
        "markers": [name.removeprefix("markers ") for name in sorted(markers)],
    }


def collect(inputs: Inputs) -> dict:
    """Facts of the run for the sentences."""
    training = inputs.files.get("training")
    return {
        "code": Constants(),
        "unknown": UNKNOWN,
        "commit": inputs.commit,
        "snakemake": inputs.params.snakemake,
        "n_runs": len(inputs.runs),
        "n_from_reads": len(inputs.metrics),
        "n_given": inputs.called_by("given"),
        "n_tested": inputs.called_by("emptyDrops"),
        "n_threshold": inputs.called_by("threshold"),
        "n_filtered": inputs.called_by("all"),
        "corrected": inputs.corrected,
        "doublet_method": inputs.doublets[0]["method"],
        "fallback_runs": sum(run["threshold_by"] == "expected rate" for run in inputs.doublets),
        "unscored_runs": sum(run["threshold"] is None for run in inputs.doublets),
        "rules": describe_rules(inputs.config["cells"]),
        "has_phases": bool(inputs.selection["phase"].notna().any()),
        "n_called": int(inputs.qc["called"].sum()),
        "n_cells": len(inputs.cells),
        "n_genes": len(inputs.genes),
        "n_testable": int(inputs.genes["testable"].sum()),
        "testable_samples": min(merge_cells.MIN_SAMPLES_TESTABLE, len(inputs.samples)),
        "n_variable": count_variable(inputs),
        "groups": describe_groups(inputs),
        "has_types": any((of["cell_type"] != UNKNOWN).any() for of in inputs.labels.values()),
        "labelled_by": list_sources(inputs),
        "training": read_json(training) if training else None,
    }
