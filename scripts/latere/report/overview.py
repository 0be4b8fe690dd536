"""What stands on top: the study in a few numbers, and the checks that failed."""

from latere.report.formats import format_range, format_share, records
from latere.report.inputs import Inputs


def collect(inputs: Inputs) -> dict:
    """The numbers of the study, and the checks that failed."""
    failed = inputs.checks[inputs.checks["verdict"] == "FAIL"]
    same = inputs.label_pairs["same_cell_type"]
    return {
        "failed": records(failed),
        "n_cells": len(inputs.cells),
        "n_called": int(inputs.qc["called"].sum()),
        "n_genes": len(inputs.genes),
        "n_testable": int(inputs.genes["testable"].sum()),
        "n_tests": len(inputs.summary[["contrast", "group"]].drop_duplicates()),
        "same_cell_type": format_range(same.min(), same.max(), format_share) if len(same) else "",
        "n_pairs": len(same),
    }
