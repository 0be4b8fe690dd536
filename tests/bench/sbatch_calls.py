"""Calls of sbatch for a study of 100 SRA runs with five contrasts, without and with groups.

They are counted in dry runs with the profile of SLURM, in which Snakemake forms its groups as it
does for a real run; a test holds that count against a real cluster (tests/cluster/test_study.py).
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUNS = 100
LOCAL = {"prefetch", "download", "all"}
# No rule has that name: it takes the place of the profile's groups.
NO_GROUPS = ["--groups", "none=none"]


def count_calls(output: str) -> int:
    """Submissions that a dry run stands for: groups, and jobs outside of groups.

    Parameters
    ----------
    output
        What ``snakemake --dry-run`` prints; it indents the rules of a group.
    """
    rules = re.findall(r"^rule (\w+):$", output, re.MULTILINE)
    groups = re.findall(r"Group job \S+ \(jobs in lexicogr. order\):$", output, re.MULTILINE)
    return len(groups) + sum(rule not in LOCAL for rule in rules)


def dry_run(config: Path, *words: str) -> str:
    """What a dry run with the profile of SLURM prints."""
    command = [sys.executable, "-m", "snakemake", "-n", "--profile", "slurm", *words]
    done = subprocess.run(
        [*command, "--configfile", config], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout + done.stderr


def main() -> None:
    from dry_run import write_study

    with tempfile.TemporaryDirectory() as folder:
        config = write_study(Path(folder), RUNS)
        ungrouped = dry_run(config, *NO_GROUPS)
        alone, together = count_calls(ungrouped), count_calls(dry_run(config))
    # One array a rule at best: the plugin holds jobs back until all of their rule are ready.
    arrays = len(set(re.findall(r"^rule (\w+):$", ungrouped, re.MULTILINE)) - LOCAL)
    print(
        f"calls of sbatch for {RUNS} runs: {alone} without groups, {together} with groups; "
        f"arrays could do with {arrays}, if all runs are unpacked before the first is counted"
    )


if __name__ == "__main__":
    main()
