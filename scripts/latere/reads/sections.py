"""Sections of the page on the reads, each from what one or two steps wrote of the runs."""

from collections import defaultdict

from markupsafe import Markup

from latere.figures import LINES
from latere.published import Published
from latere.reads.flags import LEAST_FACTOR, LEAST_POINTS, LEAST_RUNS, METRICS, Flag
from latere.reads.page import content, fold, rows_of, table
from latere.reads.star import exon_metrics

# From this share of called cells on a stretch of the knee curve is drawn as cells.
CELLS = 0.5
# Titles of the reads.
ROLES = {"barcode": "Barcode", "umi": "UMI", "cdna": "cDNA", "index": "Index"}


def flag_section(flags: list[Flag], samples: dict[str, str], limits: dict) -> dict:
    """The flags."""
    found = len({flag.run for flag in flags})
    if flags:
        row = Markup(
            "<tr><th scope='row'>{0.run}</th><td>{1}</td><td>{0.metric.title}</td>"
            "<td class='text-end text-danger fw-bold text-nowrap'>{0.value}</td>"
            "<td class='text-nowrap'>{0.limit}</td><td>{0.meaning}</td></tr>"
        )
        rows = [row.format(flag, samples[flag.run]) for flag in flags]
        heads = ("Run", "Sample", "Metric", "Value", "Limit or usual", "What it may mean")
        body = Markup(
            f"<p><strong>{found} of {len(samples)} runs: look at them first.</strong></p>"
        )
        body += rows_of(heads, rows, {3})
    else:
        body = Markup(f"<p><strong>None of {len(samples)} runs.</strong></p>")
    told = Markup(
        "Runs with a metric beyond a limit of the configuration (<code>qc</code>; by default where "
        f"Cell Ranger 9 warns), or, among {LEAST_RUNS} runs of a chemistry or more, over "
        f"{limits['deviations']:g} median absolute deviations from their median and by "
        f"{LEAST_POINTS} percentage points or a factor of {LEAST_FACTOR}. No run is dropped."
    )
    return content("flags", "Runs that stand out", told, "html", body)


def run_section(metrics: dict[str, dict], limits: dict, flags: list[Flag]) -> dict:
    """The metrics of each run."""
    unlike = {(flag.run, flag.metric) for flag in flags}
    headers = {"sample": {"title": "Sample", "description": "Runs of one sample meet later"}}
    for metric in METRICS:
        head = {"title": metric.title, "description": metric.description, "hidden": metric.hidden}
        head |= {"min": 0, "format": "{:,.1f}", "max": 100, "suffix": " %"} if metric.share else {}
        head |= {} if metric.share else {"min": 0, "format": "{:,.0f}"}
        bad = [
            {sign: limits[f"{end}_{metric.name}"]}
            for end, sign in (("min", "lt"), ("max", "gt"))
            if f"{end}_{metric.name}" in limits
        ]
        values = {name: metric.of(each) for name, each in metrics.items()}
        odd = [{"eq": value} for name, value in values.items() if (name, metric) in unlike]
        headers[metric.name] = head | {"cond_formatting_rules": {"warn": odd, "fail": bad}}
    headers["in_genes_full"] = headers["in_genes"] | {
        "title": "With introns",
        "description": "Reads that map to one gene, its introns included",
        "hidden": True,
        "cond_formatting_rules": {},
    }
    data = {}
    for name, each in metrics.items():
        full = each["counts"]["GeneFull"]["in_genes"]
        row = {metric.name: metric.of(each) for metric in METRICS}
        row["in_genes_full"] = full * 100 if full is not None else None
        data[name] = {"sample": each["sample"]}
        data[name] |= {key: value for key, value in row.items() if value is not None}
    told = (
        "What counting found in each run. Red is beyond a limit of the configuration, orange is "
        "unlike the other runs."
    )
    return table("runs", "Runs", told, data, headers, "Run")


def knee_section(metrics: dict[str, dict]) -> dict:
    """One knee curve per run: drawn in full where barcodes were called cells, dotted after."""
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
        "Detected from the reads themselves: by the barcodes of the first reads (a column for each "
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
    about = (
        "All files were read to their ends before alignment: they are complete, and mates agree in "
        "number and name."
    )
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
            cells = [exon_metrics(metrics[each])["cells"] for each in members[name]]
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
        about = "Called cells compared with published numbers; another caller calls other cells."
        title = f"Published cells, by {level}"
        sections.append(table(f"published_{level}", title, about, data, headers, level.title()))
    return sections
