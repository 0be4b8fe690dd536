"""The page on the reads: what stands out, and that MultiQC shows what it is told."""

import json
import re
from types import SimpleNamespace

import pytest

import multiqc
from latere.published import Published
from latere.reads.flags import beyond_limits, find_flags, unlike_others
from latere.reads.sections import flag_section, knee_section, published_sections, run_section

LIMITS = {
    "min_valid_barcodes": 75,
    "min_in_genes": 30,
    "max_antisense": 10,
    "min_cells": 100,
    "min_reads_in_cells": 70,
    "deviations": 5,
}


def metrics_of(run, sample=None, chemistry="10xv2", **changes):
    """Metrics of a run that does not stand out, with changes."""
    counts = {"in_genes": 0.6, "saturation": 0.8, "cells": 3000, "reads_per_cell": 50_000.0}
    counts |= {"reads_in_cells": 0.9, "median_umis": 4000, "median_genes": 1500, "genes": 20_000}
    told = {"run": run, "sample": sample or run, "chemistry": chemistry, "reads": 150_000_000}
    told |= {"valid_barcodes": 0.97, "q30_barcode": 0.95, "q30_cdna": 0.9, "mapped_unique": 0.9}
    told |= {"antisense": 0.02, "knee": [[1, 900, 1], [3000, 500, 1], [9000, 5, 0]]}
    counts |= {key: changes.pop(key) for key in list(changes) if key in counts}
    full = counts | {"in_genes": 0.8}
    return told | {"counts": {"Gene": counts, "GeneFull": full}} | changes


def study(number=8, **changes):
    """Metrics of runs that differ by little; changes by run."""
    runs = {f"r{at}": metrics_of(f"r{at}", antisense=0.02 + at / 1000) for at in range(number)}
    return runs | {name: metrics_of(name, **change) for name, change in changes.items()}


def told(flags):
    return [(flag.run, flag.metric.name, flag.value, flag.limit) for flag in flags]


def test_limits_of_the_configuration():
    assert find_flags(study(), LIMITS) == []
    runs = study(r0={"valid_barcodes": 0.7499}, r3={"antisense": 0.101, "cells": 99})
    assert told(find_flags(runs, LIMITS)) == [
        ("r0", "valid_barcodes", "75.0 %", "at least 75.0 %"),
        ("r3", "cells", "99", "at least 100"),
        ("r3", "antisense", "10.1 %", "at most 10.0 %"),
    ]
    on_the_limit = study(r0={"valid_barcodes": 0.75}, r3={"antisense": 0.1, "cells": 100})
    assert beyond_limits(on_the_limit, LIMITS) == []


def test_a_run_unlike_the_others():
    runs = study(r5={"median_umis": 1000, "mapped_unique": 0.7})
    assert told(unlike_others(runs, 5)) == [
        ("r5", "median_umis", "1,000", "4,000 is the median of 8 runs"),
        ("r5", "mapped_unique", "70.0 %", "90.0 % is the median of 8 runs"),
    ]
    # Smaller than what needs a look, too few runs, or of another chemistry.
    assert unlike_others(study(r5={"median_umis": 3000, "mapped_unique": 0.86}), 5) == []
    assert unlike_others(study(5, r4={"median_umis": 1000}), 5) == []
    assert unlike_others(study(r5={"median_umis": 1000, "chemistry": "10xv3"}), 5) == []
    # More mapped reads than usual mean nothing bad.
    low = {f"r{at}": {"mapped_unique": 0.6} for at in range(8)}
    assert unlike_others(study(**low | {"r5": {"mapped_unique": 0.9}}), 5) == []


def test_a_metric_is_flagged_once():
    flags = find_flags(study(r2={"antisense": 0.5}), LIMITS)
    assert told(flags) == [("r2", "antisense", "50.0 %", "at most 10.0 %")]


def test_a_run_without_cells():
    none = {"cells": 0, "median_umis": None, "median_genes": None, "saturation": None}
    runs = study(r1=none | {"reads_in_cells": None, "reads_per_cell": None, "knee": []})
    assert told(find_flags(runs, LIMITS)) == [("r1", "cells", "0", "at least 100")]
    section = run_section(runs, LIMITS, [])
    assert "median_umis" not in section["data"]["r1"] and section["data"]["r1"]["cells"] == 0
    json.dumps(section, allow_nan=False)
    assert list(knee_section(runs)["data"]) == [name for name in runs if name != "r1"]


def test_names_of_the_user_are_no_markup():
    flags = find_flags(study(r2={"cells": 5, "sample": "a<b>"}), LIMITS)
    page = flag_section(flags, dict.fromkeys(study(), "a<b>"), LIMITS)["data"]
    assert "<b>" not in page and "a&lt;b&gt;" in page and "1 of 8 runs" in page


def test_knee_is_drawn_in_full_where_barcodes_are_cells():
    runs = {"a": metrics_of("a", sample="s"), "s": metrics_of("s")}
    section = knee_section(runs)
    assert list(section["data"]) == ["a (s)", "s"]
    assert section["data"]["s"] == [[1, 900], [3000, 500]]
    rest = section["pconfig"]["extra_series"]
    assert rest[1]["pairs"] == [[3000, 500], [9000, 5]]
    assert rest[0]["color"] != rest[1]["color"] == section["pconfig"]["colors"]["s"]
    # A run without a curve takes no colour from those after it.
    section = knee_section({"none": metrics_of("none", knee=[])} | runs)
    rest = section["pconfig"]["extra_series"]
    assert {each["name"]: each["color"] for each in rest} == section["pconfig"]["colors"]


def test_published_cells_beside_ours():
    runs = {"a": metrics_of("a", "s", cells=100), "b": metrics_of("b", "s", cells=50)}
    table = [
        Published("run", "a", 80, "Cell Ranger", "course"),
        Published("sample", "s", 300, "authors", "GEO"),
        Published("sample", "other", 1, "authors", "GEO"),
    ]
    by_run, by_sample = published_sections(runs, table)
    assert by_run["data"]["a"] == {"of": "s", "ours": 100, "cells_0": 80, "ratio_0": 1.25}
    assert by_run["data"]["b"] == {"of": "s", "ours": 50}
    assert by_run["headers"]["cells_0"]["title"] == "Cell Ranger"
    assert by_sample["data"] == {"s": {"of": "a + b", "ours": 150, "cells_0": 300, "ratio_0": 0.5}}
    assert [section["id"] for section in published_sections(runs, table[1:])] == [
        "published_sample"
    ]
    assert published_sections(runs, []) == []


@pytest.fixture
def page(tmp_path, root, monkeypatch):
    """The page as MultiQC makes it; runs and a table of published cells."""
    monkeypatch.setattr(multiqc, "start", lambda _: None)

    class Files(dict):
        __getattr__ = dict.__getitem__

    def make(runs, published="", more=""):
        """`more` is added to each text that can come from a user."""
        files = Files(config=root / "config/multiqc.yaml", css=root / "config/multiqc.css")
        files |= {"fastqc": [], "versions": [], "starsolo": [tmp_path / name for name in runs]}
        evidence = [("10xv2", 0.97, "fits"), ("10xv3", 0.05, "under 50% valid")]
        keys = ("chemistry", "valid_barcodes", "verdict")
        rows = [dict(zip(keys, row, strict=True), read=f"x_R1.fq{more}") for row in evidence]
        for row in rows:
            row |= {key: row[key] + more for key in ("chemistry", "verdict")} | {"length": 26}
        strand = {"chemistry": f"10xv2{more}", "verdict": f"sense{more}", "sense_genes": 4321}
        strand |= {"antisense_genes": 7}
        lengths = {"barcode": [26, 26], "cdna": [80, 98]}
        tables = {
            "metrics": lambda name: runs[name],
            "roles": lambda name: {"run": name, "evidence": rows},
            "strand": lambda name: {"run": name} | strand,
            "checked": lambda name: {
                "run": name,
                "reads": 8_765_432,
                "lanes": [8_000_000, 765_432],
                "lengths": lengths,
            },
        }
        for kind, tell in tables.items():
            files[kind] = [tmp_path / f"{name}.{kind}.json" for name in runs]
            for name, file in zip(runs, files[kind], strict=True):
                file.write_text(json.dumps(tell(name)))
        if published:
            files["published"] = tmp_path / "published.tsv"
            files["published"].write_text(published)
        for name in runs:
            (tmp_path / name).mkdir()
            (tmp_path / name / f"{name}.Log.final.out").write_text("")
        multiqc.main(
            SimpleNamespace(
                input=files,
                output=[tmp_path / "page.html"],
                params=SimpleNamespace(study="test", runs=list(runs), limits=LIMITS),
            )
        )
        return (tmp_path / "page.html").read_text()

    return make


def test_page(page):
    table = "level\tname\tcells\tsource\treference\nsample\ts one\t2718\tCell Ranger 2.1\tGEO\n"
    runs = study(r1={"antisense": 0.42, "sample": "s one"}, r2={"median_umis": 123})
    text = page({"z": metrics_of("z")} | runs, table)
    order = ["Runs that stand out", "Runs", "Knee plots", "Published cells, by sample", "Chemistry"]
    order += ["Chemistries that were tried", "Read files"]
    heads = re.findall(r"<h2[^>]*>\s*([^<]+?)\s*<", text)
    assert [head for head in heads if head in order] == order
    words = ["42.0 %", "Another kit than was named", "4,000 is the median of 9 runs", "s one"]
    words += ["4,321", "under 50% valid", "8,765,432", "80 to 98", "2,718", "Cell Ranger 2.1"]
    assert [word for word in words if word not in text] == []
    assert "Published cells, by run" not in heads and "General Statistics" not in heads
    # In the order of the sheet.
    assert re.findall(r'rowheader" data-sorting-val="(\w+)"', text)[:9] == ["z", *runs]
    # The page opens without a network.
    assert 'script src="http' not in text and 'stylesheet" href="http' not in text


def test_page_where_nothing_stands_out(page):
    text = page({"r1": metrics_of("r1")})
    assert "None of 1 runs." in text and "Published" not in text
