"""The study as cloned against what GEO, SRA and the authors tell of it."""

import csv

import pytest
import yaml

from latere.study.study import load_study

pytestmark = pytest.mark.real
KIT = {"10x 3' v2": "10xv2"}


@pytest.fixture
def facts(real):
    with open(real / "caron2020/caron2020_samples.tsv", encoding="utf-8", newline="") as file:
        return {row["run"]: row for row in csv.DictReader(file, delimiter="\t")}


@pytest.fixture
def study(root, monkeypatch):
    monkeypatch.chdir(root)
    config = yaml.safe_load((root / "config/config.yaml").read_text())
    return load_study(config, "config/config.yaml", root / "config")


def test_sheet(study, facts):
    assert list(study.runs) == list(facts)
    for name, fact in facts.items():
        run = study.runs[name]
        assert run.accession == name and run.sample == fact["sample"]
        assert run.spots == int(fact["spots"]) and run.chemistry == KIT[fact["chemistry"]]
        columns = ("condition", "disease", "gsm")
        assert study.samples[run.sample] == {column: fact[column] for column in columns}
    assert len(study.samples) == 11


def test_published_cells(root, facts):
    lines = (root / "config/published_cells.tsv").read_text().splitlines()
    rows = list(csv.DictReader([line for line in lines if line[0] != "#"], delimiter="\t"))
    cells = {(row["level"], row["name"]): int(row["cells"]) for row in rows}
    expected = {("run", name): int(fact["cells_cr3.1_run"]) for name, fact in facts.items()}
    expected |= {
        ("sample", fact["sample"]): int(fact["cells_geo_cr2.1"]) for fact in facts.values()
    }
    assert cells == expected and len(rows) == len(cells)
    # The authors tell the sum.
    assert sum(n for (level, _), n in cells.items() if level == "sample") == 39_375
    for row in rows:
        fact = facts.get(row["name"])
        assert fact or f"GEO {sample_gsm(facts, row['name'])}" in row["reference"]


def sample_gsm(facts, sample):
    """GEO's name of a sample."""
    return next(fact["gsm"] for fact in facts.values() if fact["sample"] == sample)
