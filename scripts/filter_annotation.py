"""Check genome and annotation against each other, and keep the genes that are counted.

The genes are those of Cell Ranger's references (10x Genomics, "Build Notes for Reference
Packages", 2020-A and 2024-A: www.10xgenomics.com/support/software/cell-ranger/downloads/
cr-ref-build-steps).
"""

import csv
import gzip
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from latere.errors import StudyError
from latere.files import open_plain
from latere.job import run_script, start
from latere.reads.genome import attribute, check_head

# Of genes and transcripts; `lincRNA` and `antisense` are `lncRNA` since GENCODE 31 and M22
# (Ensembl 97), `protein_coding_LoF` came with GENCODE 44 and M33 (Ensembl 110).
BIOTYPES = {"protein_coding", "protein_coding_LoF", "lncRNA", "lincRNA", "antisense"}
BIOTYPES |= {f"IG_{part}_gene" for part in ("C", "D", "J", "LV", "V")}
BIOTYPES |= {f"TR_{part}_gene" for part in ("C", "D", "J", "V")}
BIOTYPES |= {f"IG_{part}_pseudogene" for part in ("C", "J", "V")}
BIOTYPES |= {f"TR_{part}_pseudogene" for part in ("J", "V")}
BASES = b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx*-\r\n"
BLOCK = 1 << 22
# Most of an annotation's exons may not be left out in silence.
MOST_MISSING = 0.5
GENE_ID, TRANSCRIPT_ID = attribute("gene_id"), attribute("transcript_id")
# As GENCODE and as Ensembl names them.
GENE_BIOTYPE = attribute("gene_(?:bio)?type")
TRANSCRIPT_BIOTYPE = attribute("transcript_(?:bio)?type")
READTHROUGH, PSEUDOAUTOSOMAL = b'tag "readthrough_transcript"', b'tag "PAR"'
# What becomes of a gene.
KEPT = "kept"
NOT_IN_GENOME = "contig is not in the genome"
OTHER_BIOTYPE = "other biotype"
NO_TRANSCRIPT = "no transcript of a kept biotype but readthrough"
# Else STARsolo counts the reads of both copies as of several genes, so not at all (measured with
# 2.7.10b: 0 of 997 reads, and all of them once the copy on Y is left out).
ON_Y = "pseudoautosomal, counted on X"


@dataclass
class Gene:
    """What decides about a gene.

    Attributes
    ----------
    contig, start
        Where it begins.
    biotype
        Empty if the annotation does not tell.
    passes
        By feature (`transcript`, `exon`), whether a line has a biotype to keep and no tag of a
        readthrough.
    pseudoautosomal
        Whether it is tagged so.
    """

    contig: str
    start: int
    biotype: str = ""
    passes: dict[str, bool] = field(default_factory=dict)
    pseudoautosomal: bool = False


def scan_genome(fasta: str | Path) -> tuple[dict[str, int], str]:
    """Read a genome once.

    Returns
    -------
    lengths : dict
        Bases by contig.
    digest : str
        SHA-256 of the FASTA text, unpacked.

    Raises
    ------
    StudyError
        The file is no FASTA, holds no or other sequence, or names a contig twice.
    """
    check_head(fasta, "fasta")
    lengths, name, digest = {}, None, hashlib.sha256()
    with open_plain(fasta) as stream:
        while block := stream.read(BLOCK):
            block += stream.readline()
            digest.update(block)
            # A block begins with a line, so what comes before its first '>' goes on with `name`.
            before, *records = (b"\n" + block).split(b"\n>")
            for record in [before, *records]:
                if record is not before:
                    header, _, record = record.partition(b"\n")
                    name = (header.split() or [b""])[0].decode(errors="replace")
                    if name in lengths:
                        problem = f"contig '{name}' stands there twice"
                        raise StudyError(str(fasta), problem, "Give each contig a name of its own.")
                    lengths[name] = 0
                elif name is None:
                    continue
                if other := record.translate(None, BASES):
                    letters = "".join(sorted(set(other.decode("latin-1"))))[:20]
                    problem = f"contig '{name}' holds letters that are no bases: {letters!r}"
                    raise StudyError(str(fasta), problem, "Give the genome, not proteins.")
                lengths[name] += len(record) - record.count(b"\n") - record.count(b"\r")
    if not sum(lengths.values()):
        raise StudyError(str(fasta), "holds no sequence (0 bases)", "Give the genome as FASTA.")
    return lengths, digest.hexdigest()


def scan_annotation(gtf: str | Path, lengths: dict[str, int], fasta: str | Path) -> dict:
    """Read an annotation once and hold it against its genome.

    Parameters
    ----------
    lengths
        Bases by contig of the genome.
    fasta
        The genome, for messages.

    Returns
    -------
    dict
        Gene by id, of the genes with exons.

    Raises
    ------
    StudyError
        A line is broken, there is no exon, or the exons do not lie on the genome.
    """
    check_head(gtf, "gtf")
    genes, features, exons = {}, Counter(), Counter()
    with open_plain(gtf) as stream:
        for row, line in enumerate(stream, start=1):
            if line.startswith(b"#") or not line.strip():
                continue
            columns = line.split(b"\t")
            where = f"{gtf}, row {row}"
            if len(columns) < 9:
                mend = "A GTF has 9 columns, separated by tabs; a file that was cut ends like this."
                raise StudyError(where, f"has {len(columns)} columns", mend)
            feature, attributes = columns[2].decode(errors="replace"), columns[8]
            features[feature] += 1
            if feature not in ("transcript", "exon"):
                continue
            found = GENE_ID.search(attributes)
            if feature == "exon":
                if not found or not TRANSCRIPT_ID.search(attributes):
                    lost = "transcript_id" if found else "gene_id"
                    gff = "; it looks like GFF3" if b"=" in attributes.split(b";")[0] else ""
                    problem = f"an exon without {lost}{gff}"
                    mend = "Give the annotation as GTF, with gene_id and transcript_id."
                    raise StudyError(where, problem, mend)
                contig = columns[0].decode(errors="replace")
                exons[contig] += 1
                check_end(columns[3], columns[4], contig, lengths, where, fasta)
            if found:
                add_line(genes, found[1].decode(errors="replace"), feature, columns)
    if not exons:
        told = ", ".join(f"{count:,} {name}" for name, count in features.most_common(5))
        problem = f"holds no exon, so no gene can be counted ({told or 'no lines'})"
        raise StudyError(str(gtf), problem, "Give an annotation as GTF, with exon lines.")
    check_contigs(exons, lengths, gtf, fasta)
    return {name: gene for name, gene in genes.items() if "exon" in gene.passes}


def check_end(start: bytes, end: bytes, contig: str, lengths: dict, where: str, fasta) -> None:
    """An exon's ends must be numbers, on its contig.

    Raises
    ------
    StudyError
        They are not.
    """
    told = f"an exon from {start.decode(errors='replace')} to {end.decode(errors='replace')}"
    if not (start.isdigit() and end.isdigit() and 1 <= int(start) <= int(end)):
        raise StudyError(where, told, "Columns 4 and 5 of a GTF are its first and last base.")
    if int(end) > lengths.get(contig, int(end)):
        problem = f"{told}, but {contig} has {lengths[contig]:,} bases in {fasta}"
        mend = "Take genome and annotation of the same assembly."
        raise StudyError(where, problem, mend)


def add_line(genes: dict[str, Gene], name: str, feature: str, columns: list[bytes]) -> None:
    """Note what a line, `transcript` or `exon`, tells of its gene."""
    attributes, start = columns[8], int(columns[3]) if columns[3].isdigit() else 0
    gene = genes.get(name)
    if gene is None:
        gene = genes[name] = Gene(columns[0].decode(errors="replace"), start)
    gene.start = min(gene.start, start)
    if not gene.biotype and (biotype := GENE_BIOTYPE.search(attributes)):
        gene.biotype = biotype[1].decode(errors="replace")
    biotype = TRANSCRIPT_BIOTYPE.search(attributes)
    allowed = biotype is None or biotype[1].decode(errors="replace") in BIOTYPES
    passes = allowed and READTHROUGH not in attributes
    gene.passes[feature] = gene.passes.get(feature, False) or passes
    gene.pseudoautosomal |= PSEUDOAUTOSOMAL in attributes


def common_name(contig: str) -> str:
    """A contig's name without what sources write differently: `chr1` and `1`, `chrM` and `MT`."""
    name = re.sub("^chr", "", contig, flags=re.IGNORECASE).upper()
    return "M" if name == "MT" else name


def check_contigs(exons: dict[str, int], lengths: dict[str, int], gtf, fasta) -> None:
    """The exons must lie on the genome: all, or most if the rest lies on contigs that it lacks.

    Parameters
    ----------
    exons
        Number of exons by contig of the annotation.
    lengths
        Bases by contig of the genome.

    Raises
    ------
    StudyError
        None or less than half of them do, or a contig goes by another name in the genome.
    """
    missing = [contig for contig in exons if contig not in lengths]
    known = {common_name(contig): contig for contig in lengths}
    # The mitochondrion has few exons, so a share would not tell.
    renamed = [(contig, known.get(common_name(contig))) for contig in missing]
    renamed = [(ours, theirs) for ours, theirs in renamed if theirs]
    count, total = sum(exons[contig] for contig in missing), sum(exons.values())
    if not renamed and count <= MOST_MISSING * total:
        return
    problem = (
        f"{count:,} of its {total:,} exons lie on contigs ({_some(missing)}) that are not in "
        f"{fasta} ({_some(lengths)})"
    )
    if renamed:
        names = [f"'{theirs}' and '{ours}'" for ours, theirs in renamed[:1]]
        mend = f"Take genome and annotation from the same source: {names[0]} do not match."
    else:
        mend = "Take genome and annotation of the same species and assembly, from the same source."
    raise StudyError(str(gtf), problem, mend)


def _some(names) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f", ... {len(names):,} in all" if len(names) > 3 else "")


def verdict(gene: Gene, lengths: dict[str, int], filters: bool, y_genes: str) -> str:
    """What becomes of a gene.

    Parameters
    ----------
    lengths
        Bases by contig of the genome.
    filters
        Whether the biotype decides. A gene whose biotype is not told is kept: somebody added it.
    y_genes
        First and last base of chromosome Y between which genes begin that count; empty for all.
    """
    if gene.contig not in lengths:
        return NOT_IN_GENOME
    if not filters:
        return KEPT
    if gene.biotype and gene.biotype not in BIOTYPES:
        return OTHER_BIOTYPE
    # 10x looks at transcript lines; some annotations have none.
    if gene.biotype and not gene.passes.get("transcript", gene.passes["exon"]):
        return NO_TRANSCRIPT
    if common_name(gene.contig) == "Y":
        first, last = map(int, y_genes.split("-")) if y_genes else (0, gene.start)
        if gene.pseudoautosomal or not first <= gene.start <= last:
            return ON_Y
    return KEPT


def write_genes(gtf: str | Path, genes: set[str], target: str | Path) -> str:
    """Write the header and the lines of some genes, gzipped.

    Returns
    -------
    str
        SHA-256 of the text, unpacked.
    """
    digest = hashlib.sha256()
    # Without name and time, so that the same genes give the same file.
    with (
        open(target, "wb") as file,
        gzip.GzipFile("", "wb", 4, file, mtime=0) as packed,
        open_plain(gtf) as stream,
    ):
        for line in stream:
            if not line.startswith(b"#"):
                found = GENE_ID.search(line)
                if not found or found[1].decode(errors="replace") not in genes:
                    continue
                line = line.rstrip(b"\r\n") + b"\n"
            digest.update(line)
            packed.write(line)
    return digest.hexdigest()


def count_verdicts(genes: dict[str, Gene], verdicts: dict[str, str], gtf: str | Path) -> Counter:
    """Number of genes by biotype and verdict.

    Raises
    ------
    StudyError
        None is kept.
    """
    counts = Counter((genes[name].biotype or "not told", told) for name, told in verdicts.items())
    if KEPT not in verdicts.values():
        found = ", ".join(f"{name} {count:,}" for (name, _), count in counts.most_common(5))
        problem = f"none of its {len(genes):,} genes is of a biotype that is kept ({found})"
        mend = "Set `reference.filter_biotypes: false` to count them all."
        raise StudyError(str(gtf), problem, mend)
    return counts


def main(snakemake):
    log = start(snakemake)
    fasta, gtf = snakemake.input.fasta, snakemake.input.gtf
    lengths, genome = scan_genome(fasta)
    log.info("%s: %d contigs, %d bases", fasta, len(lengths), sum(lengths.values()))
    genes = scan_annotation(gtf, lengths, fasta)
    filters, y_genes = snakemake.params.filter_biotypes, snakemake.params.y_genes
    verdicts = {name: verdict(gene, lengths, filters, y_genes) for name, gene in genes.items()}
    counts = count_verdicts(genes, verdicts, gtf)
    with open(snakemake.output.biotypes, "w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, delimiter="\t", lineterminator="\n")
        table.writerow(["biotype", "verdict", "genes"])
        table.writerows([*key, count] for key, count in counts.most_common())
    for told, count in Counter(verdicts.values()).most_common():
        log.info("%d of %d genes: %s", count, len(genes), told)
    if filters and not any(gene.biotype for gene in genes.values()):
        log.warning("%s tells no biotypes: none of its genes is left out by them", gtf)
    kept = {name for name, told in verdicts.items() if told == KEPT}
    about = {
        "contigs": len(lengths),
        "bases": sum(lengths.values()),
        "genes": len(kept),
        "genome_sha256": genome,
        "annotation_sha256": write_genes(gtf, kept, snakemake.output.gtf),
    }
    Path(snakemake.output.about).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
