"""Random streams of the embedded study."""

import numpy as np


def generator(seed: int, *names: str) -> np.random.Generator:
    """A random stream of its own for each step and run, so that jobs may run in any order.

    Parameters
    ----------
    seed
        Seed of the study.
    names
        What the stream is for.
    """
    return np.random.default_rng([seed, *"/".join(names).encode()])
