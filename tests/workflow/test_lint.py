"""`make lint`: form, spelling, Snakemake's lint, schemas, links, version, paths of one machine."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from latere import __version__
from latere.cluster.needs import NEEDS, SMALL
from make_config import PAGE, keys, write_tables

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = [f"config/{folder}config.yaml" for folder in ("", "demo/", "leukemia-geo/")]
SCHEMAS = [f"config/schemas/{name}.schema.yaml" for name in ("config", "samples", "site")]
PAGES = [path for name in ("*.md", "config/*.md", "docs/*.md") for path in ROOT.glob(name)]
FOLDERS = (".ci", ".github", "config", "docs", "envs", "profiles", "rules", "scripts", "tests")


def project_files():
    """The project's own files (as text), without what runs leave behind."""
    roots = [path for path in ROOT.iterdir() if path.is_file()]
    inside = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()]
    return [path for path in roots + inside if "__pycache__" not in path.parts]


def call(*words):
    """Run a program of this Python environment in the project."""
    program = [sys.executable, "-m", *words]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["snakefmt", "--check", "Snakefile", "rules"],
        *(["snakemake", "--lint", "--configfile", config] for config in CONFIGS),
    ],
    ids=" ".join,
)
def test_form(words):
    code, output = call(*words)
    assert code == 0, output


def test_spelling():
    """Of the project's own files; pyproject.toml lists the words that are meant."""
    code, output = call("codespell_lib", *(path.relative_to(ROOT) for path in project_files()))
    assert code == 0, output


def read(path):
    return yaml.safe_load((ROOT / path).read_text())


def nodes(schema, where="schema"):
    """Every part of a schema that describes a value, with its place."""
    yield where, schema
    for key, part in (schema.get("properties", {}) | schema.get("$defs", {})).items():
        yield from nodes(part, f"{where}.{key}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], f"{where}.{key}")


@pytest.mark.parametrize("path", SCHEMAS)
def test_schema_is_valid_described_and_closed(path):
    schema = read(path)
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = list(nodes(schema))
    # What is a reference is described where it points to.
    told = [where for where, part in parts if part.get("description") or "$ref" in part]
    assert told == [where for where, _ in parts]
    # The sheet is open on purpose: any further column describes the sample.
    is_open = [where for where, part in parts if part.get("additionalProperties", True) is True]
    assert [where for where in is_open if "properties" in dict(parts)[where]] == []


@pytest.mark.parametrize("path", CONFIGS)
def test_study_follows_the_schemas(path):
    config = read(path)
    with open(ROOT / config["samples"], encoding="utf-8", newline="") as file:
        rows = [
            {key: value for key, value in row.items() if value}
            for row in csv.DictReader((line for line in file if line[0] != "#"), delimiter="\t")
        ]
    checks = [jsonschema.Draft202012Validator(read(schema)) for schema in SCHEMAS]
    errors = [*checks[0].iter_errors(config)]
    errors += [error for row in rows for error in checks[1].iter_errors(row)]
    assert [f"{error.json_path}: {error.message}" for error in errors] == []


def slug(heading):
    """The anchor that a heading gets on the web."""
    text = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(path):
    return {slug(title) for title in re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_resolve(page):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_named_files_and_targets_exist(page):
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    words = set(re.findall(r"`([^`\s{}<>*]+)`", prose))
    paths = {word for word in words if word.split("/")[0] in FOLDERS and "/" in word}
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", page.read_text())) <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_configuration_in_a_page_follows_the_schema(page):
    """Blocks of YAML, keys with braces (`cells: {genes: union}`) and dotted keys (`de.fdr`)."""
    text, schema = page.read_text(), read("config/schemas/config.schema.yaml")
    given = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    given += re.findall(r"`(\w+: \{[^`]*\})`", text)
    validator = jsonschema.Draft202012Validator(schema)
    for part in given:
        config = {"study": "s", "samples": "s.tsv"} | yaml.safe_load(part)
        assert [error.message for error in validator.iter_errors(config)] == [], part
    dotted = set(re.findall(r"`([a-z_]+\.(?!h5ad|parquet)[a-z_.]+)`", text))
    named = {key for key in dotted if key.split(".")[0] in schema["properties"]}
    assert named <= {name for name, _, _ in keys(schema)}


def test_tables_of_the_configuration_are_current():
    page = PAGE.read_text()
    assert write_tables(page) == page, "run `make docs`"


def test_version_is_one():
    """Of the code, the citation and the newest entry of the changelog."""
    newest = re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert newest == read("CITATION.cff")["version"] == __version__


def test_no_path_of_one_machine():
    # Put together here, so that this file does not find itself.
    places = re.compile("|".join(f"/{name}/" for name in ("work", "root", "home", "opt")))
    named = []
    for path in project_files():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if places.search(line):
                named.append(f"{path.relative_to(ROOT)}:{number}")
    assert named == []


def rules():
    """Text of each rule of rules/*.smk, by its name."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    parts = re.split(r"^rule (\w+):$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


# `plan` makes no file and calls Snakemake: it has no output, and Snakemake's own environment.
@pytest.mark.parametrize("name", [name for name in rules() if name != "plan"])
def test_rule_runs_the_script_of_its_name(name):
    rule = rules()[name]
    assert re.findall(r'"\.\./scripts/(\w+)\.(?:py|R)"', rule) == [name]
    for part in ("output", "log", "benchmark", "conda"):
        assert f"\n    {part}:\n" in rule


def test_script_has_a_rule():
    scripts = {path.stem for path in (ROOT / "scripts").glob("*.py")}
    assert scripts == set(rules())


def test_every_rule_has_a_need_or_is_told_to_be_small():
    """A rule that is forgotten gets 2 GB and 10 minutes on SLURM, however large the study."""
    like = re.compile(r'\*\*ask\("(\w+)", like="(\w+)"\)')
    others = dict(like.findall("".join(rules().values())))
    assert set(others.values()) <= NEEDS.keys()
    forgotten = set(rules()) - NEEDS.keys() - SMALL - others.keys()
    assert forgotten == set(), "enter it in scripts/latere/cluster/needs/"
    assert (NEEDS.keys() | SMALL) - set(rules()) == set(), "there is no such rule"
    assert NEEDS.keys() & SMALL == set()


def test_every_rule_asks_for_its_need():
    asked = {rule: re.findall(r'\bask\("(\w+)"', text) for rule, text in rules().items()}
    assert asked == {rule: [rule] if rule not in SMALL else [] for rule in rules()}
