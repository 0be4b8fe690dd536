"""The design of a test."""

import numpy as np

from latere.design import design_matrix, is_estimable


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
