"""FASTQ files of one SRA archive, technical reads included: 10x barcodes are among them."""

from pathlib import Path

from latere.errors import StudyError
from latere.job import JobError, run, start

MAGIC = b"NCBI.sra"


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


def check_archive(archive: Path, name: str) -> None:
    """Validate the checksums of an archive.

    Raises
    ------
    StudyError
        It is not an SRA archive, or damaged.
    """
    where = f"run {name}, {archive}"
    with open(archive, "rb") as file:
        # vdb-validate has nothing against a file of another kind.
        if file.read(len(MAGIC)) != MAGIC:
            raise StudyError(where, "is not an SRA archive", "Give the .sra file of the run.")
    try:
        run(["vdb-validate", archive.absolute()])
    except JobError as error:
        raise StudyError(
            where, f"the archive is damaged: {error}", "Copy or download it again."
        ) from None


def main(snakemake):
    start(snakemake)
    archive, folder = Path(snakemake.input[0]), Path(snakemake.output[0])
    check_archive(archive, snakemake.wildcards.run)
    run(dump_command(archive, folder, snakemake.threads, snakemake.resources.mem_mb))
    (folder / "tmp").rmdir()
    run(["pigz", "--processes", snakemake.threads, *sorted(folder.glob("*.fastq"))])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
