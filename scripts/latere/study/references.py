"""The reference genome: named releases."""

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path

from latere.errors import StudyError

WAYS = "Give `release`, a name of config/references.tsv, or both `fasta` and `gtf`."


def read_releases(path: Path) -> dict[str, dict[str, str]]:
    """Rows of the table of named releases, by name."""
    with open(path, encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        return {row.pop("release"): row for row in rows}


def resolve(reference: Mapping, releases: Mapping[str, Mapping], source: str) -> dict:
    """The section `reference` of a configuration, with the addresses of a named release.

    Parameters
    ----------
    reference
        As written.
    releases
        As `read_releases` gives them.
    source
        Name of the configuration's file, for messages.

    Returns
    -------
    dict
        The section with `fasta`, `gtf` and `filter_biotypes`; `checksums`, the name of the
        publisher's checksum file beside each file, empty where none is known; `y_genes`, empty or
        the part of chromosome Y whose genes count (first and last base).

    Raises
    ------
    StudyError
        The reference is not named, named in two ways or incompletely, or the release is unknown.
    """
    where = f"{source}: key 'reference'"
    files = [key for key in ("fasta", "gtf") if key in reference]
    if "release" not in reference:
        missing = [key for key in ("fasta", "gtf") if key not in reference]
        if missing:
            problem = f"names {files[0]} but not {missing[0]}" if files else "names no genome"
            raise StudyError(where, problem, WAYS, code="incomplete-reference")
        return {"checksums": "", "y_genes": "", "filter_biotypes": False, **reference}
    if files:
        raise StudyError(
            where, f"names both a release and {' and '.join(files)}", WAYS, code="two-references"
        )
    name = reference["release"]
    if name not in releases:
        close = difflib.get_close_matches(name, releases, n=3, cutoff=0.5)
        fix = f"Did you mean {' or '.join(close)}? " if close else ""
        raise StudyError(
            f"{source}: key 'reference.release'",
            f"unknown release '{name}'",
            f"{fix}Known: {', '.join(releases)}.",
            code="unknown-release",
        )
    row = releases[name]
    files = {key: row[key] for key in ("fasta", "gtf", "checksums", "y_genes")}
    return {**files, "filter_biotypes": True, **reference}
