"""Reruns of only what changed: edits in a fresh clone beside moved results, and the jobs of each.

The clone lies in another folder and all its files are newer than the results of the demo.
"""

import os
import re
import shutil
from collections import Counter
from itertools import product

import pytest
from rewording import reword_messages

CONFIG = "config/demo/config.yaml"
RUNS = ["A_1", "A_2", "B_1", "B_2", "healthy_1a", "healthy_1b", "healthy_2", "healthy_3"]
BRANCHES = ["deep", "manual"]
CONTRASTS = ["leukemia_vs_healthy", "subtype_A_vs_B"]
END = ["compare_branches", "compare_truth", "report"]


def each(rule, *values):
    """One job of a rule for each combination of its wildcards."""
    return [" ".join([rule, *chosen]) for chosen in product(*values)]


def tested(contrasts, branches=BRANCHES):
    """The jobs that test and call contrasts in some branches."""
    rules = {"deep": "scvi_de", "manual": "edger_de"}
    tests = [job for branch in branches for job in each(rules[branch], contrasts)]
    return tests + each("call_de", branches, contrasts)


AFTER_EMBEDDING = [
    *each("cluster_cells", BRANCHES),
    *each("annotate_cells", BRANCHES),
    *each("pseudobulk", CONTRASTS),
    *tested(CONTRASTS),
    *END,
]
AFTER_SELECTION = [
    "check_runs",
    "merge_cells",
    "plot_cells",
    "log_pca",
    "train_scvi",
    *AFTER_EMBEDDING,
]
AFTER_CALLING = [*each("score_cells", RUNS), "select_cells", *AFTER_SELECTION]
DEEP = [
    "train_scvi",
    "cluster_cells deep",
    "annotate_cells deep",
    *tested(CONTRASTS, ["deep"]),
    *END,
]
CALLS = [*each("call_de", BRANCHES, CONTRASTS), *END]


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


def edit(project, file, old, new):
    """Replace a piece of a file."""
    text = (project / file).read_text()
    assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
    (project / file).write_text(text.replace(old, new))


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
    ("module", "old", "new", "expected"),
    [
        # Reached by log_pca and train_scvi.
        (
            "tables",
            "np.asarray(values, dtype=np.float32)",
            "np.asarray(values, dtype=np.float64)",
            ["log_pca", "train_scvi", *AFTER_EMBEDDING],
        ),
        # Reached by edger_de; pseudobulk imports the module for another function.
        (
            "edger",
            "fitted = edger.calcNormFactors(fitted)",
            "fitted = edger.calcNormFactors(fitted, method='none')",
            [*tested(CONTRASTS, ["manual"]), *END],
        ),
        # Reached by way of other functions and modules: the knee of a run goes to R, too.
        (
            "r",
            'ravel(order="F")',
            'ravel(order="C")',
            [*each("call_cells", RUNS), *AFTER_CALLING],
        ),
        # A constant, of which pseudobulk and check_runs make use.
        (
            "design",
            "MIN_SAMPLES = 2",
            "MIN_SAMPLES = 1",
            ["check_runs", *each("pseudobulk", CONTRASTS), *tested(CONTRASTS), *END],
        ),
        # Reached by no job, only as the DAG is built.
        (
            "study",
            "MOST_NAME = 100",
            "MOST_NAME = 99",
            [],
        ),
    ],
)
def test_a_function_of_a_shared_module(project, planned, module, old, new, expected):
    edit(project, f"scripts/latere/{module}.py", old, new)
    assert planned(project) == Counter(expected)


@pytest.mark.parametrize(
    "setting",
    # The seed is 1, n_latent 10: with the last, the same values stand at other names.
    ["n_latent: 8", "n_layers: 10"],
)
def test_a_setting_of_the_model(project, planned, setting):
    append(project, CONFIG, f"deep:\n  {setting}\n")
    assert planned(project) == Counter(DEEP)


def test_a_new_contrast(project, planned):
    new = "  A_vs_healthy:\n    column: subtype\n    case: A\n    control: healthy\n"
    edit(project, CONFIG, "\ncontrasts:\n", f"\ncontrasts:\n{new}")
    expected = ["check_runs", "pseudobulk A_vs_healthy", *tested(["A_vs_healthy"]), *END]
    assert planned(project) == Counter(expected)


@pytest.mark.parametrize("setting", ["fdr: 0.05", "min_log2fc: 0"])
def test_what_is_called_significant(project, planned, setting):
    edit(project, CONFIG, f"\n  {setting}\n", f"\n  {setting.split(':')[0]}: 0.1\n")
    assert planned(project) == Counter(CALLS)


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
    text = "  n_highly_variable: 400\n"
    sample = "  samples:\n    A_1:\n      max_percent_mt: 10\n"
    edit(project, CONFIG, text, f"{text}{sample}")
    assert planned(project) == Counter(["select_cells", *AFTER_SELECTION])


def test_what_becomes_of_doublets(project, planned):
    text = "  n_highly_variable: 400\n"
    edit(project, CONFIG, text, f"{text}  doublets: keep\n")
    assert planned(project) == Counter(["select_cells", *AFTER_SELECTION])


def test_genes_of_a_phase(project, planned):
    append(project, "config/gene_sets.tsv", "s_phase\thuman\tTYMS2\t\tnobody\n")
    assert planned(project) == Counter(AFTER_CALLING)


@pytest.mark.parametrize(
    "text", ["qc:\n  min_cells: 50\n", "published_cells: published.tsv\n"], ids=["limit", "cells"]
)
def test_what_the_read_page_is_held_against(project, planned, text):
    """Nothing is counted anew."""
    rows = ["level\tname\tcells\tsource\treference", "run\tA_1\t190\tauthors\tGEO"]
    (project / "published.tsv").write_text("\n".join(rows) + "\n")
    append(project, CONFIG, text)
    assert planned(project) == Counter(["multiqc", "report"])


MARKER = "T cell\tT cell\tCL:0000084\tCD6\n"


def test_a_marker_where_a_model_names_the_cells(project, planned):
    """Only the lineages are taken from the table, by the comparison with the truth."""
    append(project, "config/markers.tsv", MARKER)
    assert planned(project) == Counter(["compare_truth", "report"])


def test_a_marker_where_markers_name_the_cells(own_project, jobs, planned):
    """The cells are annotated by markers; what follows is marked as made with them."""
    model = "celltypist_model: results/demo/simulated/celltypist_model.pkl"
    edit(own_project, CONFIG, model, "celltypist_model: null")
    jobs(own_project, "--until", "annotate_cells")
    jobs(own_project, "--touch")
    assert planned(own_project) == Counter()
    append(own_project, "config/markers.tsv", MARKER)
    expected = [
        *each("annotate_cells", BRANCHES),
        *each("pseudobulk", CONTRASTS),
        *tested(CONTRASTS),
        *END,
    ]
    assert planned(own_project) == Counter(expected)


def test_the_template_of_the_report(project, planned):
    edit(project, "scripts/report.html.j2", "</body>", "<p>Edited</p></body>")
    assert planned(project) == Counter(["report"])


def test_what_is_planned_is_what_runs(own_project, jobs, planned):
    edit(own_project, CONFIG, "\n  fdr: 0.05\n", "\n  fdr: 0.2\n")
    assert jobs(own_project) == Counter(CALLS)
    assert planned(own_project) == Counter()
