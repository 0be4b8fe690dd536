"""Joining runs on disk, and the genes."""

from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import latere.tables
from latere.errors import StudyError
from latere.tables import read_cells, read_counts
from merge_cells import check_enough, join_genes, merge, testable_genes

QC = pd.DataFrame({"run": ["r1"], "called": [3]})
RUNS = {"r1": "s1", "r2": "s2", "r3": "s1", "r4": "s2"}


@pytest.fixture
def parts(monkeypatch):
    """Several parts a run."""
    monkeypatch.setattr(latere.tables, "PART", 500)
    monkeypatch.setattr(latere.tables, "CELLS", 50)


@pytest.fixture
def study(tmp_path, parts):
    """Four runs, the last without a kept cell; r2 lacks genes, has one of its own, and an order."""
    random = np.random.default_rng(5)
    genes = {"r1": range(30), "r2": [31, *range(20, 0, -1)], "r3": range(30), "r4": range(30)}
    runs, tables = {}, []
    for run, sample in RUNS.items():
        counts = sp.csr_matrix(random.poisson(1.7, (60, len(genes[run]))).astype(np.int32))
        var = pd.DataFrame(index=[f"g{at}" for at in genes[run]])
        var["gene_name"] = [f"{run}_{at}" for at in genes[run]]
        barcodes = pd.Index([f"b{at}" for at in range(60)], name="barcode")
        runs[run] = ad.AnnData(counts, obs=pd.DataFrame(index=barcodes), var=var)
        runs[run].write_h5ad(tmp_path / f"{run}.h5ad", compression="lzf")
        halved = runs[run].copy()
        halved.X.data //= 2
        halved[10:].write_h5ad(tmp_path / f"{run}_corrected.h5ad")
        chosen = np.arange(60) % 3 == 2 if run != "r4" else np.zeros(60, dtype=bool)
        chosen[:10] = False
        table = pd.DataFrame({"barcode": barcodes[chosen], "run": run, "sample": sample})
        table.insert(0, "cell", table["run"] + "_" + table["barcode"])
        tables.append(table)
    selection = pd.concat(tables, ignore_index=True)
    figures = {"percent_mt": np.nan, "phase": None, "reasons": "", "kept": True}
    selection = selection.assign(**figures, n_counts=np.arange(len(selection)))
    selection["doublet"] = pd.array([None, False] + [True] * (len(selection) - 2), "boolean")

    def build(genes="intersection", corrected=False):
        sheet = {"s1": {"disease": "a"}, "s2": {"disease": "b"}}
        params = {"samples": sheet, "genes": genes}
        kinds = [
            {run: tmp_path / f"{run}{kind}.h5ad" for run in RUNS} for kind in ("", "_corrected")
        ]
        kinds[1] = kinds[1] if corrected else {}
        path = tmp_path / "cells.h5ad"
        merge(path, *kinds, selection, SimpleNamespace(**params), QC)
        return path

    return SimpleNamespace(build=build, runs=runs, selection=selection)


@pytest.mark.parametrize("genes", ["intersection", "union"])
def test_runs_are_joined_as_anndata_joins_them(study, genes):
    for run, counts in study.runs.items():
        counts.obs_names = [f"{run}_{barcode}" for barcode in counts.obs_names]
    how = "inner" if genes == "intersection" else "outer"
    joined = ad.concat(study.runs.values(), join=how, merge="first")
    cells = ad.read_h5ad(study.build(genes))
    assert cells.obs_names.tolist() == study.selection["cell"].tolist()
    assert set(cells.var_names) == set(joined.var_names)
    expected = joined[cells.obs_names, cells.var_names]
    np.testing.assert_array_equal(cells.X.toarray(), expected.X.toarray())
    assert cells.X.format == "csr" and cells.X.dtype == np.int32 and cells.X.has_sorted_indices
    assert cells.var["gene_name"]["g5"] == "r1_5"
    np.testing.assert_array_equal(cells.var["n_cells"], expected.X.getnnz(axis=0))
    np.testing.assert_allclose(cells.var["mean_counts"], expected.X.mean(axis=0).A1)
    assert list(cells.obs)[:3] == ["run", "sample", "disease"]
    diseases = cells.obs["run"].astype(str).map({"r1": "a", "r2": "b", "r3": "a"})
    assert (cells.obs["disease"] == diseases).all()
    assert cells.obs["n_counts"].tolist() == study.selection["n_counts"].tolist()
    assert cells.obs["doublet"].isna().sum() == 1 and cells.obs["phase"].isna().all()


def test_positions_are_safe_beyond_two_billion_entries(study):
    with h5py.File(study.build()) as file:
        assert file["X/indptr"].dtype == np.int64


def test_corrected_counts_lie_beside_the_raw_ones_and_are_used(study):
    path = study.build(corrected=True)
    whole = ad.read_h5ad(path)
    np.testing.assert_array_equal(whole.layers["corrected"].toarray(), whole.X.toarray() // 2)
    used = read_cells(path)
    np.testing.assert_array_equal(used.X.toarray(), whole.layers["corrected"].toarray())
    by_sample = whole.to_df("corrected").groupby(whole.obs["sample"].to_numpy()).sum()
    assert whole.var["testable"].tolist() == ((by_sample >= 10).sum() >= 2).tolist()


def test_reader_takes_genes_and_rows(study):
    path = study.build(corrected=True)
    whole = ad.read_h5ad(path)
    rows = np.arange(whole.n_obs) % 4 == 1
    part = read_cells(path, "testable", rows, np.float32)
    expected = whole[rows, whole.var["testable"].to_numpy()]
    assert part.X.dtype == np.float32 and 0 < part.n_vars < whole.n_vars
    np.testing.assert_array_equal(part.X.toarray(), expected.layers["corrected"].toarray())
    assert part.obs_names.equals(expected.obs_names) and part.var_names.equals(expected.var_names)
    np.testing.assert_array_equal(read_cells(study.build()).X.toarray(), whole.X.toarray())


def test_order_of_cells_is_held(study):
    study.selection.loc[[0, 1], "barcode"] = study.selection.loc[[1, 0], "barcode"].to_numpy()
    with pytest.raises(ValueError, match="kept cells of run r1"):
        study.build()


def test_runs_without_a_shared_gene_are_refused():
    one = pd.DataFrame({"gene_name": ["A", "B"]}, index=["g1", "g2"])
    other = pd.DataFrame({"gene_name": ["A", "B"]}, index=["h1", "h2"])
    for how in ("intersection", "union"):
        with pytest.raises(StudyError, match=r"run r2: .* 2 genes .*\[no-shared-genes\]"):
            join_genes({"r1": one, "r2": other}, how)


def test_names_of_two_kinds_that_agree_here_and_there_are_refused():
    """Genes without a symbol carry their id as a name."""
    one = pd.DataFrame(index=["ENSG1", "ENSG2", "ENSG3"]).assign(gene_name="x")
    other = pd.DataFrame(index=["CD3E", "ENSG2", "LYZ"]).assign(gene_name="x")
    with pytest.raises(StudyError, match=r" 1 of its 3 genes .*\[no-shared-genes\]"):
        join_genes({"r1": one, "r2": other}, "intersection")


def test_what_a_run_could_not_count_is_not_testable(study):
    cells = ad.read_h5ad(study.build("union"))
    everywhere = np.logical_and.reduce(
        [cells.var_names.isin(counts.var_names) for counts in study.runs.values()]
    )
    assert not everywhere.all() and cells.var["testable"].any()
    assert not cells.var["testable"][~everywhere].any()


def test_genes_that_differ_are_counted(caplog):
    one = pd.DataFrame({"gene_name": ["A", "B"]}, index=["g1", "g2"])
    other = pd.DataFrame({"gene_name": ["b", "C", "D"]}, index=["g2", "g3", "g4"])
    assert join_genes({"r1": one, "r2": other}, "intersection")[0].index.tolist() == ["g2"]
    union, everywhere = join_genes({"r1": one, "r2": other}, "union")
    assert union["gene_name"].to_dict() == {"g1": "A", "g2": "B", "g3": "C", "g4": "D"}
    assert everywhere.tolist() == [False, True, False, False]
    assert "run r2 lacks 1 genes of the runs before it, and has 2" in caplog.text


def test_nothing_to_analyse_is_told():
    with pytest.raises(StudyError, match=r"2 of 3 .*\[too-few-cells\]"):
        check_enough(2, np.ones(3, dtype=bool), QC)
    with pytest.raises(StudyError, match=r"\[no-testable-gene\]"):
        check_enough(100, np.zeros(3, dtype=bool), QC)


def test_testable_genes_need_two_samples():
    sums = pd.DataFrame([[10, 10, 9], [10, 0, 9], [0, 5, 9]], index=["a", "b", "c"])
    assert testable_genes(sums).tolist() == [True, False, False]
    assert testable_genes(sums[:1]).tolist() == [True, True, False]


def test_rows_of_no_entry_are_read(tmp_path, parts):
    counts = sp.csr_matrix((5, 3), dtype=np.int32)
    ad.AnnData(counts).write_h5ad(tmp_path / "none.h5ad")
    with h5py.File(tmp_path / "none.h5ad") as file:
        rows = np.array([True, False, True, True, False])
        assert read_counts(file["X"], rows, np.ones(3, dtype=bool)).shape == (3, 3)


class Recorded:
    """A stored array that counts what is read of it."""

    def __init__(self, values):
        self.values, self.read, self.dtype = values, 0, values.dtype

    def __getitem__(self, key):
        part = self.values[key]
        self.read += part.size
        return part


def test_no_more_is_read_than_what_lies_between_the_rows():
    counts = sp.random(100, 20, 0.5, format="csr", random_state=0)
    stored = {name: Recorded(getattr(counts, name)) for name in ("data", "indices", "indptr")}
    rows = np.isin(np.arange(100), [40, 42, 59])
    part = read_counts(stored, rows, np.ones(20, dtype=bool))
    np.testing.assert_array_equal(part.toarray(), counts[rows].toarray())
    assert stored["data"].read == counts[40:60].nnz
