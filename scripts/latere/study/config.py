"""The configuration against its schema: values, defaults, and every problem in words."""

import difflib
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import yaml

from latere.errors import StudyError, raise_all
from latere.fault import Fault
from latere.urls import find_fault

# No path and no level has them; single halves of UTF-16 pairs are no characters at all.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
# Characters of a name, as in the schemas: files are called by it.
MOST_NAME = 100
# Defaults that begin so are files of the workflow.
TABLES = "config/"
# Keys under new names, by those of before.
MOVED = {"cells.n_highly_variable": "manual.n_highly_variable"}


def load_schema(path: Path) -> dict:
    """A JSON schema written as YAML."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def locate_tables(schema: Mapping, workflow: Path) -> dict:
    """A schema whose default tables are in the folder of the workflow.

    All paths that a user writes are relative to the working directory, which may be another folder
    (`snakemake --directory`, a deployment).

    Parameters
    ----------
    workflow
        The folder of the Snakefile.
    """
    located = dict(schema)
    default = schema.get("default")
    if schema.get("format") == "path" and str(default).startswith(TABLES):
        located["default"] = os.path.relpath(workflow / default)
    if "properties" in schema:
        parts = schema["properties"].items()
        located["properties"] = {key: locate_tables(part, workflow) for key, part in parts}
    return located


def check_config(config: Mapping, source: str, schema: dict) -> dict:
    """The configuration with defaults, if it follows the schema.

    Raises
    ------
    StudyError
        Unknown, missing or mistyped keys.
    """
    raise_all(_odd_values(config, source))
    validator = _Validator(schema, format_checker=_FORMATS)
    problems = sorted(validator.iter_errors(config), key=lambda error: error.json_path)
    raise_all(error for problem in problems for error in _config_problems(problem, source))
    return fill_defaults(config, schema)


# YAML knows more than JSON: a whole number written as 1.0 is a float to everything after.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)


# Every key that is a path has the format `path` in the schema.
_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("path", raises=StudyError)
def _is_path(value) -> bool:
    fault = find_fault(value) if isinstance(value, str) else None
    if fault:
        raise StudyError("", *fault, code=fault.code)
    return True


def _odd_values(value, source: str, key: str = ""):
    """Problems that a JSON schema cannot see: keys that are not text, numbers that are not finite,
    text with characters that no file name can have.
    """
    if isinstance(value, Mapping):
        for name, inner in value.items():
            path = f"{key}.{name}" if key else str(name)
            if not isinstance(name, str):
                fix = "Quote it, or rename it."
                problem = f"the key {name!r} is not text"
                yield StudyError(f"{source}: key '{path}'", problem, fix, code="not-text")
            yield from _odd_values(inner, source, path)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _odd_values(inner, source, f"{key}.{at}")
    elif isinstance(value, float) and not math.isfinite(value):
        problem, fix = f"{value} is not a number", "Give a finite number."
        yield StudyError(f"{source}: key '{key}'", problem, fix, code="not-finite")
    elif isinstance(value, int) and value.bit_length() > 63:
        problem = f"the number has {value.bit_length():,} bits"
        yield StudyError(
            f"{source}: key '{key}'", problem, "Give one below 2^63.", code="number-too-large"
        )
    elif isinstance(value, str) and (odd := CONTROL.search(value)):
        problem = f"{value!r} has the control character {odd[0]!r}"
        yield StudyError(f"{source}: key '{key}'", problem, "Remove it.", code="control-character")


def _config_problems(error: jsonschema.ValidationError, source: str):
    """The errors that report a schema error: several for several unknown keys."""
    key = ".".join(map(str, error.absolute_path))
    where = f"{source}: key '{key}'" if key else source
    prefix = f"{key}." if key else ""
    properties = error.schema.get("properties", {})
    described = error.schema.get("description", "").rstrip(".")
    if error.validator == "additionalProperties":
        for name in [name for name in error.instance if name not in properties]:
            close = difflib.get_close_matches(name, properties, n=1)
            known = f"Known: {', '.join(properties)}."
            fix = f"Did you mean '{prefix}{close[0]}'?" if close else known
            if moved := MOVED.get(f"{prefix}{name}"):
                fix = f"It is now '{moved}'."
            yield StudyError(source, f"unknown key '{prefix}{name}'", fix, code="unknown-key")
    elif error.validator == "required":
        # The schema reports each missing key by an error of its own.
        name = re.match("'(.*)' is a required", error.message)[1]
        fix = f"Add it: {properties[name]['description']}"
        yield StudyError(where, f"the key '{name}' is missing", fix, code="missing-key")
    elif error.validator == "type":
        kinds = error.validator_value
        kinds = kinds if isinstance(kinds, str) else " or ".join(kinds)
        problem = f"{error.instance!r} is of type {type(error.instance).__name__}, not {kinds}"
        quote = " Quote a name that looks like a number." if kinds == "string" else ""
        if error.instance is None:
            # A section whose lines are all comments; or `null` where it has no meaning.
            problem, default = "is empty", "default" in error.schema
            quote = f" Remove the key{' to use its defaults' * default}, or fill it."
        yield StudyError(where, problem, f"{described}.{quote}", code="wrong-type")
    elif error.validator in ("pattern", "maxLength"):
        if "propertyNames" in error.absolute_schema_path:
            where = f"{source}: key '{prefix}{error.instance}'"
        fault = fault_of_name(error.instance)
        yield StudyError(where, *fault, code=fault.code)
    elif error.validator == "format":
        yield error.cause.within(where)
    else:
        fix = f"{described}." if described else ""
        yield StudyError(where, error.message, fix, code="invalid-value")


def fault_of_name(name: str) -> Fault:
    """What is wrong with a name, and the fix."""
    if len(name) > MOST_NAME:
        problem = f"{name!r} has {len(name):,} characters"
        return Fault(problem, f"Use {MOST_NAME} at most.", code="name-too-long")
    return Fault(
        f"{name!r} has characters outside letters, digits, '.', '_' and '-'",
        "Rename it; a name begins with a letter or a digit.",
        code="invalid-name",
    )


def fill_defaults(value: Mapping, schema: dict) -> dict:
    """A copy of a configuration in which missing keys have the schema's defaults.

    Where a default is a map itself, it holds for the keys that a map leaves out.
    """
    filled = dict(value)
    for key, part in schema.get("properties", {}).items():
        if key not in filled and "default" in part:
            filled[key] = part["default"]
    more = schema.get("additionalProperties")
    for key, inner in filled.items():
        part = schema.get("properties", {}).get(key, more)
        if isinstance(inner, Mapping) and isinstance(part, dict):
            filled[key] = fill_defaults({**(part.get("default") or {}), **inner}, part)
    return filled
