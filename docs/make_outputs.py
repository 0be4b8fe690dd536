"""Write docs/outputs.md from the contracts; `make docs` calls this."""

from itertools import groupby
from pathlib import Path

from latere.branches import REGISTRY
from latere.contract import read_contracts

PAGE = Path(__file__).with_name("outputs.md")
HEAD = """\
# Outputs

Made from `config/schemas/tables.yaml` by `make docs`; edit that file, not this one.

All paths are below `results/<study>/`. Words in braces stand for names of the study: `{run}`,
`{sample}`, `{contrast}`, `{branch}`. A `{design}` is a contrast, one of its null splits or a
contrast without one sample. A cell is named `<run>_<barcode>`. In TSV files `NA` is a missing
value. Tables can be read with `pandas.read_parquet` and
`pandas.read_csv(path, sep="\\t", na_values="NA", keep_default_na=False)`.
"""
TYPES = {"text": "text", "integer": "integer", "number": "number", "boolean": "true or false"}


def describe_columns(contract: dict) -> list[str]:
    """Lines of the table of columns of one output."""
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for name, about in contract["columns"].items():
        notes = [note for note in ("optional",) if about.get(note)]
        notes += ["may be missing"] if about.get("missing") else []
        kind = ", ".join([TYPES[about["type"]], *notes])
        lines.append(f"| `{name}` | {kind} | {about['description']} |")
    if others := contract.get("others"):
        lines.append(f"| ... | {TYPES[others['type']]} | {others['description']} |")
    return lines


def describe_output(path: str, contract: dict) -> list[str]:
    """Lines on one output."""
    lines = [f"### `{path}`", "", contract["description"]]
    if "row" in contract:
        lines += [f"One row: {contract['row']}.", "", *describe_columns(contract)]
    return [*lines, ""]


def make_page() -> str:
    """The page as Markdown."""
    lines = [HEAD]
    stages = groupby(read_contracts().items(), key=lambda item: item[0].split("/")[0])
    seen = set()
    for stage, outputs in stages:
        # Files at the top, and folders that come again.
        if "." not in stage and stage not in seen:
            lines += [f"## {stage}/", ""]
            seen.add(stage)
        for path, contract in outputs:
            lines += describe_output(path, contract)
    lines += ["## Branches, and what their fdr means", "", "| branch | title | embedding | fdr |"]
    lines += ["|---|---|---|---|"]
    for branch in REGISTRY.values():
        fdr = branch.fdr or "does not test"
        lines.append(f"| `{branch.name}` | {branch.title} | {branch.embedding} | {fdr} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
