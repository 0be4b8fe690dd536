"""Text that a spreadsheet would run: tables of the study are opened in spreadsheets, too."""

import re
import unicodedata

# "+/-" is a genotype and "-80 C (dry)" a condition: after a sign, only calls of functions and of
# other programs (`cmd|`) do harm.
FORMULA = re.compile(r"\s*([=@]|[+-].*(\w\(|\|))", re.DOTALL)
PROBLEM = "a spreadsheet would run it as a formula"
FIX = "Let it begin with a letter or a digit."


def is_formula(text: str) -> bool:
    """Whether a spreadsheet would run a text, in wide characters of East Asia as well."""
    return bool(FORMULA.match(unicodedata.normalize("NFKC", text)))
