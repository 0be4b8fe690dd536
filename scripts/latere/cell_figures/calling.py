"""How cells were called: the knee of each run, and the ambient RNA in its cells."""

import numpy as np
import pandas as pd

from latere.figures import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    WIDTH,
    fit,
    legend,
    name_axis,
    rows_figure,
    small_multiples,
)

CURVE_POINTS = 150
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


def plot_knee(curves: dict[str, pd.DataFrame], callings: dict[str, dict]):
    """Counts over rank, by run: which barcodes are cells, and where the curve bends.

    Parameters
    ----------
    curves
        As `thin_curve` gives them, by run.
    callings
        What `call_cells` writes, by run.
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
        label = f"{calling['called']:,} cells"
        if calling["method"] == "all":
            label += "\nfiltered matrix:\nno empty droplets"
        axes.text(0.05, 0.06, label, transform=axes.transAxes, fontsize=size, va="bottom")
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
        What `call_cells` writes, by run.
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
            label = f"no estimate: {about['reason']}"
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
            label = ", ".join(f"{g['gene_name']} {100 * g['share']:.1f} %" for g in genes)
        text.text(0, row, fit(label, room, 6), va="center", fontsize=6)
    text.set_title("most frequent ambient genes, share of the ambient RNA", loc="left", pad=4)
    return figure
