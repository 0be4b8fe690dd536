"""Fingerprint of the code that a rule runs, by meaning: what is to rerun it when it changes.

Python counts function by function, as syntax trees; R file by file, as tokens. So comments,
docstrings, blank lines and the words of messages do not count. Where it is unclear what a
script reaches, all that it may reach counts: a rerun too many costs time, one too few gives a
wrong result.
"""

import ast
import hashlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import yaml

from latere.rerun.meaning import assigned, children, dump, parse_meaning, walk

# By these a statement may reach code under a name that only its run gives: built-in functions,
# and words of the standard library's modules.
DYNAMIC = {"__import__", "eval", "exec", "globals"}
LOADERS = {"import_module", "exec_module", "runpy", "pkgutil", "builtins"}
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
R_TOKEN = re.compile(
    r"""
      (?P<comment> \#[^\n]* )
    | (?P<space> [^\S\n] )
    | (?P<string>
          [rR] (?P<quote>["']) (?P<dashes>-*)
              (?: \(.*?\) | \[.*?\] | \{.*?\} ) (?P=dashes) (?P=quote)
        | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `(?:\\.|[^`\\])*` )
    | %[^%\n]*% | [\w.]+ | <<- | ->> | <- | -> | \|> | [<>=!]= | && | \|\| | :::? | :=
    | .
    """,
    re.VERBOSE | re.DOTALL,
)


def fingerprint(script: Path) -> str:
    """Fingerprint of a script and of what it reaches of our own code.

    Parameters
    ----------
    script
        A Python or an R script. Our own code is that in its folder and below: modules that
        a Python script imports, files that an R script sources.

    Returns
    -------
    str
        The same for the same meaning, on any machine and in any folder.

    Raises
    ------
    SyntaxError
        A Python file is none.
    """
    return digest(r_parts(script) if script.suffix.lower() == ".r" else python_parts(script))


def digest(value) -> str:
    """A short text that represents a value of Python's own types."""
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def recorded_params(rule, root: Path, conda: bool) -> dict:
    """What makes a rule rerun, as parameters: Snakemake records and compares those.

    Its own trigger for code watches the time stamp of the script alone, and its trigger for
    software the folder that an environment is installed in, which a clone moves.

    Parameters
    ----------
    rule
        A rule of Snakemake that runs a script.
    root
        The folder of the Snakefile.
    conda
        Whether rules run in conda environments.

    Returns
    -------
    dict
        `code`; `settings`, because Snakemake compares the values of parameters as a set, and
        would not see two of them exchanged; `environment` if conda is used.
    """
    script = root / "scripts" / Path(rule.script).name
    # Once, and only for a rule that has jobs.
    code = cache(lambda: f"code {fingerprint(script)}")
    settings = {name: value for name, value in rule.params.items() if not callable(value)}
    params = {
        "code": lambda wildcards: code(),
        "settings": f"settings {digest(settings)}",
    }
    if conda:
        params["environment"] = lambda wildcards: describe_environment(
            root / "envs" / Path(rule.conda_env.format_map(wildcards)).name
        )
    return params


@cache
def describe_environment(path: Path) -> str:
    """What a conda environment is made of, wherever it is installed."""
    return f"environment {digest(yaml.safe_load(path.read_text(encoding='utf-8')))}"


@dataclass(frozen=True)
class Statement:
    """A statement of a module's top level.

    Attributes
    ----------
    text
        Its syntax tree.
    binds
        The names that it defines. With none it is no definition: it counts with every import.
    uses
        The names that it holds, with their attributes: ``a.b.c`` is (a, b, c).
    imports
        What each imported name stands for, as (name, path); a star's name is `*`.
    loads, calls
        Paths that are imported, and first names of what is called, as the statement itself runs.
    is_dynamic
        Whether it may reach anything.
    """

    text: str
    binds: frozenset[str]
    uses: frozenset[tuple]
    imports: frozenset[tuple[str, tuple]]
    loads: frozenset[tuple]
    calls: frozenset[str]
    is_dynamic: bool


class Module:
    """A module as its statements, with look-ups by name.

    Attributes
    ----------
    statements
        All of its top level, in order.
    binding
        Positions of the statements that define a name.
    imported_as
        What a name stands for that is imported anywhere in the module.
    """

    def __init__(self, statements: Iterable[Statement]):
        self.statements = tuple(statements)
        self.binding, self.imported_as = defaultdict(list), defaultdict(list)
        for i, statement in enumerate(self.statements):
            for name in statement.binds:
                self.binding[name].append(i)
            for alias, path in statement.imports:
                self.imported_as[alias].append(path)


def python_parts(script: Path) -> list[str]:
    """Syntax trees of all statements that a Python script runs or may run, by module."""
    reach = _Reach(script.parent)
    reach.load((script.stem,))
    return [f"{name}:{reach.modules[name].statements[i].text}" for name, i in sorted(reach.reached)]


class _Reach:
    """What is reached of the modules below a folder; `reached` holds (module, statement)."""

    def __init__(self, root: Path):
        self.root, self.modules, self.reached, self.imported = root, {}, set(), set()

    def module(self, name: str) -> Module | None:
        """A module of ours by its dotted name, None for any other."""
        if name not in self.modules:
            base = self.root.joinpath(*name.split("."))
            files = [base.with_name(f"{base.name}.py"), base / "__init__.py"]
            path = next((path for path in files if path.is_file()), None)
            package = name if path == files[1] else name.rpartition(".")[0]
            # A folder without __init__.py is a package too, with nothing in it.
            source = path.read_text(encoding="utf-8") if path else "" if base.is_dir() else None
            self.modules[name] = None if source is None else parse(source, package, str(path))
        return self.modules[name]

    def statement(self, name: str, i: int) -> None:
        """One statement of a module, with all that it reaches."""
        if (name, i) in self.reached:
            return
        self.reached.add((name, i))
        statement = self.modules[name].statements[i]
        for alias, path in statement.imports:
            self.load(path)
            if alias == "*":
                self.follow(path)
        for chain in statement.uses:
            self.use(name, chain)
        if statement.is_dynamic:
            self.whole(name)
            self.packages()

    def use(self, name: str, chain: tuple) -> None:
        """A name as it is in a module, with its attributes."""
        module = self.modules[name]
        for i in module.binding.get(chain[0], ()):
            self.statement(name, i)
        for path in module.imported_as.get(chain[0], ()):
            self.follow(path + chain[1:])

    def load(self, path: tuple) -> tuple:
        """Import the modules along a path; give the part of it that they make up."""
        count = 0
        while count < len(path) and self.module(".".join(path[: count + 1])) is not None:
            count += 1
            name = ".".join(path[:count])
            if name in self.imported:
                continue
            self.imported.add(name)
            for i, statement in enumerate(self.modules[name].statements):
                for other in statement.loads:
                    self.load(other)
                if not statement.binds or self.runs_ours(name, statement):
                    self.statement(name, i)
        return path[:count]

    def runs_ours(self, name: str, statement: Statement) -> bool:
        """Whether a definition calls our own code as the module is imported."""
        module = self.modules[name]
        for called in statement.calls:
            paths = module.imported_as.get(called, ())
            ours = [path for path in paths if self.module(path[0]) is not None]
            if ours or (not paths and called in module.binding):
                return True
        return False

    def follow(self, path: tuple) -> None:
        """What a dotted path names: a definition in a module of ours, or a whole module."""
        found = self.load(path)
        if not found:
            return
        name, rest = ".".join(found), path[len(found) :]
        module = self.modules[name]
        if rest and (rest[0] in module.binding or rest[0] in module.imported_as):
            self.use(name, rest)
        else:
            self.whole(name)

    def whole(self, name: str) -> None:
        """All of a module, of what it imports and, if it is a package, of what lies in it."""
        if (name, None) in self.imported:
            return
        self.imported.add((name, None))
        for i, statement in enumerate(self.module(name).statements):
            self.statement(name, i)
            for _, path in statement.imports:
                self.follow(path)
        self.packages(name)

    def packages(self, name: str = "") -> None:
        """All modules in a package; without a name, all packages of ours."""
        folder = self.root.joinpath(*name.split("."))
        for inner in pkgutil.iter_modules([str(folder)]):
            if name or inner.ispkg:
                self.whole(f"{name}.{inner.name}".lstrip("."))


@cache
def parse(source: str, package: str, path: str) -> Module:
    """A Python module as its statements.

    Parameters
    ----------
    source
        Its text.
    package
        Dotted name of the package that its relative imports start from.
    path
        Its file, for messages.
    """
    return Module(_statement(node, package) for node in parse_meaning(source, path).body)


def _statement(node: ast.stmt, package: str) -> Statement:
    """What a statement binds, uses, imports and calls."""
    runs = list(_run(node))
    uses = set(_chains(node))
    imports = {found for inner in walk(node) for found in _imports(inner, package)}
    called = [inner.func for inner in runs if isinstance(inner, ast.Call)]
    called += getattr(node, "decorator_list", [])
    paths = uses | {path for _, path in imports}
    return Statement(
        text=dump(node),
        binds=frozenset(_binds(node)),
        uses=frozenset(uses),
        imports=frozenset(imports),
        loads=frozenset(path for inner in runs for _, path in _imports(inner, package)),
        calls=frozenset(chain[0] for inner in called for chain in _chains(inner)),
        is_dynamic=any(
            path[0] in DYNAMIC or path[:2] == ("sys", "modules") or not LOADERS.isdisjoint(path)
            for path in paths
        ),
    )


def _binds(node: ast.stmt) -> list[str]:
    """Names that a plain definition binds; none for any other statement."""
    if isinstance(node, DEFINITIONS):
        # Python itself looks for __getattr__ and the like.
        return [] if node.name.startswith("__") else [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        names = [(alias.asname or alias.name).split(".")[0] for alias in node.names]
        return [] if "*" in names else names
    return assigned(node)


def _imports(node: ast.AST, package: str) -> Iterator[tuple[str, tuple]]:
    """Names that an import binds, each with the dotted path that it stands for."""
    if isinstance(node, ast.ImportFrom):
        above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
        origin = (*above, *(node.module.split(".") if node.module else ()))
        for alias in node.names:
            path = origin if alias.name == "*" else (*origin, alias.name)
            yield alias.asname or alias.name, path
    elif isinstance(node, ast.Import):
        for alias in node.names:
            path = tuple(alias.name.split("."))
            yield alias.asname or path[0], path if alias.asname else path[:1]
            # `import a.b` binds a, and brings a.b to run.
            yield "", path


def _chains(node: ast.AST) -> Iterator[tuple]:
    """Names in a tree, each with the attributes that are taken of it."""
    left = [node]
    while left:
        chain, inner = [], left.pop()
        while isinstance(inner, ast.Attribute):
            chain.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name):
            yield (inner.id, *reversed(chain))
        else:
            left += children(inner)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement that run when it runs: all but the bodies of functions."""
    yield node
    later = [] if not isinstance(node, DEFINITIONS[:2]) else node.body
    for child in children(node) if not isinstance(node, ast.Lambda) else ():
        if child not in later:
            yield from _run(child)


def r_parts(script: Path) -> list[str]:
    """Tokens of an R script; of all R files of ours, where it sources any."""
    tokens = r_tokens(script.read_text(encoding="utf-8"))
    files = sorted(script.parent.rglob("*.[rR]")) if "source" in tokens else [script]
    return [
        f"{path.name}:" + "\1".join(r_tokens(path.read_text(encoding="utf-8"))) for path in files
    ]


def r_tokens(source: str) -> list[str]:
    """The tokens of R code, without comments and space; lines, blank or not, part by one token."""
    found = R_TOKEN.finditer(f"{source}\n")
    tokens = ["\n", *(one[0] for one in found if one.lastgroup not in ("comment", "space"))]
    return [token for before, token in pairwise(tokens) if token != "\n" or before != "\n"]
