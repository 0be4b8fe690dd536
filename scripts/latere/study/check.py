"""Configurations as a person writes them: faults of the YAML, with file and line.

The default profile calls `check_given` before Snakemake reads them, whose own reader silently keeps
the last of two equal keys. `python -m latere.study.check FILE ...` does it alone.
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
SUFFIXES = (".yaml", ".yml", ".json")
# Keys by which Snakemake runs Python code in a configuration.
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
            raise StudyError(path, "is empty", FORM, code="empty-file")
        if not isinstance(root, yaml.MappingNode):
            kind = "a list" if isinstance(root, yaml.SequenceNode) else "a single value"
            where = f"{path}, row {root.start_mark.line + 1}"
            raise StudyError(where, f"holds {kind}, not keys", FORM, code="not-keys")
        _Checker(loader, path).check(root)
        return loader.construct_document(root)
    except yaml.reader.ReaderError as error:
        row = text.count("\n", 0, error.position) + 1
        problem = f"has the character {chr(error.character)!r}, which YAML does not allow"
        raise StudyError(
            f"{path}, row {row}", problem, "Remove it.", code="control-character"
        ) from None
    except yaml.MarkedYAMLError as error:
        raise _faulty(error, path) from None
    except RecursionError:
        raise StudyError(path, "is nested too deeply", FORM, code="nested-too-deeply") from None
    finally:
        loader.dispose()


def _faulty(error: yaml.MarkedYAMLError, path: str) -> StudyError:
    """An error of YAML as one of ours."""
    mark = error.problem_mark or error.context_mark
    where = f"{path}, row {mark.line + 1}" if mark else path
    if "'\\t'" in str(error.problem):
        fix = "Use two spaces for each level."
        return StudyError(where, "is indented with a tab", fix, code="indented-with-tab")
    reason = ", ".join(filter(None, [error.context, error.problem]))
    return StudyError(where, f"is not YAML: {reason}", FORM, code="not-yaml")


class _Checker:
    """Checks that PyYAML does not make in a tree of nodes: duplicated keys, endless aliases.

    Parameters
    ----------
    loader
        Turns a node into a value.
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
            raise StudyError(
                self._where(node, ()), "is nested too deeply", FORM, code="nested-too-deeply"
            )
        if size is None and id(node) in self._sizes:
            raise StudyError(
                self._where(node, key),
                "the alias refers to itself",
                "Write the value out.",
                code="circular-alias",
            )
        if size is None:
            self._sizes[id(node)] = None
            size = self._sizes[id(node)] = 1 + sum(self._check_inner(node, key))
        if size > MOST_VALUES:
            problem = f"its aliases expand to more than {MOST_VALUES:,} values"
            raise StudyError(
                self._where(node, key), problem, "Write them out.", code="too-many-values"
            )
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
                    raise StudyError(
                        self._where(name, path), problem, "Keep one of them.", code="duplicated-key"
                    )
                if not key and value in TEMPLATES:
                    fix = "Remove it: a configuration holds values, and runs no code."
                    raise StudyError(
                        self._where(name, path),
                        "is not a key of a configuration",
                        fix,
                        code="template-key",
                    )
                rows[value] = row
                yield self.check(inner, path)

    def _value(self, node: yaml.Node, key: tuple):
        """The value of a node without others."""
        if not isinstance(node, yaml.ScalarNode):
            raise StudyError(
                self._where(node, key), "a key is a list or a map", "Write a name.", code="not-text"
            )
        if node.tag == "tag:yaml.org,2002:merge":
            return node.value
        try:
            return self._loader.construct_object(node)
        # A date without a month, a number of 5,000 digits.
        except (ValueError, OverflowError):
            problem = f"{node.value[:40]!r} is not a number or date that can be read"
            raise StudyError(
                self._where(node, key),
                problem,
                "Quote the value if it is text.",
                code="unreadable-value",
            ) from None

    def _where(self, node: yaml.Node, key: tuple) -> str:
        where = f"{self._path}, row {node.start_mark.line + 1}"
        return f"{where}: key '{'.'.join(map(str, key))}'" if key else where


def check_given(options) -> None:
    """Check the configurations of a call of Snakemake; a fault ends the call with a message.

    Parameters
    ----------
    options
        As Snakemake's parser gives them: `configfile` and `directory`.
    """
    files = options.configfile or [Path(options.directory or ".") / BY_DEFAULT]
    if dotted := [entry for entry in options.config or [] if "." in entry.partition("=")[0]]:
        sys.exit(str(_explain_dots(dotted[0], files[0])))
    check_files(files)


def _explain_dots(entry: str, file: str | Path) -> StudyError:
    """The error of a key with dots in `--config`, for which Snakemake has no form.

    Snakemake takes `--config 'deep={n_latent: 20}'`, but as text: 20 is not a number there.
    """
    key, _, value = entry.partition("=")
    *sections, name = key.split(".")
    inner = f"{name}: {value}"
    for section in reversed(sections):
        inner = f"{section}: {{{inner}}}"
    return StudyError(
        f"--config {entry}",
        "a key of a section cannot be set in the command line",
        f"Write the line `{inner}` into {file}; or into a file of its own, which replaces these "
        f"values only: `--configfile {file} FILE.yaml --`.",
        code="dotted-key",
    )


def check_files(files) -> None:
    """Check configurations; a fault ends the process with a message and exit status 1."""
    try:
        for file in files[1:]:
            # Snakemake takes all that follows `--configfile`, up to the next option.
            if Path(file).suffix not in SUFFIXES:
                problem = "is read as a second configuration, because it follows `--configfile`"
                fix = f"Is it a target? Name it first, or behind two dashes: `-- {file}`. A "
                fix += f"configuration ends in {', '.join(SUFFIXES)}."
                raise StudyError(str(file), problem, fix, code="target-as-configuration")
        for file in files:
            read_yaml(file, WAY)
    except StudyError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    check_files(sys.argv[1:] or [BY_DEFAULT])
