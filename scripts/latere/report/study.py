"""The study: its samples, its contrasts, its configuration."""

import json

from latere.report.formats import name_apart
from latere.report.inputs import Inputs


def describe_runs(runs: dict, samples: dict) -> tuple[list[dict], list[tuple]]:
    """The sample sheet for the page.

    Parameters
    ----------
    runs
        Of each run: sample and source.
    samples
        Of each sample: its columns.

    Returns
    -------
    tuple
        Rows, and for each column its key, heading and format.
    """
    rows = []
    for run, about in runs.items():
        of_run = {"run": run, **about}
        headings = name_apart(samples[about["sample"]], of_run)
        of_sample = {headings[name]: value for name, value in samples[about["sample"]].items()}
        rows.append(of_run | of_sample)
    return rows, [(name, name, "text") for name in rows[0]]


def describe_contrasts(contrasts: dict, samples: dict) -> list[dict]:
    """The contrasts with the number of samples on each side."""
    rows = []
    for name, contrast in contrasts.items():
        levels = [columns[contrast["column"]] for columns in samples.values()]
        sides = {f"n_{side}": levels.count(contrast[side]) for side in ("case", "control")}
        numbers = [f"{column} (a number)" for column in contrast["numeric_covariates"]]
        covariates = ", ".join([*contrast["covariates"], *numbers]) or "none"
        rows.append({"name": name, **contrast, **sides, "covariates": covariates})
    return rows


def collect(inputs: Inputs) -> dict:
    """Runs, contrasts, and the configuration as text."""
    runs, columns = describe_runs(inputs.runs, inputs.samples)
    return {
        "run_rows": runs,
        "run_columns": columns,
        "contrast_rows": describe_contrasts(inputs.contrasts, inputs.samples),
        "config_text": json.dumps(inputs.config, indent=2),
        "is_simulated": "simulation" in inputs.config,
    }
