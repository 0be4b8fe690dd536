"""Draw how cells were called, what is in them, and which were kept: figures ready to publish."""

import json
from pathlib import Path

import pandas as pd

from latere.cell_figures.calling import plot_ambient, plot_knee, thin_curve
from latere.cell_figures.doublets import plot_doublets
from latere.cell_figures.selection import METRICS, plot_quality, plot_waterfall
from latere.figures import STYLE, save
from latere.job import run_script, start
from latere.tables import read_tsv


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
    columns = ["run", "sample", *METRICS, "doublet_score"]
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
