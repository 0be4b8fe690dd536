"""One page on the reads: what stands out, counts and cells of each run, how its chemistry was told,
alignment, FastQC, versions of all tools."""

import json
import math
import statistics
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from markupsafe import Markup, escape

from latere.figures import LINES
from latere.job import run, run_script, start
from latere.published import Published, read_published

# Runs that are compared with each other. Of 6 runs alike, chance puts one 5 deviations off in 6 %
# of studies, of 12 in 3 % (200,000 draws from a normal distribution).
LEAST_RUNS = 6
# What stands out but is smaller needs no look: a share by percentage points, else a factor.
LEAST_POINTS, LEAST_FACTOR = 5, 1.5
# From this share of called cells on a stretch of the knee curve is drawn as cells.
CELLS = 0.5
# Titles of the reads.
ROLES = {"barcode": "Barcode", "umi": "UMI", "cdna": "cDNA", "index": "Index"}


@dataclass(frozen=True)
class Figure:
    """A figure of a run, and what it may mean where it is too low or too high.

    Attributes
    ----------
    name
        Its name among the metrics.
    title, description
        On the page.
    share
        Whether it is a share, told in percent; else a number.
    low, high
        What a low or a high figure may mean.
    hidden
        Whether the column is shown on request only.
    """

    name: str
    title: str
    description: str
    share: bool = True
    low: str = ""
    high: str = ""
    hidden: bool = False

    def of(self, metrics: dict) -> float | None:
        """Its value, a share in percent; None where there is none."""
        value = (metrics | metrics["counts"]["Gene"]).get(self.name)
        return value * 100 if self.share and value is not None else value

    def tell(self, value: float) -> str:
        """A value as text."""
        return f"{value:,.1f} %" if self.share else f"{value:,.0f}"


FIGURES = (
    Figure(
        "cells",
        "Cells",
        "Called cells (EmptyDrops_CR)",
        share=False,
        low="Cells were lost, or not called: see the knee.",
        high="Loaded more cells, or ambient RNA was called: see the knee.",
    ),
    Figure(
        "median_genes",
        "Genes / cell",
        "Median over the called cells",
        share=False,
        low="Cells with little RNA, or empty droplets were called.",
        high="Larger cells, doublets, or deeper sequencing.",
    ),
    Figure(
        "median_umis",
        "UMIs / cell",
        "Median over the called cells",
        share=False,
        low="Cells with little RNA, or empty droplets were called.",
        high="Larger cells, doublets, or deeper sequencing.",
    ),
    Figure(
        "reads_in_cells",
        "In cells",
        "Reads of called cells, of those in genes; the rest is ambient",
        low="Ambient RNA of broken cells, or cells with little RNA were not called.",
    ),
    Figure("reads", "Reads", "Read pairs", share=False, low="Sequenced less than the others."),
    Figure(
        "reads_per_cell",
        "Reads / cell",
        "All reads over the called cells",
        share=False,
        low="Sequenced less deeply than the others.",
        high="Fewer cells were called than were sequenced for.",
        hidden=True,
    ),
    Figure(
        "saturation",
        "Saturation",
        "Reads that repeat a molecule already seen, of those in genes with a valid barcode",
        low="Sequenced less deeply than the others for its molecules.",
        high="Few molecules for its reads: a poor library, or sequenced more deeply.",
    ),
    Figure(
        "valid_barcodes",
        "Valid barcodes",
        "Reads whose barcode is in the chemistry's list, at most one base off",
        low="Barcode read of low quality, or a part of the lanes is of another chemistry.",
    ),
    Figure(
        "mapped_unique",
        "Mapped",
        "Reads that map to one place of the genome",
        low="Another species or its contamination, short inserts, or ribosomal RNA.",
    ),
    Figure(
        "in_genes",
        "In genes",
        "Reads that map to the exons of one gene",
        low="Nuclei, whose reads lie in introns; another annotation or species; or genomic DNA.",
    ),
    Figure(
        "antisense",
        "Antisense",
        "Reads on the exons of genes of the other strand only",
        high="Another kit than was named (3' or 5'), genomic DNA, or a faulty annotation.",
    ),
    Figure(
        "q30_barcode",
        "Q30 barcode",
        "Bases of barcode and UMI with a quality of 30 or more",
        low="Barcode read of low quality: molecules are lost or counted twice.",
        hidden=True,
    ),
    Figure(
        "q30_cdna",
        "Q30 cDNA",
        "Bases of the cDNA read with a quality of 30 or more",
        low="cDNA read of low quality: fewer reads map.",
        hidden=True,
    ),
    Figure("genes", "Genes", "Genes seen in any called cell", share=False, hidden=True),
)


@dataclass(frozen=True)
class Flag:
    """A figure of a run that is beyond a limit."""

    run: str
    figure: Figure
    value: str
    limit: str
    meaning: str


def beyond_limits(metrics: dict[str, dict], limits: dict[str, float]) -> list[Flag]:
    """Figures beyond the limits of the configuration.

    Parameters
    ----------
    metrics
        Of each run.
    limits
        `min_` or `max_` and the name of a figure, to its value.
    """
    flags = []
    for name, each in metrics.items():
        for figure in FIGURES:
            value = figure.of(each)
            least, most = (limits.get(f"{end}_{figure.name}") for end in ("min", "max"))
            if value is None:
                continue
            if least is not None and value < least:
                told = f"at least {figure.tell(least)}"
                flags.append(Flag(name, figure, figure.tell(value), told, figure.low))
            if most is not None and value > most:
                told = f"at most {figure.tell(most)}"
                flags.append(Flag(name, figure, figure.tell(value), told, figure.high))
    return flags


def unlike_others(metrics: dict[str, dict], deviations: float) -> list[Flag]:
    """Figures far from the median of the runs of the same chemistry.

    Numbers are compared as logarithms. A figure without a meaning on that side is not told.

    Parameters
    ----------
    metrics
        Of each run.
    deviations
        Median absolute deviations, scaled by 1.4826 to standard deviations of a normal
        distribution.
    """
    groups = defaultdict(list)
    for name, each in metrics.items():
        groups[each["chemistry"]].append(name)
    flags = []
    for names in groups.values():
        for figure in FIGURES:
            values = {name: figure.of(metrics[name]) for name in names}
            values = {name: value for name, value in values.items() if value}
            if len(values) < LEAST_RUNS:
                continue
            scaled = values if figure.share else {k: math.log(v) for k, v in values.items()}
            middle = statistics.median(scaled.values())
            spread = 1.4826 * statistics.median(abs(value - middle) for value in scaled.values())
            least = LEAST_POINTS if figure.share else math.log(LEAST_FACTOR)
            for name, value in scaled.items():
                distance = value - middle
                meaning = figure.high if distance > 0 else figure.low
                if meaning and abs(distance) > max(deviations * spread, least):
                    usual = figure.tell(statistics.median(values.values()))
                    told = f"{usual} is the median of {len(values)} runs"
                    flags.append(Flag(name, figure, figure.tell(values[name]), told, meaning))
    return flags


def find_flags(metrics: dict[str, dict], limits: dict[str, float]) -> list[Flag]:
    """All that stands out, each figure of a run once, in the order of the runs."""
    flags = beyond_limits(metrics, limits)
    told = {(flag.run, flag.figure) for flag in flags}
    others = unlike_others(metrics, limits["deviations"])
    flags += [flag for flag in others if (flag.run, flag.figure) not in told]
    order = list(metrics)
    return sorted(flags, key=lambda flag: (order.index(flag.run), FIGURES.index(flag.figure)))


def content(name: str, title: str, description: str, plot: str, data, **more) -> dict:
    """A section of the page, in MultiQC's form.

    MultiQC takes all text for HTML. So all text is escaped here, that of the study with our own;
    what is meant as HTML is `Markup`.
    """
    about = {"id": name, "section_name": title, "description": description, "plot_type": plot}
    return _escaped(about | {"data": data} | more)


def _escaped(value):
    """A value as JSON has it, its text and its keys escaped, but for `Markup`."""
    if isinstance(value, str):
        return str(escape(value))
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list | tuple) else value


def table(name: str, title: str, description: str, data: dict, headers: dict, first: str) -> dict:
    """A table of the page; rows in the given order."""
    look = {
        "id": f"{name}_table",
        "title": title,
        "col1_header": first,
        "sort_rows": False,
        "no_violin": True,
        "scale": False,
    }
    return content(name, title, description, "table", data, headers=headers, pconfig=look)


def rows_of(heads: tuple, rows: list[Markup], right: set[int]) -> Markup:
    """An HTML table; the columns at `right` hold numbers."""
    sides = [Markup(" class=text-end") if at in right else "" for at in range(len(heads))]
    head = Markup("<th scope='col'{}>{}</th>")
    cells = Markup("").join(map(head.format, sides, heads))
    return Markup(
        "<div class='table-responsive'><table class='table table-sm table-hover w-auto'>"
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(cells, Markup("").join(rows))


def fold(heads: tuple, rows: list[Markup], right: set[int]) -> Markup:
    """An HTML table that is unfolded on request."""
    page = Markup("<details><summary>{} rows</summary>{}</details>")
    return page.format(len(rows), rows_of(heads, rows, right))


def flag_section(flags: list[Flag], samples: dict[str, str], limits: dict) -> dict:
    """What stands out."""
    found = len({flag.run for flag in flags})
    if flags:
        row = Markup(
            "<tr><th scope='row'>{0.run}</th><td>{1}</td><td>{0.figure.title}</td>"
            "<td class='text-end text-danger fw-bold text-nowrap'>{0.value}</td>"
            "<td class='text-nowrap'>{0.limit}</td><td>{0.meaning}</td></tr>"
        )
        rows = [row.format(flag, samples[flag.run]) for flag in flags]
        heads = ("Run", "Sample", "Figure", "Value", "Limit or usual", "What it may mean")
        body = Markup(
            f"<p><strong>{found} of {len(samples)} runs: look at them first.</strong></p>"
        )
        body += rows_of(heads, rows, {3})
    else:
        body = Markup(f"<p><strong>None of {len(samples)} runs.</strong></p>")
    told = Markup(
        "Runs with a figure beyond a limit of the configuration (<code>qc</code>; by default where "
        f"Cell Ranger 9 warns), or, among {LEAST_RUNS} runs of a chemistry or more, over "
        f"{limits['deviations']:g} median absolute deviations from their median and by "
        f"{LEAST_POINTS} percentage points or a factor of {LEAST_FACTOR}. None is dropped for it."
    )
    return content("flags", "Runs that stand out", told, "html", body)


def run_section(metrics: dict[str, dict], limits: dict, flags: list[Flag]) -> dict:
    """The figures of each run."""
    unlike = {(flag.run, flag.figure) for flag in flags}
    headers = {"sample": {"title": "Sample", "description": "Runs of one sample meet later"}}
    for figure in FIGURES:
        head = {"title": figure.title, "description": figure.description, "hidden": figure.hidden}
        head |= {"min": 0, "format": "{:,.1f}", "max": 100, "suffix": " %"} if figure.share else {}
        head |= {} if figure.share else {"min": 0, "format": "{:,.0f}"}
        bad = [
            {sign: limits[f"{end}_{figure.name}"]}
            for end, sign in (("min", "lt"), ("max", "gt"))
            if f"{end}_{figure.name}" in limits
        ]
        values = {name: figure.of(each) for name, each in metrics.items()}
        odd = [{"eq": value} for name, value in values.items() if (name, figure) in unlike]
        headers[figure.name] = head | {"cond_formatting_rules": {"warn": odd, "fail": bad}}
    headers["in_genes_full"] = headers["in_genes"] | {
        "title": "With introns",
        "description": "Reads that map to one gene, its introns included",
        "hidden": True,
        "cond_formatting_rules": {},
    }
    data = {}
    for name, each in metrics.items():
        full = each["counts"]["GeneFull"]["in_genes"]
        row = {figure.name: figure.of(each) for figure in FIGURES}
        row["in_genes_full"] = full * 100 if full is not None else None
        data[name] = {"sample": each["sample"]}
        data[name] |= {key: value for key, value in row.items() if value is not None}
    told = (
        "What counting found in each run. Red is beyond a limit of the configuration, orange is "
        "unlike the other runs."
    )
    return table("runs", "Runs", told, data, headers, "Run")


def knee_section(metrics: dict[str, dict]) -> dict:
    """One knee curve a run: drawn in full where barcodes were called cells, dotted after."""
    cells, rest = {}, []
    for name, each in metrics.items():
        if not each["knee"]:
            continue
        title = name if name == each["sample"] else f"{name} ({each['sample']})"
        last = max((i for i, point in enumerate(each["knee"]) if point[2] >= CELLS), default=0)
        points = [point[:2] for point in each["knee"]]
        cells[title] = points[: last + 1]
        look = {"name": title, "color": LINES[len(rest) % len(LINES)], "dash": "dot", "width": 1}
        rest.append(look | {"pairs": points[last:], "showlegend": False})
    colors = {title: LINES[at % len(LINES)] for at, title in enumerate(cells)}
    told = (
        "Barcodes by their molecules. Drawn in full while at least half of the barcodes are called "
        "cells; dotted where most are droplets that hold ambient RNA only. A curve without a knee "
        "has no clear cells."
    )
    look = {
        "id": "knee_plot",
        "title": "STARsolo: UMIs by rank of barcode",
        "xlab": "Barcode, by rank",
        "ylab": "UMIs",
        "xlog": True,
        "ylog": True,
        "colors": colors,
        "extra_series": rest,
        # It would count the dotted parts as lines of their own.
        "series_label": False,
    }
    return content("knee", "Knee plots", told, "linegraph", cells, pconfig=look)


def chemistry_section(roles: dict[str, dict], strands: dict[str, dict], samples: dict) -> dict:
    """The chemistry of each run, by its barcodes and the strand of its reads."""
    headers = {
        "sample": {"title": "Sample"},
        "chemistry": {"title": "Chemistry"},
        "strand": {"title": "Reads are", "description": "To the genes, by the first cDNA reads"},
        "sense": {
            "title": "Sense genes",
            "description": "Genes whose first reads are sense, at least twice as many as not",
            "format": "{:,.0f}",
        },
        "antisense": {
            "title": "Antisense genes",
            "description": "Genes whose first reads are antisense, at least twice as many as not",
            "format": "{:,.0f}",
        },
    }
    data = {}
    for name, told in strands.items():
        data[name] = {
            "sample": samples[name],
            "chemistry": told["chemistry"],
            "strand": told["verdict"],
            "sense": told["sense_genes"],
            "antisense": told["antisense_genes"],
        }
        for row in roles[name]["evidence"]:
            key = f"valid_{row['chemistry']}"
            about = f"Share of the first reads with a barcode of {row['chemistry']}"
            headers[key] = {"title": row["chemistry"], "description": about, "scale": "Blues"}
            headers[key] |= {"min": 0, "max": 100, "suffix": " %", "format": "{:,.1f}"}
            data[name][key] = row["valid_barcodes"] * 100
    about = (
        "Told from the reads themselves: by the barcodes of the first reads (a column for each "
        "chemistry that was tried), and by the strand of the first cDNA reads, sense in 3' kits "
        "and antisense in 5' kits. A chemistry that the sheet names was checked the same way."
    )
    return table("chemistry", "Chemistry", about, data, headers, "Run")


def tried_section(roles: dict[str, dict]) -> dict:
    """Every chemistry that was tried on every run, with the verdict."""
    row = Markup(
        "<tr><th scope='row'>{}</th><td>{chemistry}</td><td>{read}</td>"
        "<td class='text-end'>{length} bp</td><td class='text-end'>{valid_barcodes:.1%}</td>"
        "<td>{verdict}</td></tr>"
    )
    rows = [row.format(name, **each) for name, told in roles.items() for each in told["evidence"]]
    heads = ("Run", "Chemistry", "Best read", "Length", "Valid barcodes", "Verdict")
    return content("tried", "Chemistries that were tried", "", "html", fold(heads, rows, {3, 4}))


def read_section(checked: dict[str, dict], samples: dict[str, str]) -> dict:
    """What the check of all reads found."""
    number = {"format": "{:,.0f}"}
    headers = {"sample": {"title": "Sample"}, "reads": number | {"title": "Reads"}}
    headers["lanes"] = number | {"title": "Lanes"}
    headers["least"] = number | {"title": "Smallest lane", "description": "Reads", "hidden": True}
    data = {}
    for name, told in checked.items():
        data[name] = {"sample": samples[name], "reads": told["reads"]}
        data[name] |= {"lanes": len(told["lanes"]), "least": min(told["lanes"])}
        for role, (shortest, longest) in told["lengths"].items():
            headers[role] = {"title": f"{ROLES[role]} bp"}
            data[name][role] = f"{shortest}" if shortest == longest else f"{shortest} to {longest}"
    about = "Read to their ends before alignment: whole, and mates agree in number and name."
    return table("read_check", "Read files", about, data, headers, "Run")


def published_sections(metrics: dict[str, dict], published: list[Published]) -> list[dict]:
    """Published numbers of cells beside ours: a table of the runs, one of the samples."""
    runs = {name: [name] for name in metrics}
    samples = defaultdict(list)
    for name, each in metrics.items():
        samples[each["sample"]].append(name)
    sections = []
    for level, members in (("run", runs), ("sample", samples)):
        told = [each for each in published if each.level == level and each.name in members]
        sources = list(dict.fromkeys(each.source for each in told))
        if not told:
            continue
        number = {"min": 0, "format": "{:,.0f}"}
        headers = {"of": {"title": "Sample" if level == "run" else "Runs"}}
        headers["ours"] = number | {"title": "Ours", "description": "Called cells (EmptyDrops_CR)"}
        data = {}
        for name in members:
            cells = [metrics[each]["counts"]["Gene"]["cells"] for each in members[name]]
            of = metrics[name]["sample"] if level == "run" else " + ".join(members[name])
            data[name] = {"of": of, "ours": sum(cells)}
        for at, source in enumerate(sources):
            here = [each for each in told if each.source == source]
            references = "; ".join(dict.fromkeys(each.reference for each in here))
            headers[f"cells_{at}"] = number | {"title": source, "description": references}
            headers[f"ratio_{at}"] = {
                "title": f"Ours / {source}",
                "min": 0,
                "format": "{:,.2f}",
            }
            for each in here:
                data[each.name][f"cells_{at}"] = each.cells
                if each.cells:
                    data[each.name][f"ratio_{at}"] = data[each.name]["ours"] / each.cells
        about = "Called cells beside what others published; other callers call other cells."
        title = f"Published cells, by {level}"
        sections.append(table(f"published_{level}", title, about, data, headers, level.title()))
    return sections


def main(snakemake):
    start(snakemake)
    files, params = snakemake.input, snakemake.params
    read = {}
    for kind in ("metrics", "roles", "checked", "strand"):
        tables = [json.loads(Path(file).read_text(encoding="utf-8")) for file in files[kind]]
        read[kind] = {each["run"]: each for each in tables}
    metrics = {name: read["metrics"][name] for name in params.runs}
    samples = {name: told["sample"] for name, told in metrics.items()}
    flags = find_flags(metrics, params.limits)
    contents = [
        flag_section(flags, samples, params.limits),
        run_section(metrics, params.limits, flags),
        knee_section(metrics),
        chemistry_section(read["roles"], read["strand"], samples),
        tried_section(read["roles"]),
        read_section(read["checked"], samples),
    ]
    if files.get("published"):
        contents += published_sections(metrics, read_published(files.published))
    page = Path(snakemake.output[0])
    with TemporaryDirectory() as made:
        for each in filter(lambda each: each["data"], contents):
            Path(made, f"{each['id']}_mqc.json").write_text(json.dumps(each), encoding="utf-8")
        logs = [
            Path(folder, f"{name}.Log.final.out")
            for name, folder in zip(samples, files.starsolo, strict=True)
        ]
        command = [sys.executable, "-m", "multiqc", "--config", files.config]
        command += ["--title", f"latere: reads of {params.study}", "--no-data-dir"]
        command += ["--custom-css-file", files.css]
        command += ["--force", "--outdir", page.parent, "--filename", page.name]
        run([*command, *files.fastqc, *logs, made, *files.versions])


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
