"""Which read is barcode, UMI, cDNA or index, and of which chemistry: by lengths and lists of
barcodes, never by the number of a file, which archives do not keep."""

import json
from pathlib import Path

from latere.job import run_script, start
from latere.reads.chemistry import read_chemistries
from latere.reads.roles import assign_roles


def main(snakemake):
    log = start(snakemake)
    params = snakemake.params
    files = params.mates
    if not files:
        # From an archive: one file per read, in a folder.
        files = [[str(file)] for file in sorted(Path(snakemake.input.reads[0]).glob("*.fastq.gz"))]
    chemistries = read_chemistries(params.table)
    roles = assign_roles(files, list(params.asked), chemistries, snakemake.wildcards.run)
    for row in roles["evidence"]:
        log.info("%(chemistry)s: %(valid_barcodes).2f in %(read)s, %(verdict)s", row)
    Path(snakemake.output[0]).write_text(json.dumps(roles, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
