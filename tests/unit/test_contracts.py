"""The contracts of tables: checked by the writer, complete, and the page made from them."""

import re

import numpy as np
import pandas as pd
import pytest

from latere.branches import REGISTRY
from latere.contract import ContractError, check_table, read_contracts, write_table
from latere.tables import TEST_COLUMNS
from make_outputs import PAGE, make_page

CONTRACT = {
    "columns": {
        "cell": {"type": "text"},
        "n": {"type": "integer"},
        "score": {"type": "number", "missing": True},
        "pvalue": {"type": "number", "optional": True},
        "kept": {"type": "boolean"},
    }
}
SOUND = pd.DataFrame(
    {"cell": ["a", "b"], "n": [1, 2], "score": [0.5, np.nan], "kept": [True, False]}
)


@pytest.mark.parametrize(
    "table",
    [
        SOUND,
        SOUND.iloc[:0],
        SOUND.astype({"cell": "category", "kept": "boolean", "score": np.float32}),
        SOUND[["cell", "n", "score"]].assign(pvalue=0.1, kept=True),
        SOUND.assign(score=None),
    ],
    ids=["plain", "empty", "other dtypes", "optional", "all missing"],
)
def test_sound_tables_pass(table):
    check_table(table, "t", CONTRACT)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (SOUND.drop(columns="n"), "column 'n' is missing"),
        (SOUND.assign(more=1), "column 'more' is not in its contract"),
        (SOUND[["n", "cell", "score", "kept"]], "their order is"),
        (SOUND.assign(n=[1.5, 2]), "column 'n' is float64, not integer"),
        (SOUND.assign(score=["x", "y"]), "column 'score' is object, not number"),
        (SOUND.assign(score=[True, False]), "column 'score' is bool, not number"),
        (SOUND.assign(kept=[0, 1]), "column 'kept' is int64, not boolean"),
        (SOUND.assign(cell=[1, 2]), "column 'cell' is int64, not text"),
        (SOUND.assign(cell=["a", None]), "column 'cell' has missing values"),
    ],
)
def test_a_table_that_breaks_its_contract_is_not_written(table, problem):
    with pytest.raises(ContractError, match=f"t: .*{problem}"):
        check_table(table, "t", CONTRACT)


def test_further_columns_have_the_type_of_others():
    contract = {"columns": {"cell": {"type": "text"}}, "others": {"type": "number"}}
    check_table(pd.DataFrame({"cell": ["a"], "dim_1": [0.5]}), "t", contract)
    with pytest.raises(ContractError, match="column 'dim_1' is object, not number"):
        check_table(pd.DataFrame({"cell": ["a"], "dim_1": ["x"]}), "t", contract)


def test_a_missing_value_and_a_name_stay_what_they_are(tmp_path):
    table = pd.DataFrame({"contrast": ["c"], "group": ["NA"], "reason": ["few, too few"]})
    write_table(table, tmp_path / "t.tsv", "comparison/skipped.tsv")
    assert (tmp_path / "t.tsv").read_text() == "contrast\tgroup\treason\nc\tNA\tfew, too few\n"
    with pytest.raises(ContractError):
        write_table(table[["group"]], tmp_path / "u.tsv", "comparison/skipped.tsv")
    assert not (tmp_path / "u.tsv").exists()


def test_digits_round_shares_and_keep_counts(tmp_path):
    table = pd.DataFrame(
        {
            "run": "r",
            "check": "c",
            "verdict": "PASS",
            "value": [737280.0, 0.106194, np.nan],
            "detail": "d.",
        }
    )
    write_table(table, tmp_path / "t.tsv", "cells/checks.tsv", digits=4)
    written = pd.read_table(tmp_path / "t.tsv", dtype=str, keep_default_na=False)["value"]
    assert written.tolist() == ["737280", "0.1062", "NA"]


def test_every_contract_is_described():
    for path, contract in read_contracts().items():
        assert contract["description"].endswith("."), path
        assert ("row" in contract) == ("columns" in contract), path
        for column in [*contract.get("columns", {}).values(), contract.get("others", {})]:
            assert not column or column["description"] and column["type"], path


def kept_outputs(root):
    """Outputs in the texts of the rules, but for temporary ones."""
    for path in sorted((root / "rules").glob("*.smk")):
        text = path.read_text()
        for block in re.findall(r"^    output:\n((?:        .*\n)+)", text, re.MULTILINE):
            block = re.sub(r"temp\([^)]*\)", "", block)
            for output in re.findall(r'"<results>/([^"]+)"', block):
                yield output.replace("{{", "{").replace("}}", "}")


def test_every_kept_output_has_a_contract_and_the_other_way_round(root):
    branches = rf"^({'|'.join(REGISTRY)})/(?=embedding|tests)"
    outputs = {re.sub(branches, "{branch}/", output) for output in kept_outputs(root)}
    outputs = {re.sub(r"(?<=figures/)$", "{name}.svg", output) for output in outputs}
    contracts = set(read_contracts())
    assert len(outputs) > 40
    assert outputs - contracts == set()
    # Figures are named by a list, temporary reads may be kept.
    by_list = {"cells/figures/{name}.pdf", "reads/{run}"}
    assert contracts - outputs - by_list == set()


def test_tests_have_the_columns_of_every_branch():
    columns = read_contracts()["{branch}/tests/{design}.parquet"]["columns"]
    assert [name for name, about in columns.items() if not about.get("optional")] == TEST_COLUMNS


def test_the_page_on_outputs_is_current():
    assert PAGE.read_text(encoding="utf-8") == make_page(), "run `make docs`"
