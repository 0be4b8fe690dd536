"""The least that a training step of scVI computes and moves, counted from the model's sizes."""

from typing import NamedTuple

import torch

# They get no gradient where the likelihood is a negative binomial and the library size observed.
UNTRAINED = ("l_encoder", "decoder.px_r_decoder", "decoder.px_dropout_decoder")
FLOAT = 4  # bytes
# Adam reads a weight, its gradient and both moments, and writes all but the gradient.
PASSES_OF_ADAM = 7
# Passes over an array of cells x genes. Counts: gathered, read by the first layer, its gradient and
# the loss. Logits: written, read by the loss. Their gradient: written, read for that of the weights
# and that of the hidden layer.
PASSES_OF_GENES = 4 + 2 + 3


class Work(NamedTuple):
    """What a step needs at least: floating-point operations of matrix products, bytes moved."""

    flops: int
    bytes: int


def count_work(module: torch.nn.Module, n_cells: int) -> Work:
    """Work of a training step of scVI with dense float32 arrays.

    Left out, as they are small: arrays of cells x hidden nodes, and all operations but matrix
    products.

    Parameters
    ----------
    module
        The module of an `SCVI` model.
    n_cells
        Cells of a mini-batch.
    """
    first = module.z_encoder.encoder.fc_layers[0][0]
    flops = moved = 0
    for name, parameter in module.named_parameters():
        if not name.startswith(UNTRAINED):
            moved += PASSES_OF_ADAM * parameter.numel()
    for name, layer in module.named_modules():
        if isinstance(layer, torch.nn.Linear) and not name.startswith(UNTRAINED):
            # Output, gradient of the weights, and that of the input, if it is no data.
            products = 2 if layer is first else 3
            flops += products * 2 * n_cells * layer.weight.numel()
            moved += products * layer.weight.numel()
    moved += PASSES_OF_GENES * n_cells * module.n_input
    return Work(flops, FLOAT * moved)
