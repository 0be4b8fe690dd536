"""The metrics of a cell and the limits on them, each named once.

A limit is a key of the configuration (`cells`), which its schema describes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric of a cell.

    Attributes
    ----------
    gene_set
        Set whose share of the cell's counts it is, in percent; empty for what is no share.
    is_log
        Whether limits are found on a logarithmic scale: counts and genes have long tails.
    """

    gene_set: str = ""
    is_log: bool = False


@dataclass(frozen=True)
class Limit:
    """A limit on the cells of a sample.

    Attributes
    ----------
    metric
        What it bounds.
    reason
        Why a cell beyond it falls.
    words
        The reason, for people.
    """

    metric: str
    reason: str
    words: str


METRICS = {
    "n_counts": Metric(is_log=True),
    "n_genes": Metric(is_log=True),
    "percent_mt": Metric("mitochondrial"),
    "percent_ribo": Metric("ribosomal"),
    "percent_hb": Metric("haemoglobin"),
}
# By key of the configuration, which begins with `min` or `max`; in the order of the waterfall,
# where a cell counts at its first reason.
LIMITS = {
    "min_counts": Limit("n_counts", "low_counts", "few counts"),
    "min_genes": Limit("n_genes", "low_genes", "few genes"),
    "max_counts": Limit("n_counts", "high_counts", "many counts"),
    "max_genes": Limit("n_genes", "high_genes", "many genes"),
    "max_percent_mt": Limit("percent_mt", "high_mt", "mitochondrial"),
    "max_percent_ribo": Limit("percent_ribo", "high_ribo", "ribosomal"),
    "max_percent_hb": Limit("percent_hb", "high_hb", "haemoglobin"),
}
SHARES = {metric.gene_set: name for name, metric in METRICS.items() if metric.gene_set}
# A cell may also fall as a doublet, the last of the reasons.
REASON_NAMES = {limit.reason: limit.words for limit in LIMITS.values()} | {"doublet": "doublet"}
REASONS = list(REASON_NAMES)
# From the median absolute deviation to the standard deviation of a normal distribution.
MAD_SCALE = 1.4826
