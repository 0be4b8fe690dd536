"""Leftovers of a run that the next run must not find."""

from pathlib import Path

from latere.outputs import RECORDS


def forget_links(results: Path) -> None:
    """Remove a study's links to shared files that are gone: at such a link Snakemake ends, while a
    file that is not there is made again if something needs it."""
    for folder in ("sra", "downloads"):
        for path in results.glob(f"{folder}/**/*"):
            if path.is_symlink() and not path.exists():
                path.unlink()


def forget_records(results: Path) -> None:
    """Remove the records of outputs that are gone, as Snakemake removes temporary ones.

    Parameters
    ----------
    results
        The folder of results of a study.
    """
    for record in results.glob(f"**/{RECORDS}/*.json"):
        if not (record.parent.parent / record.stem).exists():
            record.unlink(missing_ok=True)
