"""Draw how cells were called, what is in them, and which were kept: figures to publish as they are.

Colours are those of Okabe and Ito (2008), told apart by the colour-blind.
"""

import json
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from latere.job import run_script, start
from latere.tables import REASON_NAMES, REASONS, read_tsv

BLUE, ORANGE, VERMILION = "#0072B2", "#E69F00", "#D55E00"
INK, GREY, PALE = "#1c2126", "#8a929b", "#d3d8dd"
REASON_COLOURS = {
    "low_counts": ORANGE,
    "low_genes": "#F0E442",
    "high_counts": "#56B4E9",
    "high_genes": "#009E73",
    "high_mt": VERMILION,
    "high_ribo": "#CC79A7",
    "high_hb": INK,
    "doublet": GREY,
}
STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same form on each machine
    "font.size": 7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 7,
    "legend.frameon": False,
    "text.color": INK,
    "text.parse_math": False,  # a gene whose name has two dollar signs is no formula
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "svg.hashsalt": "latere",
}
WIDTH = 7.09  # inches: 180 mm, two columns of a journal
EM = 0.68  # width of a wide letter, in font sizes
CURVE_POINTS, DENSITY_POINTS = 150, 96
# A density of fewer cells is drawn by its bandwidth: the cells are shown instead.
LEAST_DENSITY = 10
# Of each figure of a cell: its axis, whether it is logarithmic, and the limits on it.
FIGURES = {
    "n_counts": ("UMI counts of a cell", True, ("min_counts", "max_counts")),
    "n_genes": ("genes of a cell", True, ("min_genes", "max_genes")),
    "percent_mt": ("mitochondrial counts (%)", False, ("max_percent_mt",)),
}
AMBIENT_GENES = 4


def thin_curve(n_counts: np.ndarray, called: np.ndarray, points: int = CURVE_POINTS):
    """Counts of barcodes over their rank, at ranks that lie evenly on a logarithmic axis.

    Parameters
    ----------
    n_counts
        UMIs of each barcode, (n_barcodes,); those without any are left out.
    called
        Whether it is a cell, boolean (n_barcodes,). Of barcodes with as many, cells stand first.
    points
        Ranks to keep, at most.

    Returns
    -------
    pandas.DataFrame
        rank (from 1), n_counts, and share: of cells among the barcodes after the rank before.
    """
    seen = n_counts > 0
    n_counts, called = n_counts[seen], called[seen]
    order = np.lexsort((~called, -n_counts))
    cells = np.concatenate([[0], np.cumsum(called[order])])
    ranks = np.unique(np.geomspace(1, max(order.size, 1), points).round().astype(int))
    ranks = ranks[ranks <= order.size]
    before = np.concatenate([[0], ranks])[: ranks.size]
    share = (cells[ranks] - cells[before]) / (ranks - before)
    return pd.DataFrame({"rank": ranks, "n_counts": n_counts[order][ranks - 1], "share": share})


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


def wrap(text: str, width: float, size: float) -> str:
    """Break a text into lines of a width in inches, set in a font size in points."""
    return "\n".join(textwrap.wrap(text, max(8, int(width * 72 / (EM * size)))))


def width_of(text: str, size: float) -> float:
    """Width of a line of text in inches, set in a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=STYLE["font.family"], size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def fit(text: str, width: float, size: float) -> str:
    """As many words of a text as a width in inches holds, set in a font size in points."""
    words = text.split()
    for number in range(len(words), 0, -1):
        line = " ".join(words[:number]) + (" …" if number < len(words) else "")
        if width_of(line, size) <= width:
            return line
    return "…"


def name_axis(axis, subs=(1,)) -> None:
    """Tell the numbers of a logarithmic axis as 1, 10, 100, 1k, 10k, times each of `subs`."""
    from matplotlib.ticker import EngFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_minor_locator(LogLocator(subs=[]))


def legend(figure, handles: list, columns: int = 6) -> None:
    """Name what is drawn, above the panels."""
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        ncols=min(columns, len(handles)),
        fontsize=7,
        handlelength=1.4,
        columnspacing=1.4,
    )


def small_multiples(names: list[str], x_label: str, y_label: str, own_x: bool = False):
    """A panel a run, in rows as wide as a page.

    Parameters
    ----------
    names
        Of the runs.
    x_label, y_label
        Of the outer axes.
    own_x
        Whether each panel has its own horizontal axis; else one scale is told below the lowest.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : list of matplotlib.axes.Axes
        One a run.
    size : float
        Font size of what is written in a panel, points.
    """
    from matplotlib.figure import Figure

    columns = min(len(names), 4 if len(names) <= 12 else 6 if len(names) <= 36 else 8)
    rows = -(-len(names) // columns)
    left, right, top, bottom = 0.55, 0.05, 0.3, 0.45
    gap = 0.12
    panel = min(3.0, (WIDTH - left - right + gap) / columns - gap)
    size = 7 if columns <= 4 else 6 if columns <= 6 else 5
    titles = [wrap(name, panel, size) for name in names]
    head = (max(title.count("\n") for title in titles) + 1) * size * 1.25 / 72 + 0.14
    head += own_x * size * 1.5 / 72
    height = 0.8 * panel
    width = left + columns * (panel + gap) - gap + right
    total = top + rows * (head + height) + bottom
    figure = Figure(figsize=(max(width, 3.35), total))
    panels = []
    for number, title in enumerate(titles):
        row, column = divmod(number, columns)
        at = (left + column * (panel + gap)) / figure.get_figwidth()
        base = (total - top - (row + 1) * (head + height)) / total
        box = (at, base, panel / figure.get_figwidth(), height / total)
        axes = figure.add_axes(box, sharex=panels[0] if panels and not own_x else None)
        axes.set_title(title, fontsize=size, loc="left", pad=3)
        below = own_x or number + columns >= len(names)
        axes.tick_params(labelsize=size, labelbottom=below, labelleft=column == 0)
        panels.append(axes)
    middle = (left + (columns * (panel + gap) - gap) / 2) / figure.get_figwidth()
    figure.text(middle, 0.08 / total, x_label, ha="center", va="bottom")
    side = (bottom + (total - top - bottom) / 2) / total
    figure.text(0.02, side, y_label, ha="left", va="center", rotation=90)
    return figure, panels, size


def say(axes, text: str, size: float) -> None:
    """Write into a panel why there is nothing else, as wide as the panel is."""
    width = axes.get_position().width * axes.figure.get_figwidth()
    axes.text(
        0.5,
        0.5,
        wrap(text, 0.9 * width, size),
        transform=axes.transAxes,
        ha="center",
        va="center",
        fontsize=size,
        color="#5b6570",
    )


def rows_figure(names: list[str], widths: list[float], side: float = 0):
    """Panels side by side in which each name has a row, the first on top.

    Parameters
    ----------
    names
        Of runs or samples.
    widths
        Of the panels, relative.
    side
        Room for text right of the panels, inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
    panels : list of matplotlib.axes.Axes
        Row k is at y = k.
    size : float
        Font size of the rows, points.
    """
    from matplotlib.figure import Figure

    size = 7 if len(names) <= 36 else 6
    labels = [wrap(name, 1.6, size) for name in names]
    lines = max(label.count("\n") for label in labels) + 1
    pitch = max(0.24 if len(names) <= 12 else 0.17 if len(names) <= 36 else 0.12, lines * size / 60)
    longest = max(width_of(line, size) for label in labels for line in label.split("\n"))
    left, top, bottom, gap = longest + 0.15, 0.42, 0.42, 0.3
    total = top + max(len(names), 2) * pitch + bottom
    figure = Figure(figsize=(WIDTH, total))
    room = WIDTH - left - side - 0.1 - gap * (len(widths) - 1)
    panels, at = [], left
    for share in widths:
        width = room * share / sum(widths)
        axes = figure.add_axes(
            (at / WIDTH, bottom / total, width / WIDTH, (total - top - bottom) / total)
        )
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_yticks(range(len(names)), labels if at == left else [])
        axes.tick_params(axis="y", length=0, labelsize=size)
        panels.append(axes)
        at += width + gap
    return figure, panels, size


def plot_knee(curves: dict[str, pd.DataFrame], callings: dict[str, dict]):
    """Counts over rank, by run: which barcodes are cells, and where the curve bends.

    Parameters
    ----------
    curves
        As `thin_curve` gives them, by run.
    callings
        What `call_cells` tells, by run.
    """
    from matplotlib.lines import Line2D

    figure, panels, size = small_multiples(list(curves), "rank of the barcode", "UMI counts")
    kinds = {
        "cells": (BLUE, 1.8),
        "cells and others": (ORANGE, 1.4),
        "other barcodes": (GREY, 0.9),
    }
    far = max((curve["rank"].max() for curve in curves.values() if len(curve)), default=10)
    high = max((curve["n_counts"].max() for curve in curves.values() if len(curve)), default=10)
    for axes, (run, curve) in zip(panels, curves.items(), strict=True):
        axes.set(xscale="log", yscale="log", xlim=(0.8, 1.5 * far), ylim=(0.8, 2 * high))
        name_axis(axes.xaxis)
        name_axis(axes.yaxis)
        kind = np.select([curve["share"] == 1, curve["share"] > 0], [0, 1], 2)
        for part in np.split(np.arange(len(curve)), np.flatnonzero(np.diff(kind)) + 1):
            if not part.size:
                continue
            colour, width = list(kinds.values())[kind[part[0]]]
            points = curve.iloc[max(part[0] - 1, 0) : part[-1] + 1]
            axes.plot(
                points["rank"],
                points["n_counts"],
                color=colour,
                linewidth=width,
                # A curve of one barcode has no length.
                marker="." if len(curve) == 1 else None,
                solid_capstyle="butt",
            )
        calling = callings[run]
        for name, mark in (("knee", "o"), ("inflection", "^")):
            if calling[name] is not None:
                reached = curve.loc[curve["n_counts"] >= calling[name], "rank"].max()
                axes.plot(reached, calling[name], mark, color=INK, fillstyle="none", markersize=4)
        told = f"{calling['called']:,} cells"
        if calling["method"] == "all":
            told += "\nfiltered matrix:\nno empty droplets"
        axes.text(0.05, 0.06, told, transform=axes.transAxes, fontsize=size, va="bottom")
    handles = [Line2D([], [], color=c, linewidth=w, label=k) for k, (c, w) in kinds.items()]
    for name, mark in (("knee", "o"), ("inflection", "^")):
        if any(calling[name] is not None for calling in callings.values()):
            style = {"color": INK, "fillstyle": "none", "linestyle": "", "markersize": 4}
            handles.append(Line2D([], [], marker=mark, label=name, **style))
    legend(figure, handles, columns=5 if len(curves) > 1 else 3)
    return figure


def plot_ambient(ambient: dict[str, dict]):
    """Share of ambient RNA in the cells of each run, and the genes that it is most made of.

    Parameters
    ----------
    ambient
        What `call_cells` tells, by run.
    """
    figure, (axes, text), size = rows_figure(list(ambient), [1, 1.35])
    shares = [np.nan if a["share"] is None else 100 * a["share"] for a in ambient.values()]
    axes.hlines(range(len(shares)), 0, shares, color=BLUE, linewidth=1)
    axes.plot(shares, range(len(shares)), "o", color=BLUE, markersize=4)
    known = np.nanmax([*shares, 0])
    axes.set_xlim(0, 1.25 * known if known else 1)
    axes.set_xlabel("ambient RNA (% of the cells' molecules)")
    text.set_axis_off()
    room = text.get_position().width * WIDTH
    for row, about in enumerate(ambient.values()):
        if about["share"] is None:
            told = f"no answer: {about['reason']}"
        else:
            axes.annotate(
                f"{shares[row]:.1f}",
                (shares[row], row),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=size,
            )
            genes = about["top_genes"][:AMBIENT_GENES]
            told = ", ".join(f"{g['gene_name']} {100 * g['share']:.1f} %" for g in genes)
        text.text(0, row, fit(told, room, 6), va="center", fontsize=6)
    text.set_title("most frequent ambient genes, share of the ambient RNA", loc="left", pad=4)
    return figure


def plot_quality(selection: pd.DataFrame, limits: pd.DataFrame, samples: list[str]):
    """Counts, genes and mitochondrial share of all called cells of each sample, with its limits.

    Parameters
    ----------
    selection
        The called cells: sample, and the figures of `FIGURES`.
    limits
        sample, limit, value.
    samples
        In the order of the rows.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, panels, size = rows_figure(samples, [1, 1, 1])
    values = limits.set_index(["sample", "limit"])["value"]
    cells = dict(list(selection.groupby("sample", observed=True)))
    for axes, (name, (label, logs, bounds)) in zip(panels, FIGURES.items(), strict=True):
        if logs:
            axes.set_xscale("log")
            name_axis(axes.xaxis, subs=(1, 2, 5))
        axes.set_xlabel(label)
        for row, sample in enumerate(samples):
            figures = cells[sample][name].dropna().to_numpy(float) if sample in cells else None
            if figures is None or not figures.size:
                told = "no cell" if figures is None else "no gene that tells it"
                place = axes.get_yaxis_transform()
                axes.text(0.02, row, told, transform=place, va="center", fontsize=size, color=GREY)
                continue
            draw_violin(axes, row, figures, logs)
            for bound in bounds:
                if pd.notna(limit := values.get((sample, bound))):
                    axes.vlines(limit, row - 0.44, row + 0.44, VERMILION, lw=1.4)
        if not logs:
            axes.set_xlim(left=0)
    median = {"marker": "o", "markersize": 3, "linestyle": "", "color": INK}
    legend(
        figure,
        [
            Patch(color="#9cc6e0", label="called cells"),
            Line2D([], [], label="median", **median),
            Line2D([], [], color=VERMILION, linewidth=1.4, label="limit of the sample"),
        ],
    )
    return figure


def draw_violin(axes, row: int, figures: np.ndarray, logs: bool) -> None:
    """The cells of a sample along a row: a density, or each cell where they are few.

    Parameters
    ----------
    axes
        Where to draw.
    row
        At this y.
    figures
        Of the cells, (n_cells,).
    logs
        Whether the axis is logarithmic; cells at 0 have no place on it.
    """
    drawn = np.log10(figures[figures > 0]) if logs else figures
    if not drawn.size:
        return
    if drawn.size < LEAST_DENSITY or np.ptp(drawn) == 0:
        shown = np.unique(10**drawn if logs else drawn)
        axes.plot(shown, np.full(shown.size, row), "o", color="#9cc6e0", markersize=3)
    else:
        positions, heights = density(drawn)
        positions = 10**positions if logs else positions
        heights = 0.42 * heights
        axes.fill_between(positions, row - heights, row + heights, color="#9cc6e0", linewidth=0)
    axes.plot(np.median(figures), row, "o", color=INK, markersize=2.4)


def plot_doublets(scores: dict[str, np.ndarray], doublets: dict[str, dict]):
    """Doublet scores of the cells against those of simulated doublets, by run.

    A score rises with the doublets that are expected, so with the cells of its run: each panel has
    its own axis, logarithmic as the scores are called, on which the threshold is told.

    Parameters
    ----------
    scores
        Of the cells, by run.
    doublets
        What `score_cells` tells, by run.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    figure, panels, size = small_multiples(
        list(scores), "doublet score, log scale", "share", own_x=True
    )
    for axes, (run, of_cells) in zip(panels, scores.items(), strict=True):
        axes.set_yticks([])
        about = doublets[run]
        if about["threshold"] is None:
            axes.set_xticks([])
            say(axes, about["reason"], size)
            continue
        simulated = about["simulated_scores"]
        edges = np.array(simulated["edges"])
        high = 0
        for counts, style in (
            (np.histogram(of_cells, edges)[0], {"color": "#9cc6e0", "fill": True}),
            (np.array(simulated["counts"]), {"color": VERMILION, "lw": 0.9}),
        ):
            axes.stairs(counts / counts.sum(), edges, **style)
            high = max(high, counts.max() / counts.sum())
        axes.axvline(about["threshold"], color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.set(xscale="log", xlim=(edges[0], 1.03 * edges[-1]), ylim=(0, 1.4 * high))
        axes.set_xticks([about["threshold"]], [f"{about['threshold']:.2g}"])
        axes.set_xticks([], minor=True)
        share = about["n_doublets"] / of_cells.size
        told = f"{about['n_doublets']:,} of {of_cells.size:,}\n({100 * share:.1f} %)"
        axes.text(
            0.04,
            0.95,
            told,
            transform=axes.transAxes,
            fontsize=size,
            va="top",
        )
    line = {"color": INK, "linewidth": 0.9, "linestyle": (0, (3, 2))}
    handles = [
        Patch(color="#9cc6e0", label="cells"),
        Line2D([], [], color=VERMILION, linewidth=0.9, label="simulated doublets"),
        Line2D([], [], label="threshold", **line),
    ]
    legend(figure, handles)
    return figure


def plot_waterfall(qc: pd.DataFrame):
    """Cells called, lost to each reason and kept, by run.

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
    shares.set_xlabel("lost (% of the called cells)")
    shares.set_xlim(0, 1.05 * done.max() or 1)
    for row, (kept, n) in enumerate(zip(qc["kept"], called, strict=True)):
        told = f"{kept:,} of {n:,} kept ({kept / n:.1%})" if n else "no cell called"
        place = shares.get_yaxis_transform()
        shares.text(
            1.03, row, told.replace("%", " %"), transform=place, va="center", fontsize=min(size, 6)
        )
    handles = [Patch(color=BLUE, label="kept"), Patch(color=PALE, label="lost")]
    handles += [Patch(color=REASON_COLOURS[r], label=REASON_NAMES[r]) for r in found]
    legend(figure, handles, columns=10)
    return figure


def save(figure, paths: dict[str, str], title: str) -> None:
    """Write a figure in each format; its bytes do not tell when.

    Parameters
    ----------
    figure
        The figure.
    paths
        Where to, by format (`svg`, `pdf`).
    title
        For its metadata.
    """
    dates = {"svg": "Date", "pdf": "CreationDate"}
    for kind, path in paths.items():
        figure.savefig(path, format=kind, metadata={dates[kind]: None, "Title": title})


def draw(files, runs: dict[str, str]):
    """All figures, one at a time.

    Parameters
    ----------
    files
        Inputs of the rule.
    runs
        Sample by run.

    Yields
    ------
    name : str
    figure : matplotlib.figure.Figure
    """
    told = [json.loads(Path(path).read_text(encoding="utf-8")) for path in files.ambient]
    curves = {}
    for run, path in zip(runs, files.droplets, strict=True):
        droplets = pd.read_parquet(path, columns=["n_counts", "called"])
        curves[run] = thin_curve(droplets["n_counts"].to_numpy(), droplets["called"].to_numpy(bool))
    yield "knee", plot_knee(curves, {about["run"]: about["calling"] for about in told})
    yield "ambient", plot_ambient({about["run"]: about["ambient"] for about in told})
    columns = ["run", "sample", *FIGURES, "doublet_score"]
    selection = pd.read_parquet(files.selection, columns=columns)
    limits = read_tsv(files.limits)
    yield "quality", plot_quality(selection, limits, list(dict.fromkeys(runs.values())))
    scores = {
        run: selection.loc[selection["run"] == run, "doublet_score"].to_numpy() for run in runs
    }
    facts = [json.loads(Path(path).read_text(encoding="utf-8")) for path in files.doublets]
    yield "doublets", plot_doublets(scores, {about["run"]: about for about in facts})
    yield "waterfall", plot_waterfall(read_tsv(files.qc))


def main(snakemake):
    log = start(snakemake)
    import matplotlib

    with matplotlib.rc_context(STYLE):
        for name, figure in draw(snakemake.input, snakemake.params.runs):
            paths = [path for path in snakemake.output if Path(path).stem == name]
            save(figure, {Path(path).suffix[1:]: path for path in paths}, name)
            log.info("%s: %.1f x %.1f inches", name, *figure.get_size_inches())


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
