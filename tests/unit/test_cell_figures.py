"""Figures of the cells: what is drawn is what the tables hold."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from cell_tables import EMPTY, FEW, FILTERED, write_cells
from matplotlib.collections import LineCollection

from latere.cell_figures.calling import thin_curve
from latere.cell_figures.selection import density, plot_quality, plot_waterfall
from latere.figures import STYLE


def test_curve_keeps_ends_and_tells_cells():
    n_counts = np.r_[np.arange(1000, 900, -1), 5, np.full(5000, 5), 0]
    called = np.r_[np.ones(101, bool), np.zeros(5001, bool)]
    shuffled = np.random.default_rng(0).permutation(n_counts.size)
    curve = thin_curve(n_counts[shuffled], called[shuffled], 60)
    assert len(curve) <= 60
    assert curve.iloc[0].tolist() == [1, 1000, 1]
    assert curve.iloc[-1].tolist() == [5101, 5, 0]
    assert (curve.loc[curve["rank"] <= 101, "share"] == 1).all()
    # The cells that stand between two ranks are in the share of the later.
    steps = np.diff(curve["rank"], prepend=0)
    assert (curve["share"] * steps).sum() == pytest.approx(101)


def test_curve_of_nothing():
    assert thin_curve(np.array([], int), np.array([], bool)).empty
    assert thin_curve(np.zeros(3, int), np.zeros(3, bool)).empty
    assert thin_curve(np.array([7]), np.array([True])).values.tolist() == [[1, 7, 1]]


def test_density_finds_the_modes():
    rng = np.random.default_rng(0)
    positions, heights = density(np.r_[rng.normal(0, 1, 4000), rng.normal(10, 1, 2000)])
    left = positions < 5
    assert heights.max() == 1
    assert positions[left][heights[left].argmax()] == pytest.approx(0, abs=0.5)
    assert positions[~left][heights[~left].argmax()] == pytest.approx(10, abs=0.5)
    assert heights[~left].max() == pytest.approx(0.5, abs=0.1)


def test_limits_are_drawn_where_the_table_has_them(tmp_path):
    files = write_cells(tmp_path, {"r": "s"})
    selection = pd.read_parquet(files.selection)
    limits = pd.read_csv(files.limits, sep="\t")
    with matplotlib.rc_context(STYLE):
        figure = plot_quality(selection, limits, ["s"])
    drawn = [
        line.get_segments()[0][0][0]
        for axes in figure.axes
        for line in axes.collections
        if isinstance(line, LineCollection)
    ]
    told = limits.set_index("limit")["value"][["min_counts", "min_genes", "max_percent_mt"]]
    assert drawn == pytest.approx(told.tolist())


def test_bars_add_up_to_the_called_cells(tmp_path):
    runs = {"a1": "a", "a2": "a", "filtered": "b", "empty": "c", "few": "d"}
    kinds = {"filtered": FILTERED, "empty": EMPTY, "few": FEW}
    qc = pd.read_csv(write_cells(tmp_path, runs, kinds).qc, sep="\t")
    with matplotlib.rc_context(STYLE):
        numbers, shares = plot_waterfall(qc).axes
    for axes, total in (
        (numbers, qc["called"]),
        (shares, 100 * (1 - qc["kept"] / qc["called"]).fillna(1)),
    ):
        # One after the other from 0, a row a run.
        widths, starts = (
            np.array([getattr(bar, f"get_{part}")() for bar in axes.patches]).reshape(-1, len(qc))
            for part in ("width", "x")
        )
        before = np.cumsum(widths, axis=0) - widths
        assert starts == pytest.approx(before)
        known = qc["called"] > 0
        assert widths.sum(axis=0)[known] == pytest.approx(total[known])
