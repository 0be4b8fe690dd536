"""What the page on the reads is told about STARsolo."""

import json

import pytest

from multiqc import COLUMNS, knee_curve, knee_plot, read_summary, starsolo_table

SUMMARY = """Number of Reads,5000
Reads With Valid Barcodes,0.9826
Sequencing Saturation,-nan
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


def test_summary_as_percent_and_without_undefined_figures(tmp_path):
    path = tmp_path / "Summary.csv"
    path.write_text(SUMMARY)
    found = read_summary(path)
    assert found["Reads With Valid Barcodes"] == pytest.approx(98.26)
    assert found["Number of Reads"] == 5000 and found["Estimated Number of Cells"] == 0
    assert set(COLUMNS) - set(found) == {
        "Sequencing Saturation",
        "Fraction of Unique Reads in Cells",
    }
    json.dumps(starsolo_table({"x": found}), allow_nan=False)


def test_knee_curve_keeps_both_ends():
    umis = list(range(100_000, 0, -1))
    curve = knee_curve(umis)
    assert len(curve) <= 200
    assert curve[0] == [1, 100_000] and curve[-1] == [100_000, 1]
    assert curve == sorted(curve)
    assert knee_curve([5, 3, 1]) == [[1, 5], [2, 3], [3, 1]]
    assert knee_curve([7]) == [[1, 7]]
    assert knee_curve([]) == []
    assert knee_plot({"x": curve})["data"]["x"] == curve
