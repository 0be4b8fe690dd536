"""The top of the page: the study in a few numbers, and the checks that failed."""

from latere.report.formats import format_range, format_share, records
from latere.report.inputs import Inputs


def collect(inputs: Inputs) -> dict:
    """The numbers of the study, and the checks that failed."""
    failed = inputs.checks[inputs.checks["verdict"] == "FAIL"]
    pairs = inputs.label_pairs
    same, unknown = pairs["same_cell_type"].dropna(), pairs["unknown_one"] + pairs["unknown_both"]
    return {
        "failed": records(failed),
        "n_cells": len(inputs.cells),
        "n_called": int(inputs.qc["called"].sum()),
        "n_genes": len(inputs.genes),
        "n_testable": int(inputs.genes["testable"].sum()),
        "n_tests": len(inputs.summary[["contrast", "group"]].drop_duplicates()),
        "same_cell_type": format_range(same.min(), same.max(), format_share) if len(same) else "",
        "n_pairs": len(pairs),
        "unknown": format_range(unknown.min(), unknown.max(), "{:,}".format)
        if unknown.any()
        else "",
    }
