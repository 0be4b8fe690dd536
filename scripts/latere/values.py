"""Values that no cell of a sheet may have, because tables of the study show them."""

import re
import unicodedata

# "+/-" is a genotype, "-TGFb|+IL2" and "+Dox(1ug/ml)" are conditions: after a sign, only calls of
# other programs (`cmd|...!A0`) and of functions of a text or a cell do harm.
FORMULA = re.compile(
    r"\s*(=|@\w+\(|[+-](.*\|.*!|.*\w\(\s*(['\"]|\$?[A-Za-z]{1,3}\$?\d)))", re.DOTALL
)
FORMULA_PROBLEM = "a spreadsheet would run it as a formula"
FORMULA_FIX = "Begin the value with a letter or a digit."
# Marks between letters of Persian, Hindi and others, which change how a word reads.
JOINERS = {"\u200c", "\u200d"}


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a text, in wide characters of East Asia as well."""
    return bool(FORMULA.match(unicodedata.normalize("NFKC", text)))


def find_invisible(text: str) -> str | None:
    """The first invisible character, such as a zero-width space of a copied text.

    Blanks of every width are visible, and allowed.
    """
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return next((c for c in text if unicodedata.category(c) in hidden and c not in JOINERS), None)
