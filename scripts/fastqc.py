"""FastQC on one read of a run, all lanes as one."""

import json
from pathlib import Path

from latere.job import run, start

# `gzip -cdf` passes plain files through; FastQC names its report after `stdin:`.
PIPE = """
set -o pipefail
name=$1 folder=$2
shift 2
gzip -cdf "$@" | fastqc --outdir "$folder" "stdin:$name"
"""


def main(snakemake):
    start(snakemake)
    name = f"{snakemake.wildcards.run}_{snakemake.wildcards.role}"
    lanes = json.loads(Path(snakemake.input.roles).read_text())[snakemake.wildcards.role]
    run(["bash", "-c", PIPE, "fastqc", name, Path(snakemake.output.zip).parent, *lanes])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
