"""STAR index of genome and annotation, built once and shared by studies; parameters from the
genome's size (STAR manual, 2.2.5)."""

import hashlib
import json
import math
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.cache import exclusive, link, workshop
from latere.files import open_plain
from latere.job import run, run_script, start
from latere.reads.star import to_command

# Read length less 1, as the manual advises; 10x cDNA reads have 90 to 98 bases.
OVERHANG = 97


def index_parameters(length: int, contigs: int) -> dict[str, int]:
    """Index parameters for a genome.

    Parameters
    ----------
    length
        Bases of the genome.
    contigs
        Number of its contigs.
    """
    return {
        "--genomeSAindexNbases": min(14, int(math.log2(length) / 2 - 1)),
        "--genomeChrBinNbits": min(18, round(math.log2(max(length / contigs, OVERHANG + 1)))),
        "--sjdbOverhang": OVERHANG,
    }


def index_key(about: dict, parameters: dict, version: str) -> str:
    """Name of an index by what makes it.

    Parameters
    ----------
    about
        Digests of genome and annotation, as `filter_annotation` writes them.
    parameters
        As `index_parameters` gives them.
    version
        Of STAR.
    """
    made_of = [about["genome_sha256"], about["annotation_sha256"], parameters, version]
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]


def build(fasta, gtf, parameters: dict, folder: Path, threads: int, memory: int) -> None:
    """Build an index in a folder; the unpacked inputs of STAR are there only meanwhile.

    Parameters
    ----------
    memory
        Bytes that STAR may take.
    """
    with TemporaryDirectory(dir=folder, prefix="unpacked") as plain:
        files = {"--genomeFastaFiles": fasta, "--sjdbGTFfile": gtf}
        for option, source in files.items():
            # Relative to the index, where STAR runs: no name of a user's folder reaches it.
            files[option] = Path(Path(plain).name, option.strip("-"))
            with open_plain(source) as packed, open(Path(folder, files[option]), "wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
        options = {
            "--runMode": "genomeGenerate",
            "--runThreadN": threads,
            "--genomeDir": ".",
            "--limitGenomeGenerateRAM": memory,
        }
        run(to_command(options | files | parameters), cwd=folder)


def main(snakemake):
    log = start(snakemake)
    about = json.loads(Path(snakemake.input.about).read_text(encoding="utf-8"))
    parameters = index_parameters(about["bases"], about["contigs"])
    version = run(["STAR", "--version"], stdout=subprocess.PIPE, text=True)
    key = index_key(about, parameters, version.stdout.strip())
    entry = Path(snakemake.config["resources"], "star_index", key)
    with exclusive(entry):
        if entry.is_dir():
            log.info("%s: was built before from the same genome, genes and parameters", entry)
        else:
            with workshop(entry) as part:
                whole = Path(part, "index")
                whole.mkdir()
                memory = 1_000_000 * snakemake.resources.mem_mb
                files = (snakemake.input.fasta, snakemake.input.gtf)
                build(*files, parameters, whole, snakemake.threads, memory)
                for file in whole.iterdir():
                    file.chmod(0o444)
                try:
                    whole.rename(entry)
                except OSError:
                    # Another job was first, on a file system without locks.
                    if not entry.is_dir():
                        raise
    for file in entry.iterdir():
        link(file, Path(snakemake.output[0], file.name))


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
