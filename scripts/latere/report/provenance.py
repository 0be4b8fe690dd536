"""Where the results come from: the commit, the checksums of the inputs, the versions of tools."""

import hashlib
import subprocess
from pathlib import Path

from latere import __version__
from latere.report.inputs import Inputs


def read_versions(paths) -> list[dict]:
    """Versions of all tools, from the files that MultiQC reads.

    Parameters
    ----------
    paths
        YAML files: tool and version, or a level of groups above.

    Returns
    -------
    list of dict
        tool and version, sorted; a tool of two environments has a row for each version.
    """
    import yaml

    found = set()
    for path in paths:
        for name, value in yaml.safe_load(Path(path).read_text(encoding="utf-8")).items():
            tools = value if isinstance(value, dict) else {name: value}
            found |= {(tool, str(version)) for tool, version in tools.items()}
    return [
        {"tool": tool, "version": version}
        for tool, version in sorted(found, key=lambda pair: (pair[0].lower(), pair[1]))
    ]


def git_commit(folder) -> str:
    """The commit of the workflow, marked where its files were changed since.

    Parameters
    ----------
    folder
        A folder of the checkout.
    """

    def git(*words):
        return subprocess.run(
            ["git", "-C", str(folder), *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + (" with changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "not known (no git checkout)"


def checksum(path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def collect(inputs: Inputs) -> dict:
    """Commit, inputs and versions."""
    workflow = {"tool": "Snakemake", "version": inputs.params.snakemake}
    return {
        "commit": inputs.commit,
        "version": __version__,
        "sources": [{"file": path, "sha256": checksum(path)} for path in inputs.files.sources],
        "versions": [workflow, *read_versions(inputs.files.versions)],
    }
