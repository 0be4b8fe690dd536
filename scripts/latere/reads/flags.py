"""Runs to look at: metrics beyond the limits of the configuration, or unlike other runs."""

import math
import statistics
from collections import defaultdict
from dataclasses import dataclass

from latere.quality import MAD_SCALE
from latere.reads.star import exon_metrics

# Runs that are compared with each other. Of 6 runs alike, chance puts one 5 deviations off in 6 %
# of studies, of 12 in 3 % (200,000 draws from a normal distribution).
LEAST_RUNS = 6
# A difference that is smaller needs no look: a share by percentage points, else a factor.
LEAST_POINTS, LEAST_FACTOR = 5, 1.5


@dataclass(frozen=True)
class Metric:
    """A metric of a run, and what it may mean where it is too low or too high.

    Attributes
    ----------
    name
        Its name among the metrics.
    title, description
        On the page.
    share
        Whether it is a share, shown in percent; else a number.
    low, high
        What a low or a high value may mean.
    hidden
        Whether the column is shown on request only.
    """

    name: str
    title: str
    description: str
    share: bool = True
    low: str = ""
    high: str = ""
    hidden: bool = False

    def of(self, metrics: dict) -> float | None:
        """Its value, a share in percent; None where there is none."""
        value = exon_metrics(metrics).get(self.name)
        return value * 100 if self.share and value is not None else value

    def text(self, value: float) -> str:
        """A value as it is shown."""
        return f"{value:,.1f} %" if self.share else f"{value:,.0f}"


METRICS = (
    Metric(
        "cells",
        "Cells",
        "Called cells (EmptyDrops_CR)",
        share=False,
        low="Cells were removed, or not called: see the knee.",
        high="Loaded more cells, or ambient RNA was called: see the knee.",
    ),
    Metric(
        "median_genes",
        "Genes / cell",
        "Median over the called cells",
        share=False,
        low="Cells with little RNA, or empty droplets were called.",
        high="Larger cells, doublets, or deeper sequencing.",
    ),
    Metric(
        "median_umis",
        "UMIs / cell",
        "Median over the called cells",
        share=False,
        low="Cells with little RNA, or empty droplets were called.",
        high="Larger cells, doublets, or deeper sequencing.",
    ),
    Metric(
        "reads_in_cells",
        "In cells",
        "Reads of called cells, of those in genes; the rest is ambient",
        low="Ambient RNA of broken cells, or cells with little RNA were not called.",
    ),
    Metric("reads", "Reads", "Read pairs", share=False, low="Sequenced less than the others."),
    Metric(
        "reads_per_cell",
        "Reads / cell",
        "All reads over the called cells",
        share=False,
        low="Sequenced less deeply than the others.",
        high="Fewer cells were called than were sequenced for.",
        hidden=True,
    ),
    Metric(
        "saturation",
        "Saturation",
        "Reads that repeat a molecule already seen, of those in genes with a valid barcode",
        low="Sequenced less deeply than the others for its molecules.",
        high="Few molecules for its reads: a poor library, or sequenced more deeply.",
    ),
    Metric(
        "valid_barcodes",
        "Valid barcodes",
        "Reads whose barcode is in the chemistry's list, at most one base off",
        low="Barcode read of low quality, or a part of the lanes is of another chemistry.",
    ),
    Metric(
        "mapped_unique",
        "Mapped",
        "Reads that map to one place of the genome",
        low="Another species or its contamination, short inserts, or ribosomal RNA.",
    ),
    Metric(
        "in_genes",
        "In genes",
        "Reads that map to the exons of one gene",
        low="Nuclei, whose reads lie in introns; another annotation or species; or genomic DNA.",
    ),
    Metric(
        "antisense",
        "Antisense",
        "Reads on the exons of genes of the other strand only",
        high="Another kit than was named (3' or 5'), genomic DNA, or a faulty annotation.",
    ),
    Metric(
        "q30_barcode",
        "Q30 barcode",
        "Bases of barcode and UMI with a quality of 30 or more",
        low="Barcode read of low quality: molecules are lost or counted twice.",
        hidden=True,
    ),
    Metric(
        "q30_cdna",
        "Q30 cDNA",
        "Bases of the cDNA read with a quality of 30 or more",
        low="cDNA read of low quality: fewer reads map.",
        hidden=True,
    ),
    Metric("genes", "Genes", "Genes seen in any called cell", share=False, hidden=True),
)


@dataclass(frozen=True)
class Flag:
    """A metric of a run that is beyond a limit, or unlike those of the other runs."""

    run: str
    metric: Metric
    value: str
    limit: str
    meaning: str


def beyond_limits(metrics: dict[str, dict], limits: dict[str, float]) -> list[Flag]:
    """Metrics beyond the limits of the configuration.

    Parameters
    ----------
    metrics
        As `run_metrics` gives them, by run.
    limits
        Value by `min_` or `max_` and the name of a metric.
    """
    flags = []
    for name, each in metrics.items():
        for metric in METRICS:
            value = metric.of(each)
            least, most = (limits.get(f"{end}_{metric.name}") for end in ("min", "max"))
            if value is None:
                continue
            if least is not None and value < least:
                told = f"at least {metric.text(least)}"
                flags.append(Flag(name, metric, metric.text(value), told, metric.low))
            if most is not None and value > most:
                told = f"at most {metric.text(most)}"
                flags.append(Flag(name, metric, metric.text(value), told, metric.high))
    return flags


def unlike_others(metrics: dict[str, dict], deviations: float) -> list[Flag]:
    """Metrics far from the median of the runs of the same chemistry.

    Numbers are compared as logarithms. A metric without a meaning on that side is not flagged.

    Parameters
    ----------
    metrics
        As `run_metrics` gives them, by run.
    deviations
        Median absolute deviations, scaled by `MAD_SCALE` to standard deviations of a normal
        distribution.
    """
    groups = defaultdict(list)
    for name, each in metrics.items():
        groups[each["chemistry"]].append(name)
    flags = []
    for names in groups.values():
        for metric in METRICS:
            values = {name: metric.of(metrics[name]) for name in names}
            values = {name: value for name, value in values.items() if value}
            if len(values) < LEAST_RUNS:
                continue
            scaled = values if metric.share else {k: math.log(v) for k, v in values.items()}
            middle = statistics.median(scaled.values())
            spread = MAD_SCALE * statistics.median(abs(value - middle) for value in scaled.values())
            least = LEAST_POINTS if metric.share else math.log(LEAST_FACTOR)
            for name, value in scaled.items():
                distance = value - middle
                meaning = metric.high if distance > 0 else metric.low
                if meaning and abs(distance) > max(deviations * spread, least):
                    usual = metric.text(statistics.median(values.values()))
                    told = f"{usual} is the median of {len(values)} runs"
                    flags.append(Flag(name, metric, metric.text(values[name]), told, meaning))
    return flags


def find_flags(metrics: dict[str, dict], limits: dict[str, float]) -> list[Flag]:
    """All flags, each metric of a run once, in the order of the runs."""
    flags = beyond_limits(metrics, limits)
    told = {(flag.run, flag.metric) for flag in flags}
    others = unlike_others(metrics, limits["deviations"])
    flags += [flag for flag in others if (flag.run, flag.metric) not in told]
    order = list(metrics)
    return sorted(flags, key=lambda flag: (order.index(flag.run), METRICS.index(flag.metric)))
