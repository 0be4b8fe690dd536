"""Which cells were kept: the quality of all called cells against the limits, and why others were
removed."""

import numpy as np
import pandas as pd

from latere.figures import (
    BLUE,
    GREEN,
    GREY,
    INK,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    legend,
    name_axis,
    rows_figure,
)
from latere.quality import REASON_NAMES, REASONS

REASON_COLOURS = {
    "low_counts": ORANGE,
    "low_genes": YELLOW,
    "high_counts": SKY,
    "high_genes": GREEN,
    "high_mt": VERMILION,
    "high_ribo": PURPLE,
    "high_hb": INK,
    "doublet": GREY,
}
DENSITY_POINTS = 96
# A density of fewer cells is drawn by its bandwidth: the cells are shown instead.
LEAST_DENSITY = 10
# Of each metric of a cell: its axis, whether it is logarithmic, and the limits on it.
METRICS = {
    "n_counts": ("UMI counts of a cell", True, ("min_counts", "max_counts")),
    "n_genes": ("genes of a cell", True, ("min_genes", "max_genes")),
    "percent_mt": ("mitochondrial counts (%)", False, ("max_percent_mt",)),
}


def plot_quality(selection: pd.DataFrame, limits: pd.DataFrame, samples: list[str]):
    """Counts, genes and mitochondrial share of all called cells of each sample, with its limits.

    Parameters
    ----------
    selection
        The called cells: sample, and the metrics of `METRICS`.
    limits
        sample, limit, value.
    samples
        In the order of the rows.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, panels, size = rows_figure(samples, [1, 1, 1])
    drawn = limits.set_index(["sample", "limit"])["value"]
    cells = dict(list(selection.groupby("sample", observed=True)))
    for axes, (name, (label, logs, bounds)) in zip(panels, METRICS.items(), strict=True):
        if logs:
            axes.set_xscale("log")
            name_axis(axes.xaxis, subs=(1, 2, 5))
        axes.set_xlabel(label)
        for row, sample in enumerate(samples):
            values = cells[sample][name].dropna().to_numpy(float) if sample in cells else None
            if values is None or not values.size:
                label = "no cell" if values is None else "no gene to measure it"
                place = axes.get_yaxis_transform()
                axes.text(0.02, row, label, transform=place, va="center", fontsize=size, color=GREY)
                continue
            draw_violin(axes, row, values, logs)
            for bound in bounds:
                if pd.notna(limit := drawn.get((sample, bound))):
                    axes.vlines(limit, row - 0.44, row + 0.44, VERMILION, lw=1.4)
        if not logs:
            axes.set_xlim(left=0)
    median = {"marker": "o", "markersize": 3, "linestyle": "", "color": INK}
    legend(
        figure,
        [
            Patch(color=LIGHT_BLUE, label="called cells"),
            Line2D([], [], label="median", **median),
            Line2D([], [], color=VERMILION, linewidth=1.4, label="limit of the sample"),
        ],
    )
    return figure


def draw_violin(axes, row: int, values: np.ndarray, logs: bool) -> None:
    """The cells of a sample along a row: a density, or each cell where they are few.

    Parameters
    ----------
    axes
        Where to draw.
    row
        At this y.
    values
        Of the cells, (n_cells,).
    logs
        Whether the axis is logarithmic; cells at 0 have no place on it.
    """
    drawn = np.log10(values[values > 0]) if logs else values
    if not drawn.size:
        return
    if drawn.size < LEAST_DENSITY or np.ptp(drawn) == 0:
        shown = np.unique(10**drawn if logs else drawn)
        axes.plot(shown, np.full(shown.size, row), "o", color=LIGHT_BLUE, markersize=3)
    else:
        positions, heights = density(drawn)
        positions = 10**positions if logs else positions
        heights = 0.42 * heights
        axes.fill_between(positions, row - heights, row + heights, color=LIGHT_BLUE, linewidth=0)
    axes.plot(np.median(values), row, "o", color=INK, markersize=2.4)


def density(values: np.ndarray, points: int = DENSITY_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """A smooth density, from a histogram: as quick for a million values as for ten.

    Parameters
    ----------
    values
        Shape (n,), not all equal.
    points
        Of the curve.

    Returns
    -------
    positions, heights : numpy.ndarray
        Shape (points,); heights up to 1. Scott's bandwidth, reflected at both ends.
    """
    from scipy.ndimage import gaussian_filter1d

    numbers, edges = np.histogram(values, bins=points)
    bandwidth = values.std() * values.size**-0.2
    heights = gaussian_filter1d(numbers.astype(float), bandwidth / (edges[1] - edges[0]))
    return (edges[1:] + edges[:-1]) / 2, heights / heights.max()


def plot_waterfall(qc: pd.DataFrame):
    """Cells called, removed for each reason and kept, by run.

    Parameters
    ----------
    qc
        As `select_cells` gives it.
    """
    from matplotlib.patches import Patch

    figure, (numbers, shares), size = rows_figure(qc["run"].tolist(), [1, 1.2], side=1.35)
    rows, called = np.arange(len(qc)), qc["called"].to_numpy()
    numbers.barh(rows, qc["kept"], 0.68, color=BLUE)
    numbers.barh(rows, called - qc["kept"], 0.68, left=qc["kept"], color=PALE)
    numbers.set_xlabel("called cells")
    numbers.xaxis.set_major_formatter("{x:,.0f}")
    numbers.locator_params(axis="x", nbins=4)
    numbers.set_xlim(0, max(called.max(), 1))
    done = np.zeros(len(qc))
    found = [reason for reason in REASONS if qc[reason].any()]
    for reason in found:
        percent = 100 * qc[reason].to_numpy() / np.maximum(called, 1)
        shares.barh(rows, percent, 0.68, left=done, color=REASON_COLOURS[reason])
        done += percent
    shares.set_xlabel("removed (% of the called cells)")
    shares.set_xlim(0, 1.05 * done.max() or 1)
    for row, (kept, n) in enumerate(zip(qc["kept"], called, strict=True)):
        label = f"{kept:,} of {n:,} kept ({kept / n:.1%})" if n else "no cell called"
        place = shares.get_yaxis_transform()
        shares.text(
            1.03, row, label.replace("%", " %"), transform=place, va="center", fontsize=min(size, 6)
        )
    handles = [Patch(color=BLUE, label="kept"), Patch(color=PALE, label="removed")]
    handles += [Patch(color=REASON_COLOURS[r], label=REASON_NAMES[r]) for r in found]
    legend(figure, handles, columns=10)
    return figure
