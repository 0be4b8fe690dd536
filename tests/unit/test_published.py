"""The table of cells that others published."""

import pytest

from latere.errors import StudyError
from latere.published import Published, read_published

HEAD = "level\tname\tcells\tsource\treference\n"
NAMES = {"run": ["r1"], "sample": ["s1"]}


def read(tmp_path, text, names=NAMES):
    (tmp_path / "cells.tsv").write_text(text)
    return read_published(tmp_path / "cells.tsv", names)


def test_rows_in_order_without_comments(tmp_path):
    text = f"# Who counted.\n{HEAD}run\tr1\t12\tA\tx\n\nsample\ts1\t30\tB\t\n"
    rows = [Published("run", "r1", 12, "A", "x"), Published("sample", "s1", 30, "B", "")]
    assert read(tmp_path, text) == rows
    assert read(tmp_path, HEAD) == []
    assert read(tmp_path, text, names=None) == rows


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("level\tname\tcells\n", "missing-column", "'source'"),
        ("", "empty-table", "cells.tsv"),
        (f"{HEAD}lane\tr1\t12\tA\tx\n", "invalid-value", "row 2: level 'lane'"),
        (f"{HEAD}run\ts1\t12\tA\tx\n", "unknown-name", "row 2: run 's1'"),
        (
            f"# c\n{HEAD}run\tr1\t12\tA\tx\nrun\tr1\t1,2\tA\tx\n",
            "invalid-value",
            "row 4: cells '1,2'",
        ),
        (f"{HEAD}run\tr1\t12\t\tx\n", "empty-value", "row 2: the source"),
        (f"{HEAD}run\tr1\n", "row-length", "row 2: has 2 columns, the header has 5"),
        (f"{HEAD}run\tr1\t12\t=1+1\tx\n", "formula", "row 2: the source '=1+1'"),
        (f"{HEAD}run\tr1\t12\tA\t@SUM(A1)\n", "formula", "row 2: the reference"),
        (f'{HEAD}run\tr1\t5\t"A\tx\nlane\tr1\t6\tB\ty\n', "unmatched-quote", "row 2"),
        (f"{HEAD}run\tr1\t5\tA\tx\nrun\tr1\t6\tA\ty\n", "duplicated-row", "row 3: run 'r1'"),
    ],
)
def test_a_fault_is_reported_by_row(tmp_path, text, code, words):
    with pytest.raises(StudyError) as error:
        read(tmp_path, text)
    assert error.value.codes == [code] and words in str(error.value)


def test_no_such_table(tmp_path):
    with pytest.raises(StudyError, match=r"\[missing-file\]"):
        read_published(tmp_path / "no.tsv", NAMES)
