"""Count one run with STARsolo, with the parameters that equal CellRanger 4 and later
(STAR, docs/STARsolo.md)."""

import filecmp
import json
import resource
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.job import run, run_script, start
from latere.reads.chemistry import Chemistry, solo_options
from latere.reads.fastq import reading_command
from latere.reads.star import (
    ALIGNMENT,
    check_all_read,
    link_files,
    link_reads,
    read_log,
    to_command,
)

COUNTING = {
    # `check_reads` has checked the lengths; some libraries are sequenced past the UMI.
    "--soloBarcodeReadLength": 0,
    "--soloUMIfiltering": "MultiGeneUMI_CR",
    "--soloUMIdedup": "1MM_CR",
    "--soloCellFilter": "EmptyDrops_CR",
    "--soloFeatures": ["Gene", "GeneFull", "Velocyto"],
}
# Roles of the reads that are counted; a UMI in a read of its own is joined to its barcode.
READS = ("cdna", "barcode", "umi")
# Tags of CellRanger's BAM (cell, UMI, gene), and STAR's own.
TAGS = ["NH", "HI", "AS", "nM", "CR", "CY", "UR", "UY", "CB", "UB", "GX", "GN"]


def bam_options(mem_mb: int, index: Path) -> dict:
    """Options for a sorted BAM that STAR makes within the memory of its job.

    STAR frees the index before it sorts (STAR.cpp), sorts as many of 50 parts of the genome at
    a time as fit, and ends with an error that names the memory if the largest does not: 7 bytes per
    read of the demo (measured).

    Parameters
    ----------
    mem_mb
        Memory of the job, MB.
    index
        Folder of the STAR index; its size is left for what STAR counts in.
    """
    held = sum(file.stat().st_size for file in Path(index).iterdir())
    return {
        "--outSAMtype": ["BAM", "SortedByCoordinate"],
        "--outSAMattributes": TAGS,
        "--outSAMunmapped": "Within",
        "--limitBAMsortRAM": max(mem_mb * 1_000_000 - held, 1_000_000_000),
    }


def open_many_files() -> None:
    """Take all the open files that the system grants: sorting has 50 a thread."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def pack(folder: Path, threads: int) -> None:
    """Gzip all tables, as CellRanger leaves them, so that its readers read them.

    Lists of barcodes and genes are alike whatever is counted, and some barcodes are millions: what
    is the same is packed once.
    """
    tables = [file for kind in ("mtx", "tsv") for file in folder.glob(f"*.Solo.out/*/*/*.{kind}")]
    copies, once = {}, {}
    for table in sorted(tables):
        first = once.setdefault((table.parent.name, table.name), table)
        if first != table and filecmp.cmp(first, table, shallow=False):
            copies[table] = first
            table.unlink()
    run(["pigz", "--no-name", "--processes", threads, *sorted({*tables} - {*copies})])
    for table, first in copies.items():
        shutil.copy(f"{first}.gz", f"{table}.gz")


def main(snakemake):
    start(snakemake)
    name, folder = snakemake.wildcards.run, Path(snakemake.output[0])
    roles = json.loads(Path(snakemake.input.roles).read_text(encoding="utf-8"))
    checked = json.loads(Path(snakemake.input.checked).read_text(encoding="utf-8"))
    chosen = json.loads(Path(snakemake.input.strand).read_text(encoding="utf-8"))["chemistry"]
    chemistry = Chemistry(**roles["candidates"][chosen])
    lists = {Path(file).stem: file for file in snakemake.input.whitelists}
    folder.mkdir(parents=True)
    with TemporaryDirectory(dir=snakemake.resources.tmpdir) as scratch:
        # STAR runs there, and knows all files by names of ours.
        parts = {f"{part}.txt": lists[part] for part in chemistry.whitelist_names}
        link_files(scratch, parts | {"index": snakemake.input.index, "made": folder})
        reads = link_reads(scratch, {role: roles.get(role, []) for role in READS})
        options = ALIGNMENT | COUNTING
        options |= solo_options(chemistry, [f"{part}.txt" for part in chemistry.whitelist_names])
        options |= {
            "--runThreadN": snakemake.threads,
            "--genomeDir": "index",
            # cDNA first, then barcodes.
            "--readFilesIn": [",".join(reads["cdna"]), ",".join(reads["barcode"])],
            "--outFileNamePrefix": f"made/{name}.",
            # A folder that STAR makes.
            "--outTmpDir": "star",
        }
        options["--readFilesCommand"] = reading_command(reads, chemistry, scratch)
        if snakemake.params.bam:
            options |= bam_options(snakemake.resources.mem_mb, snakemake.input.index)
            open_many_files()
        run(to_command(options), cwd=scratch)
    found = read_log(folder / f"{name}.Log.final.out")["reads"]
    check_all_read(found, checked["reads"], f"run {name}")
    pack(folder, snakemake.threads)
    if snakemake.params.bam:
        bam = folder / f"{name}.Aligned.sortedByCoord.out.bam"
        run(["samtools", "index", "-@", snakemake.threads, bam])


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
