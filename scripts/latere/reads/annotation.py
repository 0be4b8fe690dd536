"""The genes of an annotation, read and compared with the genome that they lie on."""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from latere.errors import StudyError
from latere.files import open_plain
from latere.reads.genome import attribute, check_head

# Of genes and transcripts; `lincRNA` and `antisense` are `lncRNA` since GENCODE 31 and M22
# (Ensembl 97), `protein_coding_LoF` came with GENCODE 44 and M33 (Ensembl 110).
BIOTYPES = {"protein_coding", "protein_coding_LoF", "lncRNA", "lincRNA", "antisense"}
BIOTYPES |= {f"IG_{part}_gene" for part in ("C", "D", "J", "LV", "V")}
BIOTYPES |= {f"TR_{part}_gene" for part in ("C", "D", "J", "V")}
BIOTYPES |= {f"IG_{part}_pseudogene" for part in ("C", "J", "V")}
BIOTYPES |= {f"TR_{part}_pseudogene" for part in ("J", "V")}
# Most of an annotation's exons may not be left out silently.
MOST_MISSING = 0.5
GENE_ID, TRANSCRIPT_ID = attribute("gene_id"), attribute("transcript_id")
# As GENCODE and as Ensembl names them.
GENE_BIOTYPE = attribute("gene_(?:bio)?type")
TRANSCRIPT_BIOTYPE = attribute("transcript_(?:bio)?type")
READTHROUGH, PSEUDOAUTOSOMAL = b'tag "readthrough_transcript"', b'tag "PAR"'


@dataclass
class Gene:
    """What decides about a gene.

    Attributes
    ----------
    contig, start
        Where it begins.
    biotype
        Empty if the annotation has none.
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


def scan_annotation(gtf: str | Path, lengths: dict[str, int], fasta: str | Path) -> dict:
    """Read an annotation once and compare it with its genome.

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
                fix = "A GTF has 9 columns, separated by tabs. The file may be cut off."
                raise StudyError(where, f"has {len(columns)} columns", fix, code="row-length")
            feature, attributes = columns[2].decode(errors="replace"), columns[8]
            features[feature] += 1
            if feature not in ("transcript", "exon"):
                continue
            found = GENE_ID.search(attributes)
            if feature == "exon":
                if not found or not TRANSCRIPT_ID.search(attributes):
                    lost = "transcript_id" if found else "gene_id"
                    gff = "; it looks like GFF3" if b"=" in attributes.split(b";")[0] else ""
                    problem = f"has an exon without {lost}{gff}"
                    fix = "Give the annotation as GTF, with gene_id and transcript_id."
                    raise StudyError(where, problem, fix, code="missing-attribute")
                contig = columns[0].decode(errors="replace")
                exons[contig] += 1
                check_end(columns[3], columns[4], contig, lengths, where, fasta)
            if found:
                add_line(genes, found[1].decode(errors="replace"), feature, columns)
    if not exons:
        found = ", ".join(f"{count:,} {name}" for name, count in features.most_common(5))
        problem = f"has no exon, so no gene can be counted ({found or 'no lines'})"
        raise StudyError(
            str(gtf), problem, "Give an annotation as GTF, with exon lines.", code="no-exons"
        )
    check_contigs(exons, lengths, gtf, fasta)
    return {name: gene for name, gene in genes.items() if "exon" in gene.passes}


def check_end(start: bytes, end: bytes, contig: str, lengths: dict, where: str, fasta) -> None:
    """An exon's ends must be numbers, on its contig.

    Raises
    ------
    StudyError
        They are not.
    """
    place = f"an exon from {start.decode(errors='replace')} to {end.decode(errors='replace')}"
    if not (start.isdigit() and end.isdigit() and 1 <= int(start) <= int(end)):
        raise StudyError(
            where,
            place,
            "Columns 4 and 5 of a GTF are the first and the last base.",
            code="not-positions",
        )
    if int(end) > lengths.get(contig, int(end)):
        problem = f"{place}, but {contig} has {lengths[contig]:,} bases in {fasta}"
        fix = "Use genome and annotation of the same assembly."
        raise StudyError(where, problem, fix, code="outside-contig")


def add_line(genes: dict[str, Gene], name: str, feature: str, columns: list[bytes]) -> None:
    """Record what a line, `transcript` or `exon`, says about its gene."""
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
    # The mitochondrion has few exons, so a share would not show it.
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
        fix = f"Use genome and annotation from the same source: {names[0]} do not match."
    else:
        fix = "Use genome and annotation of the same species and assembly, from the same source."
    raise StudyError(str(gtf), problem, fix, code="contigs-differ")


def _some(names) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f", ... {len(names):,} in all" if len(names) > 3 else "")
