"""From count matrices to one file of cells: ways in that lead to the same cells, and edges."""

import json
import shutil

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import yaml
from scipy import sparse

RUN = "A_1"
SAMPLE = {"disease": "leukemia"}
# Limits for the few genes of the demo.
LIMITS = {"min_counts": {"floor": 300}, "min_genes": {"floor": 100}}


def write_study(folder, name, rows, **config):
    """Write configuration and sheet of a study without contrasts; returns the configuration."""
    pd.DataFrame(rows).to_csv(folder / f"{name}.tsv", sep="\t", index=False)
    config = {"study": name, "samples": f"{name}.tsv", "contrasts": {}} | config
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))
    return f"{name}.yaml"


@pytest.fixture(scope="module")
def project(tmp_path_factory, copy_project):
    return copy_project(tmp_path_factory.mktemp("cells"))


@pytest.fixture(scope="module")
def make(project, snakemake):
    """Make files of a study's results."""

    def call(config, files, *words, fails=False):
        results = f"results/{config.removesuffix('.yaml')}"
        targets = [f"{results}/{file}" for file in files]
        words = ["--cores", 2, "--configfile", config, *words, "--", *targets]
        done = snakemake(project, *words)
        assert (done.returncode != 0) == fails, done.stderr[-5000:]
        return done if fails else project / results

    return call


@pytest.fixture(scope="module")
def solo(demo):
    """What STARsolo made of a run of the demo."""
    return demo / f"counts/starsolo/{RUN}/{RUN}.Solo.out"


@pytest.fixture(scope="module")
def raw(solo):
    """Its raw matrix, by scanpy."""
    return sc.read_10x_mtx(solo / "Gene/raw", var_names="gene_ids")


@pytest.fixture(scope="module")
def called(demo):
    """Counts of the cells that STARsolo called, by run."""

    def read(run):
        folder = demo / f"counts/starsolo/{run}/{run}.Solo.out/Gene/filtered"
        cells = sc.read_10x_mtx(folder, var_names="gene_ids")
        cells.X = cells.X.astype(np.int32)
        return cells

    return read


def write_10x_h5(path, raw):
    """As CellRanger 3 writes it, with two antibodies beside the genes."""
    antibodies = sparse.csr_matrix(np.full((raw.n_obs, 2), 7))
    matrix = sparse.hstack([raw.X, antibodies], "csr").astype(np.int32)
    matrix.sort_indices()
    columns = {
        "id": [*raw.var_names, "CD3", "CD19"],
        "name": [*raw.var["gene_symbols"], "CD3", "CD19"],
        "feature_type": ["Gene Expression"] * raw.n_vars + ["Antibody Capture"] * 2,
        "genome": ["simulated"] * raw.n_vars + [""] * 2,
    }
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        for part in ("data", "indices", "indptr"):
            group[part] = getattr(matrix, part)
        group["shape"] = matrix.shape[::-1]
        group["barcodes"] = np.char.add(raw.obs_names.to_numpy("S"), b"-1")
        for name, values in columns.items():
            group[f"features/{name}"] = np.array(values, "S")


@pytest.fixture(scope="module")
def ways(project, make, solo, raw):
    """Three ways in of the droplets of one run, all of one sample; ambient RNA is removed."""
    (project / "geo").mkdir()
    for path in (solo / "Gene/raw").iterdir():
        shutil.copy(path, project / f"geo/GSM3872434_{RUN}.{path.name}")
    # The barcodes that CellRanger's users often are left with: those with a count.
    write_10x_h5(project / "raw.h5", raw[raw.X.sum(axis=1).A1 > 0])
    rows = {"solo": solo, "geo": f"geo/GSM3872434_{RUN}", "h5": "raw.h5"}
    rows = [{"run": run, "sample": "s", "matrix": path} | SAMPLE for run, path in rows.items()]
    cells = LIMITS | {"remove_ambient": True}
    manual = {"n_highly_variable": 200}
    config = write_study(project, "ways", rows, cells=cells, manual=manual, deep={"max_epochs": 1})
    embeddings = ["manual/embedding.parquet", "deep/embedding.parquet"]
    return make(config, ["cells/cells.h5ad", "cells/checks.tsv", *embeddings])


@pytest.fixture(scope="module")
def selection(ways):
    return pd.read_parquet(ways / "cells/selection.parquet")


def test_a_raw_matrix_gives_the_cells_that_starsolo_gives(ways, selection):
    barcodes = {run: set(cells["barcode"]) for run, cells in selection.groupby("run")}
    assert barcodes["geo"] == barcodes["h5"] <= barcodes["solo"]
    # Measured: 180 of 181. The one between the limits of both has the profile of the ambient RNA.
    assert len(barcodes["geo"]) >= 0.98 * len(barcodes["solo"]) > 150
    methods, kinds = {}, {}
    for run in barcodes:
        methods[run] = json.loads((ways / f"cells/ambient/{run}.json").read_text())["calling"]
        kinds[run] = json.loads((ways / f"counts/{run}.json").read_text())
    assert {run: told["method"] for run, told in methods.items()} == {
        "solo": "given",
        "geo": "emptyDrops",
        "h5": "emptyDrops",
    }
    assert {run: told["barcodes"]["kind"] for run, told in kinds.items()} == {
        "solo": "both",
        "geo": "raw",
        "h5": "raw",
    }
    assert kinds["h5"]["left_out"] == {"Antibody Capture": 2}


def test_its_figures_are_the_same(selection):
    """By whichever way a cell came in."""
    columns = ["n_counts", "n_genes", "percent_mt", "percent_ribo"]
    solo, geo, h5 = (
        selection[selection["run"] == run].set_index("barcode")[columns].sort_index()
        for run in ("solo", "geo", "h5")
    )
    pd.testing.assert_frame_equal(solo.loc[geo.index], geo)
    pd.testing.assert_frame_equal(geo, h5)


def test_corrected_counts_lie_beside_the_raw_ones(ways, raw):
    cells = ad.read_h5ad(ways / "cells/cells.h5ad")
    for run in ("solo", "geo", "h5"):
        part = cells[cells.obs["run"] == run]
        expected = raw[part.obs_names.str.removeprefix(f"{run}_"), part.var_names].X
        assert (expected != part.X).nnz == 0
    removed = cells.X - cells.layers["corrected"]
    assert cells.layers["corrected"].format == "csr"
    assert removed.data.min() >= 0 and cells.layers["corrected"].data.min() > 0
    share = removed.sum() / cells.X.sum()
    estimated = json.loads((ways / "cells/ambient/geo.json").read_text())["ambient"]["share"]
    assert 0.5 * estimated < share < 1.5 * estimated


def test_both_branches_use_the_corrected_counts(ways):
    import scvi

    cells = ad.read_h5ad(ways / "cells/cells.h5ad")
    genes = pd.read_parquet(ways / "manual/variable_genes.parquet")
    latent, scores = {}, {}
    for layer in (None, "corrected"):
        counts = cells.copy()
        counts.X = (counts.layers["corrected"] if layer else counts.X).astype(np.float32)
        tested = counts[:, counts.var["testable"].to_numpy()].copy()
        model = scvi.model.SCVI.load(ways / "deep/model", adata=tested, accelerator="cpu")
        latent[layer] = model.get_latent_representation()
        sc.pp.normalize_total(counts, target_sum=1e4)
        sc.pp.log1p(counts)
        scores[layer] = counts[:, genes["highly_variable"].to_numpy()].X.toarray()
    deep = pd.read_parquet(ways / "deep/embedding.parquet").set_index("cell").loc[cells.obs_names]
    np.testing.assert_allclose(deep, latent["corrected"], atol=1e-3)
    assert np.abs(deep.to_numpy() - latent[None]).max() > 1e-2
    # Principal components are combinations of the genes that they were made from, and of no other.
    manual = pd.read_parquet(ways / "manual/embedding.parquet").set_index("cell")
    manual = manual.loc[cells.obs_names].to_numpy()
    left = {}
    for layer, genes in scores.items():
        genes = genes - genes.mean(axis=0)
        left[layer] = np.abs(manual - genes @ np.linalg.lstsq(genes, manual)[0]).max()
    assert left["corrected"] < 1e-3 < left[None]


def test_same_seed_same_tables(ways, make):
    """Byte by byte, from the droplets on."""
    files = ["cells/droplets/geo.parquet", "cells/ambient/geo.json", "cells/scores/geo.parquet"]
    files += ["cells/doublets/geo.json", "cells/corrected/geo.h5ad"]
    before = {file: (ways / file).read_bytes() for file in files}
    times = {file: (ways / file).stat().st_mtime_ns for file in files}
    rules = ["call_cells", "score_cells", "remove_ambient"]
    make("ways.yaml", files, "--forcerun", *rules)
    for file in files:
        assert (ways / file).stat().st_mtime_ns > times[file]
        assert (ways / file).read_bytes() == before[file], file
    make("ways.yaml", ["cells/cells.h5ad"], "--touch")


def as_ensembl(names, version=""):
    """Ids of the demo as Ensembl's; they stand for nothing."""
    return [name.replace("SIMG", "ENSG") + version for name in names]


@pytest.fixture(scope="module")
def edge_runs(project, called, raw, demo):
    """Rows of the sheet: runs with few cells or none, of one type, with other genes and ids."""
    cells = called("healthy_1a")
    cells.obs_names = cells.obs_names + "-1"
    cells.var_names = as_ensembl(cells.var_names, ".4")
    cells.write_h5ad(project / "plain.h5ad")
    # As CellRanger 2 wrote it, without suffix and version; it lacks a gene, and has one of its own.
    other = called("healthy_2")
    ids = [*as_ensembl(other.var_names[1:]), "ENSG00000999999"]
    names = [*other.var["gene_symbols"].iloc[1:], "OWN1"]
    own = sparse.csr_matrix(np.ones((other.n_obs, 1), dtype=np.int32))
    counts = sparse.hstack([other.X[:, 1:], own], "coo")
    (project / "other").mkdir()
    pd.DataFrame([ids, names]).T.to_csv(
        project / "other/genes.tsv", sep="\t", header=False, index=False
    )
    (project / "other/barcodes.tsv").write_text("\n".join(other.obs_names) + "\n")
    lines = [f"{row + 1} {column + 1} {value}" for row, column, value in entries(counts.T)]
    size = f"{counts.shape[1]} {counts.shape[0]} {counts.nnz}"
    head = ["%%MatrixMarket matrix coordinate integer general", size]
    (project / "other/matrix.mtx").write_text("\n".join([*head, *lines]) + "\n")
    five = called("A_2")[:5].copy()
    five.var_names = as_ensembl(five.var_names)
    five.write_h5ad(project / "five.h5ad")
    true_cells = pd.read_parquet(demo / "simulated/truth/cells.parquet")
    of_run = true_cells[true_cells["run"] == "healthy_3"].set_index("barcode")
    types = called("healthy_3")
    types = types[(of_run.loc[types.obs_names, "cell_type"] == "T cell").to_numpy()].copy()
    types.var_names = as_ensembl(types.var_names)
    types.write_h5ad(project / "types.h5ad")
    n_counts = raw.X.sum(axis=1).A1
    none = raw[(n_counts > 0) & (n_counts <= 100)].copy()
    none.var_names = as_ensembl(none.var_names)
    none.write_h5ad(project / "none.h5ad")
    paths = {name: f"{name}.h5ad" for name in ("plain", "five", "types", "none")}
    return [
        {"run": run, "sample": f"of_{run}", "matrix": path, "barcodes": ""} | SAMPLE
        for run, path in (paths | {"other": "other"}).items()
    ]


def entries(matrix):
    """Row, column and value of each entry."""
    return zip(matrix.row, matrix.col, matrix.data, strict=True)


@pytest.fixture(scope="module")
def edges(project, make, edge_runs):
    """All of these edges in one study, on the genes that any run has."""
    for row in edge_runs:
        row["barcodes"] = "raw" if row["run"] == "none" else ""
    cells = LIMITS | {"genes": "union", "samples": {"of_other": {"min_counts": {"floor": 900}}}}
    config = write_study(project, "edges", edge_runs, cells=cells)
    return make(config, ["cells/cells.h5ad", "cells/checks.tsv", "cells/figures/waterfall.svg"])


@pytest.fixture(scope="module")
def told(edges):
    """The waterfall by run, and the checks."""
    qc = pd.read_csv(edges / "cells/qc.tsv", sep="\t").set_index("run")
    return qc, pd.read_csv(edges / "cells/checks.tsv", sep="\t")


def test_a_run_without_cells(edges, told):
    qc, checks = told
    assert qc.loc["none", ["called", "kept"]].tolist() == [0, 0]
    assert pd.read_parquet(edges / "cells/scores/none.parquet").empty
    assert checks.set_index(["run", "check"])["verdict"]["none", "cells"] == "FAIL"


def test_a_run_of_five_cells(edges, told):
    qc, checks = told
    assert qc.loc["five", "called"] == 5
    scores = pd.read_parquet(edges / "cells/scores/five.parquet")
    assert scores["doublet_score"].isna().all() and scores["doublet"].isna().all()
    assert json.loads((edges / "cells/doublets/five.json").read_text())["reason"]
    assert checks.set_index(["run", "check"])["verdict"]["five", "cells"] == "WARN"


def test_a_run_of_one_type_keeps_its_cells(told):
    qc, _ = told
    assert qc.loc["types", "kept"] >= 0.9 * qc.loc["types", "called"]


def test_each_cell_is_counted_once(told):
    qc, _ = told
    columns = list(qc)
    reasons = columns[columns.index("called") + 1 : columns.index("kept")]
    assert (qc["called"] - qc[reasons].sum(axis=1) == qc["kept"]).all()


def test_limits_of_one_sample(edges, told, called):
    limits = pd.read_csv(edges / "cells/limits.tsv", sep="\t").set_index(["sample", "limit"])
    assert limits.loc[("of_other", "min_counts"), "value"] == 900
    assert limits.loc[("of_plain", "min_counts"), "value"] == 300
    # The gene that only this run has counts, too.
    n_counts = called("healthy_2").X.sum(axis=1).A1 - called("healthy_2").X[:, 0].toarray().ravel()
    assert told[0].loc["other", "low_counts"] == (n_counts + 1 < 900).sum() > 50


def test_genes_of_one_run(edges, told, make, project, edge_runs, called):
    """By union a run has no count of a gene that it lacks; by intersection nobody has it."""
    cells = ad.read_h5ad(edges / "cells/cells.h5ad")
    lacking, own = as_ensembl(called("healthy_2").var_names[:1])[0], "ENSG00000999999"
    assert cells.n_vars == 778
    sums = cells[:, [lacking, own]].to_df().groupby(cells.obs["run"], observed=True).sum()
    assert sums.loc["other", lacking] == 0 and sums.loc["other", own] > 0
    assert (sums.drop(index="other")[own] == 0).all()
    config = yaml.safe_load((project / "edges.yaml").read_text())
    config["cells"]["genes"] = "intersection"
    (project / "edges.yaml").write_text(yaml.safe_dump(config))
    make("edges.yaml", ["cells/cells.h5ad", "cells/checks.tsv"])
    shared = ad.read_h5ad(edges / "cells/cells.h5ad")
    assert shared.n_vars == 776 and shared.n_obs == cells.n_obs
    assert not {lacking, own} & set(shared.var_names)
    checks = pd.read_csv(edges / "cells/checks.tsv", sep="\t")
    of_study = checks[checks["run"] == "study"].set_index("check")["detail"]
    assert "776 genes are in all" in of_study["genes"]


def test_symbols_beside_ensembl_ids(edges, make, project, edge_runs, called):
    """No gene is shared: told with the numbers, and nothing is merged."""
    symbols = called("B_1")
    symbols.var_names = symbols.var["gene_symbols"].astype(str)
    symbols.var_names_make_unique()
    del symbols.var
    symbols.write_h5ad(project / "symbols.h5ad")
    row = {"run": "symbols", "sample": "of_symbols", "matrix": "symbols.h5ad"} | SAMPLE
    config = yaml.safe_load((project / "edges.yaml").read_text())
    config["cells"]["genes"] = "intersection"
    del config["study"], config["samples"]
    write_study(project, "edges", [*edge_runs, row], **config)
    make("edges.yaml", ["cells/checks.tsv"])
    checks = pd.read_csv(edges / "cells/checks.tsv", sep="\t")
    failed = checks[checks["verdict"] == "FAIL"]
    assert failed["detail"].str.contains("symbol").any()
    done = make("edges.yaml", ["cells/cells.h5ad"], fails=True)
    assert "merge_cells: " in done.stderr and "Traceback" not in done.stderr
    assert "symbols" in done.stderr
    assert not (edges / "cells/cells.h5ad").exists()
