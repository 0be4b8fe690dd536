"""The call of doublets from scores whose truth is known."""

import numpy as np
import pytest

from latere.doublets import call_doublets, find_threshold


def simulate_scores(n_cells=4000, share=0.05, two_types=0.5):
    """Scores of cells, which of them are doublets of two types, and scores of simulated ones."""
    random = np.random.default_rng(0)
    single, double = random.beta(2, 12, 10 * n_cells), random.beta(14, 4, 10 * n_cells)
    n_double = int(share * two_types * n_cells)
    observed = np.r_[single[: n_cells - n_double], double[:n_double]]
    n_double_simulated = int(2 * n_cells * two_types)
    simulated = single[n_cells : 3 * n_cells - n_double_simulated], double[-n_double_simulated:]
    return observed, np.arange(n_cells) >= n_cells - n_double, np.r_[simulated]


@pytest.mark.parametrize("two_types", [0.5, 0.1])
def test_the_share_of_doublets_and_the_best_threshold(two_types):
    observed, doublet, simulated = simulate_scores(two_types=two_types)
    threshold, share = find_threshold(observed, simulated)
    assert 0.05 <= share <= (0.06 if two_types == 0.5 else 0.08)
    gains = [(doublet & (observed > t)).sum() - (~doublet & (observed > t)).sum() for t in observed]
    called = observed > threshold
    assert (called & doublet).sum() - (called & ~doublet).sum() >= max(gains) - 3


def test_calls_are_the_same_on_any_scale():
    observed, _, simulated = simulate_scores()
    calls, facts = call_doublets(observed, simulated)
    assert facts["threshold_by"] == "simulated doublets" and calls.sum() > 40
    for scale in (np.exp, np.log, lambda scores: scores / (50 - 49 * scores)):
        same, told = call_doublets(scale(observed), scale(simulated))
        assert (same == calls).all() and told["implied_rate"] == facts["implied_rate"]


def test_hardly_any_simulated_doublet_with_a_score_of_its_own():
    observed, simulated = np.r_[np.full(199, 0.1), 0.5], np.r_[np.full(380, 0.1), np.full(20, 0.5)]
    calls, facts = call_doublets(observed, simulated)
    assert calls.sum() <= 1 and 0 < facts["implied_rate"] < 1
