"""Every error has a stable code: a literal, in words with hyphens, and one for each problem."""

import ast
import pickle
import re
from collections import defaultdict
from pathlib import Path

import pytest

from latere.errors import StudyError, StudyErrors

# `Fault` is an error without a place; errors made of it pass its code on.
NAMES = {"StudyError", "Fault"}
FORM = re.compile("[a-z0-9]+(-[a-z0-9]+)*")


def calls_of(path: Path):
    """Calls that make an error, with the place in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in NAMES:
            yield f"{path.name}:{node.lineno}", node


def code_of(call: ast.Call) -> str | None:
    """The code of an error: a literal, empty if passed on from another error, None if missing."""
    (code,) = [word.value for word in call.keywords if word.arg == "code"] or [None]
    if isinstance(code, ast.Attribute) and code.attr == "code":
        return ""
    return code.value if isinstance(code, ast.Constant) else None


@pytest.fixture(scope="module")
def codes(root) -> dict[str, str | None]:
    """The code of each call, by its place."""
    files = sorted((root / "scripts").rglob("*.py"))
    return {where: code_of(call) for file in files for where, call in calls_of(file)}


def test_every_error_has_a_literal_code(codes):
    assert len(codes) > 100
    bad = {where: code for where, code in codes.items() if code is None}
    assert not bad
    assert [code for code in codes.values() if code and not FORM.fullmatch(code)] == []


def test_no_two_codes_are_of_the_same_words(codes):
    by_words = defaultdict(set)
    for code in filter(None, codes.values()):
        words = (word.removesuffix("s") for word in code.split("-"))
        by_words[tuple(sorted(words))].add(code)
    assert [several for several in by_words.values() if len(several) > 1] == []


def test_a_call_without_a_code_is_found():
    texts = {'StudyError(a, "b", code="c")': "c", "StudyError(a, b)": None, "Fault(a, b, c)": None}
    texts |= {"StudyError(a, b, code=fault.code)": "", "StudyError(a, b, code=name)": None}
    for text, code in texts.items():
        assert code_of(ast.parse(text, mode="eval").body) == code


def test_codes_survive_another_process_and_a_wider_place():
    error = StudyError("row 2", "is empty", "Fill it.", code="empty-value")
    several = StudyErrors([error.within("a.tsv"), StudyErrors([error])])
    for made in (several, pickle.loads(pickle.dumps(several))):
        assert made.codes == ["empty-value"] * 2
        assert str(made).startswith("a.tsv: row 2: is empty [empty-value]\n  -> Fill it.")
