"""Whether this machine has the memory and the disk for jobs that no cluster takes."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from latere.cluster.needs import of_job
from latere.cluster.sizes import Sizes, Unknown
from latere.errors import StudyError

# Runs the jobs whatever they need: the needs are estimates.
INSIST = "LATERE_ANY_SIZE"


def memory(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes of memory that this process may take: those of the machine, or of its container.

    Parameters
    ----------
    groups
        Where Linux shows the control groups, version 1 or 2.
    own
        The file with those of this process.
    """
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    lines = own.read_text(encoding="utf-8").splitlines() if own.is_file() else []
    for _, kinds, path in (line.split(":", 2) for line in lines):
        if kinds not in ("", "memory"):
            continue
        root, name = groups / kinds, "memory.limit_in_bytes" if kinds else "memory.max"
        group = root / path.lstrip("/")
        for file in (at / name for at in (group, *group.parents) if at.is_relative_to(root)):
            if file.is_file() and (limit := file.read_text(encoding="utf-8").strip()).isdigit():
                limits.append(int(limit))
    return min(limits)


def free_disk(folders: Iterable[Path]) -> int:
    """Free bytes on the disks of folders, each disk once; a folder may not exist yet."""
    there = [
        next(one for one in (path, *path.parents) if one.exists())
        for path in (Path(folder).resolve() for folder in folders)
    ]
    return sum({path.stat().st_dev: shutil.disk_usage(path).free for path in there}.values())


def require_room(
    jobs: Iterable[tuple[str, dict[str, str], int]],
    sizes: Sizes,
    unpacked: int,
    memory: float,
    disk: float,
) -> None:
    """Reject jobs that need more than a machine has, before the first of them.

    Parameters
    ----------
    jobs
        Rule, wildcards and threads of each. Those of unknown size are passed over.
    sizes
        Sizes of the study's work.
    unpacked
        Most runs whose reads are unpacked at a time.
    memory, disk
        Bytes that the machine has, and that are free.

    Raises
    ------
    StudyError
        What they take, and how to go on.
    """
    kept, scratch, waiting, largest = 0.0, 0.0, Counter(), (0.0, "")
    for rule, wildcards, threads in jobs:
        try:
            need = of_job(rule, wildcards, threads, sizes)
        except Unknown:
            continue
        kept, scratch = kept + need.kept, max(scratch, need.scratch)
        waiting[sizes.run_of(wildcards)] += need.waiting
        largest = max(largest, (need.mem_mb * 1e6, rule))
    peak = kept + scratch + sum(size for _, size in waiting.most_common(unpacked))
    reasons = []
    if largest[0] > memory:
        reasons.append(
            f"{largest[0] / 1e9:,.0f} GB of memory ({largest[1]}) of {memory / 1e9:,.0f}"
        )
    if peak > disk:
        reasons.append(f"{peak / 1e9:,.0f} GB of disk, and {disk / 1e9:,.0f} are free")
    if reasons:
        raise StudyError(
            sizes.study.name,
            f"needs more than this machine has: {'; '.join(reasons)}",
            "Submit it to SLURM: `snakemake --profile slurm`; or name another study by "
            "`--configfile`. `snakemake plan` shows the cost by stage. To run it here in spite of "
            f"this, set {INSIST}=1.",
            code="machine-too-small",
        )
