"""Snakemake's records of how files were made, kept with the files."""

from contextlib import suppress
from pathlib import Path

# What Snakemake knows of finished files, and which files it was making.
KINDS = ("metadata", "incomplete")


def keep_records_with(results: Path, create: bool) -> None:
    """Link Snakemake's records to the folder of results, so that both are moved as one.

    Records in Snakemake's own folder are moved before a run, unless the results have
    others. Processes may call this at once.

    Parameters
    ----------
    results
        The folder, relative to the one that Snakemake works in.
    create
        Whether a run begins, and the folder of records is made; else it is used if it is there,
        as a dry run makes no results.
    """
    for kind in KINDS:
        kept, link = results / ".snakemake" / kind, Path(".snakemake", kind)
        # Where nothing can be written, each job reports it better.
        with suppress(OSError):
            if create:
                kept.mkdir(parents=True, exist_ok=True)
            if link.is_symlink() and not kept.is_dir():
                # The results were removed. Snakemake makes no folder where a link points nowhere.
                link.unlink(missing_ok=True)
            if kept.is_dir():
                _link(link, kept, create)


def _link(link: Path, kept: Path, move: bool) -> None:
    """Make a link to a folder; what is in its place is moved there, if the folder is empty."""
    for _ in range(100):
        if link.is_symlink() or link.is_file():
            return
        link.parent.mkdir(exist_ok=True)
        try:
            if move:
                with suppress(OSError):
                    link.replace(kept)
            # Snakemake makes an empty folder before the first run.
            if link.is_dir():
                link.rmdir()
            link.symlink_to(Path("..", kept))
        except (FileExistsError, FileNotFoundError):
            continue  # another process was faster
