"""What of Python code counts for its results: a syntax tree without docstrings and messages.

A message is what a log, `print`, a warning or an error is given. It does not count, nor do local
variables that only messages read. Calls within it do count, as they may do anything: all but
those that are known to look at values only, and those of an error that is raised at once.
So an error carries no result: a handler that needs a value for one gets it another way.
"""

import ast
import re
from collections.abc import Iterable, Iterator

LOG = re.compile(
    r"(.*\W)?(log|logger|logging|getLogger\(.*\))"
    r"\.(debug|info|warning|error|exception|critical|log)|print|warnings\.warn"
)
ERROR = re.compile(r"(.*\W)?(\w*(Error|Errors|Warning)|Fault)|sys\.exit")
# Handlers read the code of this one.
CODED = "Fault"
# Python itself reads what these are given: only a text is a message.
READ = {"OSError", "StopIteration", "SystemExit", "sys.exit"}
LOOKS = {"decode", "format", "join", "len", "lower", "max", "min", "partition", "repr", "round"}
LOOKS |= {"rstrip", "sorted", "split", "str", "strip", "sum", "upper"}
BINDS = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
# By these a function may read its variables under names that a text holds.
BY_TEXT = {"eval", "exec", "f_locals", "locals", "query", "vars"}


def parse_meaning(source: str, path: str) -> ast.Module:
    """Syntax tree of a module without what does not count; its imports bring one name each.

    Parameters
    ----------
    source
        Its text. Docstrings stay if it reads any.
    path
        Its file, for messages.
    """
    return _Reducer("__doc__" in source).visit(ast.parse(source, path))


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes right below a node."""
    found = []
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += [one for one in value if isinstance(one, ast.AST)]
        elif isinstance(value, ast.AST):
            found.append(value)
    return found


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, in no order. `ast.walk` takes three times as long."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        left += children(node)


def assigned(node: ast.AST) -> list[str]:
    """Names that an assignment binds; none if it binds anything else, or is none."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    parts = [part for target in targets for part in getattr(target, "elts", [target])]
    is_plain = all(isinstance(part, ast.Name) for part in parts)
    return [part.id for part in parts] if is_plain else []


def dump(node) -> str:
    """A syntax tree as text, without positions; the same in all versions of Python."""
    if isinstance(node, ast.AST):
        fields = ast.iter_fields(node)
        told = [f"{name}={dump(value)}" for name, value in fields if value not in (None, [])]
        return f"{type(node).__name__}({','.join(told)})"
    if isinstance(node, list):
        return f"[{','.join(map(dump, node))}]"
    return repr(node)


class _Reducer(ast.NodeTransformer):
    """Takes out what does not count, from the inside outwards."""

    def __init__(self, reads_docstrings: bool):
        self.reads_docstrings = reads_docstrings

    def visit_Import(self, node):
        # The other names of the line are another matter.
        fields = dict(ast.iter_fields(node))
        return [type(node)(**fields | {"names": [alias]}) for alias in node.names]

    visit_ImportFrom = visit_Import

    def visit_Pass(self, node):
        return None

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Constant):
            return node if self.reads_docstrings else None
        self.generic_visit(node)
        call = node.value
        if not isinstance(call, ast.Call) or not LOG.fullmatch(ast.unparse(call.func)):
            return node
        # A file may be a result.
        files = [key.value for key in call.keywords if key.arg in ("file", None)]
        if any(ast.unparse(file) != "sys.stderr" for file in files):
            return node
        return _effects(*call.args, *call.keywords)

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call):
            _silence(node.exc, is_raised=True)
        return self.generic_visit(node)

    def visit_Call(self, node):
        self.generic_visit(node)
        if ERROR.fullmatch(ast.unparse(node.func)):
            _silence(node)
        return node

    def visit_FunctionDef(self, node):
        nodes = list(walk(node))
        words = {getattr(inner, "id", getattr(inner, "attr", "")) for inner in nodes}
        before, told = _read(nodes), set()
        self.generic_visit(node)
        # Round by round: a variable may be read for another one only.
        while BY_TEXT.isdisjoint(words) and told != (now := before - _read(walk(node))):
            told = now
            _Forgetter(told).generic_visit(node)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


class _Forgetter(ast.NodeTransformer):
    """Takes out assignments to local variables."""

    def __init__(self, names: set[str]):
        self.names = names

    def visit_ClassDef(self, node):
        return node  # its variables are attributes

    def visit_Assign(self, node):
        names = assigned(node)
        is_kept = not names or not self.names.issuperset(names)
        return node if is_kept else _effects(node)

    visit_AnnAssign = visit_AugAssign = visit_Assign


def _read(nodes: Iterable[ast.AST]) -> set[str]:
    """Names that a function of these nodes reads, or that are not its own."""
    names = set()
    for inner in nodes:
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            names.add(inner.id)
        elif isinstance(inner, (ast.Global, ast.Nonlocal)):
            names.update(inner.names)
        elif isinstance(inner, ast.AugAssign) and not _is_text(inner.value):
            # Of a list or an array it changes what others hold, too.
            names.update(assigned(inner))
    return names


def _is_text(node: ast.AST) -> bool:
    """Whether an expression is sure to be a text."""
    return isinstance(node, ast.JoinedStr) or isinstance(getattr(node, "value", None), str)


def _silence(error: ast.Call, is_raised: bool = False) -> None:
    """Take the text out of the making of an error."""
    parts = [*error.args, *error.keywords]
    is_read = ast.unparse(error.func) in READ
    kept = [part for part in parts if is_read and not _is_text(part)]
    if ast.unparse(error.func) == CODED:
        kept = [part for part in error.keywords if part.arg == "code"]
    told = [part for part in parts if part not in kept]
    error.args, error.keywords = kept + _effects(*told, is_raised=is_raised), []


def _effects(*nodes: ast.AST, is_raised: bool = False) -> list[ast.expr]:
    """What of a message may do more than inform: it binds a name, calls or uses up something."""
    found = []
    for node in nodes:
        name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        if isinstance(node, BINDS) or (name and name not in LOOKS and not is_raised):
            found.append(node)
            continue
        if isinstance(node, ast.comprehension) and not is_raised:
            found.append(node.iter)
        found += _effects(*ast.iter_child_nodes(node), is_raised=is_raised)
    return found
