"""After a run on SLURM: what its jobs asked for and what they used, by rule, and what to change.

Figures are sacct's; those of a rule inside a group, which SLURM sees as one job, are of Snakemake's
log (asked) and benchmark tables (used).
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path

from latere.cluster.accounting import ask_sacct, read_sacct
from latere.cluster.advice import Row, advise
from latere.snakemake_internals import Submission, logger, read_groups, read_submissions


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def sum_up(name: str, group: str, jobs: list[tuple[Submission, Mapping]]) -> Row:
    """One row for the jobs of a rule, or of a group as a whole.

    Parameters
    ----------
    name, group
        The rule, or empty; the group, or empty.
    jobs
        Submissions with their records in sacct.
    """
    first = [job["asked"] for submission, job in jobs if submission.attempt == 1]
    seconds = sum(job["seconds"] for _, job in jobs)
    states = Counter(job["state"] for _, job in jobs)
    return Row(
        rule=name,
        group=group,
        jobs=len(first),
        resubmitted=len(jobs) - len(first),
        ended=", ".join(f"{state} {count}" for state, count in sorted(states.items())),
        mem_mb_asked=_most(asked.get("mem_mb") for asked in first),
        mem_mb_used=_most(job["mem_mb"] for _, job in jobs),
        minutes_asked=_most(asked.get("minutes") for asked in first),
        minutes_used=_most(job["seconds"] / 60 for _, job in jobs),
        cores_asked=_most(asked.get("cores") for asked in first),
        cores_used=sum(job["cpu_seconds"] for _, job in jobs) / seconds if seconds else None,
        gpus_asked=_most(job["asked"].get("gpus") for _, job in jobs),
        gpus_used=_most(job["gpus_used"] for _, job in jobs),
    )


def sum_up_member(rule: str, group: str, asked: Mapping, benchmarks: list[Mapping]) -> Row:
    """One row for a rule inside a group.

    Parameters
    ----------
    rule, group
        Their names.
    asked
        `mem_mb`, `runtime` (minutes) and `threads`, where known.
    benchmarks
        Lines of Snakemake's benchmark tables: `s`, `max_rss` (MB), `cpu_time` (s).
    """

    def figures(column: str) -> list[float]:
        # A job of less than a blink has "NA" or "-".
        texts = [line[column] for line in benchmarks]
        return [float(text) for text in texts if re.fullmatch(r"[\d.]+", text)]

    seconds = figures("s")
    return Row(
        rule=rule,
        group=group,
        jobs=len(benchmarks),
        mem_mb_asked=asked.get("mem_mb"),
        mem_mb_used=_most(figures("max_rss")),
        minutes_asked=asked.get("runtime"),
        minutes_used=_most(value / 60 for value in seconds),
        cores_asked=asked.get("threads"),
        cores_used=sum(figures("cpu_time")) / sum(seconds) if sum(seconds) else None,
    )


def tabulate(log: str, sacct: str, results: Path) -> list[Row]:
    """The table: rules and groups by name, below a group its rules.

    Parameters
    ----------
    log
        Text of Snakemake's log.
    sacct
        Records of its jobs in `sacct`.
    results
        Folder of the study's results.
    """
    jobs = read_sacct(sacct)
    groups, asked = read_groups(log)
    units = defaultdict(list)
    for slurm_id, submission in read_submissions(log).items():
        if slurm_id in jobs:
            # Groups of the same rules are alike, whatever run they are of.
            unit = groups.get(submission.name, submission.name)
            units[unit].append((submission, jobs[slurm_id]))
    rows = []
    for unit, members in sorted(units.items(), key=lambda item: str(item[0])):
        if isinstance(unit, str):
            rows.append(sum_up(unit, "", members))
            continue
        group = "+".join(unit)
        rows.append(sum_up("", group, members))
        since = min(job["submit"] for _, job in members)
        rows += [
            sum_up_member(rule, group, asked[rule], read_benchmarks(results, rule, since))
            for rule in unit
        ]
    return rows


def read_benchmarks(results: Path, rule: str, since: str) -> list[dict[str, str]]:
    """Benchmarks of a rule's jobs that were written since a moment.

    Parameters
    ----------
    results
        Folder of the study's results.
    rule
        The rule.
    since
        Local time, as ISO 8601.
    """
    moment = datetime.fromisoformat(since).timestamp()
    folder = results / "benchmarks"
    files = [folder / f"{rule}.tsv", *(folder / rule).rglob("*.tsv")]
    lines = []
    for file in files:
        if file.is_file() and file.stat().st_mtime >= moment:
            with file.open(newline="") as handle:
                lines += csv.DictReader(handle, delimiter="\t")
    return lines


def render(rows: list[Row], advice: Mapping[str, Mapping]) -> str:
    """Table and advice for a person.

    Parameters
    ----------
    rows, advice
        As `tabulate` and `advise` give them.
    """

    def figure(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}".removesuffix(".0")

    def pair(row: Row, name: str) -> str:
        return " / ".join(figure(getattr(row, f"{name}_{end}")) for end in ("used", "asked"))

    head = ["rule", "jobs", "again", "memory, MB", "minutes", "cores", "GPUs", "ended"]
    lines = [head] + [
        [
            (f"  {row.rule}" if row.group else row.rule) if row.rule else f"{row.group} (group)",
            str(row.jobs),
            str(row.resubmitted or ""),
            *(pair(row, name) for name in ("mem_mb", "minutes", "cores")),
            pair(row, "gpus") if row.gpus_asked else "",
            row.ended,
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    lines = ["Used / asked on SLURM, by rule:", *table]
    if advice:
        lines += ["To change that here, write under `resources:` of the site file:"]
        for rule, wanted in advice.items():
            words = ", ".join(f"{name}: {value}" for name, value in wanted.items())
            lines.append(f"  {rule}: {{{words}}}")
    return "\n".join(lines)


def with_gpu(rows: Iterable[Row], results: Path) -> list[Row]:
    """The table; where SLURM does not record use of the GPU, the training's own record fills it."""
    training = results / "deep/training.json"
    device = (
        json.loads(training.read_text(encoding="utf-8"))["device"] if training.is_file() else None
    )
    return [
        Row(**{**asdict(row), "gpus_used": float(device != "cpu")})
        if row.rule == "train_scvi" and device and row.gpus_asked and row.gpus_used is None
        else row
        for row in rows
    ]


def report(logs: Iterable[str], results: str) -> None:
    """Print the table of a run and write it; nothing if the run did not use SLURM.

    For `onsuccess` and `onerror`: nothing that goes wrong here ends the run.

    Parameters
    ----------
    logs
        Snakemake's log files, as a handler knows them.
    results
        Folder of the study's results.
    """
    text = "\n".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    submissions = read_submissions(text)
    if not submissions:
        return
    file = Path(results) / "logs/efficiency.tsv"
    try:
        rows = with_gpu(tabulate(text, ask_sacct(submissions), Path(results)), Path(results))
        table = render(rows, advise(rows))
        with file.open("w", newline="") as handle:
            names = [field.name for field in fields(Row)]
            writer = csv.DictWriter(handle, names, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(row).items()}
                for row in rows
            )
    # Snakemake would take any error of a handler for a failure of the run.
    except Exception as error:  # noqa: BLE001
        logger.warning(f"No table of what the jobs used: {error}.")
        return
    logger.info(f"{table}\nAs a table: {file}")
