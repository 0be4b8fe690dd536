"""False discoveries and power of each test, on simulated studies (studies.py) over many seeds.

Each study goes through the functions of the workflow: sums, design, training, tests; on one thread.
A row of the table is one test against one question, of all cells or of the cell types, pooled; the
study's seed is also that of the training. Studies that are in the table are left out, so that a run
goes on where it ended. truth.tsv is what was measured; docs/numbers.md has its summary.
Nothing was chosen on seeds 1 to 10: settings come from seed 0.
Run it with PYTHONPATH=scripts.
"""

import argparse
import itertools
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from studies import SCENARIOS, Study, Template, blood_template, read_template, simulate

import edger_de
import scvi_de
import state_adjusted_de
from build_design import design_group
from call_de import call_genes
from decode_states import write_decoded
from latere.branches import AT_EQUAL_STATE, TOTAL
from latere.job import hush
from latere.study.config import fill_defaults, load_schema
from latere.tables import ALL, read_tsv
from latere.truth.tests import POOLED, compare_tests
from merge_cells import testable_genes
from sum_pseudobulks import sum_groups
from train_scvi import train

SCHEMA = Path(__file__).resolve().parents[2] / "config/schemas/config.schema.yaml"
SIZES = (4, 3, 2)
SEEDS = range(1, 11)
# What the tests are tested with as `de.min_log2fc`, by what the names of the tests end in.
LEAST = {"": 0, ", 1.2-fold": 0.26}
# Keys of the section `deep` that the training takes.
TRAINING = ("n_latent", "n_hidden", "n_layers", "max_epochs", "precision", "kl_warmup")
KEYS = ["scenario", "size", "seed"]
COLUMNS = [
    *KEYS,
    "test",
    "question",
    "group",
    "tested",
    "true_de",
    "called",
    "false_discoveries",
    "fdp",
    "power",
    "true_large",
    "power_large",
    "seconds",
]


def defaults() -> tuple[dict, dict]:
    """Defaults of the configuration's sections `deep` and `de`."""
    filled = fill_defaults({"deep": {}, "de": {}}, load_schema(SCHEMA))
    return filled["deep"], filled["de"]


def sum_study(study: Study) -> ad.AnnData:
    """Sums of the testable genes, a row per group and sample, as `sums.h5ad` holds them."""
    cells = study.cells
    sums, about = sum_groups([cells.X], study.groups, cells.obs["sample"], cells.n_vars)
    of_samples = sums[np.flatnonzero(about["group"] == ALL)]
    testable = testable_genes(pd.DataFrame(of_samples.toarray()))
    about.index = about["group"] + "|" + about["sample"]
    return ad.AnnData(sums, obs=about, var=cells.var)[:, testable].copy()


def design_study(sums: ad.AnnData, sides: dict, min_cells: int) -> dict:
    """Design and rows of the sums of each group that can be tested."""
    designs = {}
    for group in pd.unique(sums.obs["group"]):
        rows = sums[np.flatnonzero(sums.obs["group"] == group)]
        about, _ = design_group(rows, sides, {}, min_cells)
        if about:
            designs[group] = about, rows
    return designs


def count_tests(designs: dict) -> dict:
    """Tests that need no model: functions of a group, by name."""

    def edger(group: str, least: float) -> pd.DataFrame:
        about, rows = designs[group]
        return edger_de.compare_group(rows, about, least)

    return {f"edgeR{name}": partial(edger, least=least) for name, least in LEAST.items()}


def deep_tests(study: Study, sums, designs: dict, deep: dict, seed: int, folder: str) -> dict:
    """Tests that need a model, which is trained first: functions of a group, by name.

    Parameters
    ----------
    study
        The study.
    sums, designs
        As `sum_study` and `design_study` give them.
    deep
        Section `deep` of the configuration.
    seed
        Of the training.
    folder
        Where to write the decoded sums.
    """
    cells = study.cells[:, sums.var_names].copy()
    given = {key: deep[key] for key in TRAINING}
    model, _ = train(cells, **given, seed=seed, threads=1, accelerator="cpu")
    samples, groups = cells.obs["sample"].to_numpy(dtype=str), study.groups.to_numpy(dtype=str)
    latent, depths = model.get_latent_representation(), np.asarray(cells.X.sum(axis=1)).ravel()
    decoded, targets = Path(folder) / "decoded.h5ad", sorted(set(samples))
    write_decoded(decoded, model, latent, depths, groups, samples, targets, sums.var)

    def adjusted(group: str, least: float) -> pd.DataFrame:
        about, rows = designs[group]
        with h5py.File(decoded) as file:
            of_group = group, about["samples"], about["genes"]
            sums = state_adjusted_de.read_decoded(file, *of_group, study.sides)
        return state_adjusted_de.compare_group(rows, about, *sums, least)[0]

    def posterior(group: str) -> pd.DataFrame:
        about, member = designs[group][0], (groups == group) | (group == ALL)
        chosen = scvi_de.choose_cells(cells.obs["sample"], member, about, seed)
        return scvi_de.compare_group(model, cells, chosen, about, deep["delta"], seed)

    tests = {f"state-adjusted{name}": partial(adjusted, least=at) for name, at in LEAST.items()}
    return tests | {"posterior": posterior}


def measure(study: Study, seed: int, training: bool) -> list[dict]:
    """Run the tests of a study and compare them with the truth.

    Parameters
    ----------
    study
        The study.
    seed
        Of the training.
    training
        Whether to train a model, and to run the tests that need one.

    Returns
    -------
    list of dict
        A row per test, question and group (and the cell types, pooled); seconds are those of the
        test over all groups, and of the training where it needs one.
    """
    (deep, de), rows = defaults(), []
    sums = sum_study(study)
    designs = design_study(sums, study.sides, de["min_cells"])
    with tempfile.TemporaryDirectory() as folder:
        tests, before = count_tests(designs), {}
        if training:
            began = time.monotonic()
            trained = deep_tests(study, sums, designs, deep, seed, folder)
            tests |= trained
            before = dict.fromkeys(trained, time.monotonic() - began)
        for name, test in tests.items():
            began = time.monotonic()
            tables = [test(group).assign(group=group) for group in designs]
            seconds = time.monotonic() - began + before.get(name, 0)
            called = call_genes(pd.concat(tables, ignore_index=True), de["fdr"])
            for question in (TOTAL, AT_EQUAL_STATE):
                truth = study.truth.rename(columns={question: "true_log2fc"})
                # A group is one cell type, or all.
                truth = truth.assign(one_sided="")
                about = {"test": name, "question": question, "seconds": round(seconds, 2)}
                rows += [{**about, **row} for row in compare_tests(called, truth)]
    return rows


def run(template: Template, path: Path, scenarios, sizes, seeds, training: bool) -> None:
    """Measure the studies that the table lacks, and add them to it one by one."""
    done = set()
    if path.exists():
        done = set(read_tsv(path)[KEYS].itertuples(index=False, name=None))
    # Seeds last, so that a run that is cut short has all scenarios.
    for seed, size, name in itertools.product(seeds, sizes, scenarios):
        if (name, size, seed) in done:
            continue
        began = time.monotonic()
        rows = measure(simulate(template, name, size, seed), seed, training)
        about = {"scenario": name, "size": size, "seed": seed}
        rows = [about | row for row in rows if row["group"] in (ALL, POOLED)]
        table = pd.DataFrame(rows, columns=COLUMNS).round(5)
        new = not path.exists()
        table.to_csv(path, sep="\t", index=False, na_rep="NA", mode="a", header=new)
        print(f"{name} {size} v {size} seed {seed}: {time.monotonic() - began:.0f} s", flush=True)


def percent(value: float) -> str:
    """A share in percent, with one decimal."""
    return f"{100 * value:.1f}"


def summarise(table: pd.DataFrame, question: str) -> str:
    """A table in Markdown: a row per scenario, size and group, a column per test.

    Parameters
    ----------
    table
        As `run` writes it.
    question
        The question whose truth the tests are compared with.

    Returns
    -------
    str
        In the cells: false discoveries of all calls of all seeds, in brackets the median and range
        over seeds (where there are several), and power, in percent. Where nothing is planted: the
        median number of calls, and the range.
    """
    table = table[table["question"] == question]
    tests = list(pd.unique(table["test"]))
    lines = [["scenario", "samples", "group", "seeds", *tests]]
    order = pd.Categorical(table["scenario"], list(SCENARIOS), ordered=True)
    table = table.assign(scenario=order, size=-table["size"])
    for (name, size, group), rows in table.groupby(["scenario", "size", "group"], observed=True):
        cells = []
        for test in tests:
            of = rows[rows["test"] == test]
            called, several = of["called"], len(of) > 1
            if not SCENARIOS[name].planted:
                spread = f" ({called.min()} to {called.max()})" if several else ""
                cells.append(f"{called.median():g}{spread}")
                continue
            power = percent(of["power"].mean())
            if not called.any():
                cells.append(f"no calls / {power}")
                continue
            pooled, fdp = of["false_discoveries"].sum() / called.sum(), of["fdp"]
            spread = f"{percent(fdp.median())}; {percent(fdp.min())} to {percent(fdp.max())}"
            cells.append(f"{percent(pooled)}{f' ({spread})' if several else ''} / {power}")
        n_seeds = str(rows["seed"].nunique())
        lines.append([name, f"{-size} v {-size}", group, n_seeds, *cells])
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="the table (TSV) to write or go on with")
    parser.add_argument("--template", help="an .h5ad with raw counts; else scanpy's blood cells")
    parser.add_argument("--labels", default="cell_type", help="its column of cell types")
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=list(SCENARIOS))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="samples of a side")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument(
        "--counts", action="store_true", help="only tests that need no model; in a table of its own"
    )
    given = parser.parse_args()
    hush("lightning", "scvi")
    warnings.simplefilter("ignore")
    template = read_template(given.template, given.labels) if given.template else blood_template()
    given.table.parent.mkdir(parents=True, exist_ok=True)
    run(template, given.table, given.scenarios, given.sizes, given.seeds, not given.counts)
    measured = read_tsv(given.table)
    for question in (AT_EQUAL_STATE, TOTAL):
        print(f"\n{question}\n\n{summarise(measured, question)}")


if __name__ == "__main__":
    main()
