"""Values of wildcards become parts of paths and, on SLURM, of a shell command."""

import json
import re

import pytest

# Asked of Snakemake itself, so that every rule is among them.
WALK = """
include: "Snakefile"

import json, pathlib

pathlib.Path("outputs.json").write_text(
    json.dumps(
        {
            step.name: [[str(file), file.regex().pattern] for file in step.output]
            for step in workflow.rules
        }
    )
)
"""
SAFE = re.compile(r"[A-Za-z0-9._-]+")
# Values that some rule's wildcards take.
GOOD = ["SRR1", "A_vs_B", "deep", "scanpy", "10x_version2_whitelist", "http/host/a.h5ad", "svg"]
GOOD += ["markers"]
BAD = [chr(code) for code in range(128) if not SAFE.fullmatch(chr(code))] + ["é", "\u2028", "١"]
BAD_VALUES = [form.format(bad) for bad in BAD for form in ("a{}b", "{}a", "a{}", "{}")]
CLIMBING = ["..", "../a", "a/..", "a/../b", "/a"]


@pytest.fixture(scope="module")
def outputs(copy_project, snakemake, tmp_path_factory):
    """Patterns of output files and their compiled forms, by rule."""
    folder = copy_project(tmp_path_factory.mktemp("wildcards"))
    (folder / "walk.smk").write_text(WALK)
    words = ["--snakefile", "walk.smk", "--configfile", "config/demo/config.yaml"]
    done = snakemake(folder, *words, "--list-rules")
    assert done.returncode == 0, done.stderr
    rules = json.loads((folder / "outputs.json").read_text())
    return [(rule, *output) for rule, files in rules.items() for output in files]


def fill(pattern, values):
    return re.sub(
        r"\{\s*(\w+)\s*(?:,[^{}]*(?:\{[^{}]+\}[^{}]*)*)?\}", lambda m: values[m[1]], pattern
    )


def is_safe(name, value):
    parts = value.split("/") if name == "name" else [value]
    return all(SAFE.fullmatch(part) and part != ".." for part in parts)


def test_no_wildcard_takes_a_character_that_a_shell_could_misread(outputs):
    taken, seen = set(), set()
    for rule, pattern, regex in outputs:
        names = re.compile(regex).groupindex
        good = {}
        for name in names:
            # Whatever the others are: each wildcard has a value that fits.
            fitting = [
                value
                for value in GOOD
                if any(
                    re.match(regex, fill(pattern, dict.fromkeys(names, other) | {name: value}))
                    for other in GOOD
                )
            ]
            assert fitting, (rule, name)
            good[name] = fitting[0]
            seen.add(name)
        assert not good or re.match(regex, fill(pattern, good)), (rule, good)
        for name in names:
            for value in BAD_VALUES + CLIMBING:
                match = re.match(regex, fill(pattern, good | {name: value}))
                if match and not all(is_safe(*item) for item in match.groupdict().items()):
                    taken.add((rule, name, value))
    assert {"run", "contrast", "branch", "name"} <= seen
    assert not taken, sorted({(rule, name) for rule, name, _ in taken})
