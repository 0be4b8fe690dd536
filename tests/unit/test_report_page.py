"""The report as a whole: one file, the same each time, drawn in a browser, for any branches."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from report_study import HOSTILE, SVG, write_study

from latere import figures
from latere.branches import REGISTRY, TOTAL, Branch, Test
from latere.report.page import SECTIONS, TEMPLATES, build_page
from latere.truth.tests import POOLED

PACKAGE = TEMPLATES.parent


def data_of(page):
    """What the scripts of a page draw."""
    return json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])


def sections_of(page):
    """The part of each section of a page."""
    parts = re.findall(r'<section id="(\w+)">(.*?)</section>', page, re.S)
    return dict(parts)


def text_of(part):
    """The words of a part of a page."""
    return re.sub(r"\s+", " ", html.unescape(re.sub("<[^>]*>", "", part)))


def test_page_is_self_contained_and_escaped(report_page):
    own = re.sub(r"<script>/\*!?\*.*?</script>", "", report_page, count=1, flags=re.S)
    assert len(own) < 0.1 * len(report_page)  # the library is gone
    links = r"""(?:src|href)\s*=\s*["'](?!#|read_qc/|cells/figures/|data:image/svg)"""
    assert not re.findall(links, own)
    assert "http" not in own
    assert HOSTILE not in report_page
    assert "&lt;script&gt;alert" in own


def test_page_is_the_same_for_the_same_tables(report_page, tmp_path):
    again = build_page(*write_study(tmp_path), "0123abc")
    # The one place where a path is shown.
    place = r"<td>[^<]*samples\.tsv</td>"
    assert re.sub(place, "", again) == re.sub(place, "", report_page)


def test_page_shows_what_was_found(report_page):
    parts = sections_of(report_page)
    assert list(parts) == [s.name for s in SECTIONS]
    assert "fewer than 2 samples a side" in parts["comparison"]
    assert "0123abc" in parts["provenance"] and "0123abc" in parts["methods"]
    assert "markers markers.tsv" in parts["maps"]
    assert "trained on those same cells" in parts["study"]
    assert "60 genes called, 10.0 % of them falsely" in parts["truth"]
    assert "93.8 %" in parts["truth"]  # right lineages
    assert report_page.count("data:image/svg+xml;base64,") == SVG.count("<svg") * 5


def test_what_failed_stands_on_top(report_page, tmp_path):
    top = report_page.split("</header>")[0]
    assert 'class="alarm"' in top and "1 check failed." in top and "leukemia_2" in top
    sound = build_page(*write_study(tmp_path, failing=False), "0123abc")
    assert 'class="alarm"' not in sound
    assert "All checks passed." in sound


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"unknown_both": 240, "same_cell_type": None}, "0cells have a cell type"),
        ({"unknown_one": 7, "same_cell_type": 0.75}, "75.0 %of the cells with a cell type"),
    ],
)
def test_unknown_cells_are_no_agreement(tmp_path, labels, words):
    names = ["deep", "manual"]
    files, params = write_study(tmp_path, embedding=names, testing=names)
    table = pd.read_csv(files.labels, sep="\t").assign(unknown_one=0).assign(**labels)
    table.to_csv(files.labels, sep="\t", index=False, na_rep="NA")
    top = text_of(build_page(files, params, "0123abc").split("</header>")[0])
    number = max(labels.get(name, 0) for name in ("unknown_one", "unknown_both"))
    assert words in top and f"{number} " in top.split(words)[1]
    assert "unknown in one or both branches" in top and "nan" not in top


def test_each_branch_has_its_place(report_page):
    parts, data = sections_of(report_page), data_of(report_page)
    names = {name: REGISTRY[name] for name in ("deep", "manual", "harmony")}
    assert data["branches"] == {name: branch.colour for name, branch in names.items()}
    maps = data["drawn"]["maps"]
    assert [branch["name"] for branch in maps["branches"]] == list(names) == list(maps["points"])
    assert [table["name"] for table in data["drawn"]["genes"]] == ["deep", "manual"]
    assert [branch["name"] for branch in data["drawn"]["comparison"]["branches"]] == [
        "deep",
        "manual",
    ]
    reading = text_of(parts["reading"])
    for branch in names.values():
        assert branch.embedding in reading and (branch.fdr or "does not test") in reading
    assert "Harmony embeds cells and does not test genes." in reading


def test_a_branch_that_the_report_does_not_know(tmp_path, monkeypatch):
    new = Branch("new", "New way", "a new space", "#123456", (Test("t", "a new FDR", TOTAL),))
    monkeypatch.setitem(REGISTRY, "new", new)
    names = ["deep", "manual", "new"]
    page = build_page(
        *write_study(tmp_path, truth=False, embedding=names, testing=names), "0123abc"
    )
    parts, data = sections_of(page), data_of(page)
    assert ".branch-new { --branch: #123456; }" in page
    assert "a new space" in parts["reading"] and "a new FDR" in parts["reading"]
    assert "New way: cells were embedded by a new space." in text_of(parts["methods"])
    titles = [text_of(title) for title in re.findall("<h3>(.*?)</h3>", parts["comparison"], re.S)]
    pairs = [
        "deep (scVI) and manual (edgeR)",
        "deep (scVI) and New way",
        "manual (edgeR) and New way",
    ]
    assert titles == [*pairs, "Fold changes", "What was not tested"]
    assert data["drawn"]["genes"][2]["headings"] == ["log2fc", "case", "control", "fdr"]
    assert [b["name"] for b in data["drawn"]["maps"]["branches"]] == names


def test_a_study_of_one_branch(tmp_path):
    study = write_study(tmp_path, truth=False, embedding=["manual"], testing=["manual"])
    page = build_page(*study, "0123abc")
    parts, data = sections_of(page), data_of(page)
    assert {"truth", "training", "telemetry"}.isdisjoint(parts)
    assert set(data["drawn"]) == {"maps", "genes"}
    assert "nothing to compare its calls with" in parts["comparison"]
    assert "Agreement of the labels" not in page and "does not mean the same" not in page
    assert "<td>leukemia_vs_healthy</td><td>T cell</td>" in re.sub(r">\s+<", "><", page)


def test_a_study_that_tests_nothing(tmp_path):
    study = write_study(tmp_path, truth=False, embedding=["harmony"], testing=[])
    page = build_page(*study, "0123abc")
    assert set(data_of(page)["drawn"]) == {"maps"}
    assert "No branch of this study tests genes." in page


def test_a_study_without_truth_or_contrasts(tmp_path):
    page = build_page(*write_study(tmp_path, truth=False, contrasts={}), "0123abc")
    parts = sections_of(page)
    assert "truth" not in parts and 'href="#truth"' not in page
    assert "simulated" not in text_of(parts["study"])
    assert "names no contrast" in parts["study"] and "names no contrast" in parts["comparison"]
    assert "ifferential expression" not in parts["methods"]
    assert set(data_of(page)["drawn"]) == {"maps", "training", "telemetry"}


def test_pooled_rows_are_those_of_the_truth(report_page):
    rows = data_of(report_page)["drawn"]["truth"]["rows"]
    assert POOLED in {row["group"] for row in rows}
    assert any(row["fdp"] is None for row in rows)  # NaN is no JSON


def sources(*suffixes):
    """Text of the files of the report, by name."""
    files = [path for path in PACKAGE.rglob("*.*") if path.suffix in suffixes]
    assert files
    return {str(path.relative_to(PACKAGE)): path.read_text() for path in files}


def test_no_branch_is_named_but_in_its_own_sentences():
    """What one branch does is said in its own partial of the methods; all else follows the
    registry."""
    named = re.compile("|".join(rf"\b{name}\b" for name in REGISTRY), re.IGNORECASE)
    found = [
        name
        for name, text in sources(".py", ".j2", ".js", ".css").items()
        if named.search(text) and Path(name).parent.name != "methods"
    ]
    assert found == []


def test_each_sentence_on_a_branch_has_its_branch():
    names = {path.name.split(".")[0] for path in (TEMPLATES / "methods").iterdir()}
    assert names - {"otherwise", "components", "edger"} <= set(REGISTRY)


def test_colours_of_the_figures_are_written_once():
    codes = {
        code.lower()
        for value in vars(figures).values()
        for code in ([value] if isinstance(value, str) else value if type(value) is tuple else [])
        if isinstance(code, str) and re.fullmatch("#[0-9A-Fa-f]{6}", code)
    }
    assert len(codes) > 15
    used = {
        code.lower()
        for text in sources(".py", ".j2", ".js", ".css").values()
        for code in re.findall("#[0-9A-Fa-f]{6}", text)
    }
    assert used & codes == set()
    assert {branch.colour for branch in REGISTRY.values()} <= codes


OWN_NAMES = ["source", "cluster", "cell_type", "n_cells", "kind", "reads", "contrast", "group"]


def test_columns_of_the_sheet_replace_none_of_ours(tmp_path):
    files, params = write_study(tmp_path)
    for name, sample in params.samples.items():
        sample |= {column: f"{column}_{name[:3]}" for column in OWN_NAMES}
    page = build_page(files, params, "0123abc")
    table = page.split(">Samples</h3>")[1].split("</table>")[0]
    heads = re.findall("<th[^>]*>([^<]+)</th>", table)
    assert heads[:4] == ["run", "sample", "source", "disease"]
    assert set(heads[4:]) == {"batch", "source (sheet)", *OWN_NAMES[1:]}
    assert "<td>healthy_1.sra</td>" in table and "<td>source_hea</td>" in table
    ways = data_of(page)["drawn"]["maps"]["colours"]
    levels = {way["name"]: (way.get("same") or way["of"]["deep"])["levels"] for way in ways}
    assert len(levels) == len(ways)
    assert "T cell" in levels["cell type"] and "0" in levels["cluster"]
    assert levels["cluster (sheet)"] == ["cluster_hea", "cluster_leu"]
    assert levels["cell_type (sheet)"] == ["cell_type_hea", "cell_type_leu"]
    assert levels["n_cells"] == ["n_cells_hea", "n_cells_leu"]


# Uses all menus and buttons of the page, and gives in its title what went wrong.
WATCH = (
    "<script>const faults = []; addEventListener('error', e => faults.push(e.message));</script>"
)
USE = """<script>
const at = id => document.getElementById(id), all = what => [...document.querySelectorAll(what)];
const set = (id, value, kind) => { at(id).value = value; at(id).dispatchEvent(new Event(kind)); };
for (const select of all("select"))
  for (const { value } of [...select.options]) set(select.id, value, "change");
set("map-colour", "cell type", "change");
const maps = () => all("#map .scatterlayer .trace").length, buttons = all("#map-legend button");
const before = maps();
buttons.forEach(button => button.click());
const after = maps();
buttons.forEach(button => button.click());
set("top-search", "gene0001", "input");
const found = all("#genes tbody tr").map(row => row.cells[0].textContent);
if (found.some(name => !/^(GENE0001|no gene)$/.test(name))) faults.push("search: " + found);
set("top-search", "", "input");
const wide = document.documentElement.scrollWidth > innerWidth, numbers = [before, after, maps()];
document.title = JSON.stringify({ faults, wide, buttons: buttons.length, numbers });
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
@pytest.mark.parametrize("width", [400, 1400])
def test_every_figure_is_drawn_and_every_control_works(report_page, tmp_path, width):
    page = report_page.replace("</title>", f"</title>{WATCH}", 1)
    page = page.replace("</body>\n</html>", f"{USE}</body></html>")
    (tmp_path / "page.html").write_text(page)
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    words += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    words += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000"]
    words += [f"--window-size={width},1000"]
    dom = subprocess.run(
        ["chromium", *words, "--dump-dom", (tmp_path / "page.html").as_uri()],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    for figure in ("map", "fc", "truth-figure", "elbo", "telemetry-figure"):
        part = dom.split(f'id="{figure}"')[1][:20000]
        assert "main-svg" in part, figure
    assert dom.split('id="map"')[1].count(">UMAP 1<") == 3
    assert dom.count("<tr") > 40 + report_page.count("<tr")  # the gene tables are filled
    told = json.loads(html.unescape(re.search("<title>(.*?)</title>", dom)[1]))
    # Four types on three maps; where all are hidden, an empty trace keeps each panel.
    assert told == {"faults": [], "wide": False, "buttons": 4, "numbers": [12, 3, 12]}
