"""Dry runs of GSE132509 (12 runs) and of a generated sheet of 1,000: time, memory, our share.

Time is user plus system time of the process, memory its peak. The share is sampled in a second
run, every 5 ms of CPU time: a sample is ours if, from the innermost frame outwards, a file of this
project comes before one of Snakemake's.
"""

import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
LEVELS = ["healthy", "A", "B", "C", "D", "E"]
COMMAND = [
    "snakemake",
    "--dry-run",
    "--directory",
    str(ROOT),
    "--snakefile",
    str(ROOT / "Snakefile"),
]


def write_study(folder: Path, runs: int) -> Path:
    """A study of SRA accessions, one run a sample, with five contrasts and a covariate."""
    sheet = pd.DataFrame({"run": [f"SRR{9_000_000 + number}" for number in range(runs)]})
    sheet["sample"] = [f"sample_{number}" for number in range(runs)]
    sheet["chemistry"] = "10xv2"
    sheet["sra"] = sheet["run"]
    sheet["condition"] = [LEVELS[number % len(LEVELS)] for number in range(runs)]
    sheet["batch"] = [f"batch_{number // len(LEVELS) % 3}" for number in range(runs)]
    sheet["spots"] = 300_000_000
    sheet.to_csv(folder / "samples.tsv", sep="\t", index=False)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config |= {"study": f"bench_{runs}", "samples": str(folder / "samples.tsv")}
    config["published_cells"] = None
    config["contrasts"] = {
        f"{level}_vs_healthy": {
            "column": "condition",
            "case": level,
            "control": "healthy",
            "covariates": ["batch"],
        }
        for level in LEVELS[1:]
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def measure(config: Path) -> dict:
    """CPU seconds, seconds on the clock and MiB of a dry run."""
    command = [sys.executable, "-m", *COMMAND, "--configfile", str(config)]
    started = os.times().elapsed
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"the dry run of {config} failed")
    return {
        "CPU s": usage.ru_utime + usage.ru_stime,
        "s": os.times().elapsed - started,
        "MiB": usage.ru_maxrss / 1024,
    }


def owner(frame) -> str:
    """Whose code runs: `ours`, or `Snakemake` with what it calls and what starts Python."""
    while frame:
        file = frame.f_code.co_filename
        if file.startswith((f"{ROOT}/scripts", f"{ROOT}/rules", f"{ROOT}/Snakefile")):
            return "ours"
        if "/snakemake/" in file:
            return "Snakemake"
        frame = frame.f_back
    return "Snakemake"


def sample(config: str) -> None:
    """Dry-run in this process; write the share of our code to stderr's last line."""
    samples = Counter()
    signal.signal(signal.SIGPROF, lambda number, frame: samples.update([owner(frame)]))
    sys.argv = [*COMMAND, "--configfile", config]
    signal.setitimer(signal.ITIMER_PROF, 0.005, 0.005)
    try:
        runpy.run_module("snakemake", run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    print(samples["ours"] / samples.total(), file=sys.stderr)


def share(config: Path) -> float:
    """Share of the CPU time of a dry run that is our own code's."""
    command = [sys.executable, __file__, str(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stderr.splitlines()[-1])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        studies = {12: ROOT / "config/config.yaml", 1000: write_study(Path(folder), 1000)}
        rows = {
            runs: measure(config) | {"ours %": 100 * share(config)}
            for runs, config in studies.items()
        }
    print(pd.DataFrame(rows).T.rename_axis("runs").round(1).to_string())


if __name__ == "__main__":
    sample(sys.argv[1]) if len(sys.argv) > 1 else main()
