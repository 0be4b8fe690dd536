"""Numbers, names and tables as the report shows them."""

import math
import re

import numpy as np
import pandas as pd


def format_count(value) -> str:
    """A whole number with thousands marked."""
    return f"{value:,.0f}" if pd.notna(value) else "NA"


def format_share(value) -> str:
    """A share as percent."""
    return f"{100 * value:.1f} %" if pd.notna(value) else "NA"


def format_percent(value: float) -> str:
    """A constant or a setting as percent, with the decimals that it has."""
    return f"{100 * value:g} %"


def format_correlation(value) -> str:
    """A number around 0 to 1, with the decimals that separate 0.99 from 1."""
    return f"{value:.3f}" if pd.notna(value) else "NA"


def format_number(value) -> str:
    """A number to three digits."""
    return f"{value:.3g}" if pd.notna(value) else "NA"


def format_limit(value: float) -> str:
    """A limit: whole from 100, with one decimal below."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def format_si(value: float, unit: str) -> str:
    """A number to three digits with its unit, and the prefix that makes it 1 to 1000."""
    value = float(f"{value:.3g}")
    power = math.floor(math.log10(value) / 3) if value > 0 else 0
    power = min(max(power, -3), 4)
    return f"{value / 1000**power:.3g} {'nµm kMGT'[power + 3].strip()}{unit}"


def format_range(low: float, high: float, form) -> str:
    """Two numbers as a range; one number where both look alike."""
    low, high = form(low), form(high)
    return low if low == high else f"{low} to {high}"


def plural(number: int, word: str) -> str:
    """A number of things."""
    return f"{format_count(number)} {word}{'' if number == 1 else 's'}"


def join_words(words) -> str:
    """An enumeration: a, b and c."""
    *first, last = map(str, words)
    return f"{', '.join(first)} and {last}" if first else last


FILTERS = {
    "count": format_count,
    "share": format_share,
    "percent": format_percent,
    "correlation": format_correlation,
    "number": format_number,
    "si": format_si,
    "plural": plural,
    "join_words": join_words,
}


def round_number(value) -> float | None:
    """A number to three significant digits; None where it is missing, as JSON has no NaN."""
    return float(f"{value:.3g}") if np.isfinite(value) else None


def records(table: pd.DataFrame) -> list[dict]:
    """Rows as dictionaries, None where a value is missing, as JSON has no NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def name_apart(columns, own) -> dict[str, str]:
    """Names under which columns of the sheet are shown beside our own.

    Parameters
    ----------
    columns
        Of the sheet; a name there has no space.
    own
        Our names.

    Returns
    -------
    dict
        By column; the same name, unless it is one of ours.
    """
    return {name: f"{name} (sheet)" if name in own else name for name in columns}


def natural_order(levels) -> list:
    """Sort names so that cluster 10 follows cluster 9.

    Parameters
    ----------
    levels
        Names, str.
    """

    def key(name):
        return [
            (0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"(\d+)", name) if p
        ]

    return sorted(levels, key=key)


def encode(values: pd.Series, levels: list | None = None) -> dict:
    """Store labels as small integers, so that a page of many cells stays small.

    Parameters
    ----------
    values
        Labels, shape (cells,).
    levels
        All names, if they are more than those of `values`.

    Returns
    -------
    dict
        levels (names, by default in natural order) and codes (index of each value in them).
    """
    values = values.astype(str)
    levels = levels or natural_order(values.unique())
    return {"levels": levels, "codes": pd.Categorical(values, levels).codes.tolist()}
