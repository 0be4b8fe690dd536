"""Which cells are kept, and why the others are not: limits from the metrics of a sample's cells.

A limit lies some median absolute deviations (MAD) from the median of the sample's cells, never
outside its floor and ceiling; of counts and genes on a logarithmic scale, as both have long tails
(McCarthy et al. 2017, Bioinformatics 33:1179; Heumos et al. 2023, Nat Rev Genet 24:550).
"""

import logging

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.errors import StudyError
from latere.job import run_script, start
from latere.quality import LIMITS, MAD_SCALE, METRICS, REASONS


def find_limit(name: str, rule: float | dict | None, values: np.ndarray) -> dict:
    """A limit of one sample.

    Parameters
    ----------
    name
        Of the limit; it begins with ``min`` or ``max``.
    rule
        A number; or deviations, floor and ceiling, each a number or None; or None for no limit.
    values
        The metric of the sample's cells, (n_cells,); NaN where a cell has none.

    Returns
    -------
    dict
        limit; value (NaN for none); median of the cells; mad, of log1p for counts and genes;
        set_by: deviations, floor, ceiling, fixed, none, or unknown where no cell has the metric.
    """
    logs = METRICS[LIMITS[name].metric].is_log
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    scaled = np.log1p(values) if logs else values
    median = np.median(scaled) if len(values) else np.nan
    mad = np.median(np.abs(scaled - median)) if len(values) else np.nan
    told = {"limit": name, "median": np.expm1(median) if logs else median, "mad": mad}
    if not len(values):
        return told | {"value": np.nan, "set_by": "unknown"}
    if not isinstance(rule, dict):
        known = rule is not None
        return told | {"value": rule if known else np.nan, "set_by": "fixed" if known else "none"}
    deviations, floor, ceiling = rule["deviations"], rule["floor"], rule["ceiling"]
    side = -1 if name.startswith("min") else 1
    value, set_by = side * np.inf, "none"
    if deviations is not None:
        value, set_by = median + side * deviations * MAD_SCALE * mad, "deviations"
        value = np.expm1(value) if logs else value
    if floor is not None and value < floor:
        value, set_by = floor, "floor"
    if ceiling is not None and value > ceiling:
        value, set_by = ceiling, "ceiling"
    return told | {"value": value if np.isfinite(value) else np.nan, "set_by": set_by}


def find_limits(scores: pd.DataFrame, rules: dict[str, dict]) -> pd.DataFrame:
    """The limits of all samples.

    Parameters
    ----------
    scores
        The called cells, with `sample` and the metrics.
    rules
        Rule of each limit, by sample.

    Returns
    -------
    pandas.DataFrame
        A row per sample and limit: sample, limit, value, median, mad, set_by.
    """
    rows = []
    for sample, of_sample in rules.items():
        cells = scores[scores["sample"] == sample]
        for name, limit in LIMITS.items():
            values = cells[limit.metric].to_numpy(dtype=float)
            rows.append({"sample": sample} | find_limit(name, of_sample[name], values))
            if len(cells) and np.isnan(values).all() and of_sample[name] is not None:
                message = "sample %s: no gene of its runs gives %s, so %s removes no cell"
                logging.warning(message, sample, limit.metric, name)
    return pd.DataFrame(rows, columns=["sample", "limit", "value", "median", "mad", "set_by"])


def failing(scores: pd.DataFrame, limits: pd.DataFrame, drop_doublets: bool) -> pd.DataFrame:
    """Reasons to remove each cell; there may be several.

    An unknown metric removes no cell.

    Parameters
    ----------
    scores
        The called cells.
    limits
        As `find_limits` gives them.
    drop_doublets
        Whether doublets are removed.

    Returns
    -------
    pandas.DataFrame
        By cell, a boolean column per reason, in the order of `REASONS`.
    """
    values = limits.pivot(index="limit", columns="sample", values="value")
    fails = {}
    for name, limit in LIMITS.items():
        bound = scores["sample"].map(values.loc[name]).to_numpy(dtype=float)
        value = scores[limit.metric].to_numpy(dtype=float)
        fails[limit.reason] = value < bound if name.startswith("min") else value > bound
    doublet = scores["doublet"].astype("boolean").fillna(False).to_numpy(dtype=bool)
    fails["doublet"] = doublet & drop_doublets
    return pd.DataFrame(fails, index=scores.index)[REASONS]


def summarise(selection: pd.DataFrame, fails: pd.DataFrame, runs: dict[str, str]) -> pd.DataFrame:
    """The waterfall: cells called, removed for each reason and kept, by run.

    Parameters
    ----------
    selection
        The called cells: run, kept, and the metrics.
    fails
        As `failing` gives it.
    runs
        Sample by run; a run without a cell has its row too.

    Returns
    -------
    pandas.DataFrame
        A row per run: run, sample, called, a column per reason (each cell counts at its first),
        kept, and the medians of the kept cells.
    """
    first = fails & (fails.cumsum(axis=1) == 1)
    flags = first.assign(called=True, kept=selection["kept"]).astype(int)
    table = flags.groupby(selection["run"].to_numpy()).sum().reindex(list(runs), fill_value=0)
    medians = selection[selection["kept"]].groupby("run")[list(METRICS)].median().round(2)
    table = table[["called", *REASONS, "kept"]].join(medians.add_prefix("median_"))
    table.insert(0, "sample", pd.Series(runs, dtype=object))
    return table.rename_axis("run").reset_index()


def select_cells(scores: pd.DataFrame, rules: dict[str, dict], drop_doublets: bool, runs: dict):
    """Apply the limits to the cells of a study.

    Parameters
    ----------
    scores
        The called cells of all runs, a row per cell.
    rules
        Rule of each limit, by sample.
    drop_doublets
        Whether doublets are removed.
    runs
        Sample by run.

    Returns
    -------
    selection : pandas.DataFrame
        The scores with sample, reasons (comma-joined; empty if kept) and kept.
    limits : pandas.DataFrame
        As `find_limits` gives them.
    qc : pandas.DataFrame
        As `summarise` gives it.

    Raises
    ------
    StudyError
        Two cells have the same name.
    """
    twice = scores.loc[scores["cell"].duplicated(), "cell"]
    if len(twice):
        problem = f"two cells are named {twice.iloc[0]}, which is the run and the barcode"
        raise StudyError(
            "the sample sheet", problem, "Rename one of the runs.", code="duplicated-cell"
        )
    selection = scores.copy()
    selection.insert(2, "sample", selection["run"].map(runs).astype(object))
    limits = find_limits(selection, rules)
    fails = failing(selection, limits, drop_doublets)
    reasons = np.full(len(fails), "", dtype=object)
    for reason in REASONS:
        reasons[fails[reason]] += f"{reason},"
    selection["reasons"] = [text.removesuffix(",") for text in reasons]
    selection["kept"] = ~fails.any(axis=1)
    return selection, limits, summarise(selection, fails, runs)


def main(snakemake):
    log = start(snakemake)
    params, output = snakemake.params, snakemake.output
    scores = pd.concat(map(pd.read_parquet, snakemake.input), ignore_index=True)
    drop = params.doublets == "drop"
    selection, limits, qc = select_cells(scores, params.limits, drop, params.runs)
    log.info("%d of %d called cells are kept\n%s", qc["kept"].sum(), len(selection), qc.to_string())
    write_table(selection, output.selection, "cells/selection.parquet")
    write_table(limits, output.limits, "cells/limits.tsv", digits=6)
    write_table(qc, output.qc, "cells/qc.tsv")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
