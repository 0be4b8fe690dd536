"""FASTQ files of one SRA archive, technical reads included: 10x barcodes are among them."""

from pathlib import Path

from latere.errors import StudyError
from latere.job import JobError, run, start

# Where no profile grants an amount.
DEFAULT_MEM_MB = 2000


def dump_command(archive: Path, folder: Path, threads: int, mem_mb: int) -> list:
    """Command that writes one FASTQ file for each read of a spot, named ``*_1`` and so on.

    Parameters
    ----------
    mem_mb
        Memory of the job; half of it is used to sort, shared by the threads.
    """
    return [
        "fasterq-dump",
        "--include-technical",
        "--split-files",
        *("--threads", threads),
        *("--mem", f"{max(100, mem_mb // 2 // threads)}MB"),
        *("--temp", folder / "tmp"),
        *("--outdir", folder),
        # Absolute: a bare name would be looked up in the public archive.
        archive.absolute(),
    ]


def main(snakemake):
    start(snakemake)
    archive, folder = Path(snakemake.input[0]), Path(snakemake.output[0])
    try:
        run(["vdb-validate", archive.absolute()])
    except JobError as error:
        raise StudyError(
            f"run {snakemake.wildcards.run}, {archive}",
            f"the archive is damaged or not an SRA archive: {error}",
            "Download it again.",
        ) from None
    mem_mb = snakemake.resources.get("mem_mb", DEFAULT_MEM_MB)
    run(dump_command(archive, folder, snakemake.threads, mem_mb))
    (folder / "tmp").rmdir()
    run(["pigz", "--processes", snakemake.threads, *sorted(folder.glob("*.fastq"))])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
