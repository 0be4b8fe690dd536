"""Simulated studies have the truth that they state, and edgeR's errors on them stay as measured."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from latere.branches import AT_EQUAL_STATE, TOTAL
from latere.tables import ALL, read_tsv

BENCH = Path(__file__).resolve().parents[1] / "bench"
MEASURED = BENCH / "truth.tsv"
# Of shares (false discoveries, power): another LAPACK may choose another neighbour of a cell.
TOLERANCE = 0.02


@pytest.fixture(scope="module")
def bench():
    """The modules of the measurement."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCH)
        import studies
        import truth
    yield studies, truth
    for name in ("studies", "truth"):
        del sys.modules[name]


@pytest.fixture(scope="module")
def blood(bench):
    return bench[0].blood_template()


def two_types(studies):
    """Type a has two states, one at each end; type b one; gene 2 is the same in all."""
    profiles = np.array([[0.1, 0.4, 0.5], [0.3, 0.2, 0.5], [0.4, 0.1, 0.5]])
    genes = np.array(["g0", "g1", "g2"])
    return studies.Template(
        profiles, np.array(["a", "a", "b"]), np.array([-1.0, 1.0, 0.0]), genes, 100
    )


def changes(table, group):
    return table[table["group"] == group].set_index("gene_id")[[TOTAL, AT_EQUAL_STATE]]


def test_composition_is_in_the_total_change_only(bench):
    studies = bench[0]
    # a is 2/3 of the cells; halved and doubled, 1/3.
    planted = np.array([[0.0, 0, 1], [0, 0, 1]])
    truth = studies.true_changes(two_types(studies), studies.SCENARIOS["shift"], planted)
    case, control = 0.2 / 3 + 0.8 / 3, 2 * 0.2 / 3 + 0.4 / 3
    assert changes(truth, ALL).loc["g0", TOTAL] == pytest.approx(np.log2(case / control))
    assert changes(truth, ALL).loc["g0", AT_EQUAL_STATE] == 0
    assert (changes(truth, ALL).loc["g2"] == 1).all()
    assert (changes(truth, "a").loc["g0"] == 0).all()


def test_drift_is_in_the_total_change_only(bench):
    studies = bench[0]
    planted = np.zeros((2, 3))
    truth = studies.true_changes(two_types(studies), studies.SCENARIOS["cont"], planted)
    up = np.exp(0.6) / (np.exp(0.6) + np.exp(-0.6))
    case, control = 0.1 * (1 - up) + 0.3 * up, 0.1 * up + 0.3 * (1 - up)
    assert changes(truth, "a").loc["g0", TOTAL] == pytest.approx(np.log2(case / control))
    assert (changes(truth, "b")[TOTAL] == 0).all()
    assert (truth[AT_EQUAL_STATE] == 0).all()


def test_a_change_in_one_type_counts_by_its_share(bench):
    studies = bench[0]
    planted = np.array([[1.0, 0, 0], [0, 0, 0]])
    truth = studies.true_changes(two_types(studies), studies.SCENARIOS["ts"], planted)
    assert changes(truth, "a").loc["g0", TOTAL] == 1
    assert changes(truth, "b").loc["g0", TOTAL] == 0
    assert changes(truth, ALL).loc["g0", TOTAL] == pytest.approx(np.log2(1.2 / 0.8))


@pytest.mark.parametrize("scenario", ["shift", "cont", "oneside", "prog", "ts"])
def test_cells_have_the_total_change_that_is_stated(bench, blood, scenario):
    studies = bench[0]
    study = studies.simulate(blood, scenario, 20, 1)
    samples = study.cells.obs["sample"].to_numpy()
    case = np.isin(samples, study.sides["case"])
    depth = np.asarray(study.cells.X.sum(axis=1))
    shares = study.cells.X.multiply(1e3 / depth).tocsr()
    sides = [np.asarray(shares[side].mean(axis=0)).ravel() for side in (case, ~case)]
    truth = changes(study.truth, ALL)[TOTAL].to_numpy()
    seen = sides[1] > np.quantile(sides[1], 0.5)
    change = np.log2(sides[0][seen] / sides[1][seen])
    slope, _ = np.polyfit(truth[seen], change, 1)
    assert slope == pytest.approx(1, abs=0.1)
    # What the donors differ by is 0.11.
    assert np.std(change - truth[seen]) < 0.15


def test_a_seed_is_a_study(bench, blood):
    studies = bench[0]
    first, again, other = (studies.simulate(blood, "base", 2, seed) for seed in (1, 1, 2))
    assert (first.cells.X != again.cells.X).nnz == 0
    pd.testing.assert_frame_equal(first.truth, again.truth)
    assert (first.cells.X != other.cells.X).nnz > 0


@pytest.mark.tools("rpy2")
def test_a_run_goes_on_where_it_ended(bench, blood, tmp_path):
    """A scenario called null too, which pandas takes for a missing value."""
    truth, table = bench[1], tmp_path / "table.tsv"
    truth.run(blood, table, ["null"], [2], [1], training=False)
    first = table.read_bytes()
    truth.run(blood, table, ["null"], [2], [1], training=False)
    assert table.read_bytes() == first
    assert "| null | 2 v 2 | all | 1 |" in truth.summarise(read_tsv(table), TOTAL)


@pytest.mark.tools("rpy2")
def test_every_test_finds_what_is_planted(bench, blood, monkeypatch):
    """Trained for too few epochs to measure anything else."""
    studies, truth = bench
    (deep, de), study = truth.defaults(), studies.simulate(blood, "base", 3, 0)
    monkeypatch.setattr(truth, "defaults", lambda: ({**deep, "max_epochs": 10}, de))
    found = pd.DataFrame(truth.measure(study, 0, training=True))
    found = found[(found["group"] == ALL) & (found["question"] == AT_EQUAL_STATE)]
    assert {"edgeR", "state-adjusted", "posterior"} <= set(found["test"])
    assert (found.loc[found["test"] != "posterior", "power"] > 0.3).all()


@pytest.mark.tools("rpy2")
def test_errors_of_edger_stay_as_measured(bench, blood, tmp_path):
    """Seeds 1 and 2 of `base`, 4 v 4."""
    truth, table = bench[1], tmp_path / "table.tsv"
    truth.run(blood, table, ["base"], [4], [1, 2], training=False)
    keys = [*truth.KEYS, "test", "question", "group"]
    now, before = (read_tsv(path).set_index(keys) for path in (table, MEASURED))
    before, shares = before.loc[now.index], ["fdp", "power", "power_large"]
    assert set(now.index.get_level_values("test")) == {"edgeR", "edgeR, 1.2-fold"}
    assert ((now[shares] - before[shares]).abs() <= TOLERANCE).all(axis=None)


def test_the_page_shows_what_was_measured(bench, root):
    page = (root / "docs/numbers.md").read_text(encoding="utf-8")
    assert bench[1].summarise(read_tsv(MEASURED), AT_EQUAL_STATE) in page
