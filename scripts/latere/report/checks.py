"""The checks of the runs: FAIL and WARN first, PASS apart."""

import pandas as pd

from latere.report.formats import records
from latere.report.inputs import Inputs

VERDICTS = ("FAIL", "WARN", "PASS")


def format_value(value: float) -> str:
    """Whole numbers, and all from 100, without decimals; others with three digits."""
    if pd.isna(value):
        return ""
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def sort_checks(checks: pd.DataFrame) -> dict:
    """Sort the checks by verdict.

    Parameters
    ----------
    checks
        run, check, verdict, value, detail.

    Returns
    -------
    dict
        verdicts (number of checks by verdict), troubles (rows with FAIL, then WARN) and passed
        (rows).
    """
    values = pd.to_numeric(checks["value"], errors="coerce")
    checks = checks.assign(value=values.map(format_value))
    order = checks["verdict"].map(VERDICTS.index).sort_values(kind="stable").index
    rows = [
        {key: "" if value is None else value for key, value in row.items()}
        for row in records(checks.loc[order])
    ]
    return {
        "verdicts": {name: int((checks["verdict"] == name).sum()) for name in VERDICTS},
        "troubles": [row for row in rows if row["verdict"] != "PASS"],
        "passed": [row for row in rows if row["verdict"] == "PASS"],
    }


def collect(inputs: Inputs) -> dict:
    """The checks."""
    return sort_checks(inputs.checks)
