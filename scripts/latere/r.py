"""R through rpy2: how it is started, and how plain matrices get there."""

import os
from functools import cache

import numpy as np


@cache
def start_r():
    """R, started with the environment of child processes as it was.

    rpy2 puts the folders of R's libraries into LD_LIBRARY_PATH, where another Python than the
    distribution's would find a foreign libpython.
    """
    before = os.environ.get("LD_LIBRARY_PATH")
    from rpy2 import robjects

    if before is None:
        os.environ.pop("LD_LIBRARY_PATH", None)
    else:
        os.environ["LD_LIBRARY_PATH"] = before
    return robjects


@cache
def package(name: str):
    """An R package, by the name it is installed under."""
    start_r()
    from rpy2.robjects.packages import importr

    return importr(name)


def matrix(values: np.ndarray):
    """A numpy matrix as an R matrix of doubles."""
    flat = start_r().FloatVector(np.asarray(values, dtype=float).ravel(order="F"))
    return start_r().r.matrix(flat, nrow=values.shape[0])


def vector(values: np.ndarray):
    """A numpy vector as an R vector of doubles."""
    return start_r().FloatVector(np.asarray(values, dtype=float))


def sparse_columns(counts):
    """The rows of a CSR matrix as the columns of an R matrix: cells x genes as genes x cells.

    Parameters
    ----------
    counts
        CSR with sorted indices.

    Returns
    -------
    dgCMatrix
        Of doubles; the transpose of `counts`.
    """
    package("Matrix")
    r = start_r()
    return r.r.new(
        "dgCMatrix",
        i=r.IntVector.from_memoryview(memoryview(counts.indices.astype(np.int32))),
        p=r.IntVector.from_memoryview(memoryview(counts.indptr.astype(np.int32))),
        x=r.FloatVector.from_memoryview(memoryview(counts.data.astype(np.float64))),
        Dim=r.IntVector(counts.shape[::-1]),
    )
