"""How mini-batches are computed: by the unchanged module, or from sparse counts on the CPU."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numba
import numpy as np
import scipy.sparse as sp
import torch
from scvi import REGISTRY_KEYS
from scvi.nn import DecoderSCVI

from latere.fast_scvi import kernels
from latere.fast_scvi.batches import Batches


class Losses(NamedTuple):
    """Losses of a mini-batch: what is minimised, and the sums over its cells."""

    loss: torch.Tensor
    reconstruction: torch.Tensor
    kl_local: torch.Tensor
    kl_global: torch.Tensor
    n_cells: int

    def sums(self) -> torch.Tensor:
        """What an epoch adds up, (4,): means over cells are weighted by the number of cells."""
        means = self.loss, self.kl_global
        loss, kl_global = (at.detach().double() * self.n_cells for at in means)
        sums = (at.detach().double() for at in (self.reconstruction, self.kl_local))
        return torch.stack([loss, *sums, kl_global])


class Step(ABC):
    """Computes the mini-batches of a model, and epochs of them."""

    # Options of Adam: all parameters are updated in one pass.
    adam: Mapping[str, Any] = {"fused": True}

    @abstractmethod
    def __call__(self, cells, kl_weight) -> Losses:
        """Losses of some cells, by their rows."""

    def learn(self, losses: Losses, optimizer: torch.optim.Optimizer) -> None:
        """Update the parameters."""
        optimizer.zero_grad()
        losses.loss.backward()
        optimizer.step()

    def run(
        self, batches: Batches, kl_weight: float, optimizer: torch.optim.Optimizer | None
    ) -> np.ndarray:
        """Train for an epoch, or evaluate its cells.

        Parameters
        ----------
        batches
            The cells.
        kl_weight
            Weight of the KL divergence.
        optimizer
            Updates the parameters after each mini-batch; None where the cells are evaluated.

        Returns
        -------
        numpy.ndarray
            `Losses.sums` of all mini-batches, added up.
        """
        sums = torch.zeros(4, dtype=torch.float64)
        for rows in batches:
            losses = self(rows, kl_weight)
            if optimizer:
                self.learn(losses, optimizer)
            sums += losses.sums()
        return sums.numpy()

    def close(self) -> None:
        """Give back what the training took."""
        return


def compute(module, tensors: dict[str, torch.Tensor], kl_weight: torch.Tensor) -> Losses:
    """A mini-batch through a module of scvi-tools as it is."""
    *_, of = module(
        tensors,
        loss_kwargs={"kl_weight": kl_weight},
        get_inference_input_kwargs={"full_forward_pass": True},
    )
    sums = of.reconstruction_loss_sum, of.kl_local_sum, of.kl_global_sum
    return Losses(of.loss, *sums, of.n_obs_minibatch)


class ModuleStep(Step):
    """A mini-batch through the module as it is; its counts are dense, as scvi-tools loads them."""

    def __init__(self, model):
        self.module = model.module
        self.dataset = model.adata_manager.create_torch_dataset()

    def __call__(self, cells: np.ndarray, kl_weight: float) -> Losses:
        """Losses of some cells, by their rows."""
        tensors = {key: torch.from_numpy(at) for key, at in self.dataset[cells].items()}
        tensors = {key: at.to(self.module.device) for key, at in tensors.items()}
        return compute(self.module, tensors, torch.tensor(kl_weight))


class LeanStep(Step):
    """The same losses from sparse counts, on the CPU; no output is computed that the loss ignores.

    Random numbers are drawn as in `ModuleStep`: the losses differ in their last digits only.

    Parameters
    ----------
    model
        A model as `why_not_lean` accepts it. Its first layer is stored by gene from now on.

    Raises
    ------
    ValueError
        The model computes something else.
    """

    def __init__(self, model):
        if reason := why_not_lean(model):
            raise ValueError(reason)
        self.module = model.module
        manager = model.adata_manager
        self.counts = sp.csr_array(manager.get_from_registry(REGISTRY_KEYS.X_KEY), copy=False)
        self.batch = manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY).ravel().astype(np.int64)
        self.factorials = kernels.log_factorials(self.counts.indptr, self.counts.data)
        self.n_threads = torch.get_num_threads()
        numba.set_num_threads(self.n_threads)
        # Column by column, as the counts of a gene meet all of its weights at once.
        weight = self.module.z_encoder.encoder.fc_layers[0][0].weight
        weight.data = weight.data.t().contiguous().t()

    def __call__(self, cells: np.ndarray, kl_weight: float) -> Losses:
        """Losses of some cells, by their rows."""
        counts = self.counts[cells]
        batch = torch.from_numpy(self.batch[cells])
        mean, variance = self._encode(counts, batch)
        z = mean + variance.sqrt() * torch.randn_like(mean)
        hidden = self.module.decoder.px_decoder(z, batch[:, None])
        head = self.module.decoder.px_scale_decoder[0]
        lacking = self.factorials[cells].sum()
        reconstruction = lacking + _NegativeBinomial.apply(
            hidden, head.weight, head.bias, self.module.px_r, counts, self.n_threads
        )
        kl = 0.5 * (mean.square() + variance - 1 - variance.log()).sum()
        loss = (reconstruction + kl_weight * kl) / len(cells)
        return Losses(loss, reconstruction, kl, torch.zeros(()), len(cells))

    def close(self) -> None:
        """Store the first layer as scvi-tools does."""
        weight = self.module.z_encoder.encoder.fc_layers[0][0].weight
        weight.data = weight.data.contiguous()

    def _encode(self, counts, batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance of the latent space of cells."""
        encoder = self.module.z_encoder
        layers = encoder.encoder
        one_hot = None
        known = sp.csr_array(
            (np.log1p(counts.data), counts.indices, counts.indptr), shape=counts.shape
        )
        if layers.n_cov:
            one_hot = torch.nn.functional.one_hot(batch, layers.n_cov)
            known = sp.hstack((known, sp.csr_array(one_hot.numpy().astype(np.float32))))
        hidden = None
        for number, parts in enumerate(layers.fc_layers):
            for part in filter(None, parts):
                if not isinstance(part, torch.nn.Linear):
                    hidden = part(hidden)
                elif number == 0:
                    hidden = _SparseLinear.apply(
                        part.weight, part.bias, known.tocsc(), self.n_threads
                    )
                else:
                    if layers.n_cov and layers.inject_covariates:
                        hidden = torch.cat((hidden, one_hot), dim=1)
                    hidden = part(hidden)
        variance = encoder.var_activation(encoder.var_encoder(hidden)) + encoder.var_eps
        return encoder.mean_encoder(hidden), variance


def why_not_lean(model) -> str:
    """What of a model `LeanStep` does not compute; empty if it computes all of it."""
    module = model.module
    registered = model.adata_manager.data_registry
    usual: dict[str, Callable[[], bool]] = {
        "the likelihood is not a negative binomial": lambda: module.gene_likelihood == "nb",
        "the dispersion is not one per gene": lambda: module.dispersion == "gene",
        "the library size is not the observed one": lambda: (
            module.use_observed_lib_size and not module.use_size_factor_key
        ),
        "the latent space is not normal": lambda: module.latent_distribution == "normal",
        "the encoder does not take log(1 + counts)": lambda: module.log_variational,
        "batches are not one-hot": lambda: module.batch_representation == "one-hot",
        "there are covariates beside the batch": lambda: set(registered).isdisjoint(
            {REGISTRY_KEYS.CAT_COVS_KEY, REGISTRY_KEYS.CONT_COVS_KEY}
        ),
        "the decoder is not scVI's": lambda: type(module.decoder) is DecoderSCVI,
        "the counts are not sparse": lambda: sp.issparse(
            model.adata_manager.get_from_registry(REGISTRY_KEYS.X_KEY)
        ),
        "the first layer has no bias": lambda: (
            module.z_encoder.encoder.fc_layers[0][0].bias is not None
        ),
        "the model is not on the CPU": lambda: model.device.type == "cpu",
    }
    return next((reason for reason, is_usual in usual.items() if not is_usual()), "")


class _SparseLinear(torch.autograd.Function):
    """A linear layer of counts in CSC form: weight (nodes, genes) with its genes contiguous."""

    @staticmethod
    def forward(ctx, weight, bias, counts, n_threads):
        ctx.counts, ctx.n_threads, ctx.shape = counts, n_threads, weight.shape
        out = bias.detach().repeat(counts.shape[0], 1)
        kernels.multiply(
            counts.indptr,
            counts.indices,
            counts.data,
            weight.detach().t().numpy(),
            out.numpy(),
            n_threads,
        )
        return out

    @staticmethod
    def backward(ctx, gradient):
        counts = ctx.counts
        of_weight = torch.empty(ctx.shape[::-1])
        kernels.multiply_transposed(
            counts.indptr,
            counts.indices,
            counts.data,
            gradient.contiguous().numpy(),
            of_weight.numpy(),
            ctx.n_threads,
        )
        return of_weight.t(), gradient.sum(0), None, None


class _NegativeBinomial(torch.autograd.Function):
    """The last layer, softmax and loss at once: one pass gives the loss and its gradient."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, px_r, counts, n_threads):
        logits = torch.addmm(bias, hidden, weight.t())
        theta = px_r.exp()
        losses, of_theta = kernels.negative_binomial(
            logits.detach().numpy(),
            np.asarray(counts.sum(axis=1)).ravel(),
            theta.detach().numpy(),
            counts.indptr,
            counts.indices,
            counts.data,
            n_threads,
        )
        ctx.save_for_backward(hidden, weight, logits, theta * torch.from_numpy(of_theta))
        return torch.tensor(losses.sum(), dtype=torch.float32)

    @staticmethod
    def backward(ctx, scale):
        hidden, weight, of_logits, of_px_r = ctx.saved_tensors
        return (
            scale * (of_logits @ weight),
            of_logits.t() @ (scale * hidden),
            scale * of_logits.sum(0),
            scale * of_px_r,
            None,
            None,
        )
