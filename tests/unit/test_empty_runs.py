"""A run without a count, or without a called cell: the study goes on, and says so."""

import logging
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from snakemake.iocontainers import InputFiles, OutputFiles, Params

import call_cells
import check_runs
import load_counts
import merge_cells
import plot_cells
import remove_ambient
import score_cells
import select_cells
from latere.errors import StudyError
from latere.quality import LIMITS
from latere.study.sheet import CELL_COLUMNS, RUN_COLUMNS

N_GENES = 120
# Counts of each run, and what the sheet says of its barcodes; those without cells come first, so
# that no step learns from the first run what a matrix looks like.
RUNS = {
    "no_count": (lambda rng: np.zeros((40, N_GENES)), ""),
    "no_count_filtered": (lambda rng: np.zeros((40, N_GENES)), "filtered"),
    "no_barcode": (lambda rng: np.zeros((0, N_GENES)), ""),
    "no_cell": (lambda rng: rng.poisson(0.1, (400, N_GENES)), "raw"),
    "sound": (lambda rng: rng.poisson(rng.gamma(8, 1, (90, 1)), (90, N_GENES)), ""),
}
RULES = dict.fromkeys(LIMITS) | {"min_counts": 100}
CALLING = {"fdr": 0.001, "max_empty_counts": 100}
# What the steps leave of each run.
BY_RUN = {"facts": "json", "ambient": "json", "droplets": "parquet", "counts": "h5ad"}
BY_RUN |= {"scores": "parquet", "doublets": "json", "corrected": "h5ad"}
FIGURES = ("knee", "ambient", "quality", "doublets", "waterfall")


@pytest.fixture
def study(tmp_path, root, monkeypatch):
    """Call the steps from matrices to cells, checks and figures; returns the folder."""
    modules = (load_counts, call_cells, score_cells, remove_ambient, select_cells)
    for module in (*modules, check_runs, merge_cells, plot_cells):
        monkeypatch.setattr(module, "start", lambda _: logging.getLogger())

    def job(module, run, given, made, **params):
        given = InputFiles(**{"toclone" if isinstance(given, list) else "fromdict": given})
        files = {"input": given, "output": OutputFiles(fromdict=made)}
        job = SimpleNamespace(wildcards=SimpleNamespace(run=run), threads=1, **files)
        job.params = Params(fromdict=params)
        module.main(job)

    def build(names):
        rng = np.random.default_rng(4)
        gene_sets = str(root / "config/gene_sets.tsv")
        var = pd.DataFrame(index=[f"ENSG{at:011d}" for at in range(N_GENES)])
        files = {}
        for name in names:
            counts, barcodes = RUNS[name]
            counts = sp.csr_matrix(counts(rng).astype(np.int32))
            obs = pd.DataFrame(index=[f"{name}{at}" for at in range(counts.shape[0])])
            source = str(tmp_path / f"{name}.h5ad")
            ad.AnnData(counts, obs=obs, var=var).write_h5ad(source)
            own = {key: str(tmp_path / f"{name}.{key}.{kind}") for key, kind in BY_RUN.items()}

            def of(*keys, own=own):
                return {key: own[key] for key in keys}

            layout = {"layer": "", "subset": "", "barcodes": barcodes}
            job(load_counts, name, {"matrix": source}, of("counts", "facts"), layout=layout)
            given, made = of("counts", "facts"), of("droplets", "ambient")
            job(call_cells, name, given, made, calling=CALLING, seed=0)
            given = of("counts", "droplets") | {"gene_sets": gene_sets}
            job(score_cells, name, given, of("scores", "doublets"), seed=0)
            given = of("counts", "droplets", "ambient")
            job(remove_ambient, name, given, of("corrected"), seed=0)
            for key, path in own.items():
                files.setdefault(key, []).append(path)
        names_of = ("selection.parquet", "limits.tsv", "qc.tsv")
        tables = {name.partition(".")[0]: str(tmp_path / name) for name in names_of}
        runs = {name: name for name in names}
        rules = dict.fromkeys(names, RULES)
        job(select_cells, "", files["scores"], tables, limits=rules, doublets="drop", runs=runs)
        given = files | tables | {"gene_sets": gene_sets}
        about = {"samples": {name: {} for name in names}, "runs": runs, "genes": "intersection"}
        checks = {"sides": {}, "min_cells": 10, "remove_ambient": True, "seed": 0, "warnings": []}
        job(check_runs, "", given, {"checks": str(tmp_path / "checks.tsv")}, **about, **checks)
        figures = {name: str(tmp_path / f"{name}.svg") for name in FIGURES}
        job(plot_cells, "", given, figures, runs=runs)
        made = {"cells": str(tmp_path / "cells.h5ad")}
        job(merge_cells, "", given, made, **about)

    return SimpleNamespace(build=build, folder=tmp_path)


def test_a_study_goes_on_without_the_runs_that_are_empty(study):
    study.build(RUNS)
    qc = pd.read_csv(study.folder / "qc.tsv", sep="\t").set_index("run")
    assert qc["called"].to_dict() == dict.fromkeys(RUNS, 0) | {"sound": 90}
    assert qc.loc["sound", "kept"] == 90
    checks = pd.read_csv(study.folder / "checks.tsv", sep="\t").set_index(["run", "check"])
    told = checks.xs("cells", level="check")
    assert told["verdict"].to_dict() == dict.fromkeys(RUNS, "FAIL") | {"sound": "PASS"}
    assert "none has a count" in told["detail"]["no_count"]
    assert "40 barcodes" in told["detail"]["no_count_filtered"]
    assert "none has a count" not in told["detail"]["no_cell"]
    cells = ad.read_h5ad(study.folder / "cells.h5ad")
    assert (cells.obs["run"] == "sound").all() and cells.n_obs == 90
    assert cells.X.nnz == cells.layers["corrected"].nnz > 0
    # What the sheet may not name: it stands beside them.
    selection = pd.read_parquet(study.folder / "selection.parquet")
    assert {*selection} <= {*CELL_COLUMNS, *RUN_COLUMNS}
    waterfall = (study.folder / "waterfall.svg").read_text()
    assert waterfall.count(">no cell called<") == 4


def test_a_study_of_empty_runs_ends_with_the_reason(study):
    with pytest.raises(StudyError, match=r"0 of 0 .*\[too-few-cells\]"):
        study.build([name for name in RUNS if name != "sound"])
    checks = pd.read_csv(study.folder / "checks.tsv", sep="\t")
    assert (checks.loc[checks["check"] == "cells", "verdict"] == "FAIL").all()
    assert all((study.folder / f"{figure}.svg").exists() for figure in FIGURES)
