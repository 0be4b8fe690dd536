"""The sections on methods and provenance: numbers from the configuration and the code."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from report_study import write_study
from test_report_page import sections_of, text_of

from latere.report import methods
from latere.report.formats import format_percent
from latere.report.methods import Constants, describe_rule
from latere.report.page import build_page
from latere.report.provenance import git_commit, read_versions
from latere.tables import UNKNOWN


@pytest.fixture(scope="module")
def told(report_page):
    """The text of the methods."""
    return text_of(sections_of(report_page)["methods"])


def test_methods_name_what_was_done(told):
    sentences = [
        "In 5 runs cells were called with EmptyDrops (Lun",
        "of 1 run contained cells only",
    ]
    sentences += [
        "Scrublet (scanpy 1.11.5), the method of Wolock",
        "McCarthy et al. 2017",
        "Tirosh et al. 2016",
    ]
    sentences += ["up to 2,000 variable genes", "scaled to 10,000 per cell", "scVI (Lopez"]
    sentences += ["8 testable genes, the most variable", "edgeR (Chen", "Harmony (Korsunsky"]
    sentences += ["the cell types of the branch manual (edgeR)", "called at an FDR of 0.05."]
    sentences += ["minimum UMI counts: 5 MADs below the median, floor 300;", "minimum detected"]
    sentences += ["ceiling 20; maximum % haemoglobin counts 50;"]
    assert [words for words in sentences if words not in told] == []
    assert "SoupX" not in told and "STARsolo" not in told


def test_methods_describe_the_scores_that_only_the_groups_use(tmp_path):
    files, params = write_study(tmp_path)
    for path in files.cell_types:
        table = pd.read_parquet(path).assign(source="CellTypist model.pkl sha256:0123")
        table.to_parquet(path)
    params.config["groups"]["from"] = "markers"
    groups = pd.read_parquet(files.groups).assign(source="markers: markers mine.tsv")
    groups.to_parquet(files.groups)
    text = text_of(sections_of(build_page(files, params, "0123abc"))["methods"])
    for words in (
        "with the CellTypist model model.pkl sha256:0123 (Dom",
        "by marker genes (table mine.tsv), with the label of the highest score",
        "the label of most of its cells by the CellTypist model.",
        "groups of cells, which are given by markers: markers mine.tsv",
    ):
        assert words in text


def test_no_number_is_typed_where_the_code_has_it(tmp_path, monkeypatch, told):
    """Each constant is in the text; with other constants the text has other numbers."""
    files, params = write_study(tmp_path)
    params.config["cells"]["remove_ambient"] = True
    # Each sentence that a study can have.
    monkeypatch.setattr("latere.report.inputs.Inputs.called_by", lambda *_: 1)
    shares = {"poor", "rich", "plausible", "doublets_per_1000", "most_doublets"}
    shares |= {"model_enough", "type_enough"}
    other = {
        name: 0.7001 + at / 10_000 if name in shares else 7_000_001 + at
        for at, name in enumerate(vars(Constants()))
    }
    monkeypatch.setattr(methods, "Constants", lambda: replace(Constants(), **other))
    for doublets, by in zip(files.doublets, ("expected rate", "simulated doublets"), strict=False):
        text = doublets.read_text()
        doublets.write_text(re.sub('"threshold_by": [^,]*', f'"threshold_by": "{by}"', text))
    text = ""
    for source in ("markers markers.tsv", "CellTypist model.pkl sha256:0123"):
        for path in files.cell_types:
            pd.read_parquet(path).assign(source=source).to_parquet(path)
        text += text_of(sections_of(build_page(files, params, "0123abc"))["methods"])
        # The second study has too little of its model.
        for path in files.cell_types:
            pd.read_parquet(path).assign(cell_type=UNKNOWN).to_parquet(path)
        params.config["deep"]["test"] = "posterior"
        vars(files).pop("diagnosis", None)
    assert text.count("so every cell was labelled unknown") == 1
    forms = {n: format_percent(v) if n in shares else str(v) for n, v in other.items()}
    assert [name for name, form in forms.items() if form not in text.replace(",", "")] == []
    assert "SoupX" in text


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("min_counts", None, ""),
        ("min_counts", {"deviations": None, "floor": None, "ceiling": None}, ""),
        ("max_percent_hb", 50, "maximum % haemoglobin counts 50"),
        (
            "max_percent_mt",
            {"deviations": 3, "floor": 8, "ceiling": 20},
            "maximum % mitochondrial counts: 3 MADs above the median, floor 8, ceiling 20",
        ),
        (
            "min_genes",
            {"deviations": 5, "floor": 1200, "ceiling": None},
            "minimum detected genes: 5 MADs below the median, floor 1,200",
        ),
    ],
)
def test_a_rule_in_words(name, rule, words):
    assert describe_rule(name, rule) == words


def test_versions_of_two_environments(tmp_path):
    (tmp_path / "a.yml").write_text('star:\n  pigz: "2.8"\n  STAR: "2.7.10b"\n')
    (tmp_path / "b.yml").write_text('sra:\n  pigz: "2.8"\n')
    found = [tuple(row.values()) for row in read_versions(tmp_path.glob("*.yml"))]
    assert found == [("pigz", "2.8"), ("STAR", "2.7.10b")]


def test_commit_is_unknown_outside_a_checkout(tmp_path):
    assert git_commit(tmp_path) == "not known (no git checkout)"
