"""Records of jobs in SLURM's accounting (`sacct`): requests, use, and how they ended."""

import re
import shutil
import subprocess
from collections.abc import Iterable

FIELDS = (
    "JobID,State,ElapsedRaw,TimelimitRaw,TotalCPU,MaxRSS,ReqTRES,AllocTRES,TRESUsageInMax,Submit"
)
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def ask_sacct(ids: Iterable[str]) -> str:
    """Records of jobs in SLURM's accounting.

    Raises
    ------
    RuntimeError
        With the reason, if it gives no records.
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
