"""Configurations as a person writes them: one message with file and line where YAML is faulty.

The default profile calls `check_given` before Snakemake reads them, whose own reader keeps the last
of two keys in silence. `python -m latere.study.check FILE ...` does the same by hand.
"""

import sys
from pathlib import Path

import yaml

from latere.errors import StudyError
from latere.files import read_text

# Bytes of a configuration, its values with those that aliases repeat, and its levels.
MOST_BYTES, MOST_VALUES, MOST_LEVELS = 1 << 20, 200_000, 50
WAY = "--configfile: a path is relative to the folder that Snakemake is called in"
BY_DEFAULT = "config/config.yaml"
# Keys by which Snakemake runs Python that stands in a configuration.
TEMPLATES = ("__use_yte__", "__definitions__", "__variables__")
FORM = "Write it as YAML: `key: value`, and two spaces for each level."


def read_yaml(path: str | Path, key: str = "the path") -> dict:
    """The keys of a YAML file.

    Parameters
    ----------
    path
        The file.
    key
        What names it, for the message.

    Raises
    ------
    StudyError
        It cannot be read, is not YAML or JSON with keys, or a key appears twice.
    """
    return parse_yaml(read_text(path, key, MOST_BYTES), str(path))


def parse_yaml(text: str, path: str) -> dict:
    """The keys of a text in YAML, or in JSON, which Snakemake takes, too.

    Parameters
    ----------
    text
        What the file holds.
    path
        Its name, for messages.

    Raises
    ------
    StudyError
        It is not YAML, or a key appears twice at any level.
    """
    if text.lstrip().startswith("{"):
        # JSON may be indented with tabs and has none elsewhere; YAML may not.
        text = text.replace("\t", " ")
    loader = yaml.SafeLoader("")
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise StudyError(path, "is empty", FORM)
        if not isinstance(root, yaml.MappingNode):
            kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            where = f"{path}, row {root.start_mark.line + 1}"
            raise StudyError(where, f"holds {kind}, not keys", FORM)
        _Checker(loader, path).check(root)
        return loader.construct_document(root)
    except yaml.reader.ReaderError as error:
        row = text.count("\n", 0, error.position) + 1
        problem = f"has the character {chr(error.character)!r}, which YAML does not allow"
        raise StudyError(f"{path}, row {row}", problem, "Remove it.") from None
    except yaml.MarkedYAMLError as error:
        raise _faulty(error, path) from None
    except RecursionError:
        raise StudyError(path, "is nested too deeply", FORM) from None
    finally:
        loader.dispose()


def _faulty(error: yaml.MarkedYAMLError, path: str) -> StudyError:
    """An error of YAML as one of ours."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}, row {mark.line + 1}" if mark else path
    if "'\\t'" in str(error.problem):
        return StudyError(where, "is indented with a tab", "Use two spaces for each level.")
    told = ", ".join(filter(None, [error.context, error.problem]))
    return StudyError(where, f"is not YAML: {told}", FORM)


class _Checker:
    """What PyYAML does not look at in a tree of nodes: keys given twice, aliases without end.

    Parameters
    ----------
    loader
        Which turns a node into a value.
    path
        Name of the file, for messages.
    """

    def __init__(self, loader: yaml.SafeLoader, path: str):
        self._loader, self._path, self._sizes = loader, path, {}

    def check(self, node: yaml.Node, key: tuple = ()) -> int:
        """Check a node and all below it, and count their values, repeated ones each time.

        Raises
        ------
        StudyError
            With row and key.
        """
        size = self._sizes.get(id(node))
        if len(key) > MOST_LEVELS:
            raise self._error(node, (), "is nested too deeply", FORM)
        if size is None and id(node) in self._sizes:
            raise self._error(node, key, "the alias leads back to itself", "Write it out.")
        if size is None:
            self._sizes[id(node)] = None
            size = self._sizes[id(node)] = 1 + sum(self._check_inner(node, key))
        if size > MOST_VALUES:
            problem = f"its aliases stand for more than {MOST_VALUES:,} values"
            raise self._error(node, key, problem, "Write them out.")
        return size

    def _check_inner(self, node: yaml.Node, key: tuple):
        if isinstance(node, yaml.ScalarNode):
            self._value(node, key)
        elif isinstance(node, yaml.SequenceNode):
            for at, inner in enumerate(node.value):
                yield self.check(inner, (*key, at))
        else:
            rows = {}
            for name, inner in node.value:
                value, row = self._value(name, key), name.start_mark.line + 1
                path = (*key, value)
                if value in rows:
                    problem = f"the key appears twice, first in row {rows[value]}"
                    raise self._error(name, path, problem, "Keep one of them.")
                if not key and value in TEMPLATES:
                    fix = "Remove it: a configuration holds values, and runs no code."
                    raise self._error(name, path, "is not a key of a configuration", fix)
                rows[value] = row
                yield self.check(inner, path)

    def _value(self, node: yaml.Node, key: tuple):
        """The value of a node without others."""
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, key, "a key is a list or a map", "Write a name.")
        if node.tag == "tag:yaml.org,2002:merge":
            return node.value
        try:
            return self._loader.construct_object(node)
        # A date without a month, a number of 5,000 digits.
        except (ValueError, OverflowError):
            problem = f"{node.value[:40]!r} is not a number or date that can be read"
            raise self._error(node, key, problem, "Quote it if it is text.") from None

    def _error(self, node: yaml.Node, key: tuple, problem: str, fix: str) -> StudyError:
        where = f"{self._path}, row {node.start_mark.line + 1}"
        return StudyError(
            f"{where}: key '{'.'.join(map(str, key))}'" if key else where, problem, fix
        )


def check_given(options) -> None:
    """Check the configurations of a call of Snakemake; what is wrong ends it in a sentence.

    Parameters
    ----------
    options
        As Snakemake's parser gives them: `configfile` and `directory`.
    """
    files = options.configfile or [Path(options.directory or ".") / BY_DEFAULT]
    check_files(files)


def check_files(files) -> None:
    """Check configurations; what is wrong ends the process in a sentence, with status 1."""
    try:
        for file in files:
            read_yaml(file, WAY)
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    check_files(sys.argv[1:] or [BY_DEFAULT])
