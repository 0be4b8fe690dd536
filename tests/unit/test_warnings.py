"""Warnings of a study's design."""

import pytest

from latere.study.warnings import find_warnings


def warn(rows, header="condition", **changes):
    """Codes and texts of the warnings for samples s1, s2, ... with these cells."""
    columns = header.split()
    samples = {
        f"s{number}": dict(zip(columns, row.split(","), strict=True))
        for number, row in enumerate(rows, start=1)
    }
    contrast = {"column": columns[0], "case": "ill", "control": "well"}
    contrast |= {"covariates": [], "numeric_covariates": []} | changes
    found = find_warnings({"c": contrast}, samples, "sheet.tsv")
    return {warning.code: str(warning) for warning in found}


def test_a_plain_study_has_none():
    rows = ["ill,d1,a", "ill,d2,b", "well,d3,a", "well,d4,b", "other,d1,a"]
    assert warn(rows, "condition donor batch", covariates=["batch"]) == {}


@pytest.mark.parametrize("level", ["", "NA", "n/a", "Unknown", "?"])
def test_a_sample_without_a_level_has_no_part(level):
    found = warn(["ill", "ill", "well", "well", level])
    assert list(found) == ["sample-without-level"]
    assert "contrast 'c': leaves out s5, without a level" in found["sample-without-level"]
    # A side may have the word for its name.
    assert warn(["ill", "ill", "unknown", "unknown"], control="unknown") == {}


@pytest.mark.parametrize("level", ["Ill", "ILL", "ill.", "i-l-l"])
def test_a_level_in_another_writing_has_no_part(level):
    found = warn(["ill", "ill", "well", "well", level])
    assert list(found) == ["level-left-out"]
    assert (
        f"s5, with '{level}'" in found["level-left-out"] and "case 'ill'" in found["level-left-out"]
    )
    assert warn(["ill", "ill", "well", "well", "ill+drug"]) == {}


@pytest.mark.parametrize("column", ["donor", "Patient_ID", "subject.no", "individuals", "mouse_id"])
def test_pairs_that_are_not_used(column):
    rows = ["ill,1", "ill,2", "well,1", "well,2", "well,NA", "well,NA"]
    found = warn(rows, f"condition {column}")
    assert list(found) == ["unused-pairs"]
    assert f"{column} '1' (s1, s3), '2' (s2, s4) have several" in found["unused-pairs"]
    assert f"covariates: [{column}]" in found["unused-pairs"]
    assert warn(rows, f"condition {column}", covariates=[column]) == {}
    assert warn(rows, "condition replicate") == {}
    # A second column of the same subjects says the same; one of mice may hold their strain.
    assert (
        len(warn([f"{row},{row.split(',')[1]}" for row in rows], f"condition {column} person")) == 1
    )
    assert warn(["ill,C57BL/6"] * 2 + ["well,C57BL/6"] * 2, "condition mouse") == {}


def test_a_covariate_that_distinguishes_the_subjects_pairs_them():
    rows = ["ill,1,k1", "ill,2,k2", "well,1,k1", "well,2,k2"]
    assert warn(rows, "condition donor kit", covariates=["kit"]) == {}
    mixed = [row.replace("k2", "k1") for row in rows]
    assert list(warn(mixed, "condition donor kit", covariates=["kit"])) == ["unused-pairs"]


def test_two_samples_of_one_subject_are_no_replicates():
    rows = ["ill,1", "ill,1", "ill,2", "well,3", "well,4"]
    found = warn(rows, "condition animal")
    assert list(found) == ["repeated-subject"]
    assert "animal '1' (s1, s2) has several samples on one side" in found["repeated-subject"]
    both = warn(["ill,1", "ill,1", "well,1", "well,4"], "condition animal")
    assert list(both) == ["unused-pairs", "repeated-subject"]
    # Samples of other levels are in no test.
    assert warn(["ill,1", "ill,2", "well,3", "well,4", "none at all,1"], "condition animal") == {}


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ("34 51 38 55 60 63", True),
        ("7.1 8.0 7.1 6.9 8.8 9", True),
        ("1 2 3 1 2 3", False),
        ("34y 51y 38y 55y 60y 63y", False),
    ],
)
def test_a_quantity_as_categories(values, warned):
    sides = ["ill"] * 3 + ["well"] * 3
    rows = [f"{side},{value}" for side, value in zip(sides, values.split(), strict=True)]
    found = warn(rows, "condition x", covariates=["x"])
    assert list(found) == ["numbers-as-categories"] * warned
    if warned:
        assert "numeric_covariates: [x]" in found["numbers-as-categories"]
    assert warn(rows, "condition patient", covariates=["patient"]) == {}
