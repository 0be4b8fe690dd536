"""What is read from STAR's own tables."""

import pytest

from latere.errors import StudyError
from latere.reads.star import check_all_read, read_call, read_gene_strands, read_log, to_command

LOG = """STAR version=2.7.10b
##### Final user re-defined parameters-----------------:
runThreadN                        2
genomeDir                         index
readFilesIn                       cdna_1   barcode_1   
outFileNamePrefix                 made/a.
outTmpDir                         star
soloStrand                        Reverse
soloFeatures                      Gene   Velocyto   

-------------------------------
##### Final effective command line:
STAR   --runThreadN 2
"""  # noqa: W291
FINAL = """                                 Started job on |	Nov 22 18:50:47
                          Number of input reads |	100
                   Uniquely mapped reads number |	70
        Number of reads mapped to multiple loci |	10
        Number of reads mapped to too many loci |	5
  Number of reads unmapped: too many mismatches |	4
            Number of reads unmapped: too short |	8
                Number of reads unmapped: other |	3
"""


def test_the_call_as_star_understood_it(tmp_path):
    (tmp_path / "Log.out").write_text(LOG)
    given = {"runThreadN": "2", "soloStrand": "Reverse", "soloFeatures": "Gene Velocyto"}
    assert read_call(tmp_path / "Log.out") == {"version": "2.7.10b", "parameters": given}


def test_each_read_is_in_one_class(tmp_path):
    (tmp_path / "Log.final.out").write_text(FINAL)
    found = read_log(tmp_path / "Log.final.out")
    assert found.pop("reads") == sum(found.values()) == 100
    assert found["mapped_unique"] == 70 and found["unmapped_short"] == 8


def test_reads_of_each_gene(tmp_path):
    table = tmp_path / "ReadsPerGene.out.tab"
    table.write_text("N_noFeature\t5\t15\t75\nG1\t7\t6\t1\nG2\t3\t0\t3\n")
    assert read_gene_strands(table) == [(6, 1), (0, 3)]


def test_command():
    options = {"--readFilesIn": ["a", "b"], "--soloCBlen": 16}
    assert to_command(options) == ["STAR", "--readFilesIn", "a", "b", "--soloCBlen", "16"]


def test_reads_of_star_are_those_that_were_checked():
    check_all_read(5, 5, "run a")
    for found in (4, 6):
        with pytest.raises(StudyError, match=rf"^run a: .* {found} .* 5 .*\[reads-not-counted\]"):
            check_all_read(found, 5, "run a")
