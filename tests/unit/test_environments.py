"""The two ways to the software, envs/*.yaml and envs/requirements.txt, agree with each other and
with what the scripts import."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
ENVS = {path.stem: yaml.safe_load(path.read_text()) for path in ROOT.glob("envs/*.yaml")}
LOCK = (ROOT / "envs/requirements.txt").read_text()

# Conda names that differ from those of PyPI.
PYPI = {"python-igraph": "igraph", "python-isal": "isal", "pytorch-gpu": "torch"}
# Where the two ways differ, and why.
DIFFER = {"torch": "conda has one CUDA build for all; both load the same model"}
# Without a version: no known-good one is on record, and what they do is stable.
UNPINNED = {"pip", "pyarrow"}
# Modules that come with another package, or under another name.
CARRIED_BY = {
    "h5py": {"anndata"},
    "igraph": {"python-igraph"},
    "isal": {"python-isal"},
    "lightning": {"scvi-tools"},
    "matplotlib": {"matplotlib-base"},
    "numba": {"scvi-tools"},
    "numpy": {"anndata", "pandas"},
    "pynvml": {"nvidia-ml-py"},
    "scipy": {"anndata", "scikit-learn"},
    "scvi": {"scvi-tools"},
    "skmisc": {"scikit-misc"},
    "sklearn": {"scikit-learn"},
    "torch": {"pytorch-gpu"},
    "umap": {"umap-learn"},
    "yaml": {"pyyaml"},
}


def conda_pins(name):
    """Version by package of an environment's conda part, as written ('' where there is none)."""
    lines = [line for line in ENVS[name]["dependencies"] if isinstance(line, str)]
    return {package: pin for package, _, pin in (line.partition(" ") for line in lines)}


def pip_pins(name):
    """Requirements of an environment's pip part."""
    parts = [line["pip"] for line in ENVS[name]["dependencies"] if isinstance(line, dict)]
    return [Requirement(line) for part in parts for line in part]


def locked():
    """Version by package (lower case, '-') of the lock."""
    lines = [line.removesuffix(" \\") for line in LOCK.splitlines() if "==" in line]
    pins = (line.split("==") for line in lines)
    return {name.lower().replace("_", "-"): version for name, version in pins}


def minor(version):
    """The first two numbers of a version."""
    return ".".join(re.findall(r"\d+", version)[:2])


def rules():
    """Environment and script of every rule: (rule, environment, script or None)."""
    found = []
    for path in sorted(ROOT.glob("rules/*.smk")):
        for block in re.split(r"^(?=rule \w+:)", path.read_text(), flags=re.MULTILINE)[1:]:
            conda = re.search(r'conda:\s+"\.\./envs/([^"]+)\.yaml"', block)
            script = re.search(r'script:\s+"\.\./scripts/([^"]+\.py)"', block)
            name = re.match(r"rule (\w+)", block)[1]
            found.append((name, conda and conda[1], script and script[1]))
    return found


def imports(tree, deep=True):
    """Modules that a parsed file imports, `latere.x` in full; `deep`: inside functions too."""
    nodes = ast.walk(tree) if deep else tree.body
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            if node.module.startswith("latere"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def needs(script):
    """Foreign top-level modules that a script loads, by itself and through scripts/latere/."""
    todo, seen, foreign = [(ROOT / "scripts" / script, True)], set(), set()
    while todo:
        path, deep = todo.pop()
        for module in imports(ast.parse(path.read_text()), deep):
            source = ROOT / "scripts" / f"{module.replace('.', '/')}.py"
            if source.is_file() and source not in seen:
                seen.add(source)
                # What a shared module imports inside a function is for the scripts that call it.
                todo.append((source, False))
            elif not source.is_file():
                foreign.add(module.split(".")[0])
    return foreign - set(sys.stdlib_module_names) - {"latere"}


@pytest.mark.parametrize("name", sorted(ENVS))
def test_environment_is_pinned(name):
    assert ENVS[name]["channels"] == ["conda-forge", "bioconda", "nodefaults"]
    loose = {package for package, pin in conda_pins(name).items() if not re.search(r"\d", pin)}
    assert loose <= UNPINNED
    assert all(str(line.specifier).startswith("==") for line in pip_pins(name))


def test_lock_is_exact_and_portable():
    text = "".join(line for line in LOCK.splitlines(True) if not line.startswith("#"))
    entries = re.split(r"\n(?=\S)", text.replace(" \\\n", "").strip())
    # Each with its hashes, and nothing else: no address, no build (+cpu).
    form = re.compile(r"[a-z0-9-]+==[0-9][\w.]*( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries if not form.fullmatch(entry)] == []
    # No package that only a CUDA build of torch brings; nvidia-ml-py is asked for.
    assert [entry for entry in entries if re.match(r"nvidia(?!-ml-py=)|cuda|triton", entry)] == []
    assert len(entries) == len(locked()) > 100


def test_lock_meets_the_direct_requirements():
    lines = (ROOT / "envs/requirements.in").read_text().splitlines()
    wanted = [Requirement(text) for line in lines if (text := line.split("#")[0].strip())]
    pins = locked()
    unmet = [str(line) for line in wanted if pins[line.name] not in line.specifier]
    assert unmet == []


@pytest.mark.parametrize("name", sorted(ENVS))
def test_both_ways_have_the_same_minor_versions(name):
    pins = locked()
    shared = {
        PYPI.get(package, package): pin
        for package, pin in conda_pins(name).items()
        if PYPI.get(package, package) in pins and package not in UNPINNED
    }
    shared |= {line.name: str(line.specifier) for line in pip_pins(name)}
    differ = {
        package: (pin, pins[package])
        for package, pin in shared.items()
        if minor(pin) not in (minor(pins[package]), pins[package].split(".")[0])
    }
    assert set(differ) <= set(DIFFER), differ


def test_what_exchanges_tables_is_in_both_ways():
    everywhere = {PYPI.get(package, package) for name in ENVS for package in conda_pins(name)}
    tables = {"anndata", "pandas", "scanpy", "scvi-tools", "celltypist", "multiqc", "rpy2"}
    assert tables <= everywhere & set(locked())


def test_rules_and_environments_name_each_other():
    named = {environment for _, environment, _ in rules() if environment}
    fixed = {environment for environment in named if "{" not in environment}
    assert fixed == set(ENVS)


def packages(name):
    """Packages of an environment, none for one that is not known before the run."""
    if name is None or "{" in name:
        return set()
    return set(conda_pins(name)) | {line.name for line in pip_pins(name)}


# In an environment without Python, Snakemake's own (.venv, which has all) runs the script; a
# wildcard may stand for either.
WITH_PYTHON = [
    row for row in rules() if row[2] and ("{" in (row[1] or "") or "python" in packages(row[1]))
]


@pytest.mark.parametrize(("rule", "name", "script"), WITH_PYTHON)
def test_environment_has_what_the_script_imports(rule, name, script):
    have = {spelt for package in packages(name) for spelt in (package, package.replace("-", "_"))}
    lacking = {
        module
        for module in needs(script)
        if module not in have and not CARRIED_BY.get(module, set()) & have
    }
    assert lacking == set()
