"""After a run on SLURM: what its jobs asked for and what they used, by rule, and what to change.

Figures are sacct's; those of a rule inside a group, which SLURM sees as one job, are of Snakemake's
log (asked) and benchmark tables (used).
"""

import csv
import json
import math
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from pathlib import Path

from latere.cluster.requests import (
    LEAST_MEM_MB,
    LEAST_MINUTES,
    MEMORY_MARGIN,
    STEP_MEM_MB,
    TIME_MARGIN,
)

FIELDS = (
    "JobID,State,ElapsedRaw,TimelimitRaw,TotalCPU,MaxRSS,ReqTRES,AllocTRES,TRESUsageInMax,Submit"
)
SUBMITTED = re.compile(
    r"^Job (\S+) has been submitted with SLURM jobid (\d+) "
    r"\(log: .*?/slurm_logs/(?:rule|group)_([^/]+)/.*\)\.$",
    re.MULTILINE,
)
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Submission:
    """One SLURM job of a run.

    Attributes
    ----------
    name
        Its rule; of a group the group and its rules, joined by `_`.
    attempt
        1 for the first submission of the Snakemake job, 2 for the next.
    """

    name: str
    attempt: int


@dataclass(frozen=True)
class Row:
    """A line of the table: a rule, a group as a whole, or a rule inside a group.

    Asked is what the first attempts asked for at most; used is the most that a job used, of cores
    the mean. Unknown is None.
    """

    rule: str
    group: str = ""
    jobs: int = 0
    resubmitted: int = 0
    ended: str = ""
    mem_mb_asked: float | None = None
    mem_mb_used: float | None = None
    minutes_asked: float | None = None
    minutes_used: float | None = None
    cores_asked: float | None = None
    cores_used: float | None = None
    gpus_asked: float | None = None
    gpus_used: float | None = None


def read_submissions(log: str) -> dict[str, Submission]:
    """SLURM jobs of a run, by their id.

    Parameters
    ----------
    log
        Text of Snakemake's log.
    """
    attempts = Counter()
    submissions = {}
    for job, slurm_id, name in SUBMITTED.findall(log):
        attempts[job] += 1
        submissions[slurm_id] = Submission(name, attempts[job])
    return submissions


def read_groups(log: str) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int]]]:
    """Rules inside each group, and what first attempts at such a rule asked for at most.

    Parameters
    ----------
    log
        Text of Snakemake's log.

    Returns
    -------
    dict, dict
        Rules by group, whose name is the one that the plugin gives it (that of the group and of its
        rules, joined by `_`); and by rule `mem_mb` (MB), `runtime` (minutes), `threads`.
    """
    rules, asked, seen = defaultdict(set), defaultdict(Counter), set()
    group = rule = None
    first = True
    for line in log.splitlines():
        if opened := re.search(r"Group job (\S+) \(jobs in lexicogr. order\):$", line):
            group = opened[1]
        elif line and not line.startswith((" ", "Shell command")):
            group = None
        elif group and (named := re.match(r" +rule (\w+):$", line)):
            rule = named[1]
            rules[group].add(rule)
            asked[rule]["threads"] = max(asked[rule]["threads"], 1)
        elif group and (numbered := re.match(r" +jobid: (\d+)$", line)):
            first = numbered[1] not in seen
            seen.add(numbered[1])
        elif group and first and re.match(r" +(threads|resources): ", line):
            for name, value in re.findall(r"\b(threads|mem_mb|runtime)[:=] ?(\d+)\b", line):
                asked[rule][name] = max(asked[rule][name], int(value))
    named = {
        "_".join([group, *sorted(names)]): tuple(sorted(names)) for group, names in rules.items()
    }
    return named, {rule: dict(most) for rule, most in asked.items()}


def to_mb(size: str) -> float:
    """Memory as SLURM prints it (`189656K`, `46.88G`) in MB of 2^20 bytes, as SLURM counts."""
    number, unit = re.fullmatch(r"([\d.]+)([KMGT]?)", size).groups()
    return float(number) * UNITS.get(unit, 1) / UNITS["M"]


def to_seconds(time: str) -> float:
    """CPU time as SLURM prints it (`00:04.285`, `1-02:03:04`) in seconds."""
    days, _, clock = time.rpartition("-")
    seconds = 86400 * float(days or 0)
    for power, part in enumerate(reversed(clock.split(":"))):
        seconds += float(part) * 60**power
    return seconds


def read_sacct(text: str) -> dict[str, dict]:
    """Jobs by their id.

    Parameters
    ----------
    text
        Output of ``sacct --noheader --parsable2 --format=FIELDS``: a line a job, then one a step.

    Returns
    -------
    dict
        By job: `state`, `seconds`, `cpu_seconds`, `mem_mb` (most of a step; None if SLURM measured
        none), `gpus_used` (mean utilisation; None if SLURM records none), `submit`, and `asked`
        with `mem_mb`, `minutes`, `cores`, `gpus`, where known.
    """
    jobs = {}
    for line in text.splitlines():
        name, state, elapsed, limit, cpu, memory, request, allocated, used, submit = line.split("|")
        job = jobs.setdefault(
            name.partition(".")[0], {"mem_mb": None, "gpus_used": None, "asked": {}}
        )
        if "." not in name:
            tres = dict(item.split("=") for item in request.split(",") if item)
            given = dict(item.split("=") for item in allocated.split(",") if item)
            asked = {"gpus": float(given.get("gres/gpu", 0))}
            if "mem" in tres:
                asked["mem_mb"] = to_mb(tres["mem"])
            if "cpu" in tres:
                asked["cores"] = float(tres["cpu"])
            if limit.isdecimal():
                asked["minutes"] = float(limit)
            job |= {
                "state": state.split()[0],  # `CANCELLED by 0`
                "seconds": float(elapsed),
                "cpu_seconds": to_seconds(cpu),
                "submit": submit,
                "asked": asked,
            }
        if memory:
            job["mem_mb"] = max(job["mem_mb"] or 0, to_mb(memory))
        if utilised := re.search(r"gres/gpuutil=(\d+)", used):
            job["gpus_used"] = max(job["gpus_used"] or 0, int(utilised[1]) / 100)
    return jobs


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def sum_up(name: str, group: str, jobs: list[tuple[Submission, Mapping]]) -> Row:
    """One row for the jobs of a rule, or of a group as a whole.

    Parameters
    ----------
    name, group
        The rule, or empty; the group, or empty.
    jobs
        Submissions with what sacct tells of them.
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
        What `sacct` tells of the jobs in it.
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


def advise(rows: Iterable[Row]) -> dict[str, dict[str, str | int]]:
    """What to write under `resources:` of the site file.

    More, where a job passed its limit; less, where half of it would have been enough. What the
    workflow asks for follows a job's input, what is advised here does not: it fits inputs no larger
    than those of this run.

    Parameters
    ----------
    rows
        The table.

    Returns
    -------
    dict
        Resources by rule.
    """
    advice = {}
    ended = {row.group: row.ended for row in rows if not row.rule}
    for row in rows:
        if not row.rule:
            continue
        peers = [peer for peer in rows if peer.group == row.group and peer.rule and row.group]

        def passed(state: str, figure: str, row=row, peers=peers) -> bool:
            # Of a group that passed its limit, the rule that asks for most: it set the limit.
            most = all(
                (getattr(row, figure) or 0) >= (getattr(peer, figure) or 0) for peer in peers
            )
            return state in ended.get(row.group, row.ended) and most

        wanted = {
            "mem_mb": _wanted(
                row.mem_mb_asked,
                row.mem_mb_used,
                (MEMORY_MARGIN, STEP_MEM_MB, LEAST_MEM_MB),
                passed("OUT_OF_MEMORY", "mem_mb_asked"),
            ),
            "runtime": _wanted(
                row.minutes_asked,
                row.minutes_used,
                (TIME_MARGIN, 1, LEAST_MINUTES),
                passed("TIMEOUT", "minutes_asked"),
            ),
        }
        wanted = {name: f"attempt * {value}" for name, value in wanted.items() if value}
        # In short jobs starting up is most of the time.
        known = row.cores_used is not None and row.cores_asked is not None
        long = (row.minutes_used or 0) >= LEAST_MINUTES
        if known and long and row.cores_used <= row.cores_asked / 2:
            wanted["threads"] = math.ceil(row.cores_used)
        if wanted:
            advice[row.rule] = wanted
    return advice


def _wanted(
    asked: float | None, used: float | None, way: tuple[float, int, int], passed: bool
) -> int | None:
    """What to ask for in place of what was asked; None if that was fair, or is not known.

    Parameters
    ----------
    asked, used
        By the first attempts, and the most of any; None if unknown.
    way
        Asked over used, what it is rounded up to, and what it is at least.
    passed
        Whether a job was ended for it.
    """
    margin, step, least = way
    fair = used and max(least, step * math.ceil(margin * used / step))
    if asked and passed:
        # A job that was ended would have used more than what was measured.
        return max(fair or 0, step * math.ceil(2 * asked / step))
    return fair if asked and fair and 2 * fair <= asked else None


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
    told = ["Used / asked on SLURM, by rule:", *table]
    if advice:
        told += ["To change that here, write under `resources:` of the site file:"]
        for rule, wanted in advice.items():
            words = ", ".join(f"{name}: {value}" for name, value in wanted.items())
            told.append(f"  {rule}: {{{words}}}")
    return "\n".join(told)


def ask_sacct(ids: Iterable[str]) -> str:
    """What SLURM's accounting tells of jobs.

    Raises
    ------
    RuntimeError
        With the reason, where it tells nothing.
    """
    if not shutil.which("sacct"):
        raise RuntimeError("sacct is not on the PATH")
    command = [
        "sacct",
        "--noheader",
        "--parsable2",
        f"--format={FIELDS}",
        f"--jobs={','.join(ids)}",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        raise RuntimeError("sacct gave no answer") from None
    if done.returncode or not done.stdout:
        raise RuntimeError(done.stderr.strip() or "sacct knows none of the jobs")
    return done.stdout


def with_gpu(rows: Iterable[Row], results: Path) -> list[Row]:
    """The table, in which the training tells whether it used its GPU if SLURM does not."""
    told = results / "deep/training.json"
    device = json.loads(told.read_text(encoding="utf-8"))["device"] if told.is_file() else None
    return [
        Row(**{**asdict(row), "gpus_used": float(device != "cpu")})
        if row.rule == "train_scvi" and device and row.gpus_asked and row.gpus_used is None
        else row
        for row in rows
    ]


def tell(logs: Iterable[str], results: str) -> None:
    """Print the table of a run and write it; nothing if the run did not use SLURM.

    For `onsuccess` and `onerror`: nothing that goes wrong here ends the run.

    Parameters
    ----------
    logs
        Snakemake's log files, as a handler knows them.
    results
        Folder of the study's results.
    """
    from snakemake.logging import logger

    text = "\n".join(Path(log).read_text(encoding="utf-8", errors="replace") for log in logs)
    submissions = read_submissions(text)
    if not submissions:
        return
    file = Path(results) / "logs/efficiency.tsv"
    try:
        rows = with_gpu(tabulate(text, ask_sacct(submissions), Path(results)), Path(results))
        told = render(rows, advise(rows))
        with file.open("w", newline="") as handle:
            names = [field.name for field in fields(Row)]
            writer = csv.DictWriter(handle, names, delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(
                {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(row).items()}
                for row in rows
            )
    # Snakemake would take any error of a handler for a failure of the run.
    except Exception as error:
        logger.warning(f"No table of what the jobs used: {error}.")
        return
    logger.info(f"{told}\nAs a table: {file}")
