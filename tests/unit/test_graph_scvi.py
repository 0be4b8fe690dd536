"""Training from the memory of the device: the numbers of the module, in steps that can be captured.

No GPU is needed: the same steps run on the CPU one by one, on tensors without values (which fail
where a graph could not be captured), and recorded and replayed.
"""

import re
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

pytest.importorskip("scvi")

import torch
from recorded_graphs import imitate, one_hot
from scvi.model import SCVI
from scvi.module import VAE
from scvi_models import TRAIN, make_model, train_model
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.distributions import Distribution

from latere.fast_scvi import graph, training
from latere.fast_scvi.batches import Batches
from latere.fast_scvi.device_cells import DeviceCells
from latere.fast_scvi.graph import (
    DeviceStep,
    GraphError,
    Pass,
    needed_bytes,
    unchanged,
    why_not_graph,
)
from latere.fast_scvi.plan import epochs
from latere.fast_scvi.steps import ModuleStep

EAGER = partial(DeviceStep, graph=False)


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def eager(counts):
    return train_model(counts, EAGER)


@pytest.fixture(scope="module")
def stock(counts):
    return train_model(counts)


@pytest.fixture
def unchecked(monkeypatch):
    """Without checks of distributions, as `epochs` trains."""
    monkeypatch.setattr(torch.nn.functional, "one_hot", one_hot)
    Distribution.set_default_validate_args(False)
    yield
    Distribution.set_default_validate_args(True)


def state(model):
    return {name: at.clone() for name, at in model.module.state_dict().items()}


def assert_equal_states(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), value.numpy(), err_msg=name)


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, np.asarray])
def test_cells_are_those_of_the_data(counts, form):
    cells = counts.copy()
    matrix = cells.X.toarray()
    matrix[7] = 0
    matrix[8] = np.arange(200) + 1  # no gene is left for padding
    matrix[399] = 0
    cells.X = form(matrix)
    cells.obs["age"], cells.obs["sex"] = np.linspace(0, 1, 400), ["f", "m"] * 200
    names = {"continuous_covariate_keys": ["age"], "categorical_covariate_keys": ["sex"]}
    SCVI.setup_anndata(cells, batch_key="sample", **names)
    model = SCVI(cells)
    rows = np.array([399, 7, 3, 3, 8, 0, 7])
    expected = model.adata_manager.create_torch_dataset()[rows]
    found = DeviceCells.load(model, torch.device("cpu")).take(torch.from_numpy(rows))
    assert found.keys() == expected.keys() >= {"X", "batch", "extra_continuous_covs"}
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name].numpy(), values)
        assert found[name].numpy().dtype == values.dtype


def test_cells_without_any_count_are_taken(counts):
    cells = counts.copy()
    cells.X = sp.csr_matrix(cells.shape, dtype=np.float32)
    taken = DeviceCells.load(make_model(cells), torch.device("cpu")).take(torch.arange(3))
    assert taken["X"].shape == (3, 200) and not taken["X"].any()


@pytest.mark.parametrize(
    "options",
    [{}, {"encode_covariates": True, "n_layers": 2}, {"gene_likelihood": "zinb"}],
    ids=str,
)
def test_losses_and_gradients_are_those_of_the_module(counts, options):
    model = make_model(counts, **options)
    rows = np.random.default_rng(2).permutation(400)[:90]
    told = []
    for step, of, weight in (
        (ModuleStep(model), rows, 0.3),
        (EAGER(model), torch.from_numpy(rows), torch.tensor(0.3)),
    ):
        model.module.zero_grad()
        torch.manual_seed(5)
        losses = step(of, weight)
        losses.loss.backward()
        gradients = [at.grad for at in model.module.parameters() if at.grad is not None]
        told.append([losses.sums(), *gradients])
    for found, expected in zip(*told, strict=True):
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def compute_without_values(training: bool, **options):
    """Compute one mini-batch on tensors that have shapes only."""
    with FakeTensorMode(allow_non_fake_inputs=False), torch.set_grad_enabled(training):
        module = VAE(n_input=30, n_batch=3, n_hidden=8, n_latent=3, **options).train(training)
        step = EAGER(SimpleNamespace(module=module))
        batch, entries = torch.zeros(50, 1, dtype=torch.int64), torch.zeros(200)
        step.cells = DeviceCells(
            indptr=torch.zeros(51, dtype=torch.int64),
            indices=entries.int(),
            data=entries,
            n_genes=30,
            longest=9,
            columns={"batch": batch, "labels": batch},
        )
        optimizer = torch.optim.Adam(module.parameters(), **step.adam) if training else None
        Pass(step, Batches(np.arange(50), 16, training), optimizer).compute_next(16)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [
        {"gene_likelihood": "nb"},
        {"gene_likelihood": "nb", "encode_covariates": True, "n_layers": 2},
        {"gene_likelihood": "nb", "dispersion": "gene-batch"},
    ],
    ids=str,
)
def test_a_step_reads_nothing_of_the_device_and_has_known_shapes(unchecked, training, options):
    compute_without_values(training, **options)


@pytest.mark.parametrize("training", [True, False])
def test_checks_of_distributions_read_the_device(training):
    """So that the test above can fail; it is why `epochs` turns them off."""
    with pytest.raises(DataDependentOutputException, match="_local_scalar_dense"):
        compute_without_values(training)


def test_checks_of_distributions_are_back_after_a_training(counts, eager):
    assert Distribution._validate_args
    model = make_model(counts)
    with pytest.raises(KeyboardInterrupt), epochs(model, EAGER(model)):
        assert not Distribution._validate_args
        raise KeyboardInterrupt
    assert Distribution._validate_args


def test_an_epoch_is_every_cell_once_in_an_order_of_its_seed(counts):
    model = make_model(counts)
    rows = np.random.default_rng(3).permutation(400)[:150]

    def orders(seed, shuffled):
        torch.manual_seed(seed)
        step, seen = EAGER(model), []
        take = step.cells.take
        step.cells.take = lambda of: seen.append(of.tolist()) or take(of)
        batches = Batches(rows, 64, shuffled)
        for _ in range(2):
            step.run(batches, 1.0, None)
        assert [len(of) for of in seen] == [64, 64, 22] * 2
        return sum(seen[:3], []), sum(seen[3:], [])

    first, second = orders(1, True)
    assert sorted(first) == sorted(second) == sorted(rows)
    assert first != second and first != rows.tolist()
    assert orders(1, True) == (first, second) and orders(2, True) != (first, second)
    assert orders(1, False) == (rows.tolist(), rows.tolist())


def test_trying_a_step_changes_nothing(counts):
    model = make_model(counts)
    model.module.train()
    step = EAGER(model)
    optimizer = torch.optim.Adam(model.module.parameters(), **step.adam)
    batches = Batches(np.arange(400), 64, True)

    def held():
        moments = {
            (at, name): value
            for at, of in enumerate(optimizer.state.values())
            for name, value in of.items()
        }
        return model.module.state_dict() | moments

    for known in (False, True):  # Adam's moments
        before, random = {name: at.clone() for name, at in held().items()}, torch.get_rng_state()
        places = {name: at.data_ptr() for name, at in held().items()}
        with unchanged(model.module, optimizer):
            step.run(batches, 1.0, optimizer)
            assert any((at != before[name]).any() for name, at in held().items() if name in before)
        assert torch.equal(torch.get_rng_state(), random)
        after = held()
        for name, value in after.items():
            assert torch.equal(value, before.get(name, torch.zeros_like(value))), name
            assert value.data_ptr() == places.get(name, value.data_ptr())
        assert (after.keys() == before.keys()) == known
        step.run(batches, 1.0, optimizer)


def test_replayed_graphs_give_what_steps_one_by_one_give(counts, eager, monkeypatch):
    graphs = imitate(monkeypatch)
    replayed = train_model(counts, DeviceStep)
    # 360 cells are trained and 40 evaluated, in mini-batches of 64, for three epochs.
    assert [at.n_replays for at in graphs] == [5 * 3, 3, 3]
    assert_equal_states(state(replayed), state(eager))
    for name, values in eager.history.items():
        np.testing.assert_array_equal(replayed.history[name].to_numpy(), values.to_numpy())


def test_history_has_the_form_of_scvi_tools_and_nearly_its_values(eager, stock):
    assert eager.history.keys() == stock.history.keys()
    for name in ("elbo_train", "elbo_validation", "reconstruction_loss_validation"):
        ours, theirs = (at.history[name].to_numpy(float) for at in (eager, stock))
        assert ours.shape == theirs.shape
        # Cells come in another order.
        np.testing.assert_allclose(ours, theirs, rtol=0.02)


def test_training_stops_early(counts):
    words = {"max_epochs": 60, "early_stopping": True, "early_stopping_patience": 2}
    model = train_model(counts[:100], EAGER, **words)
    losses = model.history["elbo_validation"].to_numpy(float).ravel()
    assert 2 < len(losses) < 60
    assert min(losses[-2:]) >= min(losses[:-2]) == losses[-3]


def test_a_model_is_saved_and_loaded(counts, eager, tmp_path):
    eager.save(tmp_path / "model", save_anndata=False)
    loaded = SCVI.load(tmp_path / "model", adata=counts.copy())
    np.testing.assert_array_equal(
        loaded.get_latent_representation(), eager.get_latent_representation()
    )


def test_nothing_is_kept_on_the_device(counts):
    model = make_model(counts)
    step = EAGER(model)
    with epochs(model, step):
        model.train(**TRAIN, max_epochs=1)
    assert not step.passes and "cells" not in step.__dict__
    assert all(at.grad is None for at in model.module.parameters())


def test_a_loss_that_is_not_a_number_ends_the_training(counts):
    """Without the checks of distributions a model of NaN would be saved."""
    cells = counts.copy()
    cells.X[0, 0] = -5
    with pytest.raises(ValueError, match="epoch 1.*nan"):
        train_model(cells, EAGER)


def test_without_a_gpu_sparse_counts_are_trained(counts):
    assert training.train(make_model(counts), **TRAIN, max_epochs=1) == (
        "lean",
        "the model is not trained on a GPU with CUDA",
    )


@pytest.mark.parametrize(
    ("options", "words", "reason"),
    [
        (
            {"gene_likelihood": "zinb"},
            {},
            "not trained on a GPU with CUDA; .* not a negative binomial",
        ),
        ({}, {"limit_train_batches": 2}, "limit_train_batches"),
        ({}, {"plan_kwargs": {"reduce_lr_on_plateau": True}}, "reduce_lr_on_plateau"),
    ],
    ids=str,
)
def test_what_no_other_loop_computes_is_left_to_scvi_tools(counts, options, words, reason):
    model = make_model(counts, **options)
    loop = training.train(model, **TRAIN, **words, max_epochs=1)
    assert loop.name == "scvi-tools"
    assert re.search(reason, loop.reason)
    assert model.is_trained


def test_several_devices_are_left_to_scvi_tools(counts):
    model = make_model(counts)
    for devices, name in ((2, "scvi-tools"), ([0, 1], "scvi-tools"), (1, "lean"), ("auto", "lean")):
        assert training.choose(model, {"accelerator": "cpu", "devices": devices})[1].name == name


def test_a_failed_capture_leaves_the_model_to_scvi_tools(counts, stock, monkeypatch):
    """There is no CUDA here: to capture a graph fails. The model is that of scvi-tools alone."""
    monkeypatch.setattr(training, "why_not_graph", lambda *_: "")
    model = make_model(counts)
    loop = training.train(model, **TRAIN, max_epochs=3)
    assert loop.name == "scvi-tools" and loop.reason.startswith("no CUDA graph could be made: ")
    assert_equal_states(state(model), state(stock))
    assert model.history.keys() == stock.history.keys()
    assert len(model.history["elbo_train"]) == 3


def test_a_step_that_reads_the_device_is_found_before_a_capture(counts, monkeypatch):
    """Zero inflation does, in scvi-tools 1.4: it checks each value, whatever it is told."""
    graphs = imitate(monkeypatch)
    with pytest.raises(GraphError, match="called a synchronizing CUDA operation"):
        train_model(counts, DeviceStep, gene_likelihood="zinb")
    assert not graphs


def test_memory_is_counted_before(counts, monkeypatch):
    model, device = make_model(counts), torch.device("cuda")
    needed = needed_bytes(model, 64)
    cells = DeviceCells.load(model, torch.device("cpu"))
    held = [cells.indptr, cells.indices, cells.data]
    held += [at for at in model.module.parameters() for _ in range(4)]
    assert sum(at.nbytes for at in held) + graph.WORKSPACE < needed
    for free, fits in ((needed, True), (needed - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _, free=free: (free, 2**40))
        assert (why_not_graph(model, 64, device) == "") == fits
    assert "0.5 GiB" in why_not_graph(model, 64, device)


def test_counts_on_disk_are_not_copied_to_a_gpu():
    manager = SimpleNamespace(get_from_registry=lambda key: object())
    reason = why_not_graph(SimpleNamespace(adata_manager=manager), 64, torch.device("cuda"))
    assert reason == "the counts are not in the memory of the host"
