"""Real count matrices, from the sheet to the report."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import yaml
from scipy.stats import median_abs_deviation

pytestmark = pytest.mark.real

# Lineages of the marker table, and what the authors of pbmc4k call them.
LINEAGES = {"B": "B cell", "MNP": "Myeloid", "NK": "NK cell", "T_CD4": "T cell", "T_CD8": "T cell"}


def run_study(folder, config, rows, snakemake, *targets):
    """Write configuration and sheet into a copy of the project and run it."""
    pd.DataFrame(rows).to_csv(folder / "samples.tsv", sep="\t", index=False)
    (folder / "study.yaml").write_text(yaml.safe_dump(config | {"samples": "samples.tsv"}))
    result = snakemake(folder, "--cores", 2, "--configfile", "study.yaml", "--", *targets)
    assert result.returncode == 0, result.stderr[-5000:]
    return folder / "results" / config["study"]


@pytest.fixture(scope="module")
def zhao21(real, tmp_path_factory, copy_project, snakemake):
    """Five glioblastoma patients, slices with and without panobinostat: a paired design."""
    path = real / "matrices/zhao21_gbm_panobinostat_lemur_5000x300.h5ad"
    # One row for all ten runs: patient and condition are taken from the cells.
    rows = [{"run": "", "sample": "", "matrix": path, "split": "sample_id"}]
    contrast = {"column": "condition", "case": "panobinostat", "control": "ctrl"}
    config = {
        "study": "zhao21",
        # 300 genes were chosen from the whole: limits made for all genes would drop the cells.
        "cells": {"min_counts": 1, "min_genes": 1, "max_percent_mt": 100},
        "deep": {"max_epochs": 100},  # for the time of the tests
        "contrasts": {
            "panobinostat_vs_ctrl": contrast | {"covariates": ["patient_id"]},
            "unpaired": contrast,
        },
    }
    folder = copy_project(tmp_path_factory.mktemp("zhao21"))
    return run_study(folder, config, rows, snakemake)


def test_zhao21_reaches_the_report(zhao21):
    cells = ad.read_h5ad(zhao21 / "cells/cells.h5ad")
    assert cells.n_vars == 300
    selection = pd.read_parquet(zhao21 / "cells/selection.parquet")
    assert len(selection) == 5000
    # No limit is set, so that what fell was called a doublet.
    assert cells.n_obs == selection["kept"].sum() > 4500
    assert set(selection["reasons"]) <= {"", "doublet"}
    assert cells.obs["sample"].nunique() == 10
    assert cells.obs.groupby("sample", observed=True)["patient_id"].nunique().eq(1).all()
    assert {"age", "gender", "diagnosis"} <= set(cells.obs)
    assert "panobinostat_vs_ctrl" in (zhao21 / "report.html").read_text()
    assert not (zhao21 / "read_qc").exists()


def test_zhao21_branches_answer_the_same_question(zhao21):
    summary = pd.read_csv(zhao21 / "comparison/summary.tsv", sep="\t")
    rows = summary.query("contrast == 'panobinostat_vs_ctrl' and group == 'all'")
    assert (rows["tested"] > 200).all()
    assert rows.set_index("branch").loc["manual", "significant"] > 20
    pairs = pd.read_csv(zhao21 / "comparison/pairs.tsv", sep="\t")
    pairs = pairs.query("contrast == 'panobinostat_vs_ctrl' and group == 'all'")
    assert pairs["spearman"].item() > 0.5
    tables = {
        branch: pd.read_parquet(zhao21 / branch / "de/panobinostat_vs_ctrl.parquet")
        for branch in ("deep", "manual")
    }
    keys = {
        branch: set(zip(table["group"], table["gene_id"], strict=True))
        for branch, table in tables.items()
    }
    assert keys["deep"] == keys["manual"]


def test_zhao21_patient_is_in_the_design(zhao21):
    """Pairing by patient takes the patients' differences out of the error."""
    paired, unpaired = (
        json.loads((zhao21 / f"design/{name}.json").read_text())["groups"]["all"]["covariates"]
        for name in ("panobinostat_vs_ctrl", "unpaired")
    )
    assert len(set(paired["patient_id"])) == 5 and unpaired == {}
    by_pair, by_side = (
        pd.read_parquet(zhao21 / f"manual/de/{name}.parquet").query("group == 'all'")
        for name in ("panobinostat_vs_ctrl", "unpaired")
    )
    assert by_pair["significant"].sum() > by_side["significant"].sum()


@pytest.fixture(scope="module")
def pbmc4k(real, tmp_path_factory, copy_project, snakemake):
    """One sample of one run, from its matrix to the types of its cells; and the matrix."""
    path = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    folder = copy_project(tmp_path_factory.mktemp("pbmc4k"))
    rows = [{"run": "pbmc4k", "sample": "pbmc4k", "matrix": path}]
    targets = ["manual/cell_types.parquet", "cells/checks.tsv"]
    targets = [f"results/pbmc4k/{target}" for target in targets]
    run_study(folder, {"study": "pbmc4k"}, rows, snakemake, *targets)
    return folder, ad.read_h5ad(path)


def test_pbmc4k_marker_types_agree(pbmc4k):
    folder, matrix = pbmc4k
    types = pd.read_parquet(folder / "results/pbmc4k/manual/cell_types.parquet").set_index("cell")
    assert types["source"].str.startswith("markers").all()
    lineage = pd.read_csv(folder / "config/markers.tsv", sep="\t", comment="#")
    lineage = lineage.drop_duplicates("cell_type").set_index("cell_type")["lineage"]
    truth = matrix.obs["Annotation"].astype(str)
    truth.index = "pbmc4k_" + truth.index.str.removesuffix("-1")
    truth = truth[truth.index.isin(types.index) & truth.isin(LINEAGES)]
    agree = types["cell_type"].map(lineage).loc[truth.index] == truth.map(LINEAGES)
    assert len(truth) > 1900
    assert agree.mean() >= 0.85


def test_pbmc4k_figures_are_those_of_scanpy(pbmc4k):
    """By scanpy's own function, on the genes that have the names of each set."""
    folder, matrix = pbmc4k
    sets = pd.read_csv(folder / "config/gene_sets.tsv", sep="\t", comment="#")
    names = sets.groupby("gene_set")["gene_name"].agg(set)
    matrix.var["mt"] = matrix.var_names.str.startswith("MT-")
    matrix.var["ribo"] = matrix.var_names.isin(names["ribosomal"])
    matrix.var["hb"] = matrix.var_names.isin(names["haemoglobin"])
    sc.pp.calculate_qc_metrics(
        matrix, qc_vars=["mt", "ribo", "hb"], percent_top=None, log1p=False, inplace=True
    )
    scores = pd.read_parquet(folder / "results/pbmc4k/cells/scores/pbmc4k.parquet")
    scores = scores.set_index("barcode").loc[matrix.obs_names.str.removesuffix("-1")]
    columns = {
        "n_counts": "total_counts",
        "n_genes": "n_genes_by_counts",
        "percent_mt": "pct_counts_mt",
        "percent_ribo": "pct_counts_ribo",
        "percent_hb": "pct_counts_hb",
    }
    assert len(scores) == matrix.n_obs
    for ours, theirs in columns.items():
        np.testing.assert_allclose(scores[ours], matrix.obs[theirs], rtol=1e-5, err_msg=ours)


def test_pbmc4k_waterfall_is_counted_by_hand(pbmc4k):
    folder, matrix = pbmc4k
    cells = folder / "results/pbmc4k/cells"
    scores = pd.read_parquet(cells / "scores/pbmc4k.parquet")
    limits = {}
    for column, least in (("n_counts", 500), ("n_genes", 200)):
        logs = np.log1p(scores[column])
        distance = 5 * median_abs_deviation(logs, scale="normal")
        limits[column] = max(np.expm1(logs.median() - distance), least)
    share = scores["percent_mt"]
    most = share.median() + 3 * median_abs_deviation(share, scale="normal")
    lost = {
        "low_counts": scores["n_counts"] < limits["n_counts"],
        "low_genes": scores["n_genes"] < limits["n_genes"],
        "high_mt": share > np.clip(most, 8, 20),
        "doublet": scores["doublet"].fillna(False).astype(bool),
    }
    first = np.select(list(lost.values()), list(lost), "kept")
    row = pd.read_csv(cells / "qc.tsv", sep="\t").set_index("run").loc["pbmc4k"]
    assert row["called"] == matrix.n_obs
    for reason in [*lost, "kept"]:
        assert row[reason] == (first == reason).sum(), reason
    for reason in ("high_counts", "high_genes", "high_ribo", "high_hb"):
        assert row[reason] == 0
    kept = ad.read_h5ad(cells / "cells.h5ad", backed="r")
    assert set(kept.obs_names) == set(scores.loc[first == "kept", "cell"])


def test_triana21_layer_and_batches(real, tmp_path_factory, copy_project, snakemake):
    """Counts are in a layer; 462 chosen genes by symbol; two batches in one file."""
    path = real / "matrices/triana21_bm_pbmc_scuba_250x462.h5ad"
    folder = copy_project(tmp_path_factory.mktemp("triana21"))
    rows = [{"run": "", "sample": "", "matrix": path, "layer": "counts", "split": "Batch"}]
    limits = {"min_genes": {"floor": 50}, "max_percent_mt": None}
    config = {"study": "triana21", "cells": limits}
    files = ["cells.h5ad", "checks.tsv"]
    targets = [f"results/triana21/cells/{file}" for file in files]
    results = run_study(folder, config, rows, snakemake, *targets)
    cells, given = ad.read_h5ad(results / "cells/cells.h5ad"), ad.read_h5ad(path)
    batches = given.obs["Batch"].astype(str)
    assert cells.n_vars == 462 and cells.n_obs > 225
    assert set(cells.obs["run"]) == set(batches)
    assert cells.X.dtype == np.int32
    given.obs_names = batches + "_" + given.obs_names
    expected = given[cells.obs_names, cells.var_names].layers["counts"]
    assert (expected != cells.X).nnz == 0
