"""Parameters of the STAR index, and what is checked before it is built."""

import gzip

import pytest

from latere.errors import StudyError
from star_index import (
    check_contigs,
    contig_lengths,
    exons_per_contig,
    index_parameters,
    unpack,
)


@pytest.mark.parametrize(
    ("length", "contigs", "bases", "bits"),
    [
        (3_100_000_000, 194, 14, 18),  # human: STAR's defaults
        (1_310_000, 691, 9, 11),
        (100_000, 5_000, 7, 7),  # contigs shorter than a read
    ],
)
def test_parameters_follow_the_genome(length, contigs, bases, bits):
    found = index_parameters(length, contigs)
    assert found["--genomeSAindexNbases"] == bases
    assert found["--genomeChrBinNbits"] == bits


def test_gzipped_input_is_unpacked_and_plain_used_in_place(tmp_path):
    packed, plain = tmp_path / "in" / "a.fa.gz", tmp_path / "b.fa"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(b">1 x\nACGT\nAC\n>2\nA\n"))
    plain.write_text("")
    assert contig_lengths(unpack(packed, tmp_path)) == {"1": 6, "2": 1}
    assert unpack(packed, tmp_path) == tmp_path / "a.fa"
    assert unpack(plain, tmp_path) == plain


def test_contigs_of_annotation_and_genome(tmp_path):
    gtf = tmp_path / "genes.gtf"
    rows = ["#!x", "1\ts\tgene\t1\t9", "1\ts\texon\t1\t9", "1\ts\texon\t3\t9", "X\ts\texon\t1\t9"]
    gtf.write_text("\n".join(rows) + "\n")
    exons = exons_per_contig(gtf)
    assert exons == {"1": 2, "X": 1}
    assert check_contigs(exons, {"1": 10, "2": 10}, "genes.gtf", "genome.fa") == ["X"]
    with pytest.raises(StudyError, match="'chr1' and '1' do not match"):
        check_contigs(exons, {"chr1": 10}, "genes.gtf", "genome.fa")
    with pytest.raises(StudyError, match="no exon"):
        check_contigs({}, {"chr1": 10}, "genes.gtf", "genome.fa")


@pytest.mark.parametrize("text", ["", "ACGT\n", ">1\n"])
def test_not_a_genome(tmp_path, text):
    fasta = tmp_path / "genome.fa"
    fasta.write_text(text)
    with pytest.raises(StudyError, match="genome.fa"):
        contig_lengths(fasta)
