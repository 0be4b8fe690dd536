"""Genome and annotation are compared with each other, and the genes that count are kept."""

import gzip
import hashlib

import pytest

from filter_annotation import (
    KEPT,
    NO_TRANSCRIPT,
    NOT_IN_GENOME,
    ON_Y,
    OTHER_BIOTYPE,
    count_verdicts,
    verdict,
    write_genes,
)
from latere.errors import StudyError
from latere.reads import genome
from latere.reads.annotation import Gene, common_name, scan_annotation
from latere.reads.genome import scan_genome

LENGTHS = {"chr1": 1000, "chrX": 1000, "chrY": 1000, "chrM": 100}


def gene_lines(name, biotype="", transcripts=("",), contig="chr1", start=1, tag="", style="type"):
    """Lines of a gene as GENCODE (`gene_type`) or Ensembl (`gene_biotype`) writes them."""
    gene = f'gene_id "{name}";' + (f' gene_{style} "{biotype}";' if biotype else "")
    lines = [f"{contig}\ts\tgene\t{start}\t{start + 9}\t.\t+\t.\t{gene}"]
    for number, kind in enumerate(transcripts):
        text = f'{gene} transcript_id "{name}.{number}";'
        text += f' transcript_{style} "{kind}";' if kind else ""
        text += f' tag "{tag}";' if tag else ""
        lines += [
            f"{contig}\ts\t{feature}\t{start}\t{start + 9}\t.\t+\t.\t{text}"
            for feature in ("transcript", "exon")
        ]
    return lines


def write_gtf(path, *genes):
    path.write_text("\n".join(["#!header", *(line for gene in genes for line in gene)]) + "\n")
    return path


def told(tmp_path, lines, filters=True, y_genes=""):
    """What becomes of the genes of an annotation."""
    found = scan_annotation(write_gtf(tmp_path / "genes.gtf", lines), LENGTHS, "genome.fa")
    return {name: verdict(gene, LENGTHS, filters, y_genes) for name, gene in found.items()}


@pytest.mark.parametrize("style", ["type", "biotype"])
@pytest.mark.parametrize(
    ("biotype", "transcripts", "expected"),
    [
        ("protein_coding", ["protein_coding"], KEPT),
        ("protein_coding", ["retained_intron", "protein_coding_LoF"], KEPT),
        ("protein_coding", ["retained_intron"], NO_TRANSCRIPT),
        ("lncRNA", ["lncRNA"], KEPT),
        ("lincRNA", ["lincRNA"], KEPT),
        ("IG_V_pseudogene", ["IG_V_pseudogene"], KEPT),
        ("TR_J_gene", ["TR_J_gene"], KEPT),
        ("IG_D_pseudogene", ["IG_D_pseudogene"], OTHER_BIOTYPE),
        ("processed_pseudogene", ["processed_pseudogene"], OTHER_BIOTYPE),
        ("miRNA", ["miRNA"], OTHER_BIOTYPE),
        # An annotation that tells biotypes of genes only.
        ("protein_coding", [""], KEPT),
        # A gene that a user added, and all genes of the embedded study.
        ("", [""], KEPT),
    ],
)
def test_genes_of_cell_rangers_references(tmp_path, style, biotype, transcripts, expected):
    assert told(tmp_path, gene_lines("g", biotype, transcripts, style=style)) == {"g": expected}


def test_a_gene_of_readthroughs_only_is_left_out(tmp_path):
    coding = ("protein_coding", ["protein_coding"])
    lines = gene_lines("through", *coding, tag="readthrough_transcript")
    lines += gene_lines("both", *coding, tag="readthrough_transcript") + gene_lines("both", *coding)
    assert told(tmp_path, lines) == {"through": NO_TRANSCRIPT, "both": KEPT}


def test_pseudoautosomal_genes_count_on_x(tmp_path):
    coding = ("protein_coding", ["protein_coding"])
    lines = [
        *gene_lines("x", *coding, contig="chrX", start=5, tag="PAR"),
        *gene_lines("y", *coding, contig="chrY", start=5),
        *gene_lines("tagged", *coding, contig="chrY", start=300, tag="PAR"),
        *gene_lines("sry", *coding, contig="chrY", start=300),
    ]
    assert told(tmp_path, lines, y_genes="200-800") == {
        "x": KEPT,
        "y": ON_Y,
        "tagged": ON_Y,
        "sry": KEPT,
    }
    assert told(tmp_path, lines)["y"] == KEPT  # without a release nothing tells


def test_an_unfiltered_annotation_loses_only_what_the_genome_lacks(tmp_path):
    lines = gene_lines("mir", "miRNA") + gene_lines("patch", "protein_coding", contig="patch1")
    assert told(tmp_path, lines, filters=False) == {"mir": KEPT, "patch": NOT_IN_GENOME}


def test_lines_of_kept_genes_stay_as_they_are(tmp_path):
    keep, drop = gene_lines("a.1", "lncRNA"), gene_lines("a", "lncRNA")
    gtf = write_gtf(tmp_path / "genes.gtf", drop, keep)
    digest = write_genes(gtf, {"a.1"}, tmp_path / "kept.gtf.gz")
    packed = (tmp_path / "kept.gtf.gz").read_bytes()
    text = gzip.decompress(packed)
    assert text.decode().splitlines() == ["#!header", *keep]
    assert digest == hashlib.sha256(text).hexdigest()
    assert packed[3:8] == bytes(5)  # neither name nor time


@pytest.mark.parametrize("block", [1, 7, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_genome_is_measured(tmp_path, monkeypatch, block, end):
    monkeypatch.setattr(genome, "BLOCK", block)
    text = end.join([">1 a>b", "ACGT", "acN", ">2", "A", ">empty", ">3", "GG"])
    packed, plain = tmp_path / "a.fa.gz", tmp_path / "a.fa"
    packed.write_bytes(gzip.compress(text.encode()))
    plain.write_bytes(text.encode())
    expected = ({"1": 7, "2": 1, "empty": 0, "3": 2}, hashlib.sha256(text.encode()).hexdigest())
    assert scan_genome(packed) == scan_genome(plain) == expected


def test_names_of_contigs_across_sources():
    names = ["chr1", "1", "chrM", "MT", "M", "chrMT", "chrX", "X", "KI270728.1"]
    assert [common_name(name) for name in names] == [*"11MMMMXX", "KI270728.1"]


GENE = gene_lines("g")
CUT = gzip.compress(b">1\n" + bytes(range(65, 85)) * 5000)[:-20]
GENOMES = {
    "empty": (b"", "[empty-file]"),
    "not FASTA": (b"ACGT\n", "'ACGT' [wrong-format]"),
    "a page": (b"<html>404</html>", "[wrong-format]"),
    "no sequence": (b">1\n>2\n", "[no-sequence]"),
    "proteins": (b">1\nMSEQLF\n", "'EFLQ' [not-a-base]"),
    "one contig twice": (b">1\nA\n>2\nA\n>1\nA\n", "contig '1' appears twice [duplicated-contig]"),
    "cut": (CUT, "gzip stream is truncated or damaged"),
    "no gzip": (b"\x1f\x8bnothing", "gzip stream is truncated or damaged"),
}
ANNOTATIONS = {
    "empty": ("", "[empty-file]"),
    "FASTA": (">1\nACGT\n", "is not GTF: it looks like FASTA"),
    "GFF": ("##gff-version 3\n", "is GFF, not GTF"),
    "a page": ("<html>\n", "is not GTF: it begins with '<html>'"),
    "comments only": ("#!x\n", "(no lines) [no-exons]"),
    "genes only": (GENE[0], "(1 gene) [no-exons]"),
    "no gene_id": (
        [*GENE, GENE[2].replace("gene_id", "gene")],
        "row 4: has an exon without gene_id [missing-attribute]",
    ),
    "no transcript_id": (
        [GENE[2].replace("transcript_id", "t")],
        "row 1: has an exon without transcript_id [missing-attribute]",
    ),
    "GFF3 lines": (
        ["chr1\ts\texon\t1\t9\t.\t+\t.\tID=e1;Parent=t1"],
        "it looks like GFF3 [missing-attribute]",
    ),
    "cut line": ([*GENE, "chr1\ts\tex"], "row 4: has 3 columns [row-length]"),
    "no numbers": ([GENE[2].replace("\t10\t", "\tend\t")], "row 1: an exon from 1 to end"),
    "another assembly": (
        gene_lines("g", start=995),
        "an exon from 995 to 1004, but chr1 has 1,000 bases in genome.fa",
    ),
    "names without chr": (
        gene_lines("g", contig="1"),
        "1 of its 1 exons lie on contigs (1) that are not in genome.fa",
    ),
    "other names of contigs": (gene_lines("g", contig="NC_1"), "(NC_1) that are not in genome.fa"),
    "MT for chrM": (
        [*GENE, *gene_lines("h"), *gene_lines("m", contig="MT")],
        "1 of its 3 exons lie on contigs (MT)",
    ),
    "most is missing": (
        [*GENE, *gene_lines("h", contig="scaffold1"), *gene_lines("i", contig="scaffold2")],
        "2 of its 3 exons lie on contigs (scaffold1, scaffold2)",
    ),
}


@pytest.mark.parametrize("case", GENOMES)
def test_a_bad_genome_is_refused(tmp_path, case):
    content, expected = GENOMES[case]
    fasta = tmp_path / "genome.fa"
    fasta.write_bytes(content)
    with pytest.raises(StudyError) as refused:
        scan_genome(fasta)
    assert expected in str(refused.value) and str(refused.value).startswith(str(fasta))
    assert "->" in str(refused.value)


@pytest.mark.parametrize("case", ANNOTATIONS)
def test_a_bad_annotation_is_refused(tmp_path, case):
    content, expected = ANNOTATIONS[case]
    gtf = tmp_path / "genes.gtf"
    gtf.write_text(content if isinstance(content, str) else "\n".join(content) + "\n")
    with pytest.raises(StudyError) as refused:
        scan_annotation(gtf, LENGTHS, "genome.fa")
    assert expected in str(refused.value) and str(refused.value).startswith(str(gtf))
    assert "->" in str(refused.value)


def test_what_does_not_match_is_named(tmp_path):
    gtf = write_gtf(tmp_path / "genes.gtf", *[gene_lines("m", contig="MT"), *[GENE] * 20])
    with pytest.raises(StudyError, match=r"\[contigs-differ\]\n.*'chrM' and 'MT'"):
        scan_annotation(gtf, LENGTHS, "genome.fa")


def test_a_few_missing_contigs_are_left_out(tmp_path):
    gtf = write_gtf(tmp_path / "genes.gtf", GENE, gene_lines("patch", contig="HSCHR1_CTG1"))
    assert set(scan_annotation(gtf, LENGTHS, "genome.fa")) == {"g", "patch"}


def test_no_gene_left_is_refused():
    genes = {name: Gene("chr1", 1, "mRNA") for name in "ab"} | {"c": Gene("chr1", 1)}
    verdicts = {"a": OTHER_BIOTYPE, "b": OTHER_BIOTYPE, "c": KEPT}
    counts = count_verdicts(genes, verdicts, "genes.gtf")
    assert counts == {("mRNA", OTHER_BIOTYPE): 2, ("not given", KEPT): 1}
    with pytest.raises(StudyError, match=r" 2 genes .*\(mRNA 2\) \[no-genes\]\n.*filter_biotypes"):
        count_verdicts(
            {name: genes[name] for name in "ab"},
            {"a": OTHER_BIOTYPE, "b": OTHER_BIOTYPE},
            "genes.gtf",
        )
