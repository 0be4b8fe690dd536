"""Reruns of only what changed: edits in a fresh clone beside moved results, and the jobs of each.

The clone lies in another folder and all its files are newer than the results of the demo.
"""

import ast
import json
import os
import re
import shutil
from collections import Counter
from itertools import product

import pandas as pd
import pytest
import yaml
from rewording import reword_messages

CONFIG = "config/demo/config.yaml"
RUNS = ["A_1", "A_2", "B_1", "B_2", "healthy_1a", "healthy_1b", "healthy_2", "healthy_3"]
EMBEDDING = ["deep", "manual", "harmony"]
TESTING = ["deep", "manual"]
CONTRASTS = ["leukemia_vs_healthy", "subtype_A_vs_B"]
END = ["compare_branches", "compare_truth", "report"]


def each(rule, *values):
    """One job of a rule for each combination of its wildcards."""
    return [" ".join([rule, *chosen]) for chosen in product(*values)]


def tested(contrasts, branches=TESTING):
    """The jobs that test and call contrasts in some branches."""
    rules = {"deep": "state_adjusted_de", "manual": "edger_de"}
    tests = [job for branch in branches for job in each(rules[branch], contrasts)]
    return tests + each("call_de", branches, contrasts)


AFTER_DESIGN = [*each("build_design", CONTRASTS), *tested(CONTRASTS), *END]
AFTER_GROUPS = ["define_groups", "sum_pseudobulks", "decode_states", *AFTER_DESIGN]
AFTER_EMBEDDING = [
    *each("cluster_cells", EMBEDDING),
    *each("vote_types", EMBEDDING),
    *AFTER_GROUPS,
]
AFTER_CELLS = [
    "check_runs",
    "merge_cells",
    "variable_genes",
    "log_pca",
    "harmony",
    "train_scvi",
    "label_cells celltypist",
    *AFTER_EMBEDDING,
]
AFTER_SELECTION = ["plot_cells", *AFTER_CELLS]
AFTER_CALLING = [*each("score_cells", RUNS), "select_cells", *AFTER_SELECTION]
DEEP = [
    "train_scvi",
    "cluster_cells deep",
    "vote_types deep",
    "decode_states",
    *tested(CONTRASTS, ["deep"]),
    *END,
]
CALLS = [*each("call_de", TESTING, CONTRASTS), *END]


@pytest.fixture(scope="module")
def executed(demo, tmp_path_factory):
    """A copy of the demo's results and of how they were made."""
    results = tmp_path_factory.mktemp("executed") / "results"
    for name in ("demo", ".snakemake"):
        shutil.copytree(demo.parent / name, results / name, symlinks=True)
    return results


@pytest.fixture
def clone(tmp_path, copy_project):
    """A fresh clone: every file is new."""
    copy_project(tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path)
    return tmp_path


@pytest.fixture
def project(clone, executed):
    """The clone with the results, which are only looked at: hard links keep their times."""
    shutil.copytree(executed, clone / "results", copy_function=os.link)
    return clone


@pytest.fixture
def own_project(clone, executed):
    """The clone with results of its own."""
    shutil.copytree(executed, clone / "results")
    return clone


@pytest.fixture
def jobs(snakemake):
    """Run Snakemake and tell its jobs, each as its rule and wildcards."""

    def tell(project, *words):
        done = snakemake(project, "--configfile", CONFIG, "--cores", "all", *words)
        told = done.stdout + done.stderr
        assert done.returncode == 0, told[-5000:]
        blocks = re.findall(r"^(?:local)?rule (\w+):\n((?: .*\n)*)", told, re.M)
        assert bool(blocks) != ("Nothing to be done" in told)
        found = []
        for rule, about in blocks:
            wildcards = re.search(r"^ +wildcards: (.*)$", about, re.M)
            pairs = wildcards[1].split(", ") if wildcards else []
            found.append(" ".join([rule, *(pair.partition("=")[2] for pair in pairs)]))
        return Counter(job for job in found if job != "all")

    return tell


@pytest.fixture
def planned(jobs):
    """The jobs of a dry run."""
    return lambda project: jobs(project, "-n")


def configure(project, **sections):
    """Set keys of the configuration, by section or at the top."""
    path = project / CONFIG
    config = yaml.safe_load(path.read_text())
    for name, value in sections.items():
        both = isinstance(value, dict) and name in config
        config[name] = config[name] | value if both else value
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def change(project, file, name):
    """Change what a function does, or a constant number, wherever it stands in a module."""
    path = project / file
    text = path.read_text()
    (node,) = [
        node
        for node in ast.parse(text).body
        if getattr(node, "name", None) == name
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name)
    ]
    lines = text.splitlines(keepends=True)
    if isinstance(node, ast.Assign):
        at = node.lineno - 1
        lines[at : node.end_lineno] = [f"{name} = {ast.unparse(node.value)} - 1\n"]
    else:
        first = node.body[1]  # behind the docstring
        lines.insert(first.lineno - 1, f"{' ' * first.col_offset}assert __name__\n")
    path.write_text("".join(lines))


def append(project, file, text):
    with open(project / file, "a", encoding="utf-8") as handle:
        handle.write(text)


def test_a_fresh_clone_beside_old_results(clone, executed, planned):
    # Who looks first must be able to move the results in afterwards.
    assert planned(clone)["train_scvi"] == 1
    assert not (clone / "results").exists()
    shutil.copytree(executed, clone / "results", copy_function=os.link)
    assert planned(clone) == Counter()


def test_comments_docstrings_and_blank_lines(project, planned):
    scripts = [path for path in (project / "scripts").rglob("*") if path.suffix in (".py", ".R")]
    assert len(scripts) > 30
    for path in scripts:
        text = path.read_text()
        text = re.sub(r'^( *)"""(?=[A-Z])', r'\1"""Edited. ', text, flags=re.M)
        text = re.sub(r"^( *def .*:)$", r"\1  # A comment.", text, flags=re.M)
        text = text.replace("\n\n\n", "\n\n\n# A comment.\n\n\n")
        path.write_text(f"# A comment.\n\n{text}\n# The end.\n")
    assert planned(project) == Counter()


def test_the_words_of_messages(project, planned):
    assert reword_messages(project / "scripts") > 400
    assert planned(project) == Counter()


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        # Reached by what writes an embedding.
        ("tables", "embedding_table", ["log_pca", "train_scvi", "harmony", *AFTER_EMBEDDING]),
        # Reached by the tests; build_design imports the module for another function.
        ("edger", "quasi_likelihood_test", [*tested(CONTRASTS), *END]),
        # Reached by one of two rules that import the module.
        ("state_adjusted", "decode_sums", ["decode_states", *tested(CONTRASTS, ["deep"]), *END]),
        # Reached by way of other functions and modules: the knee of a run goes to R, too.
        ("r", "matrix", [*each("call_cells", RUNS), *AFTER_CALLING]),
        # A constant, of which build_design and check_runs make use.
        ("design", "MIN_SAMPLES", ["check_runs", *AFTER_DESIGN]),
        # Reached by no job, only as the DAG is built.
        ("study/config", "MOST_NAME", []),
    ],
)
def test_a_function_of_a_shared_module(project, planned, module, name, expected):
    change(project, f"scripts/latere/{module}.py", name)
    assert planned(project) == Counter(expected)


@pytest.mark.parametrize(
    "setting",
    # The seed is 1, n_latent 10: with the last, the same values stand at other names.
    ["n_latent: 8", "n_layers: 10"],
)
def test_a_setting_of_the_model(project, planned, setting):
    configure(project, deep=yaml.safe_load(setting))
    assert planned(project) == Counter(DEEP)


OF_MANUAL = ["manual", "harmony"]
AFTER_PCA = [
    "log_pca",
    "harmony",
    *each("cluster_cells", OF_MANUAL),
    *each("vote_types", OF_MANUAL),
]
# Rows of docs/reruns.md that are a key of the configuration each.
KEYS = {
    "deep.kl_warmup": (0.5, DEEP),
    "deep.test": (
        "posterior",
        [*each("scvi_de", CONTRASTS), *each("call_de", ["deep"], CONTRASTS), *END],
    ),
    # Of a test that is not chosen.
    "deep.delta": (0.5, ["report"]),
    "manual.n_highly_variable": (300, ["variable_genes", *AFTER_PCA, *AFTER_GROUPS]),
    "manual.n_components": (10, [*AFTER_PCA, *AFTER_GROUPS]),
    "explore.resolution": (2, AFTER_EMBEDDING),
    "de.fdr": (0.1, CALLS),
    "de.min_log2fc": (0.1, [*tested(CONTRASTS), *END]),
    "de.min_cells": (6, ["check_runs", *AFTER_DESIGN]),
    "cells.genes": ("union", AFTER_CELLS),
    "cells.doublets": ("keep", ["select_cells", *AFTER_SELECTION]),
    "cells.remove_ambient": (
        True,
        [*each("remove_ambient", RUNS), "tool_versions soupx", "multiqc", *AFTER_CELLS],
    ),
}


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_the_configuration(project, planned, key):
    section, _, name = key.partition(".")
    value, expected = KEYS[key]
    configure(project, **{section: {name: value}})
    assert planned(project) == Counter(expected)


def test_a_branch_is_switched_off(project, planned):
    """Both pages list the versions of what is used."""
    configure(project, branches=TESTING)
    assert planned(project) == Counter(["multiqc", *END])


def test_groups_of_another_source(project, planned):
    configure(project, groups={"from": "harmony"})
    assert planned(project) == Counter(AFTER_GROUPS)
    configure(project, groups={"from": "markers"})
    assert planned(project) == Counter(["check_runs", "label_cells markers", *AFTER_GROUPS])
    configure(project, groups={"from": "subtype"})
    assert planned(project) == Counter(AFTER_GROUPS)


def test_a_new_contrast(project, planned):
    new = {"column": "subtype", "case": "A", "control": "healthy"}
    configure(project, contrasts={"A_vs_healthy": new})
    expected = ["check_runs", "build_design A_vs_healthy", *tested(["A_vs_healthy"]), *END]
    assert planned(project) == Counter(expected)


def test_a_new_sample(project, planned):
    """Its archive is one that the user has."""
    shutil.copy(project / "results/demo/simulated/sra/A_1.sra", project / "A_3.sra")
    append(project, "config/demo/samples.tsv", "A_3\tA_3\t10xv2\tA_3.sra\tleukemia\tA\n")
    expected = [
        "fasterq_dump A_3",
        "assign_roles A_3",
        "check_reads A_3",
        "fastqc A_3",
        "detect_strand A_3",
        "starsolo A_3",
        "run_metrics A_3",
        "load_counts A_3",
        "call_cells A_3",
        "score_cells A_3",
        "multiqc",
        "select_cells",
        *AFTER_SELECTION,
    ]
    assert planned(project) == Counter(expected)


def test_a_limit_of_one_sample(project, planned):
    """No cell is called or scored anew."""
    configure(project, cells={"samples": {"A_1": {"max_percent_mt": 10}}})
    assert planned(project) == Counter(["select_cells", *AFTER_SELECTION])


def test_genes_of_a_phase(project, planned):
    append(project, "config/gene_sets.tsv", "s_phase\thuman\tTYMS2\t\tnobody\n")
    assert planned(project) == Counter(AFTER_CALLING)


@pytest.mark.parametrize(
    "setting", [{"qc": {"min_cells": 50}}, {"published_cells": "published.tsv"}], ids=str
)
def test_what_the_read_page_compares_with(project, planned, setting):
    """Nothing is counted anew."""
    rows = ["level\tname\tcells\tsource\treference", "run\tA_1\t190\tauthors\tGEO"]
    (project / "published.tsv").write_text("\n".join(rows) + "\n")
    configure(project, **setting)
    assert planned(project) == Counter(["multiqc", "report"])


MARKER = "T cell\tT cell\tCL:0000084\tCD6\n"


def test_a_marker_where_a_model_names_the_cells(project, planned):
    """Only the lineages are taken from the table, by the comparison with the truth."""
    append(project, "config/markers.tsv", MARKER)
    assert planned(project) == Counter(["compare_truth", "report"])


def test_a_marker_where_markers_name_the_cells(own_project, jobs, planned):
    """The cells are annotated by markers; what follows is marked as made with them."""
    configure(own_project, annotation={"celltypist_model": None})
    jobs(own_project, "--until", "label_cells")
    jobs(own_project, "--touch")
    assert planned(own_project) == Counter()
    append(own_project, "config/markers.tsv", MARKER)
    expected = ["check_runs", "label_cells markers"]
    expected += [*each("vote_types", EMBEDDING), *AFTER_GROUPS]
    assert planned(own_project) == Counter(expected)


def test_the_template_of_the_report(project, planned):
    append(project, "scripts/latere/report/templates/page.html.j2", "{# Edited #}")
    assert planned(project) == Counter(["report"])


def test_what_is_planned_is_what_runs(own_project, jobs, planned):
    configure(own_project, de={"fdr": 0.2})
    assert jobs(own_project) == Counter(CALLS)
    assert planned(own_project) == Counter()


def test_a_calibration_is_a_design_like_any_other(own_project, jobs):
    """By naming the files of its tests: nothing but its design and its tests is made."""
    contrast, made = CONTRASTS[0], {}
    for kind in ("null-case-1", "without-A_1"):
        made[f"{contrast}+{kind}"] = [
            f"results/demo/{branch}/tests/{contrast}+{kind}.parquet" for branch in TESTING
        ]
    files = [file for of_design in made.values() for file in of_design]
    expected = each("build_design", made) + each("edger_de", made)
    expected += each("state_adjusted_de", made)
    assert jobs(own_project, "--", *files) == Counter(expected)
    samples = {}
    for design, (deep, manual) in made.items():
        tables = [pd.read_parquet(own_project / file) for file in (deep, manual)]
        keys = [set(table[["design", "group", "gene_id"]].itertuples()) for table in tables]
        assert keys[0] == keys[1] and set(tables[0]["design"]) == {design}
        text = (own_project / f"results/demo/design/{design}.json").read_text()
        samples[design] = json.loads(text)["groups"]["all"]["samples"]
    null, without = samples.values()
    assert sorted(null) == ["A_1", "A_2", "B_1", "B_2"]
    assert without == ["A_2", "B_1", "B_2", "healthy_1", "healthy_2", "healthy_3"]
