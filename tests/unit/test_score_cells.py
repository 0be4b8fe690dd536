"""Figures, phases and doublets of the called cells of a run."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from latere.errors import StudyError
from latere.gene_sets import find_members, read_gene_sets
from score_cells import measure_cells, read_called, score_cells

COLUMNS = ["n_counts", "n_genes", "percent_mt", "percent_ribo", "percent_hb"]
COLUMNS += ["s_score", "g2m_score", "phase", "doublet_score", "doublet"]


@pytest.fixture(scope="module")
def gene_sets(root):
    return read_gene_sets(root / "config/gene_sets.tsv")


@pytest.fixture(scope="module")
def pbmc(real):
    """2,170 real blood cells, genes by name."""
    counts = ad.read_h5ad(real / "matrices/pbmc4k_soupx_2170x33694.h5ad")
    var = pd.DataFrame({"gene_name": counts.var_names}, index=counts.var_names)
    obs = counts.obs[["Annotation"]]
    return ad.AnnData(sp.csr_matrix(counts.X).astype(np.int32), obs=obs, var=var)


@pytest.fixture(scope="module")
def scored(pbmc, gene_sets):
    return score_cells(pbmc, gene_sets, seed=1)


def two_types(numbers, seed=3):
    """Cells of two types over 300 genes, and doublets of both at the end; their number by kind."""
    random = np.random.default_rng(seed)
    levels = random.gamma(0.5, 4, (2, 300))
    singles = [
        random.poisson(levels[kind] * random.gamma(9, 1 / 9))
        for kind in (0, 1)
        for _ in range(numbers[kind])
    ]
    doublets = [random.poisson(levels.sum(axis=0)) for _ in range(numbers[2])]
    names = [f"G{number}" for number in range(300)]
    return ad.AnnData(
        sp.csr_matrix(np.array([*singles, *doublets], dtype=np.int32).reshape(-1, 300)),
        obs=pd.DataFrame(index=[f"B{number}" for number in range(sum(numbers))]),
        var=pd.DataFrame({"gene_name": names}, index=names),
    )


def test_figures_equal_those_of_scanpy(pbmc, scored):
    import scanpy as sc

    cells = ad.AnnData(pbmc.X.astype(np.float32), obs=pbmc.obs, var=pbmc.var)
    cells.var["mt"] = cells.var_names.str.startswith("MT-")
    cells.var["hb"] = cells.var_names.str.contains(r"^HB[ABDEGMQZ]\d?$")
    assert cells.var["hb"].sum() == 10
    by_scanpy = sc.pp.calculate_qc_metrics(
        cells, qc_vars=["mt", "hb"], percent_top=None, log1p=False
    )[0]
    table = scored[0]
    assert table["n_counts"].tolist() == by_scanpy["total_counts"].tolist()
    assert table["n_genes"].tolist() == by_scanpy["n_genes_by_counts"].tolist()
    for ours, theirs in {"percent_mt": "pct_counts_mt", "percent_hb": "pct_counts_hb"}.items():
        np.testing.assert_allclose(table[ours], by_scanpy[theirs], rtol=1e-5)
    # Without the kinases and read-through genes that also begin with RPS or RPL.
    ribosomal = cells.var_names.str.fullmatch(
        r"RP[SL](\d+[AXLY]?[12L]?|P\d|A|36AL|\d+L1)|FAU|UBA52"
    ) & ~cells.var_names.isin(["RPL7L1"])
    percent = 100 * cells.X[:, ribosomal].sum(axis=1).A1 / cells.X.sum(axis=1).A1
    np.testing.assert_allclose(table["percent_ribo"], percent, rtol=1e-5)


def test_phases_equal_those_of_scanpy(pbmc, scored, gene_sets):
    import scanpy as sc

    cells = ad.AnnData(pbmc.X.astype(np.float32), obs=pbmc.obs[[]], var=pbmc.var)
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    names = gene_sets.groupby("gene_set")["gene_name"].agg(list)
    members = {name: cells.var_names[cells.var_names.isin(names[name])] for name in names.index}
    sc.tl.score_genes_cell_cycle(
        cells, s_genes=members["s_phase"], g2m_genes=members["g2m_phase"], random_state=1
    )
    np.testing.assert_allclose(scored[0]["s_score"], cells.obs["S_score"], atol=1e-6)
    np.testing.assert_allclose(scored[0]["g2m_score"], cells.obs["G2M_score"], atol=1e-6)
    assert scored[0]["phase"].tolist() == cells.obs["phase"].tolist()


def test_twice_the_same(pbmc, scored, gene_sets):
    table, facts = score_cells(pbmc, gene_sets, seed=1)
    pd.testing.assert_frame_equal(table, scored[0], check_exact=True)
    assert facts == scored[1]


def test_doublets_planted_among_real_cells(pbmc, gene_sets):
    myeloid = (pbmc.obs["Annotation"] == "MNP").to_numpy()
    pairs = np.random.default_rng(1).permutation(pbmc.n_obs).reshape(-1, 2)
    pairs = pairs[myeloid[pairs].sum(axis=1) == 1][:30]
    singles = np.setdiff1d(np.arange(pbmc.n_obs), pairs)
    planted = pbmc.X[pairs[:, 0]] + pbmc.X[pairs[:, 1]]
    obs = pd.DataFrame(index=[f"B{number}" for number in range(len(singles) + 30)])
    matrix = sp.vstack([pbmc.X[singles], planted], format="csr")
    table, facts = score_cells(ad.AnnData(matrix, obs=obs, var=pbmc.var), gene_sets, seed=1)
    assert table["doublet"][-30:].mean() > 0.7
    # The data hold doublets of their own; scDblFinder calls 3.4 % and most of these, too.
    assert table["doublet"][:-30].mean() < 0.03
    assert facts["threshold_by"] == "simulated doublets"


def test_doublets_of_two_types(gene_sets):
    table, facts = score_cells(two_types((250, 150, 10)), gene_sets, seed=1)
    assert table["doublet"][-10:].sum() >= 8
    assert table["doublet"][:-10].mean() < 0.02
    assert facts["n_doublets"] == table["doublet"].sum() and facts["reason"] == ""
    assert facts["expected_rate"] == pytest.approx(0.008 * 0.41)
    scores = facts["simulated_scores"]
    assert sum(scores["counts"]) == 2 * 410 and len(scores["edges"]) == len(scores["counts"]) + 1
    assert scores["edges"][0] <= table["doublet_score"].min()
    assert scores["edges"][-1] >= table["doublet_score"].max()


def test_one_type_falls_back_on_what_is_expected(gene_sets):
    table, facts = score_cells(two_types((400, 0, 0)), gene_sets, seed=1)
    assert facts["threshold_by"] == "expected rate"
    assert "do not stand out" in facts["reason"]
    assert table["doublet"].sum() <= 2  # 0.32 % of 400


@pytest.mark.parametrize("n_cells", [0, 1, 5, 99])
def test_too_few_cells_for_doublets(n_cells, gene_sets, tmp_path):
    table, facts = score_cells(two_types((n_cells, 0, 0)), gene_sets, seed=1)
    assert list(table) == COLUMNS and len(table) == n_cells
    assert table["doublet_score"].isna().all() and table["doublet"].isna().all()
    assert facts["n_doublets"] is None and f"{n_cells} cells" in facts["reason"]
    assert (table["n_counts"] > 0).all()
    table.to_parquet(tmp_path / "t.parquet")
    full, _ = score_cells(two_types((110, 0, 0)), gene_sets, seed=1)
    assert pd.read_parquet(tmp_path / "t.parquet").dtypes.equals(full.dtypes)


def test_genes_of_no_set(gene_sets, caplog):
    table, _ = score_cells(two_types((5, 5, 0)), gene_sets, seed=1)
    for column in COLUMNS[2:8]:
        assert table[column].isna().all(), column
    assert "no mitochondrial gene" in caplog.text and "fewer than 10 genes" in caplog.text


def test_a_cell_without_a_count(gene_sets):
    counts = two_types((120, 0, 0))
    counts.X.data[slice(*counts.X.indptr[7:9])] = 0
    counts.X.eliminate_zeros()
    table, _ = score_cells(counts, gene_sets, seed=1)
    assert table["n_counts"].iloc[7] == 0
    assert table["doublet_score"].notna().all()


def test_only_the_called_rows_are_read(tmp_path):
    counts = two_types((6, 4, 0))
    path = tmp_path / "counts.h5ad"
    counts.write_h5ad(path, compression="lzf")
    called = np.arange(10) % 3 == 0
    droplets = pd.DataFrame({"barcode": counts.obs_names, "called": called})
    read = read_called(path, droplets)
    assert read.obs_names.tolist() == counts.obs_names[called].tolist()
    assert (counts.X[called] != read.X).nnz == 0 and read.X.dtype == np.int32
    assert read_called(path, droplets.assign(called=False)).shape == (0, 300)
    with pytest.raises(StudyError, match=r"\[barcodes-differ\]"):
        read_called(path, droplets[::-1])


def test_shares_of_a_cell_without_counts_are_none(gene_sets):
    names = ["MT-CO1", "RPS3", "HBB", "X"]
    counts = ad.AnnData(
        sp.csr_matrix(np.array([[1, 2, 0, 1], [0, 0, 0, 0]], dtype=np.int32)),
        obs=pd.DataFrame(index=["a", "b"]),
        var=pd.DataFrame({"gene_name": names}, index=names),
    )
    table = measure_cells(counts, find_members(gene_sets, counts.var))
    assert table.loc["a"].tolist() == [4, 3, 25, 50, 0]
    assert table.loc["b", ["n_counts", "n_genes"]].tolist() == [0, 0]
    assert table.loc["b"].isna().sum() == 3
