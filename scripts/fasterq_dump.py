"""FASTQ files of one SRA archive, technical reads included: 10x barcodes are among them."""

import logging
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from latere.errors import StudyError
from latere.job import JobError, run, run_script, start

MAGIC = b"NCBI.sra"
# Name of a read (@SPOT/READ), the plus and the line ends: bytes of a record beside its bases and
# qualities, for 999 million spots.
RECORD = 17
# Blocks that are compressed at a time, and how many of them pass between two lines in the log.
BLOCK, TELL = 2**22, 2**11


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
        # Short names, alike for the reads of a spot: those of the sequencer are half of a file.
        *("--seq-defline", "@$si/$ri"),
        *("--qual-defline", "+"),
        *("--threads", threads),
        *("--mem", f"{max(100, mem_mb // 2 // threads)}MB"),
        *("--temp", folder),
        *("--outdir", folder),
        # `check_room` reports how much is missing, and where.
        *("--size-check", "off"),
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
        # vdb-validate accepts files of other kinds.
        if file.read(len(MAGIC)) != MAGIC:
            raise StudyError(
                where, "is not an SRA archive", "Give the .sra file of the run.", code="not-sra"
            )
    try:
        run(["vdb-validate", archive.absolute()])
    except JobError as error:
        raise StudyError(
            where,
            f"the archive is damaged: {error}",
            "Copy or download it again.",
            code="damaged-archive",
        ) from None


def look_into(archive: Path) -> tuple[int, list[int]]:
    """Number of spots of an archive, and the lengths of the reads of its first one."""
    ask = partial(run, stdout=subprocess.PIPE, text=True)
    info = ask(["vdb-dump", "--info", archive.absolute()]).stdout
    spots = int(re.search(r"^SEQ +: ([\d,]+)", info, re.MULTILINE)[1].replace(",", ""))
    first = ["vdb-dump", "-R", "1", "-C", "READ_LEN", "--format", "csv", archive.absolute()]
    return spots, [int(length) for length in re.findall(r"\d+", ask(first).stdout)]


def check_room(folder: Path, spots: int, lengths: list[int], threads: int, where: str) -> None:
    """Stop before unpacking if the disk is too small for the unpacked reads.

    Parameters
    ----------
    folder
        Where they are unpacked.
    spots, lengths
        As `look_into` returns them.
    threads
        Each makes a part of a file; the parts are there twice while they are joined, one at a time.

    Raises
    ------
    StudyError
        They need more than is free.
    """
    needed = (1 + 1 / threads) * spots * sum(2 * length + RECORD for length in lengths)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StudyError(
            where,
            f"its {spots:,} spots temporarily need {needed / 1e9:,.1f} GB in {folder}, "
            f"where {free / 1e9:,.1f} GB are free",
            "Set TMPDIR to a folder with more room, on a disk of the node.",
            code="no-space",
        )


def compress(plain: Path, packed: Path, threads: int) -> int:
    """Gzip a FASTQ file and remove it, to make room for the others.

    At level 1 of ISA-L, as the reads do not stay: 74 bytes per spot and 0.6e-6 CPU s, where level 1
    of pigz takes 77 and 2.8e-6, its default 59 and 22e-6 (the demo's A_1).

    Returns
    -------
    int
        Number of its records.
    """
    from isal import igzip_threaded

    lines = 0
    with (
        plain.open("rb", buffering=0) as source,
        igzip_threaded.open(packed, "wb", compresslevel=1, threads=threads) as target,
    ):
        for number, block in enumerate(iter(partial(source.read, BLOCK), b""), start=1):
            target.write(block)
            lines += block.count(b"\n")
            if number % TELL == 0:
                logging.info("%s: %d reads compressed", packed.name, lines // 4)
    plain.unlink()
    logging.info("%s: all %d reads compressed", packed.name, lines // 4)
    return lines // 4


def check_records(records: dict[str, int], spots: int, where: str) -> None:
    """Compare the number of reads in each file with the spots of the archive.

    Where a spot lacks a read, fasterq-dump counts its further reads from there, so that
    reads of different spots are side by side in the files.

    Raises
    ------
    StudyError
        A file has more reads or fewer, or there is none.
    """
    if not records or set(records.values()) != {spots}:
        found = ", ".join(f"{name} {number:,}" for name, number in records.items()) or "none"
        raise StudyError(
            where,
            f"has {spots:,} spots, but the numbers of unpacked reads are: {found}",
            "Some spots lack a read: use the original FASTQ files of the run.",
            code="incomplete-spots",
        )


def main(snakemake):
    start(snakemake)
    archive, folder = Path(snakemake.input[0]), Path(snakemake.output[0])
    name, threads = snakemake.wildcards.run, snakemake.threads
    where = f"run {name}, {archive}"
    check_archive(archive, name)
    spots, lengths = look_into(archive)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=snakemake.resources.tmpdir, prefix="latere-") as local:

        def end(*_):
            # At once: threads that compress go on until they are killed.
            shutil.rmtree(local, ignore_errors=True)
            sys.exit("ended from outside")

        # As SLURM does when time is over; the node's disk must not stay full.
        signal.signal(signal.SIGTERM, end)
        check_room(Path(local), spots, lengths, threads, where)
        run(dump_command(archive, Path(local), threads, snakemake.resources.mem_mb))
        files = sorted(Path(local).glob("*.fastq"))
        with ThreadPoolExecutor(threads) as pool:
            share = max(1, threads // max(1, len(files)))
            packed = [folder / f"{file.name}.gz" for file in files]
            numbers = pool.map(partial(compress, threads=share), files, packed)
            records = dict(zip([file.name for file in files], numbers, strict=True))
    check_records(records, spots, where)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
