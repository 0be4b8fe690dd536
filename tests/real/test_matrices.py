"""Real count matrices, from the sheet to the report."""

import anndata as ad
import pandas as pd
import pytest
import yaml

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
    obs = ad.read_h5ad(path, backed="r").obs
    samples = obs.drop_duplicates("sample_id")[["sample_id", "patient_id", "condition"]]
    rows = [
        {
            "run": sample,
            "sample": sample,
            "matrix": path,
            "subset": f"sample_id={sample}",
            "patient": patient,
            "condition": condition,
        }
        for sample, patient, condition in samples.astype(str).itertuples(index=False)
    ]
    contrast = {"column": "condition", "case": "panobinostat", "control": "ctrl"}
    config = {
        "study": "zhao21",
        # 300 genes were chosen from the whole: limits made for all genes would drop the cells.
        "cells": {"min_counts": 1, "min_genes": 1, "max_percent_mt": 100},
        "deep": {"max_epochs": 100},  # for the time of the tests
        "contrasts": {
            "panobinostat_vs_ctrl": contrast | {"covariates": ["patient"]},
            "unpaired": contrast,
        },
    }
    folder = copy_project(tmp_path_factory.mktemp("zhao21"))
    return run_study(folder, config, rows, snakemake)


def test_zhao21_reaches_the_report(zhao21):
    cells = ad.read_h5ad(zhao21 / "cells/cells.h5ad")
    assert cells.shape == (5000, 300)
    assert cells.obs["sample"].nunique() == 10
    assert cells.obs.groupby("sample", observed=True)["patient"].nunique().eq(1).all()
    assert "panobinostat_vs_ctrl" in (zhao21 / "report.html").read_text()
    assert not (zhao21 / "read_qc").exists()


def test_zhao21_branches_answer_the_same_question(zhao21):
    summary = pd.read_csv(zhao21 / "comparison/summary.tsv", sep="\t")
    row = summary.query("contrast == 'panobinostat_vs_ctrl' and group == 'all'").iloc[0]
    assert row["tested"] > 200
    assert row["significant_manual"] > 20
    assert row["spearman"] > 0.5
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
    paired = ad.read_h5ad(zhao21 / "cells/pseudobulk/panobinostat_vs_ctrl.h5ad")
    unpaired = ad.read_h5ad(zhao21 / "cells/pseudobulk/unpaired.h5ad")
    assert paired.obsm["design"].shape[1] == 2 + 4
    assert unpaired.obsm["design"].shape[1] == 2
    by_pair, by_side = (
        pd.read_parquet(zhao21 / f"manual/de/{name}.parquet").query("group == 'all'")
        for name in ("panobinostat_vs_ctrl", "unpaired")
    )
    assert by_pair["significant"].sum() > by_side["significant"].sum()


def test_pbmc4k_marker_types_agree(real, tmp_path_factory, copy_project, snakemake):
    path = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    folder = copy_project(tmp_path_factory.mktemp("pbmc4k"))
    rows = [{"run": "pbmc4k", "sample": "pbmc4k", "matrix": path}]
    target = "results/pbmc4k/manual/cell_types.parquet"
    config = {"study": "pbmc4k"}
    results = run_study(folder, config, rows, snakemake, target)
    types = pd.read_parquet(results / "manual/cell_types.parquet").set_index("cell")
    assert types["source"].str.startswith("markers").all()
    lineage = pd.read_csv(folder / "config/markers.tsv", sep="\t", comment="#")
    lineage = lineage.drop_duplicates("cell_type").set_index("cell_type")["lineage"]
    truth = ad.read_h5ad(path, backed="r").obs["Annotation"].astype(str)
    truth.index = "pbmc4k_" + truth.index.str.removesuffix("-1")
    truth = truth[truth.index.isin(types.index) & truth.isin(LINEAGES)]
    agree = types["cell_type"].map(lineage).loc[truth.index] == truth.map(LINEAGES)
    assert len(truth) > 2000
    assert agree.mean() >= 0.85
