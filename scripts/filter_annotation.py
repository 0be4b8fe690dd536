"""Check genome and annotation against each other, and keep the genes that are counted.

The genes are those of Cell Ranger's references (10x Genomics, "Build Notes for Reference
Packages", 2020-A and 2024-A: www.10xgenomics.com/support/software/cell-ranger/downloads/
cr-ref-build-steps).
"""

import csv
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

from latere.errors import StudyError
from latere.files import open_plain
from latere.job import run_script, start
from latere.reads.annotation import BIOTYPES, GENE_ID, Gene, common_name, scan_annotation
from latere.reads.genome import scan_genome

# Verdicts on a gene.
KEPT = "kept"
NOT_IN_GENOME = "contig is not in the genome"
OTHER_BIOTYPE = "other biotype"
NO_TRANSCRIPT = "no transcript of a kept biotype but readthrough"
# Else STARsolo counts the reads of both copies as of several genes, so not at all (measured with
# 2.7.10b: 0 of 997 reads, and all of them once the copy on Y is left out).
ON_Y = "pseudoautosomal, counted on X"


def verdict(gene: Gene, lengths: dict[str, int], filters: bool, y_genes: str) -> str:
    """Whether a gene is kept, and why not.

    Parameters
    ----------
    lengths
        Bases by contig of the genome.
    filters
        Whether the biotype decides. A gene without a biotype is kept: somebody added it.
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
    counts = Counter(
        (genes[name].biotype or "not given", reason) for name, reason in verdicts.items()
    )
    if KEPT not in verdicts.values():
        found = ", ".join(f"{name} {count:,}" for (name, _), count in counts.most_common(5))
        problem = f"none of its {len(genes):,} genes has a biotype that is kept ({found})"
        fix = "Set `reference.filter_biotypes: false` to count all genes."
        raise StudyError(str(gtf), problem, fix, code="no-genes")
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
    for reason, count in Counter(verdicts.values()).most_common():
        log.info("%d of %d genes: %s", count, len(genes), reason)
    if filters and not any(gene.biotype for gene in genes.values()):
        log.warning("%s has no biotypes: no gene is left out by its biotype", gtf)
    kept = {name for name, reason in verdicts.items() if reason == KEPT}
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
