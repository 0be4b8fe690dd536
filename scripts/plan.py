"""What a study will cost by stage: jobs counted by Snakemake, their needs from `cluster.needs`."""

import inspect
import subprocess
import sys
import tempfile
import textwrap
from collections import defaultdict
from pathlib import Path

import pandas as pd
import yaml

from latere.cluster.needs import NEEDS, SMALL, of_job
from latere.cluster.requests import ask
from latere.cluster.sizes import Sizes, Unknown
from latere.job import JobError
from latere.snakemake_internals import files_of_rules, main_snakefile, read_dry_run

WIDTH = 100
UNKNOWN = "unknown"


def dry_run(config: dict, snakefile: Path, options: list[str]) -> pd.DataFrame:
    """The jobs of a study, by a dry run with its configuration.

    Parameters
    ----------
    config
        The configuration as given.
    snakefile
        The workflow.
    options
        Further options of Snakemake.

    Returns
    -------
    pandas.DataFrame
        One row per job: rule, wildcards (a dict), threads.

    Raises
    ------
    JobError
        The dry run failed; its last words are in the message.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".yaml") as file:
        # Keys in another order are other parameters to Snakemake.
        yaml.safe_dump(config, file, sort_keys=False)
        file.flush()
        # More cores than any rule takes, so that none is shown with fewer.
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "999"]
        command += ["--snakefile", snakefile, "--configfile", file.name, *options]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise JobError(f"the dry run failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return parse_jobs(done.stdout)


def parse_jobs(text: str) -> pd.DataFrame:
    """Jobs in the printout of a dry run, as `dry_run` returns them."""
    jobs = pd.DataFrame(read_dry_run(text), columns=["rule", "wildcards", "threads"])
    # The target `all` is a job too, and the only one without a script.
    return jobs[jobs["rule"] != "all"].reset_index(drop=True)


def cost_jobs(jobs: pd.DataFrame, sizes: Sizes) -> pd.DataFrame:
    """Expected cost of each job.

    Parameters
    ----------
    jobs
        As `dry_run` returns them.
    sizes
        Sizes of the study's work.

    Returns
    -------
    pandas.DataFrame
        Index as `jobs`: core_hours, gpu_hours, cpu_only (core-hours without a GPU), memory (GB
        asked for), scratch, waiting, local and kept (GB), NaN where unknown; run (its name, ''
        where it works on several); and missing (what would have to be known).
    """
    return pd.DataFrame([_cost(*job, sizes) for job in jobs.itertuples(index=False)], jobs.index)


def _cost(rule: str, wildcards: dict, threads: int, sizes: Sizes) -> dict:
    run = sizes.run_of(wildcards) or ""
    try:
        need = of_job(rule, wildcards, threads, sizes)
    except Unknown as unknown:
        return {"run": run, "missing": str(unknown)}
    asked = ask(need, threads, attempt=1)["mem_mb"] / 1e3
    cpu_only = need.cpu_s / 3600
    return {
        "core_hours": threads * need.gpu_s / 3600 if need.gpu_s else cpu_only,
        "cpu_only": cpu_only,
        "gpu_hours": need.gpu_s / 3600,
        # A rule without a number of its own asks for the default of the site.
        "memory": 0 if rule in SMALL else asked,
        "scratch": need.scratch / 1e9,
        "waiting": need.waiting / 1e9,
        "local": need.local / 1e9,
        "kept": need.kept / 1e9,
        "run": run,
        "missing": "",
    }


def sum_stages(
    jobs: pd.DataFrame, costs: pd.DataFrame, left: pd.DataFrame, stages: dict, unpacked: int
) -> pd.DataFrame:
    """Costs by stage, and in all.

    Parameters
    ----------
    jobs, costs, left
        All jobs, what they cost (as `cost_jobs` returns), and the jobs that are left to do.
    stages
        Stage by rule, in the order data flows.
    unpacked
        Most runs whose reads are unpacked at a time; the largest count.

    Returns
    -------
    pandas.DataFrame
        By stage: jobs, to_do, core_hours, gpu_hours, memory, disk_peak, disk_final; NaN where one
        of its jobs is unknown.
    """
    stage = jobs["rule"].map(stages)
    order = [name for name in dict.fromkeys(stages.values()) if name in set(stage)]

    def add(part):
        total = part[["core_hours", "gpu_hours", "memory", "scratch", "kept"]].sum(skipna=False)
        total["memory"] = part["memory"].max(skipna=False)
        # What is unknown is passed over here; `scratch` is then unknown, too.
        total["scratch"] += part.groupby("run")["waiting"].sum().nlargest(unpacked).sum()
        return total

    rows = {name: add(costs[stage == name]) for name in order} | {"in all": add(costs)}
    table = pd.DataFrame(rows).T
    counts = stage.value_counts()
    done = left["rule"].map(stages).value_counts()
    table.insert(0, "jobs", counts.reindex(order).tolist() + [len(jobs)])
    table.insert(1, "to do", done.reindex(order, fill_value=0).tolist() + [len(left)])
    table["disk peak"] = table.pop("scratch") + table["kept"]
    table["disk final"] = table.pop("kept")
    return table.rename(columns={"core_hours": "core-hours", "gpu_hours": "GPU-hours"})


def show(table: pd.DataFrame) -> str:
    """The table for a terminal; hours, and gigabytes of memory and disk."""

    def number(value):
        return UNKNOWN if pd.isna(value) else f"{value:.1f}" if value else "-"

    shown = table.copy()
    for column in table.columns[2:]:
        shown[column] = table[column].map(number)
    # `memory` of rules without a request of their own is the default of the site.
    units = {"memory": "memory GB", "disk peak": "disk peak GB", "disk final": "disk final GB"}
    return shown.rename(columns=units).to_string(justify="right")


def explain(jobs: pd.DataFrame, costs: pd.DataFrame, sizes: Sizes, unpacked: int) -> str:
    """How the numbers are computed, what is unknown, and what limits the disk space."""
    notes = []
    missing = [reason for reason in costs["missing"].unique() if reason]
    if missing:
        more = f" (and {len(missing) - 3} more)" if len(missing) > 3 else ""
        notes.append(f"{UNKNOWN}: {'; '.join(missing[:3])}{more}.")
    known = costs[costs["missing"] == ""]
    least = "at least " if missing else ""
    notes.append(
        f"total: {least}{known['core_hours'].sum():,.1f} CPU hours and "
        f"{known['gpu_hours'].sum():,.1f} GPU hours."
    )
    notes.append(
        "memory: the request of the largest job of a stage at its first attempt, a fifth more than "
        "expected; `-` is the default of the site."
    )
    waiting = costs.groupby("run")["waiting"].sum()
    waiting = waiting[waiting > 0]
    if len(waiting):
        number = min(unpacked, len(waiting))
        most = f"{number} run{'s' * (number > 1)}"
        notes.append(
            f"disk peak: {costs['kept'].sum():,.0f} GB that are kept, and what goes again of "
            f"{most} unpacked at a time, {waiting.nlargest(number).sum():,.0f} GB for the largest, "
            f"and {costs['scratch'].sum():,.0f} GB while the index is built. "
            f"One run takes {waiting.max():,.0f} GB at most, all {len(waiting)} at once "
            f"{waiting.sum():,.0f} GB. `unpacked` in site.yaml, or `--resources unpacked=N`, sets "
            "another number. "
            f"While a run is unpacked it takes {costs['local'].max():,.0f} GB at most in the "
            "temporary folder of its node, too."
        )
    if costs["gpu_hours"].sum() > 0:
        hours = costs.loc[costs["gpu_hours"] > 0, "cpu_only"].sum()
        notes.append(f"GPU-hours: without a GPU, {hours:.1f} core-hours instead.")
    if costs["missing"].eq("").any() and not missing:
        shape = sizes.kept()
        told = f" (as published of {len(sizes.published)} runs)" if sizes.published else ""
        notes.append(f"cells: {shape.cells:,.0f}{told}, genes tested: {shape.genes:,.0f}.")
    notes.append(
        "expected error: a factor of 2 to 3 for core-hours, GPU-hours and memory of jobs that work "
        "on cells, a tenth for STAR's memory, a third for the disk space of reads."
    )
    for rule in dict.fromkeys(jobs["rule"]):
        if rule in NEEDS:
            notes.append(f"{rule}: {' '.join(inspect.getdoc(NEEDS[rule][0]).split())}")
    notes.append("all other rules: at most a CPU minute per job; none took 10 s in the demo.")
    return "\n".join(textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in notes)


def describe_columns(study) -> str:
    """Columns that describe the samples of an .h5ad, and columns left out, with the reasons."""
    reasons = defaultdict(list)
    for column, why in study.left_out.items():
        reasons[why].append(column)
    if not reasons:
        return ""
    columns = ", ".join(next(iter(study.samples.values()))) or "none"
    without = "; ".join(f"{', '.join(names)} ({why})" for why, names in reasons.items())
    note = f"columns that describe samples: {columns}. Left out of obs: {without}."
    return textwrap.fill(note, WIDTH, subsequent_indent="  ") + "\n"


def describe_warnings(study) -> str:
    """The warnings of the study, as the dry run shows them."""
    return "".join(f"WARN {warning}\n" for warning in study.warnings)


def print_plan(
    config: dict,
    sizes: Sizes,
    workflow,
    unpacked: int,
    in_conda: bool,
    log: Path,
) -> None:
    """Print the plan, and keep it.

    Parameters
    ----------
    config
        The configuration as given.
    sizes
        Sizes of the study's work.
    workflow
        Snakemake's, with all its rules.
    unpacked
        Most runs whose reads are unpacked at a time.
    in_conda
        Whether software comes from conda, which counts in what is left to do.
    log
        File for the plan.
    """
    study = sizes.study
    snakefile = main_snakefile(workflow)
    # The files of rules are the stages, in the order data flows.
    stages = {rule: path.stem for rule, path in files_of_rules(workflow).items()}
    options = ["--sdm", "conda"] if in_conda else []
    jobs = dry_run(config, snakefile, [*options, "--forceall"])
    left = dry_run(config, snakefile, options)
    costs = cost_jobs(jobs, sizes)
    table = sum_stages(jobs, costs, left, stages, unpacked)
    notes = (
        describe_warnings(study) + describe_columns(study) + explain(jobs, costs, sizes, unpacked)
    )
    text = f"\n{study.name}\n\n{show(table)}\n\n{notes}\n"
    log.write_text(text, encoding="utf-8")
    print(text, flush=True)
