"""The packages of scripts/latere/: which may import which."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from latere.branches import REGISTRY

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
# What Snakemake itself runs. A job that imported it would rerun with the site or the resources.
DRIVER = {"study", "cluster", "rerun", "snakemake_internals"}
RUN_BY_DRIVER = {"plan"}
MODULES = {
    ".".join(path.relative_to(SCRIPTS).with_suffix("").parts): path
    for path in SCRIPTS.rglob("*.py")
    if path.name != "__init__.py"
}


def imported(path):
    """Modules of ours that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & set(MODULES)


IMPORTS = {module: imported(path) for module, path in MODULES.items()}


def is_driver(module):
    return module in RUN_BY_DRIVER or not DRIVER.isdisjoint(module.split(".")[1:2])


def test_jobs_import_nothing_of_the_driver():
    wrong = {
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        if not is_driver(module)
        for other in others
        if is_driver(other)
    }
    assert not wrong


def test_imports_make_no_circle():
    # Raises CycleError with the circle.
    assert len(list(TopologicalSorter(IMPORTS).static_order())) == len(MODULES)


def test_what_is_seen_is_what_is_there():
    assert IMPORTS["train_scvi"] >= {"latere.job", "latere.tables"}
    assert sum(map(is_driver, MODULES)) > 10


def code_lines(text):
    """Lines that are neither blank, comment nor docstring."""
    documented = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            documented |= set(range(first.lineno, first.end_lineno + 1))
    return [
        line
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#") and number not in documented
    ]


def test_no_file_does_several_things():
    """A file of more than 300 lines of code usually does."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in MODULES.items()}
    assert {name for name, text in texts.items() if text.count("\n") > 400} == set()
    assert {name for name, text in texts.items() if len(code_lines(text)) > 300} == set()


def test_a_file_that_the_report_shows_is_of_one_branch():
    """The report finds it by what it holds, whatever the branch."""
    names = [name for branch in REGISTRY.values() for name in branch.files]
    assert len(names) == len(set(names))
