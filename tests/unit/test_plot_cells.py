import xml.etree.ElementTree as ET
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from cell_tables import EMPTY, FEW, FILTERED, SOUND, write_cells
from matplotlib.collections import LineCollection

import plot_cells
from plot_cells import density, main, thin_curve

FIGURES = ["knee", "ambient", "quality", "doublets", "waterfall"]
RUNS = {"a1": "a", "a2": "a", "filtered": "b", "empty": "c", "few": "d"}
KINDS = {"filtered": FILTERED, "empty": EMPTY, "few": FEW}


def draw(folder, runs, kinds=None, **sizes):
    """Run the step; the files it writes, by name."""
    files = write_cells(folder, runs, kinds, **sizes)
    outputs = [folder / f"{name}.{kind}" for name in FIGURES for kind in ("svg", "pdf")]
    main(
        SimpleNamespace(
            input=files,
            output=[str(path) for path in outputs],
            params=SimpleNamespace(runs=runs),
            threads=1,
            log=[folder / "log"],
            rule="plot_cells",
        )
    )
    return {path.name: path.read_bytes() for path in outputs}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_cells, "start", lambda _: SimpleNamespace(info=print))
        return draw(tmp_path_factory.mktemp("drawn"), RUNS, KINDS)


@pytest.fixture(autouse=True)
def no_log(monkeypatch):
    monkeypatch.setattr(plot_cells, "start", lambda _: SimpleNamespace(info=print))


def texts(svg: bytes) -> str:
    """All text of a figure, which must be there as text."""
    return "\n".join(
        "".join(node.itertext()) for node in ET.fromstring(svg).iter() if is_text(node)
    )


def is_text(node) -> bool:
    return node.tag.endswith("}text")


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


def test_every_figure_holds_what_it_should_as_text(drawn):
    knee, ambient, quality, doublets, waterfall = (texts(drawn[f"{n}.svg"]) for n in FIGURES)
    for run in RUNS:
        assert all(run in part for part in (knee, ambient, doublets, waterfall))
    assert "filtered matrix:" in knee and "no empty droplets" in knee
    assert "UMI counts" in knee and "rank of the barcode" in knee and "inflection" in knee
    assert "MALAT1 9.0 %" in ambient and "no answer: There are 0 empty droplets" in ambient
    assert "no cell" in quality and "mitochondrial counts (%)" in quality
    assert "doublet score" in doublets and "100 cells are needed" in doublets
    assert "no cell called" in waterfall and "5 of 5 kept (100.0 %)" in waterfall
    assert "mitochondrial" in waterfall and "haemoglobin" not in waterfall


def test_limits_are_drawn_where_the_table_has_them(tmp_path):
    files = write_cells(tmp_path, {"r": "s"})
    selection = pd.read_parquet(files.selection)
    limits = pd.read_csv(files.limits, sep="\t")
    with matplotlib.rc_context(plot_cells.STYLE):
        figure = plot_cells.plot_quality(selection, limits, ["s"])
    drawn = [
        line.get_segments()[0][0][0]
        for axes in figure.axes
        for line in axes.collections
        if isinstance(line, LineCollection)
    ]
    told = limits.set_index("limit")["value"][["min_counts", "min_genes", "max_percent_mt"]]
    assert drawn == pytest.approx(told.tolist())


def test_bars_add_up_to_the_called_cells(tmp_path):
    qc = pd.read_csv(write_cells(tmp_path, RUNS, KINDS).qc, sep="\t")
    with matplotlib.rc_context(plot_cells.STYLE):
        numbers, shares = plot_cells.plot_waterfall(qc).axes
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


def test_same_tables_same_bytes(drawn, tmp_path):
    assert draw(tmp_path, RUNS, KINDS) == drawn


def test_figures_stay_light(tmp_path):
    drawn = draw(tmp_path, {"r": "s"}, {"r": SOUND}, n_cells=3000, n_empty=100_000)
    assert max(map(len, drawn.values())) < 60_000
    assert not any(b"<image" in svg for name, svg in drawn.items() if name.endswith("svg"))


@pytest.mark.parametrize("kind", [EMPTY, FILTERED])
def test_a_study_of_one_odd_run(kind, tmp_path):
    drawn = draw(tmp_path, {"r": "s"}, {"r": kind})
    assert all(content.startswith(b"%PDF") or b"</svg>" in content for content in drawn.values())


def test_many_runs_with_long_names_stay_on_the_page(tmp_path):
    runs = {f"GSM{n:07d}_a_long_name_of_a_run_{n}": f"sample_{n}" for n in range(37)}
    files = write_cells(tmp_path, runs, dict.fromkeys(list(runs)[::3], FILTERED), 30, 50)
    with matplotlib.rc_context(plot_cells.STYLE):
        for _, figure in plot_cells.draw(files, runs):
            box, width = figure.get_tightbbox(), figure.get_figwidth()
            assert width <= plot_cells.WIDTH + 1e-6
            assert box.x0 >= -0.02 and box.x1 <= width + 0.02
            assert box.y0 >= -0.02 and box.y1 <= figure.get_figheight() + 0.02
