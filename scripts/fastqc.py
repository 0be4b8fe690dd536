"""FastQC on the reads of a run, each with all its lanes as one."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from latere.job import run, run_script, start

# `gzip -cdf` passes plain files through; FastQC names its report after `stdin:`.
PIPE = """
set -o pipefail
name=$1 folder=$2
shift 2
gzip -cdf -- "$@" | fastqc --outdir "$folder" "stdin:$name"
"""


def main(snakemake):
    start(snakemake)
    lanes = json.loads(Path(snakemake.input.roles).read_text(encoding="utf-8"))
    folder = Path(snakemake.output[0]).parent

    def look_at(role):
        name = f"{snakemake.wildcards.run}_{role}"
        run(["bash", "-c", PIPE, "fastqc", name, folder, *lanes[role]])

    with ThreadPoolExecutor(snakemake.threads) as pool:
        list(pool.map(look_at, snakemake.params.roles))


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
