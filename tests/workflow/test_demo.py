"""The embedded study, whole: run in place, and held against its truth."""

import itertools
import json
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from latere.contract import check_table, read_contracts

# By branch: the columns of its test beside those of all.
TESTING = {"deep": ["log2fc_composition", "pvalue"], "manual": ["pvalue"]}
EMBEDDING = [*TESTING, "harmony"]
CONTRASTS = ["leukemia_vs_healthy", "subtype_A_vs_B"]
# Written out, not imported: what design.md promises.
DE = [
    "contrast",
    "group",
    "gene_id",
    "gene_name",
    "log2fc",
    "mean_case",
    "mean_control",
    "statistic",
    "fdr",
]


@pytest.fixture(scope="module")
def cells(demo):
    return ad.read_h5ad(demo / "cells/cells.h5ad")


def read_tsv(path):
    return pd.read_csv(path, sep="\t")


def read_typed(path):
    """As the page on outputs says; a whole number that may be missing is no matter of TSV."""
    names = {"run": str, "sample": str}
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["NA"], converters=names)


def test_a_second_run_has_nothing_to_do(demo, root, snakemake):
    done = snakemake(root, "-n", "--configfile", "config/demo/config.yaml", "--cores", "all")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


def test_cells_are_raw_counts_under_unique_names(cells):
    assert cells.obs_names.is_unique
    assert cells.X.format == "csr"
    assert (cells.X.data == np.round(cells.X.data)).all() and cells.X.data.min() > 0
    named = cells.obs["run"].astype(str) + "_"
    assert all(name.startswith(run) for name, run in zip(cells.obs_names, named, strict=True))
    metrics = {"n_counts", "n_genes", "percent_mt", "percent_ribo", "percent_hb", "phase"}
    assert {"sample", "disease", "subtype", "doublet_score", *metrics} <= set(cells.obs)
    assert list(cells.var) == ["gene_name", "n_cells", "mean_counts", "testable"]
    assert 0 < cells.var["testable"].sum() < cells.n_vars


def test_two_runs_of_a_sample_are_one_replicate(cells):
    runs = cells.obs.groupby("sample", observed=True)["run"].nunique()
    assert sorted(runs) == [1, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("branch", EMBEDDING)
def test_each_branch_gives_the_same_tables(demo, cells, branch):
    columns = {
        "embedding": None,
        "umap": ["cell", "umap_1", "umap_2"],
        "clusters": ["cell", "cluster"],
        "cell_types": ["cell", "cell_type", "confidence", "cluster_share", "source"],
    }
    for name, expected in columns.items():
        table = pd.read_parquet(demo / branch / f"{name}.parquet")
        assert set(table["cell"]) == set(cells.obs_names)
        assert not table.isna().any().any()
        assert expected is None or list(table) == expected
    assert (demo / branch / "de").exists() == (branch in TESTING)
    for contrast in CONTRASTS if branch in TESTING else ():
        table = pd.read_parquet(demo / branch / f"de/{contrast}.parquet")
        assert list(table) == [*DE, *TESTING[branch], "significant"]
        assert not table.isna().any().any()
        assert table["fdr"].between(0, 1).all()
        assert (table["significant"] == (table["fdr"] <= 0.05)).all()


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_both_branches_test_the_same_genes(demo, contrast):
    deep, manual = (
        pd.read_parquet(demo / branch / f"de/{contrast}.parquet")[["group", "gene_id"]]
        for branch in TESTING
    )
    assert set(deep.itertuples(index=False)) == set(manual.itertuples(index=False))


def test_the_model_loads(demo, cells):
    import scvi

    tested = cells[:, cells.var["testable"].to_numpy()].copy()
    model = scvi.model.SCVI.load(demo / "deep/model", adata=tested, accelerator="cpu")
    assert model.is_trained
    latent = pd.read_parquet(demo / "deep/embedding.parquet").set_index("cell")
    assert latent.shape == (cells.n_obs, 10)
    # Batches are summed in another order on another device or number of threads.
    np.testing.assert_allclose(model.get_latent_representation(), latent, atol=1e-3)
    # As many as help with so few genes, so that the digits are those of any machine's `--cores`.
    assert json.loads((demo / "deep/training.json").read_text())["threads"] == 1


@pytest.mark.tools("Rscript")
@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("group", ["all", "T cell"])
def test_edger_equals_an_independent_r_script(demo, cells, contrast, group, assert_equals_r):
    """Sums, filter and design are made again from the cells; only the labels are taken over."""
    column, case, control = {
        "leukemia_vs_healthy": ("disease", "leukemia", "healthy"),
        "subtype_A_vs_B": ("subtype", "A", "B"),
    }[contrast]
    types = pd.read_parquet(demo / "manual/cell_types.parquet").set_index("cell")["cell_type"]
    member = (types.loc[cells.obs_names] == group).to_numpy() | (group == "all")
    member &= cells.obs[column].isin([case, control]).to_numpy()
    part = cells[member, cells.var["testable"]]
    by_sample = part.obs.groupby("sample", observed=True).indices
    assert min(map(len, by_sample.values())) >= 5  # no sample was left out
    sums = {name: part.X[rows].sum(axis=0).A1 for name, rows in by_sample.items()}
    sides = [part.obs[column].iloc[rows[0]] == case for rows in by_sample.values()]
    table = pd.read_parquet(demo / f"manual/tests/{contrast}.parquet")
    counts = pd.DataFrame(sums, index=part.var_names)
    design = np.column_stack([np.ones(len(sides)), sides])
    assert_equals_r(table[table["group"] == group], counts, design)


def test_cells_and_labels_against_the_truth(demo):
    truth = read_tsv(demo / "comparison/truth.tsv").set_index("run")
    assert len(truth) == 9
    assert (truth["share_called_true"] >= 0.98).all()
    assert (truth["share_true_called"] >= 0.98).all()
    assert (truth["share_above_depth_called"] >= 0.95).all()
    assert (truth["correlation"] >= 0.99).all()
    labels = read_tsv(demo / "comparison/truth_labels.tsv")
    assert sorted(labels["branch"].unique()) == sorted(EMBEDDING) and len(labels) == 27
    assert (labels["lineage_right"] >= 0.9).all()


def test_every_pair_of_branches_is_compared(demo):
    labels, tests = (read_tsv(demo / f"comparison/{name}.tsv") for name in ("labels", "pairs"))
    pairs = list(itertools.combinations(EMBEDDING, 2))
    assert list(labels[["branch", "other"]].itertuples(index=False, name=None)) == pairs
    assert (labels["same_cell_type"] > 0.8).all()
    assert set(tests[["branch", "other"]].itertuples(index=False, name=None)) == {tuple(TESTING)}
    assert set(tests["contrast"]) == set(CONTRASTS)


def test_doublets_and_ambient_rna_against_the_truth(demo):
    truth = read_tsv(demo / "comparison/truth.tsv").set_index("run")
    judged = truth[["heterotypic", "homotypic"]].sum(axis=1)
    assert (judged == truth["called_doublets"]).all()
    # Two cells of one type look like a large cell of it: no caller finds those by expression.
    assert truth.loc["every run", "heterotypic_recall"] >= 0.8
    assert truth.loc["every run", "doublet_precision"] >= 0.85
    ratio = truth["ambient_share_estimated"] / truth["ambient_share"]
    assert ratio.between(0.9, 1.1).all()


def test_no_type_loses_more_than_one_cell_in_twenty(demo):
    fates = read_tsv(demo / "comparison/truth_cells.tsv").set_index("kind")
    types = fates.loc[:"every cell type"]
    assert len(types) == 8
    assert (types["share_lost"] <= 0.05).all()
    assert fates.loc["damaged cell", "share_lost"] >= 0.9
    assert (fates["cells"] == fates.drop(columns=["cells", "share_lost"]).sum(axis=1)).all()
    # The waterfall counts the same cells by run.
    qc = read_tsv(demo / "cells/qc.tsv")
    every = fates.drop(index="every cell type")
    assert every["kept"].sum() == qc["kept"].sum()
    assert every["doublet"].sum() == qc["doublet"].sum()


def test_checks_of_a_sound_study(demo):
    checks = read_tsv(demo / "cells/checks.tsv")
    assert list(checks) == ["run", "check", "verdict", "value", "detail"]
    troubles = checks[checks["verdict"] != "PASS"]
    assert troubles.empty, troubles.to_string()


def test_false_discoveries_and_power_are_told(demo):
    """Whatever they are: no bound is set, so that nothing can be tuned to one."""
    truth = read_tsv(demo / "comparison/truth_de.tsv")
    for key in itertools.product(CONTRASTS, TESTING):
        rows = truth.set_index(["contrast", "branch"]).loc[key]
        assert {"all", "T cell", "Monocyte"} <= set(rows["group"])
        assert set(rows["question"]) == {"total change", "change at equal state"}
        leaks = rows["leak"].notna() & (rows["true_de"] > 0)
        equal = rows["question"] == "change at equal state"
        assert (leaks == (equal & (key[1] == "deep") & (rows["true_de"] > 0))).all()
        assert rows["power"].between(0, 1).all()
        assert (rows["fdp"].between(0, 1) | (rows["called"] == 0)).all()


def test_pages(demo):
    report, multiqc = (
        (demo / name).read_text() for name in ("report.html", "read_qc/multiqc.html")
    )
    told = [
        line.split(": ")[1].strip('"')
        for path in (demo / "versions").glob("*.yml")
        for line in path.read_text().splitlines()[1:]
    ]
    assert len(told) > 12
    cells = pd.read_csv(demo / "cells/qc.tsv", sep="\t")
    assert not re.search(r"<(script|img|link)[^>]+(src|href)=.?https?:", report)
    for page in (report, multiqc):
        assert [version for version in told if version not in page] == []
        assert [run for run in cells["run"] if run not in page] == []


def test_the_report_draws_what_the_tables_say(demo, cells):
    page = (demo / "report.html").read_text()
    drawn = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])["drawn"]
    points = drawn["maps"]["points"]
    assert set(EMBEDDING) <= set(points)
    for branch, of_branch in points.items():
        umap = pd.read_parquet(demo / branch / "umap.parquet").set_index("cell")
        assert of_branch["x"] == pytest.approx(umap.loc[cells.obs_names, "umap_1"], abs=1e-3)
    top = {table["name"]: table["rows"] for table in drawn["genes"]}
    summary = read_tsv(demo / "comparison/summary.tsv").set_index(["contrast", "group", "branch"])
    for branch, contrast in itertools.product(TESTING, CONTRASTS):
        table = pd.read_parquet(demo / branch / f"de/{contrast}.parquet")
        for group, genes in table.groupby("group"):
            first = next(row for row in top[branch] if row[:2] == [contrast, group])
            ranked = genes.set_index("gene_id")["pvalue"]
            assert ranked[first[3]] == ranked.min()
            shown = next(
                g
                for g in drawn["comparison"]["groups"]
                if (g["contrast"], g["group"]) == (contrast, group)
            )
            assert shown["tested"] == len(genes)
            assert (
                sum(shown["called"][branch]) == summary.loc[(contrast, group, branch)].significant
            )


def test_every_file_keeps_its_contract(demo):
    """Each table as it lies on disk; each other file is named by a contract."""
    patterns = {}
    for path, contract in read_contracts().items():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))
        patterns[re.compile(pattern + ("" if "." in path.split("/")[-1] else "(/.*)?"))] = contract
    found = 0
    for file in sorted(demo.rglob("*")):
        path = str(file.relative_to(demo))
        hidden = any(part.startswith(".") for part in path.split("/"))
        if file.is_dir() or hidden or path.startswith(("logs/", "benchmarks/")):
            continue
        contracts = [about for pattern, about in patterns.items() if pattern.fullmatch(path)]
        assert contracts, f"{path} has no contract"
        if "columns" in contracts[0]:
            table = pd.read_parquet(file) if file.suffix == ".parquet" else read_typed(file)
            check_table(table, path, contracts[0])
            found += 1
    assert found > 40


def test_nothing_is_left_behind(demo):
    """Reads are temporary, and every step has its log and its benchmark."""
    assert not list(demo.rglob("*.fastq*"))
    assert (demo / "logs/train_scvi.log").stat().st_size > 0
    assert (demo / "benchmarks/train_scvi.tsv").exists()
