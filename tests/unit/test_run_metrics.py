"""The figures of a run, from tables that STAR wrote and from ones with no value in them."""

import gzip

import pytest

from run_metrics import (
    figures_of_counts,
    figures_of_reads,
    knee_curve,
    read_summary,
    run_metrics,
    umis_of_cells,
)

SUMMARY = """Number of Reads,5000
Reads With Valid Barcodes,0.9826
Sequencing Saturation,-nan
Q30 Bases in CB+UMI,0.9
Q30 Bases in RNA read,0.800012
Reads Mapped to Genome: Unique,0.0828
Reads Mapped to Gene: Unique+Multiple Gene,NoMulti
Reads Mapped to Gene: Unique Gene,0
Estimated Number of Cells,0
Fraction of Unique Reads in Cells,-nan
Median UMI per Cell,0
Median Gene per Cell,0
Total Gene Detected,0
"""
FINAL = """Number of input reads |	100
Uniquely mapped reads number |	70
Number of reads mapped to multiple loci |	10
Number of reads mapped to too many loci |	5
Number of reads unmapped: too many mismatches |	4
Number of reads unmapped: too short |	8
Number of reads unmapped: other |	3
"""
CALL = """STAR version=2.7.10b
##### Final user re-defined parameters-----------------:
soloStrand                        {strand}

"""


def test_no_cell_is_told_as_no_value(tmp_path):
    (tmp_path / "Summary.csv").write_text(SUMMARY)
    summary = read_summary(tmp_path / "Summary.csv")
    of_reads = {"valid_barcodes": 0.9826, "q30_barcode": 0.9, "q30_cdna": 0.800012}
    assert figures_of_reads(summary) == of_reads
    found = figures_of_counts(summary, "Gene", 5000)
    assert (found.pop("cells"), found.pop("in_genes")) == (0, 0)
    assert set(found.values()) == {None}


def test_cells(tmp_path):
    text = SUMMARY.replace("Cells,0", "Cells,40").replace("Saturation,-nan", "Saturation,0.5")
    (tmp_path / "Summary.csv").write_text(
        text.replace("Median UMI per Cell,0", "Median UMI per Cell,7")
    )
    found = figures_of_counts(read_summary(tmp_path / "Summary.csv"), "Gene", 5000)
    assert found["cells"] == 40 and found["reads_per_cell"] == 125
    assert found["saturation"] == 0.5 and found["median_umis"] == 7
    assert found["reads_in_cells"] is None


def test_knee_curve_keeps_both_ends_and_tells_cells():
    umis = list(range(100_000, 0, -1))
    curve = knee_curve(umis, umis[:5000])
    assert len(curve) <= 200
    assert curve[0] == [1, 100_000, 1] and curve[-1] == [100_000, 1, 0]
    assert curve == sorted(curve)
    before, at = (next(i for i, point in enumerate(curve) if point[2] < end) for end in (1, 0.001))
    # The stretch that cells end in holds both.
    assert curve[before][0] > 5000 > curve[before - 1][0] and at == before + 1
    assert knee_curve([5, 3, 3, 1], [5, 3]) == [[1, 5, 1], [2, 3, 1], [3, 3, 0], [4, 1, 0]]
    assert knee_curve([7], []) == [[1, 7, 0]]
    assert knee_curve([], []) == []
    with pytest.raises(ValueError, match="1 called cells have UMIs that no barcode has"):
        knee_curve([5, 3], [4])


def test_umis_of_cells(tmp_path):
    path = tmp_path / "matrix.mtx.gz"
    with gzip.open(path, "wt") as file:
        file.write("%%MatrixMarket matrix\n%\n3 2 4\n1 1 2\n3 1 1\n1 2 4\n2 2 5\n")
    assert umis_of_cells(path) == [9, 3]


@pytest.mark.parametrize(("strand", "sense"), [("Forward", 0.7), ("Reverse", 0.1)])
def test_strand_is_as_the_kit_has_it(tmp_path, strand, sense):
    solo = tmp_path / "a.Solo.out"
    for feature in ("Gene", "GeneFull"):
        (solo / feature).mkdir(parents=True)
        text = SUMMARY.replace("Gene: Unique", f"{feature}: Unique")
        (solo / feature / "Summary.csv").write_text(
            text.replace("Unique Gene", f"Unique {feature}")
        )
    (solo / "Gene/UMIperCellSorted.txt").write_text("")
    (tmp_path / "a.Log.final.out").write_text(FINAL)
    (tmp_path / "a.Log.out").write_text(CALL.format(strand=strand))
    counts = "N_noFeature\t5\t15\t75\n"
    (tmp_path / "a.ReadsPerGene.out.tab").write_text(counts)
    found = run_metrics(tmp_path, "a")
    assert found["sense"] == sense and found["antisense"] == pytest.approx(0.8 - sense)
    assert found["reads"] == 100 and found["mapped_unique"] == 0.7
    assert found["unmapped_short"] == 0.08 and found["knee"] == []
    assert found["STAR"]["version"] == "2.7.10b"
