"""Metrics of the reads, for the runs that start from reads."""

from latere.reads.star import exon_metrics
from latere.report.inputs import Inputs

# Heading and format of the metrics of `run_metrics` that are shown.
READ_METRICS = {
    "reads": ("reads", "count"),
    "valid_barcodes": ("valid barcodes", "share"),
    "mapped_unique": ("uniquely mapped to the genome", "share"),
    "in_genes": ("mapped to one gene", "share"),
    "saturation": ("saturation", "share"),
    "cells": ("cells called", "count"),
    "median_umis": ("median UMIs per cell", "count"),
    "median_genes": ("median genes per cell", "count"),
}


def choose_metrics(metrics: dict) -> dict:
    """The metrics of a run that are shown, counted over exons."""
    metrics = exon_metrics(metrics)
    return {name: metrics[name] for name in ("run", *READ_METRICS)}


def collect(inputs: Inputs) -> dict:
    """Metrics by run."""
    return {
        "read_rows": [choose_metrics(metrics) for metrics in inputs.metrics],
        "read_columns": [
            ("run", "run", "text"),
            *((key, *heading) for key, heading in READ_METRICS.items()),
        ],
        "has_multiqc": bool(inputs.files.get("multiqc")),
    }
