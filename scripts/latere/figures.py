"""House style of all figures: colours, sizes, panels, legend, and how a figure is saved."""

import textwrap

# Okabe and Ito (2008): colours that colour-blind readers can distinguish.
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
SKY, VERMILION, YELLOW = "#56b4e9", "#d55e00", "#f0e442"
# Text and axes, text of less weight, what is of no interest, and areas behind it.
INK, SOFT, GREY, PALE = "#1c2126", "#5b6570", "#8a929b", "#d3d8dd"
# Areas that lines in full colours are drawn over.
LIGHT_BLUE = "#9cc6e0"
# Categories, the first ones first. After those of Okabe and Ito come Tol's muted colours (2021),
# grey and gold.
CATEGORIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)
CATEGORIES += ("#332288", "#999933", "#882255", "#44aa99", "#aa4499", "#117733", "#cc6677")
CATEGORIES += ("#88ccee", "#666666", "#b8860b")
# Thin lines: neighbours differ most, and each is seen on a light and on a dark page.
LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#8f8f8f")

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


def small_multiples(names: list[str], x_label: str, y_label: str, own_x: bool = False):
    """A panel a run, in rows as wide as a page.

    Parameters
    ----------
    names
        Of the runs.
    x_label, y_label
        Of the outer axes.
    own_x
        Whether each panel has its own horizontal axis; else one scale below the lowest one.

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


def name_axis(axis, subs=(1,)) -> None:
    """Tell the numbers of a logarithmic axis as 1, 10, 100, 1k, 10k, times each of `subs`."""
    from matplotlib.ticker import EngFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=subs, numticks=6))
    axis.set_major_formatter(EngFormatter(sep=""))
    axis.set_minor_locator(LogLocator(subs=[]))


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
        color=SOFT,
    )


def wrap(text: str, width: float, size: float) -> str:
    """Break a text into lines of a width in inches, set in a font size in points."""
    return "\n".join(textwrap.wrap(text, max(8, int(width * 72 / (EM * size)))))


def fit(text: str, width: float, size: float) -> str:
    """As many words of a text as a width in inches holds, set in a font size in points."""
    words = text.split()
    for number in range(len(words), 0, -1):
        line = " ".join(words[:number]) + (" …" if number < len(words) else "")
        if width_of(line, size) <= width:
            return line
    return "…"


def width_of(text: str, size: float) -> float:
    """Width of a line of text in inches, set in a font size in points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=STYLE["font.family"], size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def save(figure, paths: dict[str, str], title: str) -> None:
    """Write a figure in each format; its bytes do not depend on the time.

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
