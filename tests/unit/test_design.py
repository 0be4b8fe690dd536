"""The design of a test."""

import numpy as np
import pytest

from latere.design import design_matrix, is_estimable, why_not_estimable


def test_contrast_is_column_1():
    matrix = design_matrix([True, True, False, False], [])
    np.testing.assert_array_equal(matrix, [[1, 1], [1, 1], [1, 0], [1, 0]])


def test_paired_design_has_full_rank():
    case = [True, True, True, False, False, False]
    matrix = design_matrix(case, [["p1", "p2", "p3", "p1", "p2", "p3"]])
    assert matrix.shape == (6, 4)
    assert np.linalg.matrix_rank(matrix) == 4
    assert is_estimable(case, [["p1", "p2", "p3", "p1", "p2", "p3"]])


def test_covariate_that_is_the_contrast_is_not_estimable():
    assert not is_estimable([True, True, False, False], [["f", "f", "m", "m"]])


def test_no_replicate_left_is_not_estimable():
    assert not is_estimable([True, True, False, False], [["a", "b", "c", "d"]])
    assert not is_estimable([True, False], [])
    assert is_estimable([True, True, False], [])


def test_redundant_covariate_adds_no_column():
    case = [True, True, True, False, False, False]
    patient = ["p1", "p2", "p3", "p1", "p2", "p3"]
    assert design_matrix(case, [patient, patient]).shape == (6, 4)


CASE = [True] * 3 + [False] * 3
NAMES = ["c1", "c2", "c3", "h1", "h2", "h3"]


def test_a_number_is_one_column_that_changes_no_other_coefficient():
    ages = [34.0, 51.0, 38.0, 55.0, 60.0, 63.0]
    matrix = design_matrix(CASE, [ages])
    assert matrix.shape == (6, 3)
    plain = np.column_stack([np.ones(6), CASE, ages])
    effect = [np.linalg.lstsq(x, np.arange(6) ** 2, rcond=None)[0][1] for x in (matrix, plain)]
    np.testing.assert_allclose(*effect)
    # As text, each is a category of its own, which leaves no replicate.
    assert not is_estimable(CASE, [list(map(str, ages))])


def test_numbers_far_from_zero_keep_their_rank():
    assert design_matrix(CASE, [[2020.1, 2020.2, 2020.3, 2020.1, 2020.2, 2020.4]]).shape == (6, 3)
    assert design_matrix(CASE, [[1e-9, 2e-9, 3e-9, 1e-9, 5e-9, 3e-9]]).shape == (6, 3)
    assert design_matrix(CASE, [[0.1] * 6]).shape == (6, 2)


@pytest.mark.parametrize(
    ("covariates", "reason"),
    [
        (
            {"sex": list("fmfmfm"), "batch": list("aabxxy")},
            "the covariate 'batch' separates case from control: a only in case (c1, c2), "
            "b only in case (c3), x only in control (h1, h2), y only in control (h3)",
        ),
        (
            {"dose": [5.0, 5.0, 5.0, 0.5, 0.5, 0.5]},
            "the covariate 'dose' separates case from control: 5 only in case (c1, c2, c3), "
            "0.5 only in control (h1, h2, h3)",
        ),
        (
            {"p": [6.0, 2.0, 3.0, 3.0, 4.0, 7.0], "q": [5.0, 1.0, 2.0, 3.0, 4.0, 7.0]},
            "the covariates p, q together separate case from control",
        ),
        (
            {"age": list("123413"), "integrity": [7.1, 8.0, 9.2, 7.7, 6.4, 8.8]},
            "6 samples leave no replicate for a design of 6 coefficients "
            "('age' has 4 values, 'integrity' is a number)",
        ),
        ({"sex": list("fmfmfm")}, ""),
    ],
)
def test_the_cause_is_named(covariates, reason):
    assert why_not_estimable(NAMES, CASE, covariates) == reason
