"""Write the report: one self-contained file that opens without a network.

Nothing is computed here that is not in a table: the report only shows what the tables say.
"""

from pathlib import Path

from latere.job import run_script, start
from latere.report.page import build_page
from latere.report.provenance import git_commit


def main(snakemake):
    """Write the page."""
    log = start(snakemake)
    page = build_page(snakemake.input, snakemake.params, git_commit(snakemake.scriptdir))
    Path(snakemake.output[0]).write_text(page, encoding="utf-8")
    log.info("%s: %.1f MB", snakemake.output[0], len(page) / 1e6)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
