"""The step that draws the cells: what its figures hold, and that they are the same again."""

import xml.etree.ElementTree as ET
from types import SimpleNamespace

import matplotlib
import pytest
from cell_tables import EMPTY, FEW, FILTERED, SOUND, write_cells

import plot_cells
from latere.figures import STYLE, WIDTH
from plot_cells import main

FIGURES = ["knee", "ambient", "quality", "doublets", "waterfall"]
RUNS = {"a1": "a", "a2": "a", "filtered": "b", "empty": "c", "few": "d"}
KINDS = {"filtered": FILTERED, "empty": EMPTY, "few": FEW}


def draw(folder, runs, kinds=None, **sizes):
    """Run the step; the files it writes, by name."""
    files = write_cells(folder, runs, kinds, **sizes)
    outputs = [folder / f"{name}.{kind}" for name in FIGURES for kind in ("svg", "pdf")]
    main(
        SimpleNamespace(
            input=files,
            output=[str(path) for path in outputs],
            params=SimpleNamespace(runs=runs),
            threads=1,
            log=[folder / "log"],
            rule="plot_cells",
        )
    )
    return {path.name: path.read_bytes() for path in outputs}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plot_cells, "start", lambda _: SimpleNamespace(info=print))
        return draw(tmp_path_factory.mktemp("drawn"), RUNS, KINDS)


@pytest.fixture(autouse=True)
def no_log(monkeypatch):
    monkeypatch.setattr(plot_cells, "start", lambda _: SimpleNamespace(info=print))


def texts(svg: bytes) -> str:
    """All text of a figure, which must be there as text."""
    return "\n".join(
        "".join(node.itertext()) for node in ET.fromstring(svg).iter() if is_text(node)
    )


def is_text(node) -> bool:
    return node.tag.endswith("}text")


def test_every_figure_holds_what_it_should_as_text(drawn):
    knee, ambient, quality, doublets, waterfall = (texts(drawn[f"{n}.svg"]) for n in FIGURES)
    for run in RUNS:
        assert all(run in part for part in (knee, ambient, doublets, waterfall))
    assert "filtered matrix:" in knee and "no empty droplets" in knee
    assert "UMI counts" in knee and "rank of the barcode" in knee and "inflection" in knee
    assert "MALAT1 9.0 %" in ambient and "no estimate: There are 0 empty droplets" in ambient
    assert "no cell" in quality and "mitochondrial counts (%)" in quality
    assert "doublet score" in doublets and "100 cells are needed" in doublets
    assert "no cell called" in waterfall and "5 of 5 kept (100.0 %)" in waterfall
    assert "mitochondrial" in waterfall and "haemoglobin" not in waterfall


def test_same_tables_same_bytes(drawn, tmp_path):
    assert draw(tmp_path, RUNS, KINDS) == drawn


def test_figures_stay_light(tmp_path):
    drawn = draw(tmp_path, {"r": "s"}, {"r": SOUND}, n_cells=3000, n_empty=100_000)
    assert max(map(len, drawn.values())) < 60_000
    assert not any(b"<image" in svg for name, svg in drawn.items() if name.endswith("svg"))


@pytest.mark.parametrize("kind", [EMPTY, FILTERED])
def test_a_study_of_one_odd_run(kind, tmp_path):
    drawn = draw(tmp_path, {"r": "s"}, {"r": kind})
    assert all(content.startswith(b"%PDF") or b"</svg>" in content for content in drawn.values())


def test_many_runs_with_long_names_stay_on_the_page(tmp_path):
    runs = {f"GSM{n:07d}_a_long_name_of_a_run_{n}": f"sample_{n}" for n in range(37)}
    files = write_cells(tmp_path, runs, dict.fromkeys(list(runs)[::3], FILTERED), 30, 50)
    with matplotlib.rc_context(STYLE):
        for _, figure in plot_cells.draw(files, runs):
            box, width = figure.get_tightbbox(), figure.get_figwidth()
            assert width <= WIDTH + 1e-6
            assert box.x0 >= -0.02 and box.x1 <= width + 0.02
            assert box.y0 >= -0.02 and box.y1 <= figure.get_figheight() + 0.02
