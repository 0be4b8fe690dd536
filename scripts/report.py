"""Write the page for people: one self-contained file that opens without a network.

Nothing is computed here that is not in a table: the page only shows what the tables say.
"""

import base64
import hashlib
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd

from latere.job import run_script, start
from latere.quality import REASON_NAMES
from latere.reads.star import exon_metrics
from latere.tables import read_by_cell, read_tsv

BRANCHES = ("deep", "manual")
# Rows of the truth tables that add up the others (compare_truth.py).
EVERY_RUN, POOLED = "every run", "cell types, pooled"
CATEGORIES = ("neither", "deep only", "manual only", "both")
# Genes called by no branch, drawn in one scatter: enough to show the cloud, few enough to load.
NEITHER_SHOWN = 1500
TOP_GENES = 25
# A column with more levels is a name, not a colour.
MOST_LEVELS = 40
# Figures of `run_metrics`: heading and format.
READ_FIGURES = {
    "reads": ("reads", "count"),
    "valid_barcodes": ("valid barcodes", "share"),
    "mapped_unique": ("in genome, one place", "share"),
    "in_genes": ("in one gene", "share"),
    "saturation": ("saturation", "share"),
    "cells": ("cells called", "count"),
    "median_umis": ("median UMIs a cell", "count"),
    "median_genes": ("median genes a cell", "count"),
}
VERDICTS = ("FAIL", "WARN", "PASS")
# How `call_cells` called the cells, and what set a limit in `select_cells`, in words.
METHODS = {
    "given": "as the source says",
    "all": "all barcodes of a filtered matrix",
    "emptyDrops": "EmptyDrops",
    "threshold": "above the count of empty droplets",
}
SET_BY = {"deviations": "MAD", "floor": "floor", "ceiling": "ceiling", "fixed": "fixed"}
PHASES = ("G1", "S", "G2M")
# Pixels a point: the text of a figure becomes as large as that of its caption.
SCALE = 1.9


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
    for name, heading in name_apart(cells.columns, ("cell_type", "cluster")).items():
        if 1 < cells[name].nunique() <= MOST_LEVELS:
            codes = encode(cells[name])
            colours.append({"name": heading, "shared": True, "deep": codes, "manual": codes})
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


def read_metrics(path) -> dict:
    """Figures of the reads of a run, as `run_metrics` tells them, counted over exons."""
    metrics = exon_metrics(json.loads(Path(path).read_text(encoding="utf-8")))
    return {name: metrics[name] for name in ("run", *READ_FIGURES)}


def embed(path) -> dict:
    """A figure for the page: its SVG as a data URI, and how wide it is shown, in pixels."""
    svg = Path(path).read_bytes()
    points = float(re.search(rb'<svg[^>]* width="([0-9.]+)pt"', svg)[1])
    uri = "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    return {"uri": uri, "width": round(points * SCALE)}


def read_checks(path) -> dict:
    """The checks: what failed and what warns apart from what passed.

    Returns
    -------
    dict
        numbers (of each verdict), troubles (rows, FAIL first) and passed (rows).
    """
    checks = read_tsv(path)
    order = checks["verdict"].map(VERDICTS.index).sort_values(kind="stable").index
    rows = [
        {key: "" if value is None else value for key, value in row.items()}
        for row in records(checks.loc[order])
    ]
    return {
        "numbers": {name: int((checks["verdict"] == name).sum()) for name in VERDICTS},
        "troubles": [row for row in rows if row["verdict"] != "PASS"],
        "passed": [row for row in rows if row["verdict"] == "PASS"],
    }


def describe_limits(limits: pd.DataFrame) -> tuple[list[dict], list[tuple]]:
    """The limits by sample, and what set each.

    Parameters
    ----------
    limits
        As `select_cells` gives them.

    Returns
    -------
    tuple
        Rows, and for each column its key, heading and format; a limit that no sample has, has none.
    """
    used = limits[limits["value"].notna()]
    names = [name for name in limits["limit"].unique() if name in set(used["limit"])]
    rows = []
    for sample in limits["sample"].unique():
        row = {"sample": sample} | dict.fromkeys(names, "none")
        for limit in used[used["sample"] == sample].itertuples():
            row[limit.limit] = f"{format_limit(limit.value)} ({SET_BY[limit.set_by]})"
        rows.append(row)
    headings = [(name, name.replace("_", " ").replace("percent", "%"), "right") for name in names]
    return rows, [("sample", "sample", "text"), *headings]


def describe_call(facts: dict, ambient: dict, doublets: dict) -> dict:
    """How the cells of a run were called, its ambient RNA and its doublets.

    Parameters
    ----------
    facts, ambient, doublets
        What `load_counts`, `call_cells` and `score_cells` tell of the run.
    """
    barcodes, calling, share = facts["barcodes"], ambient["calling"], ambient["ambient"]
    genes = [f"{gene['gene_name']} {format_share(gene['share'])}" for gene in share["top_genes"]]
    left_out = [f"{number:,} of {name}" for name, number in facts["left_out"].items()]
    found, cells = doublets["n_doublets"], doublets["n_cells"]
    return {
        "run": facts["run"],
        "form": facts["form"],
        "matrix": f"{barcodes['kind']} (by the {barcodes['decided_by']})",
        "genes": facts["genes"],
        "left_out": ", ".join(left_out) or "none",
        "with_counts": barcodes["with_counts"],
        "called": calling["called"],
        "method": METHODS[calling["method"]],
        "called_why": calling["reason"],
        "empty_droplets": calling["empty_droplets"],
        "knee": calling["knee"],
        "inflection": calling["inflection"],
        "ambient": share["share"],
        "per_droplet": share["molecules_per_droplet"],
        "made_of": share["reason"] or ", ".join(genes[:6]),
        "expected": doublets["expected_rate"],
        "threshold": doublets["threshold"],
        "doublets": found,
        "doublet_share": found / cells if found is not None and cells else None,
        "doublets_why": doublets["reason"],
    }


def count_phases(selection: pd.DataFrame, samples) -> list[dict]:
    """Kept cells of each sample, and the share of them in each phase of the cell cycle.

    Parameters
    ----------
    selection
        sample, phase (null where not known) and kept, by called cell.
    samples
        Their names, in the order of the rows.
    """
    kept = selection[selection["kept"]]
    numbers = pd.crosstab(kept["sample"], kept["phase"].fillna("not known").astype(str))
    numbers = numbers.reindex(columns=[*PHASES, "not known"], fill_value=0)
    numbers = numbers.reindex(samples, fill_value=0)
    shares = numbers.div(numbers.sum(axis=1), axis=0).assign(cells=numbers.sum(axis=1))
    return records(shares.rename_axis("sample").reset_index())


def collect_cells(files) -> dict:
    """What the page says of how cells were called, checked and chosen."""
    told = [
        describe_call(*(json.loads(Path(path).read_text(encoding="utf-8")) for path in paths))
        for paths in zip(files.facts, files.ambient, files.doublets, strict=True)
    ]
    qc = read_tsv(files.qc)
    limit_table = read_tsv(files.limits)
    limits, limit_columns = describe_limits(limit_table)
    figures = [Path(path) for path in files.figures]
    selection = pd.read_parquet(files.selection, columns=["sample", "phase", "kept"])
    methods = [
        json.loads(Path(path).read_text(encoding="utf-8"))["method"] for path in files.doublets
    ]
    return {
        "checks": read_checks(files.checks),
        "figures": {path.stem: embed(path) for path in figures if path.suffix == ".svg"},
        "calls": told,
        "called_by": {
            name: sum(row["method"] == words for row in told) for name, words in METHODS.items()
        },
        "corrected": sum(row["ambient"] is not None for row in told),
        "doublet_method": methods[0],
        "qc": records(qc),
        "reasons": [(key, name, "count") for key, name in REASON_NAMES.items() if qc[key].any()],
        "called": int(qc["called"].sum()),
        "limits": limits,
        "limit_columns": limit_columns,
        "phases": count_phases(selection, limit_table["sample"].unique()),
    }


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
        for name, value in yaml.safe_load(Path(path).read_text(encoding="utf-8")).items():
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


def format_limit(value: float) -> str:
    """A limit: whole from 100, with one decimal below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


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
    rows = []
    for run, about in runs.items():
        of_run = {"run": run, **about}
        headings = name_apart(samples[about["sample"]], of_run)
        of_sample = {headings[name]: value for name, value in samples[about["sample"]].items()}
        rows.append(of_run | of_sample)
    return rows, [(name, name, "text") for name in rows[0]]


def name_apart(columns, own) -> dict[str, str]:
    """Names under which columns of the sheet stand beside our own on the page.

    Parameters
    ----------
    columns
        Of the sheet; a name there has no space.
    own
        Names of ours.

    Returns
    -------
    dict
        By column; the same, unless it is one of ours.
    """
    return {name: f"{name} (sheet)" if name in own else name for name in columns}


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
    n_genes = {"n_genes": cells.n_vars}
    for name in ("tested", "highly_variable"):
        n_genes[f"n_{name}"] = int(cells.var[name].sum())
    return obs, umaps, labels, n_genes


def collect_study(files, params) -> dict:
    """What the page says of the study, its reads, cells and labels."""
    obs, umaps, labels, n_genes = read_cells(files, params.samples)
    runs, run_columns = describe_runs(params.runs, params.samples)
    named = pd.concat([labels[branch]["source"] for branch in BRANCHES]).unique()
    return {
        "study": params.config["study"],
        "config": params.config,
        "config_text": json.dumps(params.config, indent=2),
        "samples": params.samples,
        "runs": runs,
        "run_columns": run_columns,
        "contrasts": describe_contrasts(params.config["contrasts"], params.samples),
        "star": [read_metrics(path) for path in files.get("metrics", [])],
        "star_columns": [("run", "run", "text")]
        + [(key, *heading) for key, heading in READ_FIGURES.items()],
        "multiqc": "read_qc/multiqc.html" if files.get("multiqc") else None,
        "n_cells": len(obs),
        **n_genes,
        "cell_types": count_cell_types(labels),
        "sources": " and ".join(named),
        "map": map_data(umaps, obs, labels),
    }


def collect_results(files, params) -> dict:
    """What the page says of tests, comparison, truth and training."""
    training = json.loads(Path(files.training).read_text(encoding="utf-8"))
    history = training["history"]
    genes = zip(params.config["contrasts"], files.genes, strict=True)
    return {
        "summary": records(read_tsv(files.summary)),
        "skipped": records(read_tsv(files.skipped)),
        "labels": records(read_tsv(files.labels))[0],
        "truth": records(read_tsv(files.truth)) if files.get("truth") else None,
        "truth_cells": records(read_tsv(files.truth_cells)) if files.get("truth_cells") else [],
        "truth_de": records(read_tsv(files.truth_de)) if files.get("truth_de") else None,
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
    context = collect_study(files, params) | collect_cells(files) | collect_results(files, params)
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
    run_script(main, snakemake)  # noqa: F821
