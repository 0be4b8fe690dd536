"""The strand of the first cDNA reads, and the chemistry that it tells, on a real STAR."""

import gzip
import json
from itertools import islice
from types import SimpleNamespace

import pytest

import detect_strand
from detect_strand import ask_genes, call_strand, check_mapped, choose_chemistry
from latere.errors import StudyError
from latere.reads.star import read_strands

BOTH = {"10xv2": "Forward", "10x5pv2": "Reverse"}


def test_a_gene_has_a_say_by_its_own_reads_alike_how_many():
    reads = [(5, 0), (9, 4), (2, 2), (4, 0), (0, 9000)]
    assert ask_genes(reads) == {"sense_genes": 2, "antisense_genes": 1}


@pytest.mark.parametrize(
    ("genes", "strand", "words"),
    [
        ((67, 33), "sense", "genes by their reads: 67 sense, 33 antisense"),
        ((33, 67), "antisense", "33 sense, 67 antisense"),
        ((66, 34), "undecided", "neither has over 2 times the other"),
        ((99, 0), "undecided", "too few to decide, 100 genes are needed"),
    ],
)
def test_limits_of_the_strand(genes, strand, words):
    found, reason = call_strand(*genes)
    assert found == strand and words in reason


def test_the_strand_tells_candidates_apart():
    assert choose_chemistry(BOTH, "sense", "", "") == "10xv2"
    assert choose_chemistry(BOTH, "antisense", "", "") == "10x5pv2"
    assert choose_chemistry({"10xv2": "Forward"}, "undecided", "", "") == "10xv2"
    with pytest.raises(StudyError, match=r"few.* 10xv2 or 10x5pv2 \[unknown-strand\]"):
        choose_chemistry(BOTH, "undecided", "few", "run a")


def test_reads_that_hardly_map():
    check_mapped(1000, 50, "run a")
    check_mapped(999, 0, "run a")
    with pytest.raises(StudyError, match=r" 4\.9% .* 1,000 .* 5% .*\[too-few-mapped-reads\]"):
        check_mapped(1000, 49, "run a")


def test_strands_of_reads_from_stars_table(tmp_path):
    # 100 reads: 70 sense only, 10 antisense only, 15 both, 5 in no gene.
    table = tmp_path / "ReadsPerGene.out.tab"
    table.write_text("N_unmapped\t0\t0\t0\nN_noFeature\t5\t15\t75\nN_ambiguous\t15\t0\t0\n")
    assert read_strands(table) == {"sense": 70, "antisense": 10}


@pytest.fixture
def detect(tmp_path, monkeypatch):
    """Run the rule's script on cDNA reads; gives its table."""
    monkeypatch.setattr(detect_strand, "start", lambda _: None)

    def call(cdna, index, candidates, reads=6040, tmpdir=tmp_path):
        chemistries = {name: {"strand": strand} for name, strand in candidates.items()}
        roles, checked = tmp_path / "roles.json", tmp_path / "checked.json"
        # The second lane is not read.
        checked.write_text(json.dumps({"reads": reads + 9, "lanes": [reads, 9]}))
        roles.write_text(json.dumps({"cdna": [str(cdna)], "candidates": chemistries}))
        detect_strand.main(
            SimpleNamespace(
                input=SimpleNamespace(roles=roles, checked=checked, index=index),
                output=[tmp_path / "strand.json"],
                wildcards=SimpleNamespace(run="a"),
                resources=SimpleNamespace(tmpdir=str(tmpdir)),
                threads=2,
            )
        )
        return json.loads((tmp_path / "strand.json").read_text())

    return call


@pytest.mark.tools("STAR")
def test_sense_and_antisense_reads(detect, library, tmp_path):
    three = detect(library.cdna, library.index, BOTH)
    assert (three["chemistry"], three["strand"]) == ("10xv2", "Forward")
    assert three["reads"] == 6040 and three["mapped"] > 0.9
    assert three["sense_genes"] == 120 and three["antisense_genes"] == 0
    assert three["sense"] > 5000 and three["antisense"] == 0
    five = detect(library.antisense, library.index, BOTH)
    assert (five["chemistry"], five["strand"]) == ("10x5pv2", "Reverse")
    assert five["antisense_genes"] == 120
    (tmp_path / "strand.json").unlink()
    words = r"run a, .*antisense.fastq: .*120 antisense.* 10xv2 \[wrong-chemistry\]\n.* a 5' kit"
    with pytest.raises(StudyError, match=words):
        detect(library.antisense, library.index, {"10xv2": "Forward"})
    assert not (tmp_path / "strand.json").exists()


@pytest.mark.tools("STAR")
def test_reads_of_another_genome_are_refused(detect, library):
    # Barcodes map nowhere, as the reads of another species would not.
    with pytest.raises(StudyError, match=r" 0\.0% .* 6,040 .*\[too-few-mapped-reads\]"):
        detect(library.barcode, library.index, BOTH)


@pytest.mark.tools("STAR")
def test_no_file_name_reaches_a_shell(detect, library, hostile):
    for name in hostile.split(library.cdna, "cdna")[:5]:
        found = detect(name, library.index, {"v2": "Forward"}, 672, hostile.folder)
        assert found["reads"] == 672
    assert not hostile.mark.exists()


@pytest.mark.tools("STAR")
def test_reads_that_gzip_does_not_give_are_missed(detect, library, failing_gzip, monkeypatch):
    # Of a larger lane no more are asked for.
    monkeypatch.setattr(detect_strand, "READS", 5000)
    assert detect(library.cdna, library.index, BOTH)["reads"] == 5000
    failing_gzip("*", 2000)
    with pytest.raises(
        StudyError, match=r"run a, .*cdna.fastq: .* 2,000 .* 5,000 .*\[reads-not-counted\]"
    ):
        detect(library.cdna, library.index, BOTH)


@pytest.mark.real
@pytest.mark.tools("STAR")
def test_real_reads(detect, real, real_index, tmp_path, monkeypatch):
    """A third of the v3 reads map to the mini reference, and one gene's lie on the wrong strand."""
    monkeypatch.setattr(detect_strand, "READS", 40_000)
    folder = real / "fastq_10x_v3_pbmc5k_chr21"
    sense = folder / "pbmc5k_v3.1_chr21_S1_L001_R2_001.fastq.gz"
    found = detect(sense, real_index, BOTH, 50_000)
    assert found["chemistry"] == "10xv2" and found["mapped"] == pytest.approx(0.313, abs=0.005)
    assert found["sense"] < 2 * found["antisense"]
    assert found["sense_genes"] > 4 * found["antisense_genes"]
    swap = str.maketrans("ACGT", "TGCA")
    antisense = tmp_path / "antisense.fastq"
    with gzip.open(sense, "rt") as source, open(antisense, "w", encoding="utf-8") as target:
        for at, line in enumerate(islice(source, 4 * 40_000)):
            read = line.rstrip("\n")
            read = (
                read[::-1].translate(swap) if at % 4 == 1 else read[::-1] if at % 4 == 3 else read
            )
            target.write(read + "\n")
    assert detect(antisense, real_index, BOTH, 40_000)["chemistry"] == "10x5pv2"
    # 414 of 5,000 reads map: enough not to be refused, too few to tell.
    v2 = real / "fastq_10x_v2_tiny_chr21/tiny_S1_L001_R2_001.fastq.gz"
    found = detect(v2, real_index, {"10xv2": "Forward"}, 5_000)
    assert (found["chemistry"], found["verdict"]) == ("10xv2", "undecided")
