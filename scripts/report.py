"""Write the page for people: one self-contained file that opens without a network.

Nothing is computed here that is not in a table: the page only shows what the tables say.
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from latere.job import start
from latere.tables import read_by_cell

BRANCHES = ("deep", "manual")
# Rows of the truth tables that add up the others (compare_truth.py).
EVERY_RUN, POOLED = "every run", "cell types, pooled"
CATEGORIES = ("neither", "deep only", "manual only", "both")
# Genes called by no branch, drawn in one scatter: enough to show the cloud, few enough to load.
NEITHER_SHOWN = 1500
TOP_GENES = 25
# A column with more levels is a name, not a colour.
MOST_LEVELS = 40
# Figures of STARsolo's Summary.csv: heading and format.
READ_FIGURES = {
    "Number of Reads": ("reads", "count"),
    "Reads With Valid Barcodes": ("valid barcodes", "share"),
    "Reads Mapped to Genome: Unique": ("in genome, one place", "share"),
    "Reads Mapped to Gene: Unique Gene": ("in one gene", "share"),
    "Sequencing Saturation": ("saturation", "share"),
    "Estimated Number of Cells": ("cells called", "count"),
    "Median UMI per Cell": ("median UMIs a cell", "count"),
    "Median Gene per Cell": ("median genes a cell", "count"),
}


def natural_order(levels) -> list:
    """Sort names so that cluster 10 follows cluster 9.

    Parameters
    ----------
    levels
        Names, str.
    """

    def key(name):
        return [
            (0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name) if p
        ]

    return sorted(levels, key=key)


def encode(values: pd.Series) -> dict:
    """Store labels as small integers, so that a page of many cells stays small.

    Parameters
    ----------
    values
        Labels, shape (cells,).

    Returns
    -------
    dict
        levels (names in natural order) and codes (index of each value in them).
    """
    values = values.astype(str)
    levels = natural_order(values.unique())
    return {"levels": levels, "codes": pd.Categorical(values, levels).codes.tolist()}


def map_data(umaps: dict, cells: pd.DataFrame, labels: dict) -> dict:
    """Collect what the maps of both branches draw.

    Parameters
    ----------
    umaps
        Of each branch: umap_1, umap_2 by cell.
    cells
        Columns to colour by that both branches share, by cell.
    labels
        Of each branch: cell_type, cluster by cell.

    Returns
    -------
    dict
        points: of each branch x and y, to three digits; colours: a list of name, shared (do
        the levels mean the same in both branches?) and the codes of each branch.
    """
    points = {
        branch: {
            axis: umaps[branch].loc[cells.index, column].astype(float).round(3).tolist()
            for axis, column in (("x", "umap_1"), ("y", "umap_2"))
        }
        for branch in BRANCHES
    }
    colours = []
    for name, shared in (("cell_type", True), ("cluster", False)):
        both = {branch: encode(labels[branch].loc[cells.index, name]) for branch in BRANCHES}
        if shared:
            joined = pd.concat([labels[branch].loc[cells.index, name] for branch in BRANCHES])
            codes = encode(joined)
            halves = (codes["codes"][: len(cells)], codes["codes"][len(cells) :])
            both = {
                branch: {"levels": codes["levels"], "codes": half}
                for branch, half in zip(BRANCHES, halves, strict=True)
            }
        colours.append({"name": name.replace("_", " "), "shared": shared, **both})
    for name in cells.columns:
        if 1 < cells[name].nunique() <= MOST_LEVELS:
            codes = encode(cells[name])
            colours.append({"name": name, "shared": True, "deep": codes, "manual": codes})
    return {"points": points, "colours": colours}


def thin(genes: pd.DataFrame, most: int) -> pd.DataFrame:
    """Keep all called genes and an even choice of the others.

    Parameters
    ----------
    genes
        Genes of one group, with `category`.
    most
        How many genes of the category `neither` to keep.
    """
    neither = np.flatnonzero(genes["category"] == "neither")
    if len(neither) <= most:
        return genes
    kept = neither[np.linspace(0, len(neither) - 1, most).astype(int)]
    return genes.iloc[np.union1d(kept, np.flatnonzero(genes["category"] != "neither"))]


def scatter_data(genes: dict) -> dict:
    """Collect fold changes of both branches, by contrast and group.

    Parameters
    ----------
    genes
        Of each contrast, the joined genes (`comparison/genes`).

    Returns
    -------
    dict
        names: gene names; groups: a list of contrast, group, tested, and for the genes shown
        the columns x (deep), y (manual), category (index in `CATEGORIES`), name (index in
        names).
    """
    groups, names = [], {}
    for contrast, table in genes.items():
        for group, rows in table.groupby("group", sort=False):
            shown = thin(rows, NEITHER_SHOWN)
            groups.append(
                {
                    "contrast": contrast,
                    "group": group,
                    "tested": len(rows),
                    "x": shown["log2fc_deep"].astype(float).round(2).tolist(),
                    "y": shown["log2fc_manual"].astype(float).round(2).tolist(),
                    "category": pd.Categorical(shown["category"], CATEGORIES).codes.tolist(),
                    "name": [names.setdefault(name, len(names)) for name in shown["gene_name"]],
                }
            )
    return {"names": list(names), "groups": groups}


def top_genes(de: pd.DataFrame, n: int) -> list[list]:
    """The genes that rank highest by score, of each group.

    Parameters
    ----------
    de
        Differential expression of one branch and contrast.
    n
        How many of a group.

    Returns
    -------
    list of list
        contrast, group, gene_name, gene_id, log2fc, mean_case, mean_control, score, fdr,
        significant; numbers to three digits, None where there is none.
    """
    # Scores tie (a posterior probability of 1): the larger change first.
    ranked = de.assign(change=de["log2fc"].abs())
    ranked = ranked.sort_values(["score", "change", "gene_id"], ascending=[False, False, True])
    ranked = ranked.groupby("group", sort=False).head(n)
    columns = ["contrast", "group", "gene_name", "gene_id"]
    numbers = ["log2fc", "mean_case", "mean_control", "score", "fdr"]
    return [
        [*row[:4], *(round_number(value) for value in row[4:9]), bool(row[9])]
        for row in ranked[[*columns, *numbers, "significant"]].itertuples(index=False)
    ]


def round_number(value) -> float | None:
    """A number to three significant digits; None if it is none, as JSON has no NaN."""
    return float(f"{value:.3g}") if np.isfinite(value) else None


def read_star_summary(folder: Path, run: str) -> dict:
    """Figures of one run from STARsolo's own summary.

    Parameters
    ----------
    folder
        Output of STARsolo.
    run
        Its name.
    """
    path = folder / f"{run}.Solo.out" / "Gene" / "Summary.csv"
    summary = pd.read_csv(path, header=None, index_col=0)[1]
    return {"run": run} | {name: float(summary[name]) for name in READ_FIGURES}


def read_versions(paths: list) -> list[dict]:
    """Versions of all tools, from the files that MultiQC reads.

    Parameters
    ----------
    paths
        YAML files: tool and version, or a level of groups above.

    Returns
    -------
    list of dict
        tool and version, sorted; a tool of two environments has a row a version.
    """
    import yaml

    found = set()
    for path in paths:
        for name, value in yaml.safe_load(Path(path).read_text()).items():
            tools = value if isinstance(value, dict) else {name: value}
            found |= {(tool, str(version)) for tool, version in tools.items()}
    return [
        {"tool": tool, "version": version}
        for tool, version in sorted(found, key=lambda pair: (pair[0].lower(), pair[1]))
    ]


def git_commit(folder: str) -> str:
    """The commit of the workflow, marked where its files were changed since.

    Parameters
    ----------
    folder
        A folder of the checkout.
    """

    def git(*words):
        return subprocess.run(
            ["git", "-C", folder, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        return commit + (" with changes" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "not known (no git checkout)"


def checksum(path: str) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def format_count(value) -> str:
    """A whole number with thousands marked."""
    return f"{value:,.0f}" if pd.notna(value) else "NA"


def format_share(value) -> str:
    """A share as percent."""
    return f"{100 * value:.1f} %" if pd.notna(value) else "NA"


def format_correlation(value) -> str:
    """A number around 0 to 1, with the decimals that tell 0.99 from 1."""
    return f"{value:.3f}" if pd.notna(value) else "NA"


def format_number(value) -> str:
    """A number to three digits."""
    return f"{value:.3g}" if pd.notna(value) else "NA"


def render(template: Path, **context) -> str:
    """Fill the template; every value is escaped.

    Parameters
    ----------
    template
        The file.
    context
        What it names.
    """
    import jinja2
    import plotly.offline

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters.update(
        count=format_count,
        share=format_share,
        correlation=format_correlation,
        number=format_number,
    )
    page = environment.get_template(template.name)
    return page.render(plotly=plotly.offline.get_plotlyjs(), **context)


def records(table: pd.DataFrame) -> list[dict]:
    """Rows as dictionaries, None where a value is missing, as JSON has no NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def read_table(path) -> pd.DataFrame:
    """A TSV whose only missing value is NA."""
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values={"NA"})


def describe_runs(runs: dict, samples: dict) -> tuple[list[dict], list[tuple]]:
    """The sample sheet for the page.

    Parameters
    ----------
    runs
        Of each run: sample and source.
    samples
        Of each sample: its columns.

    Returns
    -------
    tuple
        Rows, and for each column its key, heading and format.
    """
    rows = [{"run": run, **about, **samples[about["sample"]]} for run, about in runs.items()]
    return rows, [(name, name, "text") for name in rows[0]]


def describe_contrasts(contrasts: dict, samples: dict) -> list[dict]:
    """The contrasts with the number of samples on each side."""
    rows = []
    for name, contrast in contrasts.items():
        levels = [columns[contrast["column"]] for columns in samples.values()]
        sides = {f"n_{side}": levels.count(contrast[side]) for side in ("case", "control")}
        covariates = ", ".join(contrast["covariates"]) or "none"
        rows.append({"name": name, **contrast, **sides, "covariates": covariates})
    return rows


def count_cell_types(labels: dict) -> list[dict]:
    """Cells of each type in each branch, and in both alike; the most frequent first."""
    deep, manual = (labels[branch]["cell_type"].astype(str) for branch in BRANCHES)
    table = pd.DataFrame(
        {
            "deep": deep.value_counts(),
            "manual": manual.value_counts(),
            "both": deep[deep == manual].value_counts(),
        }
    ).fillna(0)
    table = table.rename_axis("cell_type").reset_index()
    return records(table.sort_values(["manual", "cell_type"], ascending=[False, True]))


def read_cells(files, samples: dict) -> tuple[pd.DataFrame, dict, dict, dict]:
    """What the maps need: columns of the cells, UMAPs and labels of both branches, gene counts.

    Parameters
    ----------
    files
        Inputs of the rule.
    samples
        Of each sample: its columns.
    """
    import anndata as ad

    cells = ad.read_h5ad(files.cells, backed="r")
    obs = cells.obs[["sample", "run"]].astype(str)
    described = pd.DataFrame.from_dict(samples, orient="index").reindex(obs["sample"])
    obs = obs.join(described.set_index(obs.index))
    umaps = {branch: read_by_cell(files[f"{branch}_umap"], obs.index) for branch in BRANCHES}
    labels = {
        branch: read_by_cell(files[f"{branch}_cell_types"], obs.index).join(
            read_by_cell(files[f"{branch}_clusters"], obs.index)
        )
        for branch in BRANCHES
    }
    n_genes = {"n_genes": cells.n_vars, "n_tested": int(cells.var["tested"].sum())}
    return obs, umaps, labels, n_genes


def collect_study(files, params) -> dict:
    """What the page says of the study, its reads, cells and labels."""
    obs, umaps, labels, n_genes = read_cells(files, params.samples)
    qc = read_table(files.qc)
    runs, run_columns = describe_runs(params.runs, params.samples)
    folders = zip(params.sequenced, files.get("starsolo", []), strict=True)
    named = pd.concat([labels[branch]["source"] for branch in BRANCHES]).unique()
    return {
        "study": params.config["study"],
        "config": params.config,
        "config_text": json.dumps(params.config, indent=2),
        "samples": params.samples,
        "runs": runs,
        "run_columns": run_columns,
        "contrasts": describe_contrasts(params.config["contrasts"], params.samples),
        "star": [read_star_summary(Path(folder), run) for run, folder in folders],
        "star_columns": [("run", "run", "text")]
        + [(key, *heading) for key, heading in READ_FIGURES.items()],
        "multiqc": "read_qc/multiqc.html" if files.get("multiqc") else None,
        "qc": records(qc.assign(removed=qc["called"] - qc["kept"])),
        "n_cells": len(obs),
        "called": int(qc["called"].sum()),
        **n_genes,
        "cell_types": count_cell_types(labels),
        "sources": " and ".join(named),
        "map": map_data(umaps, obs, labels),
    }


def collect_results(files, params) -> dict:
    """What the page says of tests, comparison, truth and training."""
    training = json.loads(Path(files.training).read_text())
    history = training["history"]
    genes = zip(params.config["contrasts"], files.genes, strict=True)
    return {
        "summary": records(read_table(files.summary)),
        "skipped": records(read_table(files.skipped)),
        "labels": records(read_table(files.labels))[0],
        "truth": records(read_table(files.truth)) if files.get("truth") else None,
        "truth_de": records(read_table(files.truth_de)) if files.get("truth_de") else None,
        "every_run": EVERY_RUN,
        "pooled": POOLED,
        "n_top": TOP_GENES,
        "top": {
            branch: [
                row
                for path in files[f"{branch}_de"]
                for row in top_genes(pd.read_parquet(path), TOP_GENES)
            ]
            for branch in BRANCHES
        },
        "scatter": scatter_data({name: pd.read_parquet(path) for name, path in genes}),
        "training": training,
        "elbo": {"train": history["elbo_train"], "validation": history["elbo_validation"]},
    }


def build_page(files, params, commit: str) -> str:
    """Read the tables and fill the template.

    Parameters
    ----------
    files, params
        Inputs and parameters of the rule.
    commit
        Of the workflow.
    """
    context = collect_study(files, params) | collect_results(files, params)
    drawn = {key: context.pop(key) for key in ("map", "top", "scatter", "elbo")}
    return render(
        Path(files.template),
        **context,
        versions=[
            {"tool": "Snakemake", "version": params.snakemake},
            *read_versions(files.versions),
        ],
        checksums=[{"file": path, "sha256": checksum(path)} for path in files.sources],
        commit=commit,
        data={
            **drawn,
            "qc": context["qc"],
            "truth": context["truth_de"] or [],
            "fdr": params.config["de"]["fdr"],
            "categories": CATEGORIES,
        },
    )


def main(snakemake):
    """Write the page."""
    log = start(snakemake)
    page = build_page(snakemake.input, snakemake.params, git_commit(snakemake.scriptdir))
    Path(snakemake.output[0]).write_text(page, encoding="utf-8")
    log.info("%s: %.1f MB", snakemake.output[0], len(page) / 1e6)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
