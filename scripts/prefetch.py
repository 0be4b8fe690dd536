"""Download one SRA archive and validate it; an interrupted download is resumed."""

from latere.job import run, start


def main(snakemake):
    start(snakemake)
    archive = snakemake.output[0]
    options = ["--max-size", "u", "--resume", "yes", "--output-file", archive]
    run(["prefetch", *options, snakemake.wildcards.accession])
    run(["vdb-validate", archive])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
