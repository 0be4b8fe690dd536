"""The sections on reads, checks and cells."""

import base64
import re

import numpy as np
import pandas as pd
import pytest
from report_study import FIGURES, SVG

from latere.report.cells import count_phases, describe_limits
from latere.report.checks import sort_checks
from latere.report.reads import READ_METRICS, choose_metrics


def section(page, first, last):
    """The page between two headings, by their text."""
    return page.split(f">{first}</h3>")[1].split(f">{last}<")[0]


def test_page_shows_the_cells(report_page):
    uris = re.findall(
        r'<img src="data:image/svg\+xml;base64,([^"]+)" width="970" alt="[^"]+">', report_page
    )
    assert [base64.b64decode(uri).decode() for uri in uris] == [SVG] * 5
    for name in FIGURES:
        assert f'href="cells/figures/{name}.pdf"' in report_page
    waterfall = section(report_page, "Called, removed and kept", "Limits by sample")
    assert '<th class="n">mitochondrial</th>' in waterfall and "haemoglobin" not in waterfall
    assert "20.0 (" not in waterfall
    limits = section(report_page, "Limits by sample", "How cells were called")
    assert "300 (floor)" in limits and "50.0 (fixed)" in limits
    assert "17 of Antibody Capture" in section(report_page, "How cells were called", "Ambient RNA")
    assert "300 empty droplets, which" in section(report_page, "Ambient RNA", "Doublets")
    assert "5 cells: at least 100" in section(report_page, "Doublets", "Cell cycle")
    genes = section(report_page, "Genes", "Maps of the cells")
    assert "(each run has 60 genes)" in genes
    assert "45, with at least 10 counts in each of at least 2 samples" in genes


def test_checks_that_failed_come_first():
    verdicts = ["PASS", "WARN", "FAIL", "PASS"]
    values = [737280, np.nan, 0.10619, 0]
    checks = pd.DataFrame({"run": list("abcd"), "check": "", "verdict": verdicts, "value": values})
    told = sort_checks(checks)
    assert told["verdicts"] == {"FAIL": 1, "WARN": 1, "PASS": 2}
    assert [row["run"] for row in told["troubles"]] == ["c", "b"]
    assert [row["run"] for row in told["passed"]] == ["a", "d"]
    assert [row["value"] for row in told["troubles"]] == ["0.106", ""]
    assert [row["value"] for row in told["passed"]] == ["737,280", "0"]


def test_a_limit_says_what_set_it():
    limits = pd.DataFrame(
        {
            "sample": ["s", "s", "t", "t"],
            "limit": ["min_counts", "max_counts"] * 2,
            "value": [523.4, np.nan, np.nan, np.nan],
            "set_by": ["deviations", "none", "none", "none"],
        }
    )
    rows, columns = describe_limits(limits)
    assert rows == [
        {"sample": "s", "min_counts": "523 (MAD)"},
        {"sample": "t", "min_counts": "none"},
    ]
    assert [key for key, _, _ in columns] == ["sample", "min_counts"]


def test_phases_are_those_of_kept_cells():
    selection = pd.DataFrame(
        {
            "sample": ["s", "s", "s", "t"],
            "phase": pd.Series(["S", "G1", None, "S"], dtype="string"),
            "kept": [True, True, True, False],
        }
    )
    s, t = count_phases(selection, ["s", "t"])
    assert s["cells"] == 3 and s["S"] == s["G1"] == s["not known"] == pytest.approx(1 / 3)
    assert t["cells"] == 0 and t["S"] is None


def test_read_metrics_are_those_over_exons():
    own = dict.fromkeys(["reads", "valid_barcodes", "mapped_unique"], 1)
    gene = dict.fromkeys(set(READ_METRICS) - set(own), 2) | {"median_umis": None}
    metrics = choose_metrics({"run": "r", **own, "counts": {"Gene": gene, "GeneFull": {}}})
    assert list(metrics) == ["run", *READ_METRICS]
    assert metrics["saturation"] == 2 and metrics["median_umis"] is None
