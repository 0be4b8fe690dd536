"""Fingerprints of code: equal for an equal meaning, other where anything reached has changed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from latere.rerun.code import fingerprint, r_tokens, recorded_params

FILES = {
    "step.py": '''
"""What the step does."""
import numpy as np
import ours.whole
import ours.chain as renamed
from ours import named, passed
from ours.tools import (
    used,
    Used as Kind,
)
UNREAD = 1


def main():
    """Run."""
    from ours.late import late  # here only
    ours.whole.part()
    return np.sum(used()) + named.part() + renamed.deep.part() + late(Kind), print(passed)


main()
''',
    "other.py": "from ours.tools import unused\n",
    "ours/__init__.py": "import sys\nSTATE = 0\nsys.path.append('here')\n",
    "ours/tools.py": '''
import os
from functools import cache
from .limits import LIMIT, OTHER as LEAST
from . import registry
from .effects import anything

TABLE = {}
TABLE["key"] = 1
first, second = 1, 2
unread: int = 3


def used(value=LIMIT):
    # A comment.
    text = """not a docstring # 1"""

    return helper(value, text)


def helper(value, text): return value + second


@cache
def unused():
    return LEAST


class Used:
    """A class."""

    def method(self):
        """Do."""
        return registry.table


@registry.add
def registered():
    return 5
''',
    "ours/limits.py": "LIMIT = 1\nOTHER = 2\n",
    "ours/registry.py": "table = []\ndef add(f):\n    table.append(f)\n    return f\nspare = 1\n",
    "ours/effects.py": "import os\nos.environ['A'] = 'b'\ndef anything():\n    return 1\n",
    "ours/whole.py": "def part():\n    return 1\ndef spare():\n    return 2\n",
    "ours/named.py": "from .star import *\ndef spare():\n    return 2\n",
    "ours/star.py": "def part():\n    return 3\n",
    "ours/passed.py": "def part():\n    return 4\n",
    "ours/late.py": "def late(kind):\n    return [k for k in kind]\n",
    "ours/chain/__init__.py": "",
    "ours/chain/deep.py": "def part():\n    return 1\n",
    "ours/alone.py": "def part():\n    return 1\n",
}


@pytest.fixture
def scripts(tmp_path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "scripts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "scripts"


def is_changed(scripts, file, old, new):
    """Whether an edit changes the fingerprint of step.py."""
    before = fingerprint(scripts / "step.py")
    text = (scripts / file).read_text()
    assert text.count(old) == 1
    (scripts / file).write_text(text.replace(old, new))
    return fingerprint(scripts / "step.py") != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("step.py", '"""Run."""', '"""Run otherwise."""'),
        ("step.py", '    """Run."""\n', ""),
        ("step.py", "  # here only", ""),
        ("step.py", "\n\n\ndef", "\n\n# A comment.\n\n\n\ndef"),
        ("step.py", "(\n    used,\n    Used as Kind,\n)", "used, Used as Kind"),
        ("ours/tools.py", "    # A comment.\n", "\n"),
        ("ours/tools.py", '    """A class."""\n\n', ""),
        ("ours/tools.py", "return value + second", "\n    return (value + second)"),
        ("ours/late.py", "    return", '    """Docstring."""\n    pass\n    return'),
        # Not reached.
        ("ours/tools.py", "return LEAST", "return LEAST + 1"),
        ("ours/tools.py", "unread: int = 3", "unread: int = 4"),
        ("ours/limits.py", "OTHER = 2", "OTHER = 3"),
        ("ours/whole.py", "return 2", "return 3"),
        ("ours/effects.py", "return 1", "return 2"),
        ("ours/__init__.py", "STATE = 0", "STATE = 1"),
        ("ours/alone.py", "return 1", "return 2"),
        ("other.py", "unused", "used"),
        ("step.py", "UNREAD = 1", "UNREAD = 2"),
    ],
)
def test_same_meaning(scripts, file, old, new):
    assert not is_changed(scripts, file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("step.py", "np.sum", "np.mean"),
        ("step.py", "import numpy as np", "import numbers as np"),
        # Strings are kept, whatever they look like.
        ("ours/tools.py", "not a docstring # 1", "not a docstring # 2"),
        ("ours/tools.py", "value=LIMIT", "value=1"),
        ("ours/tools.py", "value + second", "value - second"),
        ("ours/tools.py", "first, second = 1, 2", "first, second = 1, 3"),
        ("ours/tools.py", "return registry.table", "return None"),
        ("ours/limits.py", "LIMIT = 1", "LIMIT = 1.0"),
        ("ours/registry.py", "table = []", "table = [1]"),
        ("ours/whole.py", "return 1", "return 2"),
        ("ours/late.py", "in kind", "in [kind]"),
        ("ours/chain/deep.py", "return 1", "return 2"),
        # What runs as a module is imported, whatever is used of it.
        ("ours/tools.py", 'TABLE["key"] = 1', 'TABLE["key"] = 2'),
        ("ours/tools.py", "return 5", "return 6"),
        ("ours/registry.py", "table.append(f)", "table.insert(0, f)"),
        ("ours/effects.py", "'b'", "'c'"),
        ("ours/__init__.py", "'here'", "'there'"),
        # By a star, or as a module that is passed on: all of it.
        ("ours/star.py", "return 3", "return 4"),
        ("ours/named.py", "return 2", "return 3"),
        ("ours/passed.py", "return 4", "return 5"),
    ],
)
def test_other_meaning(scripts, file, old, new):
    assert is_changed(scripts, file, old, new)


@pytest.mark.parametrize(
    "code",
    [
        "import importlib\n\n\ndef used():\n    importlib.import_module('ours.' + 'alone')\n",
        "from importlib import import_module as load\n\n\ndef used():\n    load('ours.alone')\n",
        "def used():\n    return __import__('ours.alone')\n",
        "import sys\n\n\ndef used():\n    return sys.modules['ours.alone']\n",
        "def used():\n    return eval('1')\n",
        "import ours\n\n\ndef used():\n    return getattr(ours, 'alone')\n",
    ],
)
def test_what_only_the_run_tells_may_reach_all(scripts, code):
    (scripts / "ours/tools.py").write_text(code)
    assert is_changed(scripts, "ours/alone.py", "return 1", "return 2")


def test_what_only_the_run_tells_may_reach_all_of_a_script(scripts):
    with (scripts / "step.py").open("a") as script:
        script.write("globals()['UN' + 'READ']\n")
    assert is_changed(scripts, "step.py", "UNREAD = 1", "UNREAD = 2")


def test_a_method_called_eval_reaches_nothing(scripts):
    (scripts / "ours/tools.py").write_text("def used(model):\n    return model.eval()\n")
    assert not is_changed(scripts, "ours/alone.py", "return 1", "return 2")


def test_docstrings_that_are_read_count(scripts):
    (scripts / "step.py").write_text('"""Usage."""\nprint(__doc__)\n')
    assert is_changed(scripts, "step.py", "Usage", "Help")


def test_touch_and_place_are_nothing(scripts, tmp_path):
    before = fingerprint(scripts / "step.py")
    shutil.copytree(scripts, tmp_path / "clone")
    assert fingerprint(tmp_path / "clone/step.py") == before


R = r"""
# A script.
x <- f("# 1", '#2', r"(a "b" # c)")   # comment
if (x < -1 && y %#% 2) {

  z <- "\"# d"
}
"""


def test_r_tokens():
    assert r_tokens(R) == [
        *("x", "<-", "f", "(", '"# 1"', ",", "'#2'", ",", 'r"(a "b" # c)"', ")", "\n"),
        *("if", "(", "x", "<", "-", "1", "&&", "y", "%#%", "2", ")", "{", "\n"),
        *("z", "<-", r'"\"# d"', "\n", "}", "\n"),
    ]


@pytest.fixture
def r_script(tmp_path) -> Path:
    (tmp_path / "lib").mkdir()
    (tmp_path / "step.R").write_text(R + 'source("lib/a.R")\nh(1)\n')
    (tmp_path / "lib/a.R").write_text("a <- 1\n")
    (tmp_path / "lib/b.R").write_text("b <- 1\n")
    return tmp_path / "step.R"


@pytest.mark.parametrize(
    ("file", "old", "new", "changes"),
    [
        ("step.R", "# A script.", "\n  #Another\n", False),
        ("step.R", "  z <-", "z<-", False),
        ("step.R", "# c", "#  c", True),
        ("step.R", "x < -1", "x <- 1", True),
        ("step.R", "\nh(1)", "; h(2)", True),
        ("lib/a.R", "1", "1 # one", False),
        ("lib/a.R", "1", "2", True),
    ],
)
def test_r(r_script, file, old, new, changes):
    before = fingerprint(r_script)
    path = r_script.parent / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert (fingerprint(r_script) != before) == changes


def test_r_that_sources_nothing_reaches_nothing_else(r_script):
    r_script.write_text(R)
    before = fingerprint(r_script)
    (r_script.parent / "lib/b.R").write_text("b <- 2\n")
    assert fingerprint(r_script) == before


@pytest.mark.parametrize("call", ["source(file)", "source(paste0('lib/b', '.R'))", "f(x, source)"])
def test_r_that_sources_may_reach_all(r_script, call):
    r_script.write_text(f"{R}\n{call}\n")
    before = fingerprint(r_script)
    (r_script.parent / "lib/b.R").write_text("b <- 2\n")
    assert fingerprint(r_script) != before


def test_parameters(scripts):
    """Values that are exchanged, and an environment by its content."""

    def params(conda=False, **given):
        rule = SimpleNamespace(
            script="../scripts/step.py", conda_env="../envs/{env}.yaml", params=given
        )
        return recorded_params(rule, scripts.parent, conda)

    one, more, exchanged = params(a=1, b=2), params(a=1, b=2, f=lambda w: 3), params(a=2, b=1)
    assert one["settings"] == more["settings"] != exchanged["settings"]
    told = {given["code"]({}) for given in (one, more, exchanged)}
    assert told == {f"code {fingerprint(scripts / 'step.py')}"}
    assert "environment" not in params()
    envs = {"x": "a: [b =1]", "same": "# Comment.\na:\n  - b =1\n", "other": "a: [b =2]"}
    (scripts.parent / "envs").mkdir()
    for name, text in envs.items():
        (scripts.parent / f"envs/{name}.yaml").write_text(text)
    told = {name: params(conda=True)["environment"]({"env": name}) for name in envs}
    assert told["x"] == told["same"] != told["other"]


def test_the_locale_does_not_change_a_fingerprint(tmp_path):
    """Files are UTF-8 wherever they are read."""
    script = tmp_path / "step.py"
    script.write_text("UNIT = 'µm'\nprint(UNIT)\n", encoding="utf-8")
    ask = (
        "import sys, pathlib; from latere.rerun.code import fingerprint;"
        "print(fingerprint(pathlib.Path(sys.argv[1])))"
    )
    # No UTF-8 mode, in which Python would not look at the locale.
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", ask, script],
        env=os.environ | locale,
        cwd=Path(__file__).resolve().parents[2] / "scripts",
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == fingerprint(script), done.stderr
