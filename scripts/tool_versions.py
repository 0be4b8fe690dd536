"""Versions of the tools of one environment, measured inside it, in MultiQC's form."""

import logging
import re
import subprocess
from importlib.metadata import packages_distributions, version
from pathlib import Path

from latere.errors import StudyError
from latere.job import run_script, start

# The tools of each environment: a command that prints its version, or a Python package.
EDGER, DROPLET_UTILS = (
    ["Rscript", "-e", f"cat(as.character(packageVersion('{name}')))"]
    for name in ("edgeR", "DropletUtils")
)
TOOLS = {
    "sra": {"sra-tools": ["fasterq-dump", "--version"], "isal": "isal"},
    "reads": {"dnaio": "dnaio", "ngs-tools": "ngs-tools"},
    "fastqc": {"FastQC": ["fastqc", "--version"]},
    "multiqc": {"MultiQC": "multiqc"},
    "star": {"STAR": ["STAR", "--version"], "samtools": ["samtools", "--version"]},
    "scanpy": {"scanpy": "scanpy", "anndata": "anndata"},
    "droplets": {"DropletUtils": DROPLET_UTILS},
    "soupx": {"pysoupx": "pysoupx"},
    "scvi": {"scvi-tools": "scvi-tools", "PyTorch": "torch"},
    "celltypist": {"CellTypist": "celltypist", "scikit-learn": "scikit-learn"},
    "edger": {"edgeR": EDGER, "R": ["R", "--version"], "rpy2": "rpy2"},
    "report": {"Jinja2": "jinja2", "plotly": "plotly"},
}
# Packages in the environment of a branch that are not its tools.
PLUMBING = {"python", "pip", "pandas", "anndata", "pyarrow", "pyyaml"}
NUMBER = re.compile(r"\d+(?:\.\d+)+[\w.+-]*|\d{3,}")


def tool_version(tool: list[str] | str) -> str:
    """Version of a command or of a Python package.

    Raises
    ------
    StudyError
        The tool is not installed, or prints no version.
    """
    if isinstance(tool, str):
        return version(tool)
    answer = subprocess.run(tool, capture_output=True, text=True, errors="replace", check=True)
    found = NUMBER.search(answer.stdout + answer.stderr)
    if not found:
        raise StudyError(
            " ".join(tool),
            f"prints no version: {answer.stdout + answer.stderr!r}",
            code="no-version",
        )
    return found.group()


def python_packages(packages: list[str]) -> dict[str, str]:
    """The Python packages among the conda packages of an environment, without its plumbing."""
    installed = {name.lower() for found in packages_distributions().values() for name in found}
    named = [name for name in packages if name not in PLUMBING]
    if others := sorted(set(named) - installed):
        logging.warning("no version is listed of %s: not a Python package", ", ".join(others))
    return {name: name for name in named if name in installed}


def main(snakemake):
    log = start(snakemake)
    env = snakemake.wildcards.env
    lines = [f"{env}:"]
    for name, tool in (TOOLS.get(env) or python_packages(snakemake.params.packages)).items():
        lines.append(f'  {name}: "{tool_version(tool)}"')
    log.info("%s", "\n".join(lines))
    Path(snakemake.output[0]).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
