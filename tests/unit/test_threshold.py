"""The threshold between two groups of values."""

import numpy as np

from latere.threshold import otsu_threshold


def test_it_lies_amid_the_gap_between_two_heaps():
    random = np.random.default_rng(0)
    heaps = [random.uniform(0, 0.1, 700), random.uniform(0.5, 0.6, 300)]
    assert abs(otsu_threshold(np.concatenate(heaps)) - 0.3) < 0.01
