"""Which cells are doublets: their scores against those of simulated doublets."""

import numpy as np

from latere.figures import INK, LIGHT_BLUE, VERMILION, legend, say, small_multiples


def plot_doublets(scores: dict[str, np.ndarray], doublets: dict[str, dict]):
    """Doublet scores of the cells against those of simulated doublets, by run.

    Scores rise with the expected share of doublets, and so with the cells of the run: each panel
    has its own axis. It is logarithmic, like the scores that are called, and shows the threshold.

    Parameters
    ----------
    scores
        Of the cells, by run.
    doublets
        What `score_cells` writes, by run.
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
            (np.histogram(of_cells, edges)[0], {"color": LIGHT_BLUE, "fill": True}),
            (np.array(simulated["counts"]), {"color": VERMILION, "lw": 0.9}),
        ):
            axes.stairs(counts / counts.sum(), edges, **style)
            high = max(high, counts.max() / counts.sum())
        axes.axvline(about["threshold"], color=INK, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.set(xscale="log", xlim=(edges[0], 1.03 * edges[-1]), ylim=(0, 1.4 * high))
        axes.set_xticks([about["threshold"]], [f"{about['threshold']:.2g}"])
        axes.set_xticks([], minor=True)
        share = about["n_doublets"] / of_cells.size
        label = f"{about['n_doublets']:,} of {of_cells.size:,}\n({100 * share:.1f} %)"
        axes.text(
            0.04,
            0.95,
            label,
            transform=axes.transAxes,
            fontsize=size,
            va="top",
        )
    line = {"color": INK, "linewidth": 0.9, "linestyle": (0, (3, 2))}
    handles = [
        Patch(color=LIGHT_BLUE, label="cells"),
        Line2D([], [], color=VERMILION, linewidth=0.9, label="simulated doublets"),
        Line2D([], [], label="threshold", **line),
    ]
    legend(figure, handles)
    return figure
