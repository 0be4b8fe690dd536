"""STAR index of genome and annotation; parameters from the genome's size (STAR manual, 2.2.5)."""

import gzip
import math
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from latere.errors import StudyError
from latere.job import run, start

# Read length less 1, as the manual advises; 10x cDNA reads have 90 to 98 bases.
OVERHANG = 97


def unpack(source: Path, folder: Path) -> Path:
    """A plain copy of a gzipped file in a folder; a plain file is returned as it is."""
    if source.suffix != ".gz":
        return source
    plain = folder / source.stem
    with gzip.open(source, "rb") as packed, open(plain, "wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    return plain


def contig_lengths(fasta: Path) -> dict[str, int]:
    """Length in bases of every contig of a FASTA file.

    Raises
    ------
    StudyError
        The file is not FASTA.
    """
    lengths, name = {}, None
    with open(fasta, "rb") as file:
        for line in file:
            if line.startswith(b">"):
                name = line[1:].split()[0].decode()
                lengths[name] = 0
            elif name is None:
                raise StudyError(str(fasta), "does not begin with '>'", "Give a FASTA file.")
            else:
                lengths[name] += len(line.strip())
    if not sum(lengths.values()):
        raise StudyError(str(fasta), "holds no sequence", "Give the genome as FASTA.")
    return lengths


def exons_per_contig(gtf: Path) -> dict[str, int]:
    """Number of exons on every contig that an annotation names."""
    exons = {}
    with open(gtf) as file:
        for line in file:
            fields = line.split("\t", 3)
            if len(fields) == 4 and fields[2] == "exon":
                exons[fields[0]] = exons.get(fields[0], 0) + 1
    return exons


def check_contigs(exons: dict[str, int], lengths: dict[str, int], gtf: str, fasta: str) -> list:
    """Contigs of the annotation that the genome lacks.

    Raises
    ------
    StudyError
        The annotation has no exon, or none on any contig of the genome.
    """
    if not exons:
        raise StudyError(gtf, "holds no exon", "Give an annotation as GTF, with exon lines.")
    missing = [contig for contig in exons if contig not in lengths]
    if len(missing) == len(exons):
        raise StudyError(
            gtf,
            f"none of its contigs ({', '.join(missing[:3])} ...) is in {fasta} "
            f"({', '.join(list(lengths)[:3])} ...)",
            "Take genome and annotation from the same source: 'chr1' and '1' do not match.",
        )
    return missing


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


def main(snakemake):
    log = start(snakemake)
    index = Path(snakemake.output[0])
    index.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=index) as folder:
        fasta = unpack(Path(snakemake.input.fasta), Path(folder))
        gtf = unpack(Path(snakemake.input.gtf), Path(folder))
        lengths = contig_lengths(fasta)
        missing = check_contigs(exons_per_contig(gtf), lengths, gtf.name, fasta.name)
        if missing:
            log.warning("contigs annotated but not in the genome: %s", ", ".join(missing))
        options = {
            "--runThreadN": snakemake.threads,
            "--genomeDir": index,
            "--genomeFastaFiles": fasta,
            "--sjdbGTFfile": gtf,
            # Else STAR writes its log and temporary files to the working directory.
            "--outFileNamePrefix": f"{index}/",
        } | index_parameters(sum(lengths.values()), len(lengths))
        run(["STAR", "--runMode", "genomeGenerate", *(x for pair in options.items() for x in pair)])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
