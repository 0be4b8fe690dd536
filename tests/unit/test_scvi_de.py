"""scVI: training is repeatable, the model loads, and the FDR is scVI's own."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest

from scvi_de import choose_cells, compare_group, expected_fdr, some_cells
from train_scvi import describe, is_gpu_full, train, train_where_it_fits

pytestmark = pytest.mark.tools("rpy2")


SMALL = {"n_latent": 4, "n_hidden": 16, "n_layers": 1, "max_epochs": 150, "seed": 3, "threads": 1}


def train_small(cells):
    model, loop = train(cells[:, cells.var["testable"].to_numpy()].copy(), **SMALL)
    assert loop.name == ("graph" if model.device.type == "cuda" else "lean")
    return model


@pytest.fixture(scope="module")
def model(cells):
    return train_small(cells)


def test_same_seed_gives_the_same_embedding(cells, model):
    again = train_small(cells)
    np.testing.assert_array_equal(
        model.get_latent_representation(), again.get_latent_representation()
    )


@pytest.mark.parametrize(("share", "weight"), [(None, 5 / 400), (0.5, 1), (1, 5 / 6), (0, 1)])
def test_warm_up_is_a_share_of_the_epochs(cells, share, weight):
    """Of six epochs; scvi-tools' own rule has 400, however few there are."""
    tested = cells[:, cells.var["testable"].to_numpy()].copy()
    model, loop = train(tested, **SMALL | {"max_epochs": 6}, kl_warmup=share)
    assert loop.name in ("lean", "graph")
    assert describe(model, loop, 1.0, 3, 1)["kl_weight"] == pytest.approx(weight)


def test_training_is_described(model):
    from latere.fast_scvi.training import Loop

    record = describe(model, Loop("lean", "no GPU"), 1.0, 3, threads=1)
    assert (record["loop"], record["loop_reason"]) == ("lean", "no GPU")
    assert record["precision"] == "highest"
    assert record["threads"] == 1
    assert record["device"] in ("cpu", "cuda")
    assert record["n_samples"] == 6
    assert len(record["history"]["elbo_train"]) == record["epochs"] <= 150
    assert record["history"]["elbo_train"][-1] < record["history"]["elbo_train"][0]


def test_training_goes_on_without_a_gpu_that_is_full(cells, model, monkeypatch, caplog):
    """Two attempts that differ; the second gives what a machine without a GPU does."""
    import scvi
    import torch

    real, tried = scvi.model.SCVI.train, []

    def fail_on_gpu(self, **options):
        tried.append(options["accelerator"])
        if options["accelerator"] != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Of 10.75 GiB 11.62 MiB are free.")
        return real(self, **options)

    gpu = SimpleNamespace(name="RTX 2080", total_memory=10.75 * 2**30)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    monkeypatch.setattr(scvi.model.SCVI, "train", fail_on_gpu)
    tested = cells[:, cells.var["testable"].to_numpy()].copy()
    with caplog.at_level(logging.WARNING):
        made, latent, loop, full = train_where_it_fits(tested, **SMALL)
    assert tried == ["auto", "cpu"] and full == "RTX 2080 with 10.8 GiB"
    np.testing.assert_array_equal(latent, model.get_latent_representation())
    record = describe(made, loop, 1.0, 3, 1, full)
    assert record["device"] == "cpu" and full in record["device_name"]
    (message,) = [line.message for line in caplog.records if full in line.message]
    assert "11.62 MiB are free" in message and "`gpu.model`" in message


@pytest.mark.parametrize(
    ("words", "full"),
    [
        ("CUDA error: out of memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes.", False),
        ("CUDA error: an illegal memory access was encountered", False),
    ],
)
def test_errors_of_a_full_gpu(words, full):
    assert is_gpu_full(RuntimeError(words)) == full


def test_saved_model_loads(cells, model, tmp_path):
    import scvi

    model.save(tmp_path / "model", save_anndata=False)
    tested = cells[:, cells.var["testable"].to_numpy()].copy()
    loaded = scvi.model.SCVI.load(tmp_path / "model", adata=tested, accelerator="cpu")
    np.testing.assert_allclose(
        loaded.get_latent_representation(), model.get_latent_representation(), atol=1e-5
    )


def compare(model, cells, about):
    every = np.ones(cells.n_obs, dtype=bool)
    chosen = choose_cells(cells.obs["sample"].astype(str), every, about, 1)
    return compare_group(model, cells, chosen, about, 0.25, 1)


def test_table_and_fdr_equal_scvi(cells, model, group_design):
    import scvi

    # All genes, as scVI's own column counts them.
    about = group_design(cells) | {"genes": model.adata.var_names.tolist()}
    table = compare(model, model.adata, about).set_index("gene_id")
    scvi.settings.seed = 1
    case = cells.obs["sample"].str.startswith("l").to_numpy()
    own = model.differential_expression(
        idx1=case,
        idx2=~case,
        mode="change",
        delta=0.25,
        batch_correction=True,
        batchid1=["l1", "l2", "l3"],
        batchid2=["h1", "h2", "h3"],
        use_permutation=True,
        m_permutation=5000,
        fdr_target=0.2,
        silent=True,
    ).loc[table.index]
    np.testing.assert_allclose(table["log2fc"], own["lfc_mean"], rtol=1e-5)
    np.testing.assert_array_equal(table["fdr"] <= 0.2, own["is_de_fdr_0.2"])
    odds = np.log(table["posterior"] / (1 - table["posterior"]))
    sure = table["posterior"].between(0.01, 0.99)
    np.testing.assert_allclose(table["statistic"][sure], odds[sure], rtol=1e-4)


def test_only_the_cells_that_are_compared_are_needed(cells, model, group_design, tmp_path):
    """The model loads with a part of the cells, and their tests are the same."""
    import scvi

    two = {"case": ["l1", "l2"], "control": ["h1", "h3"]}
    about = group_design(cells, two)
    whole = compare(model, model.adata, about)
    model.save(tmp_path / "model", save_anndata=False)
    part = model.adata[model.adata.obs["sample"].isin(about["samples"]).to_numpy()].copy()
    assert part.n_obs == 240
    loaded = scvi.model.SCVI.load(tmp_path / "model", adata=part, accelerator="cpu")
    np.testing.assert_array_equal(compare(loaded, part, about)["log2fc"], whole["log2fc"])


def test_planted_genes_go_up(cells, model, group_design):
    about = group_design(cells)
    table = compare(model, model.adata, about)
    assert table["gene_id"].tolist() == about["genes"]
    planted = table["gene_name"].isin([f"G{number}" for number in range(12)])
    assert table.loc[planted, "log2fc"].mean() > table.loc[~planted, "log2fc"].mean() + 0.5


def test_sides_may_differ_in_samples(cells, model, sides, group_design):
    about = group_design(cells, sides | {"control": ["h1", "h2"]})
    table = compare(model, model.adata, about)
    assert len(table) == len(about["genes"])
    assert table["fdr"].between(0, 1).all()


@pytest.mark.parametrize("n_cells", [20, 129])
def test_few_cells_train(cells, n_cells):
    """Where a mini-batch of one cell would be left over, scvi-tools validates on it."""
    part = cells[:: cells.n_obs // n_cells][:n_cells, cells.var["testable"].to_numpy()].copy()
    model, loop = train(part, n_latent=2, n_hidden=8, n_layers=1, max_epochs=2, seed=1, threads=1)
    assert part.n_obs == n_cells
    assert describe(model, loop, 1.0, 1, 1)["epochs"] == 2


def test_no_more_cells_than_draws():
    member = np.arange(100) % 2 == 0
    chosen = some_cells(member, 10, 1)
    assert len(set(chosen)) == 10 and member[chosen].all()
    np.testing.assert_array_equal(chosen, some_cells(member, 10, 1))
    np.testing.assert_array_equal(some_cells(member, 50, 1), np.flatnonzero(member))


def test_expected_fdr():
    fdr = expected_fdr(np.array([0.5, 1.0, 0.8, 0.8]))
    np.testing.assert_allclose(fdr, [0.9 / 4, 0, 0.4 / 3, 0.4 / 3])
