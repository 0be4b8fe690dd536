"""Tables and their contracts (`config/schemas/tables.yaml`): one writer for all tables."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import yaml
from pandas.api import types

CONTRACTS = Path(__file__).resolve().parents[2] / "config/schemas/tables.yaml"
# Whether the values of a column have a type; an empty column has none.
IS_TYPE = {
    "text": lambda values: (
        types.is_string_dtype(values)
        or (
            isinstance(values.dtype, pd.CategoricalDtype)
            and types.is_string_dtype(values.cat.categories)
        )
        or values.dropna().map(lambda value: isinstance(value, str)).all()
    ),
    "integer": types.is_integer_dtype,
    "number": lambda values: types.is_numeric_dtype(values) and not types.is_bool_dtype(values),
    "boolean": types.is_bool_dtype,
}


class ContractError(Exception):
    """A table is not what its contract promises: a fault of the workflow, not of its input."""


@cache
def read_contracts() -> dict[str, dict]:
    """The contracts of all kept files, by path below the results of a study."""
    return yaml.safe_load(CONTRACTS.read_text(encoding="utf-8"))


def check_table(table: pd.DataFrame, name: str, contract: Mapping) -> None:
    """Compare the columns of a table with its contract.

    Parameters
    ----------
    table
        The table.
    name
        Name of the table, for messages.
    contract
        Its entry in `tables.yaml`: columns, and others if there may be more.

    Raises
    ------
    ContractError
        A column is missing, unknown, in another place, of another type, or lacks values.
    """
    columns, others = contract["columns"], contract.get("others")
    named = [column for column in columns if column in table]
    found = list(table)
    if lacking := [c for c in columns if c not in table and not columns[c].get("optional")]:
        raise ContractError(f"{name}: column '{lacking[0]}' is missing; columns are {found}")
    more = [column for column in found if column not in columns]
    if more and not others:
        raise ContractError(f"{name}: column '{more[0]}' is not in its contract")
    if found != named + more:
        raise ContractError(f"{name}: columns are {found}; their order is {named}")
    for column in found:
        about, values = columns.get(column, others), table[column]
        if not len(values):
            continue
        if values.isna().any() and not about.get("missing"):
            raise ContractError(f"{name}: column '{column}' has missing values")
        if values.notna().any() and not IS_TYPE[about["type"]](values):
            kind = about["type"]
            raise ContractError(f"{name}: column '{column}' is {values.dtype}, not {kind}")


def write_table(table: pd.DataFrame, path: str, name: str, digits: int | None = None) -> None:
    """Write a table as its contract says, as parquet or as TSV (by the name of the file).

    Parameters
    ----------
    table
        The table; its index is not written.
    path
        The file.
    name
        The table's key in `tables.yaml`.
    digits
        Significant digits of numbers in a TSV, all if None. Whole numbers are counts and keep all.

    Raises
    ------
    ContractError
        As of `check_table`.
    """
    check_table(table, name, read_contracts()[name])
    if name.endswith(".parquet"):
        table.to_parquet(path, index=False)
    else:

        def form(value: float) -> str:
            return f"{value:.0f}" if value.is_integer() else f"{value:.{digits}g}"

        table.to_csv(
            path, sep="\t", index=False, na_rep="NA", float_format=form if digits else None
        )
