"""A study whose every text tries to become HTML: both pages show it, and none of it runs."""

import json
import shutil
import subprocess
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree

import pandas as pd
import pytest
from report_study import write_study
from test_multiqc import metrics_of, page  # noqa: F401

from latere.cell_figures.calling import plot_ambient
from latere.figures import STYLE, save
from latere.report.page import build_page
from latere.tables import read_tsv

# Each way from text into a page: an element, an attribute, out of a script, a style or a comment,
# a link, a template.
HOSTILE = (
    "<script>window.pwned=1</script>"
    "\"><img src=x onerror=\"window.pwned=1\">' onfocus='window.pwned=1' autofocus='"
    "</script></style></title></textarea>--><svg onload=window.pwned=1>"
    "<a href=javascript:window.pwned=1>pwned</a><!--{{ 7 * 7 }}&lt;b&gt;$a_{$"
)
HARMLESS = "harmless"
# Where an attribute is a link or a source.
LINKS = ("href", "src", "action", "formaction", "data", "xlink:href")


class Page(HTMLParser):
    """What a browser makes of a page.

    Attributes
    ----------
    elements
        How often each element has which attributes.
    links
        Values of attributes that are followed.
    scripts
        Texts of what is executed.
    data
        Texts of scripts of another type.
    text
        All other text.
    """

    def __init__(self, text):
        super().__init__()
        self.elements, self.links, self.scripts, self.data = Counter(), [], [], []
        self.text, self._inside = "", None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.elements[tag, *sorted(names)] += 1
        self.links += [value for name, value in attributes if name in LINKS]
        if tag == "script":
            self._inside = self.data if "json" in names.get("type", "") else self.scripts
            self._inside.append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, text):
        if self._inside is None:
            self.text += text
        else:
            self._inside[-1] += text


def assert_text_only(hostile, harmless, places):
    """The text of a study is text on a page, at each of the places.

    Parameters
    ----------
    hostile, harmless
        A page with `HOSTILE` and one with `HARMLESS` after each text of the same study.
    places
        What stands before it.
    """
    hostile, harmless = Page(hostile), Page(harmless)
    assert hostile.elements == harmless.elements
    assert len(hostile.scripts) == len(harmless.scripts)
    assert not any("pwned" in script for script in hostile.scripts)
    assert not any("pwned" in str(link) for link in hostile.links)
    shown = hostile.text + "".join(map(json.dumps, map(json.loads, hostile.data)))
    quoted = json.dumps(HOSTILE)[1:-1]
    lost = [name for name in places if name + HOSTILE not in shown and name + quoted not in shown]
    assert lost == []


def spoil(files, params, more):
    """Add to each text of a study that its user, or who made its inputs, can choose."""
    for sample in params.samples.values():
        sample |= {column: level + more for column, level in sample.items()}
    for contrast in params.config["contrasts"].values():
        contrast |= {side: contrast[side] + more for side in ("case", "control")}
    for about in params.runs.values():
        about["source"] += more
    params.config["annotation"] |= {"markers": f"markers.tsv{more}"}
    params.config["groups"] = {"from": "kind"}
    source = files.training.parent / f"sheet.tsv{more.replace('/', '')}"
    source.write_text("run\n")
    files.sources.append(source)
    for path in [*files.cell_types, *files.de, files.calls, files.groups]:
        table = pd.read_parquet(path)
        table = table.astype(dict.fromkeys(table.select_dtypes("category"), object))
        for column in ("cell_type", "source", "gene_name", "gene_id"):
            if column in table:
                table[column] += more
        if "group" in table:
            table["group"] = table["group"].where(table["group"] == "all", table["group"] + more)
        table.to_parquet(path)
    for path, columns in {
        files.checks: ["detail", "value"],
        files.summary: ["group"],
        files.pairs: ["group"],
        files.skipped: ["group", "reason"],
    }.items():
        table = read_tsv(path)
        for column in columns:
            table[column] = table[column].astype(str) + more
        table.to_csv(path, sep="\t", index=False, na_rep="NA")
    for path in [*files.facts, *files.ambient, *files.doublets, files.training]:
        told = json.loads(path.read_text())
        told |= {key: told[key] + more for key in ("form", "device_name", "reason") if key in told}
        if "left_out" in told:
            told["left_out"] = {kind + more: number for kind, number in told["left_out"].items()}
        if "ambient" in told:
            told["calling"]["reason"] += more
            told["ambient"]["reason"] += more if told["ambient"]["reason"] else ""
            for gene in told["ambient"]["top_genes"]:
                gene["gene_name"] += more
        path.write_text(json.dumps(told))


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The report on a hostile study, and on one that is not."""
    pages = []
    for name, more in (("hostile", HOSTILE), ("harmless", HARMLESS)):
        contrasts = {"l_vs_h": {"column": "disease", "case": "leukemia", "control": "healthy"}}
        contrasts["l_vs_h"] |= {"covariates": [], "numeric_covariates": []}
        files, params = write_study(tmp_path_factory.mktemp(name), contrasts=contrasts)
        spoil(files, params, more)
        pages.append(build_page(files, params, "0123abc"))
    return pages


def test_report(reports):
    places = ["leukemia", "healthy", "healthy_1.sra", "markers.tsv", "T cell", "GENE0001"]
    places += ["SIMG0001", "MALAT1", "10x h5", "Antibody Capture", "A raw matrix.", "NK cell"]
    places += ["No cell was called.", "fewer than 2 samples a side", "CPU", "column kind"]
    assert_text_only(*reports, places)


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_nothing_of_it_runs_in_a_browser(reports, tmp_path):
    # The page tells at its end whether anything ran.
    told = "<script>document.title = window.pwned ? 'it ran' : 'nothing ran'</script>"
    (tmp_path / "page.html").write_text(reports[0].replace("</body>", f"{told}</body>"))
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    done = subprocess.run(
        ["chromium", *words, "--dump-dom", (tmp_path / "page.html").as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "<title>nothing ran</title>" in done.stdout
    # The map was drawn, with the hostile names.
    assert "main-svg" in done.stdout.split('id="map"')[1]


@pytest.fixture
def make_page(page):  # noqa: F811
    """The page on the reads, as MultiQC makes it of a study with some text in it."""

    def make(more):
        sheet = "\t".join(["level", "name", "cells", "source", "reference"])
        row = f"run\tr1\t12\tsource{more}\treference{more}"
        few = metrics_of("r1", cells=3, sample=f"s{more}")
        return page({"r1": few}, f"{sheet}\n{row}\n", more)

    return make


def test_page_on_the_reads(make_page, tmp_path):
    hostile = make_page(HOSTILE)
    shutil.rmtree(tmp_path / "r1")
    places = ["source", "reference", "s", "10xv2", "x_R1.fq", "fits", "sense"]
    assert_text_only(hostile, make_page(HARMLESS), places)


def test_figures(tmp_path):
    """Names of genes come from the study; an opened SVG can run scripts as a page can."""
    from matplotlib import rc_context

    names = ["<b>", '"&lt;', "$a_{$", "<script>alert(1)</script>"]
    genes = [{"gene_name": name, "share": 0.01} for name in names]
    path = tmp_path / "ambient.svg"
    with rc_context(STYLE):
        figure = plot_ambient({"r1": {"share": 0.1, "top_genes": genes}})
        save(figure, {"svg": path}, "ambient")
    elements = list(ElementTree.parse(path).iter())
    assert not {"b", "script"} & {element.tag.rpartition("}")[2] for element in elements}
    assert any(all(name in (element.text or "") for name in names[:3]) for element in elements)
