"""Small models of scvi-tools, and the words with which the tests train them."""

import anndata as ad
import numpy as np
import scipy.sparse as sp

TRAIN = {"accelerator": "cpu", "devices": 1, "check_val_every_n_epoch": 1}
TRAIN |= {"enable_progress_bar": False, "batch_size": 64}


def simulate_counts() -> ad.AnnData:
    """Four kinds of cells in three samples, sparse; some counts are large."""
    rng = np.random.default_rng(0)
    profiles = rng.gamma(0.3, 1, (4, 200))
    profiles /= profiles.sum(axis=1, keepdims=True)
    matrix = rng.poisson(profiles[np.arange(400) % 4] * rng.lognormal(5.5, 0.5, (400, 1)))
    matrix[:, 0] += 1  # scvi-tools takes the logarithm of each sum
    matrix[3, 5] = 2000
    cells = ad.AnnData(sp.csr_matrix(matrix.astype(np.float32)))
    cells.obs["sample"] = np.array(["a", "b", "c"])[np.arange(400) % 3]
    return cells


def make_model(counts: ad.AnnData, **options):
    """A model of these counts; the seed is always the same."""
    import scvi

    scvi.settings.seed = 1
    cells = counts.copy()
    scvi.model.SCVI.setup_anndata(cells, batch_key="sample")
    small = {"gene_likelihood": "nb", "n_hidden": 16, "n_latent": 4}
    return scvi.model.SCVI(cells, **small | options)


def train_model(counts: ad.AnnData, step=None, max_epochs=3, adam=None, **options):
    """A trained model: by a step of `fast_scvi`, or else by scvi-tools' own loop."""
    from latere.fast_scvi.plan import epochs

    stopping = {name: options.pop(name) for name in [*options] if name.startswith("early")}
    model = make_model(counts, **options)
    words = TRAIN | {"max_epochs": max_epochs} | stopping
    if step is None:
        model.train(**words)
        return model
    made = step(model)
    if adam is not None:
        made.adam = adam
    with epochs(model, made):
        model.train(**words)
    return model
