"""One Lightning step per epoch, and sparse counts: the numbers are those of scvi-tools itself."""

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("scvi")

import torch
from scipy.special import gammaln
from scvi.distributions import NegativeBinomial
from scvi.model import SCVI
from scvi_models import TRAIN, make_model, train_model

from latere.fast_scvi import kernels
from latere.fast_scvi.plan import epochs
from latere.fast_scvi.steps import LeanStep, ModuleStep, why_not_lean

pytestmark = pytest.mark.usefixtures("one_thread")


def weights(model):
    return {name: at.detach().numpy() for name, at in model.module.named_parameters()}


@pytest.fixture(scope="module")
def stock(counts):
    return train_model(counts)


def test_a_step_of_an_epoch_gives_the_bits_of_scvi_tools(counts, stock):
    ours = train_model(counts, ModuleStep, adam={})
    for name, values in weights(stock).items():
        np.testing.assert_array_equal(weights(ours)[name], values, err_msg=name)
    np.testing.assert_array_equal(
        ours.get_latent_representation(), stock.get_latent_representation()
    )


@pytest.mark.parametrize("step", [ModuleStep, LeanStep])
def test_history_is_that_of_scvi_tools(counts, stock, step):
    ours = train_model(counts, step)
    assert ours.history.keys() == stock.history.keys()
    for name in stock.history.keys() - {"kl_weight"}:
        assert len(ours.history[name]) == 3
        np.testing.assert_allclose(
            ours.history[name].to_numpy(float), stock.history[name].to_numpy(float), rtol=1e-5
        )
    # By epoch; scvi-tools logs it by step, and every tenth only.
    np.testing.assert_allclose(
        ours.history["kl_weight"].to_numpy(float).ravel(), [0, 1 / 400, 2 / 400]
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"encode_covariates": True},
        {"encode_covariates": True, "n_layers": 2},
        {"n_layers": 2, "dropout_rate": 0},
        {"encode_covariates": True, "use_batch_norm": "none", "use_layer_norm": "both"},
    ],
    ids=str,
)
def test_sparse_counts_give_the_losses_and_gradients_of_the_module(counts, options):
    """At the weights of a trained model: those of a new one have no structure yet."""
    model = train_model(counts, **options)
    model.module.train()
    rows = np.random.default_rng(2).permutation(400)[:90]
    told = {}
    for step in (ModuleStep(model), LeanStep(model)):
        model.module.zero_grad()
        torch.manual_seed(5)
        losses = step(rows, 0.3)
        losses.loss.backward()
        gradients = {n: at.grad for n, at in model.module.named_parameters() if at.grad is not None}
        told[type(step)] = losses, {n: at.numpy().copy() for n, at in gradients.items()}
    (dense, expected), (lean, found) = told[ModuleStep], told[LeanStep]
    for name in ("loss", "reconstruction", "kl_local", "kl_global", "n_cells"):
        ours, theirs = (float(torch.as_tensor(getattr(at, name))) for at in (lean, dense))
        assert ours == pytest.approx(theirs, rel=2e-6)
    assert found.keys() == expected.keys()
    of_all = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in expected.items():
        # Those of biases before a batch norm are 0 but for rounding.
        least = max(3e-5 * np.abs(gradient).max(), 1e-6 * of_all)
        np.testing.assert_allclose(found[name], gradient, rtol=0, atol=least, err_msg=name)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_negative_binomial_is_that_of_scvi_tools_in_double_precision(blocks):
    rng = np.random.default_rng(1)
    counts = sp.random(50, 300, 0.2, format="csr", random_state=1, dtype=np.float32)
    counts.data = rng.geometric(0.4, counts.nnz).astype(np.float32)
    counts.data[:9] = [16, 17, 30, 100, 1000, 5000, 2.5, 0.5, 1]
    logits = rng.normal(0, 3, counts.shape).astype(np.float32)
    logits[:, 0] -= 60  # a mean of almost nothing
    theta = np.exp(rng.normal(0, 3, 300)).astype(np.float32)
    depth = np.asarray(counts.sum(axis=1)).ravel()

    a, t = (torch.tensor(at, dtype=torch.float64, requires_grad=True) for at in (logits, theta))
    means = torch.softmax(a, dim=1) * torch.tensor(depth, dtype=torch.float64)[:, None]
    truth = torch.tensor(counts.toarray(), dtype=torch.float64)
    loss = -NegativeBinomial(mu=means, theta=t).log_prob(truth).sum(dim=1)
    loss.sum().backward()

    given = counts.indptr, counts.indices, counts.data
    losses, of_theta = kernels.negative_binomial(logits, depth, theta, *given, blocks)
    losses += kernels.log_factorials(counts.indptr, counts.data)
    np.testing.assert_allclose(losses, loss.detach().numpy(), rtol=1e-6)

    def distance(ours, theirs):
        return np.linalg.norm(ours - theirs.numpy()) / np.linalg.norm(theirs.numpy())

    assert distance(logits, a.grad) < 1e-6
    assert distance(of_theta, t.grad) < 2e-6


def test_functions_of_the_kernels():
    x = np.concatenate([-np.geomspace(1e-6, 87, 500), [0]]).astype(np.float32)
    np.testing.assert_allclose([kernels.exp(v) for v in x], np.exp(x.astype(float)), rtol=3e-7)
    x = np.geomspace(1e-9, 1e9, 1000).astype(np.float32)
    np.testing.assert_allclose([kernels.log1p(v) for v in x], np.log1p(x.astype(float)), rtol=3e-7)
    counts = np.array([1, 2, 3.5, 170, 1e4], np.float32)
    sums = kernels.log_factorials(np.arange(6), counts)
    np.testing.assert_allclose(sums, gammaln(counts.astype(float) + 1))


def test_training_stops_early_at_the_same_epoch(counts):
    words = {"max_epochs": 40, "early_stopping": True, "early_stopping_patience": 2}
    theirs, ours = (train_model(counts[:100], step, **words) for step in (None, ModuleStep))
    assert 2 < len(theirs.history["elbo_train"]) < 40
    assert len(ours.history["elbo_train"]) == len(theirs.history["elbo_train"])


def test_a_model_is_saved_and_loaded(counts, tmp_path):
    model = train_model(counts, LeanStep)
    model.save(tmp_path / "model", save_anndata=False)
    loaded = SCVI.load(tmp_path / "model", adata=counts.copy())
    np.testing.assert_array_equal(
        loaded.get_latent_representation(), model.get_latent_representation()
    )
    assert all(at.is_contiguous() for at in model.module.parameters())


def test_counts_are_neither_copied_nor_made_dense(counts):
    model = make_model(counts)
    registered = model.adata_manager.get_from_registry("X")
    assert np.shares_memory(LeanStep(model).counts.data, registered.data)


def test_an_option_without_effect_is_refused(counts):
    model = make_model(counts)
    with epochs(model, ModuleStep(model)), pytest.raises(ValueError, match="reduce_lr_on_plateau"):
        model.train(**TRAIN, max_epochs=1, plan_kwargs={"reduce_lr_on_plateau": True})
    # And the model is as it was.
    model.train(**TRAIN, max_epochs=1, plan_kwargs={"reduce_lr_on_plateau": True})


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, ""),
        ({"gene_likelihood": "zinb"}, "negative binomial"),
        ({"dispersion": "gene-batch"}, "dispersion"),
        ({"use_observed_lib_size": False}, "library size"),
        ({"latent_distribution": "ln"}, "normal"),
        ({"log_variational": False}, "log"),
        ({"batch_representation": "embedding"}, "one-hot"),
    ],
    ids=str,
)
def test_what_is_computed_otherwise_is_named(counts, options, reason):
    model = make_model(counts, **options)
    assert reason in why_not_lean(model) and bool(reason) == bool(why_not_lean(model))
    if reason:
        with pytest.raises(ValueError, match=reason):
            LeanStep(model)
        train_model(counts, ModuleStep, max_epochs=1, **options)


def test_dense_counts_and_covariates_are_named(counts):
    cells = counts.copy()
    cells.obs["age"] = np.arange(400.0)
    SCVI.setup_anndata(cells, batch_key="sample", continuous_covariate_keys=["age"])
    assert "covariates" in why_not_lean(SCVI(cells, gene_likelihood="nb"))
    cells.X = cells.X.toarray()
    SCVI.setup_anndata(cells, batch_key="sample")
    assert "sparse" in why_not_lean(SCVI(cells, gene_likelihood="nb"))
