"""Write the tables of config/README.md from the schemas of the sheet and the configuration.

    python docs/make_config.py

A test compares the page with what this writes, so that the schemas stay the one place of each fact.
"""

import json
import re
from pathlib import Path

import yaml

CONFIG = Path(__file__).resolve().parents[1] / "config"
PAGE = CONFIG / "README.md"
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


def read_schema(name: str) -> dict:
    """A schema of config/schemas/."""
    return yaml.safe_load((CONFIG / f"schemas/{name}.schema.yaml").read_text(encoding="utf-8"))


def values(part: dict) -> str:
    """What a key takes: its type or choices, and their limits."""
    if "$ref" in part:
        return "[limit](#limits-on-cells)"
    if "enum" in part:
        return " or ".join(f"`{choice}`" for choice in part["enum"])
    kinds = part.get("type", "string")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    limits = [words.format(part[key]) for key, words in LIMITS.items() if key in part]
    return ", ".join([" or ".join(kinds), *limits])


def keys(schema: dict, above: str = "") -> list[tuple[str, dict, bool]]:
    """Every key below a schema as (dotted name, its schema, whether it is required).

    A name that the user chooses is written `<name>`. A limit on cells, the one definition that keys
    refer to, has a table of its own.
    """
    found = []
    named = schema.get("properties", {})
    more = schema.get("additionalProperties")
    parts = named | ({"<name>": more} if isinstance(more, dict) and more.get("properties") else {})
    for key, part in parts.items():
        found.append((above + key, part, key in schema.get("required", [])))
        found += keys(part, f"{above}{key}.")
    return found


def row(name: str, part: dict, required: bool) -> str:
    """A row of the table of keys."""
    # A key that only holds others has their defaults.
    plain = "default" in part and part["default"] != {}
    default = f"`{json.dumps(part['default'])}`" if plain else "required" if required else ""
    text = " ".join(part.get("description", "As above, for this sample.").split())
    text = text.replace("|", "\\|").replace("<", "\\<")
    return f"| `{name}` | {values(part)} | {default} | {text} |"


def write_tables(page: str) -> str:
    """The page with its tables written anew, between the marks that name them."""
    config, sheet = read_schema("config"), read_schema("samples")
    limit = config["$defs"]["limit"]["properties"]
    head = "| {} | value | default | meaning |\n|---|---|---|---|"
    tables = {
        "columns": [head.format("column")]
        + [row(name, part, required) for name, part, required in keys(sheet)],
        "keys": [head.format("key")]
        + [row(name, part, required) for name, part, required in keys(config)],
        "limit": [head.format("key of a limit")]
        + [row(name, part, False) for name, part in limit.items()],
    }
    for name, lines in tables.items():
        page = re.sub(
            rf"(<!-- {name}: written by `make docs` -->\n).*?(<!-- end -->)",
            lambda marks, lines=lines: "\n".join([marks[1], *lines, "", marks[2]]),
            page,
            flags=re.DOTALL,
        )
    return page


if __name__ == "__main__":
    PAGE.write_text(write_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
