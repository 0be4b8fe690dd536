"""Pack simulated reads into a real SRA archive with NCBI's own loaders."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from latere.job import JobError, run, run_script, start

TOOLS = ("sharq", "general-loader", "kar", "vdb-validate")
# Where packages keep the schemas of ncbi-vdb, relative to the folder above the tools'.
SCHEMAS = ("lib/ncbi-vdb", "lib/*/ncbi-vdb", "share/ncbi-vdb", "share/ncbi/schema", "schema")
SCHEMA = "sra/generic-fastq.vschema"


def find_tools(names=TOOLS) -> dict[str, Path]:
    """Paths of the loaders.

    Raises
    ------
    JobError
        One of them is not installed.
    """
    found = {name: shutil.which(name) for name in names}
    missing = [name for name, path in found.items() if not path]
    if missing:
        raise JobError(
            f"Not installed: {', '.join(missing)}. The embedded study packs its own SRA archives "
            "and needs an sra-tools that ships these, such as the package sra-toolkit of Debian "
            "and Ubuntu. Studies of your own do not need them."
        )
    return {name: Path(path).resolve() for name, path in found.items()}


def find_schemas(loader: Path) -> Path:
    """The schema folder of the installation that a loader belongs to.

    Raises
    ------
    JobError
        There is none in the known places.
    """
    prefix = loader.parent.parent
    for pattern in SCHEMAS:
        for folder in sorted(prefix.glob(pattern)):
            if (folder / SCHEMA).is_file():
                return folder
    raise JobError(
        f"No {SCHEMA} under {prefix} ({', '.join(SCHEMAS)}): general-loader needs the schemas of "
        "ncbi-vdb (package ncbi-vdb-data of Debian and Ubuntu)."
    )


def pack(index: str, barcode: str, cdna: str, archive: str) -> None:
    """Load three reads per spot into an archive, the first two technical, and validate it.

    Parameters
    ----------
    index, barcode, cdna
        FASTQ files.
    archive
        Path of the `.sra` file.

    Raises
    ------
    JobError
        A tool is missing or failed.
    """
    tools = find_tools()
    schemas = find_schemas(tools["general-loader"])
    with tempfile.TemporaryDirectory(dir=Path(archive).parent) as scratch:
        # The database's own name goes into the archive, so it must not depend on the scratch.
        database = Path(scratch) / Path(archive).stem
        parse = [tools["sharq"], "--platform", "ILLUMINA", "--readTypes", "TTB"]
        parse += ["--output", database.name, "--read1PairFiles", index]
        parse += ["--read2PairFiles", barcode, "--read3PairFiles", cdna]
        with subprocess.Popen(parse, stdout=subprocess.PIPE) as sharq:
            load = [tools["general-loader"], "-I", schemas, "--target", database]
            run(load, stdin=sharq.stdout)
        if sharq.returncode:
            raise JobError(f"sharq ended with status {sharq.returncode}.")
        run([tools["kar"], "--create", archive, "--directory", database])
    run([tools["vdb-validate"], archive])


def main(snakemake):
    """Pack the reads of one run."""
    start(snakemake)
    given = snakemake.input
    pack(given.index, given.barcode, given.cdna, snakemake.output[0])


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
