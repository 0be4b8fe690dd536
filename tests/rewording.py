"""Other words in every message of the scripts, each with one more value quoted."""

import ast
import re
from pathlib import Path

MADE = re.compile(r"\w+(Error|Errors|Warning)|Fault|SystemExit|sys\.exit|warnings\.warn|print")
LOGGED = re.compile(
    r"(\w+\.)?(log|logger|logging)\.(debug|info|warning|error|exception|critical|log)"
)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def reword_messages(folder: Path) -> int:
    """Reword what is logged, printed or raised in all Python files below a folder.

    A message may stand in a variable of a function, or of a module that alone has its name.

    Returns
    -------
    int
        Number of texts that are other ones now.
    """
    trees = {path: ast.parse(path.read_text()) for path in sorted(folder.rglob("*.py"))}
    words = {path: set(re.findall(r"\w+", path.read_text())) for path in trees}
    count = 0
    for path, tree in trees.items():
        messages = [text for node in ast.walk(tree) for text in _given(node)]
        known = {id(text) for text in messages}
        for scope in ast.walk(tree):
            if isinstance(scope, FUNCTIONS):
                messages += _held(scope, ast.walk(scope), known)
        elsewhere = set().union(*(words[other] for other in trees if other != path))
        messages += _held(tree, tree.body, known, elsewhere)
        rewording = _Rewording({id(message) for message in messages})
        path.write_text(ast.unparse(ast.fix_missing_locations(rewording.visit(tree))) + "\n")
        count += rewording.count
    return count


def _held(scope: ast.AST, nodes, messages: set[int], elsewhere=()) -> list[ast.expr]:
    """What variables of a scope hold that nothing but messages reads."""
    held = []
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=text) if name not in elsewhere:
                read = [id(use) for use in ast.walk(scope) if _reads(use, name)]
                if read and messages.issuperset(read):
                    held.append(text)
    return held


def _given(node: ast.AST) -> list[ast.expr]:
    """What a message is given, if a node makes one."""
    match node:
        case ast.Raise(exc=ast.Call() as call):
            pass
        case ast.Expr(value=ast.Call() as call) if LOGGED.fullmatch(ast.unparse(call.func)):
            pass
        case ast.Call() as call if MADE.fullmatch(ast.unparse(call.func)):
            pass
        case _:
            return []
    is_file = any(keyword.arg == "file" for keyword in call.keywords)
    return [] if is_file else [branch for text in call.args for branch in _branches(text)]


def _branches(text: ast.expr) -> list[ast.expr]:
    return [text.body, text.orelse] if isinstance(text, ast.IfExp) else [text]


def _reads(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)


class _Rewording(ast.NodeTransformer):
    def __init__(self, messages: set[int]):
        self.messages, self.count = messages, 0

    def visit(self, node):
        match node:
            case ast.JoinedStr(values=parts) if id(node) in self.messages:
                pass
            case ast.Constant(value=str()) if id(node) in self.messages:
                parts = [node]
            case _:
                return self.generic_visit(node)
        self.count += 1
        name = ast.FormattedValue(ast.Name("__name__", ast.Load()), conversion=-1)
        return ast.JoinedStr([ast.Constant("In other words: "), *parts, name])
