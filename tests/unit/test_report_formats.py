"""Numbers, names and maps as the report shows them."""

import pandas as pd
import pytest

from latere.report.formats import encode, format_percent, format_range, join_words, natural_order
from latere.report.maps import count_cell_types, draw_colours


def test_natural_order_counts():
    assert natural_order(["10", "9", "1", "T 2", "T 10"]) == ["1", "9", "10", "T 2", "T 10"]
    assert encode(pd.Series(["10", "9", "10"])) == {"levels": ["9", "10"], "codes": [1, 0, 1]}


@pytest.mark.parametrize(
    ("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")]
)
def test_words_are_joined(words, text):
    assert join_words(words) == text


def test_numbers():
    assert format_range(0.5, 0.5, format_percent) == "50 %"
    assert format_range(0.001, 0.5, format_percent) == "0.1 % to 50 %"


@pytest.fixture
def labels():
    """Of three branches, the types and clusters of four cells."""
    types = {"x": "TTTB", "y": "TTBB", "z": "TNBB"}
    return {
        name: pd.DataFrame({"cell_type": list(of), "cluster": ["0", "0", "1", "10"]})
        for name, of in types.items()
    }


def test_cell_types_are_counted_by_branch(labels):
    rows = {row["cell_type"]: row for row in count_cell_types(labels)}
    assert list(rows) == ["T", "B", "N"]
    assert [rows["T"][name] for name in "xyz"] == [3, 2, 1]
    assert [row["in_all"] for row in rows.values()] == [1, 1, 0]
    assert count_cell_types({"z": labels["z"]})[0]["in_all"] == 2


def test_unknown_cells_are_alike_in_nothing(labels):
    unknown = {name: of.replace("B", "unknown") for name, of in labels.items()}
    rows = {row["cell_type"]: row for row in count_cell_types(unknown)}
    assert rows["unknown"]["z"] == 2 and rows["unknown"]["in_all"] == 0
    assert rows["T"]["in_all"] == 1


def test_a_type_has_one_code_in_all_branches_and_a_cluster_its_own(labels):
    cells = pd.DataFrame({"batch": ["1", "2", "1", "1"], "same": "s"})
    types, clusters, batch = draw_colours(cells, labels)
    assert {tuple(of["levels"]) for of in types["of"].values()} == {("B", "N", "T")}
    assert types["of"]["z"]["codes"] == [2, 1, 0, 0]
    assert types["is_shared"] and not clusters["is_shared"]
    assert clusters["of"]["x"]["levels"] == ["0", "1", "10"]
    assert batch["same"]["codes"] == [0, 1, 0, 0]
