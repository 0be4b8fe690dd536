"""The house style of figures."""

import re

import pytest

from latere.figures import CATEGORIES, LINES, fit, width_of, wrap


def test_colours_have_one_place(root):
    """Another copy of a colour would stay behind when the palette changes."""
    copies = [
        f"{path.name}: {line.strip()}"
        for path in (root / "scripts").rglob("*.py")
        if path.name != "figures.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"#[0-9a-fA-F]{6}\b", line)
    ]
    assert copies == []


@pytest.mark.parametrize("palette", [CATEGORIES, LINES])
def test_no_two_colours_of_a_palette_are_alike(palette):
    colours = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in palette]
    distances = [
        sum(abs(one - other) for one, other in zip(a, b, strict=True))
        for at, a in enumerate(colours)
        for b in colours[:at]
    ]
    assert min(distances) > 40


def test_text_is_fitted_into_its_width():
    words = "many words that a narrow panel cannot hold"
    for width in (0.5, 1, 1.5):
        line = fit(words, width, 7)
        assert width_of(line, 7) <= width and line.endswith("…")
        assert all(width_of(part, 7) <= width for part in wrap(words, width, 7).split("\n"))
    assert fit(words, 5, 7) == words
    assert fit("unbreakable" * 9, 0.5, 7) == "…"
