"""The genes that a labelling rests on: those of a CellTypist model, or marker genes.

A labelling that the genes of the study can't support types no cell.
"""

import pickle
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from latere.errors import StudyError

# Share of a model's weight that must be in the data, else every cell is `unknown`; and the share
# below which a check warns. With genes drawn at random from the model, cells keep the type that the
# whole model gives: of the embedded study (seed 1) 10 % of the cells at 1 % of the weight, 63 % at
# 25 %, 91 % at 50 % and 99 % at 80 %; of pbmc4k 5 %, 55 %, 81 % and 95 %.
MODEL_ENOUGH, MODEL_SAFE = 0.5, 0.8
# Share of a type's markers that must be in the data, else no cell is given the type; and the share
# below which a check warns. With 5 % of the markers, as where a few names are alike by chance, a
# fifth of the cells of pbmc4k would get a wrong type; this limit makes 99 % `unknown`. 60 % of the
# markers give as many right types as all (92 and 95 %), 30 % give 74 %.
TYPE_ENOUGH, TYPE_SAFE = 0.2, 0.5


@dataclass(frozen=True, eq=False)
class Model:
    """The genes of a CellTypist model.

    Attributes
    ----------
    genes
        Their names, shape (n_genes,).
    weights
        Sum of the absolute coefficients of each over the types, shape (n_genes,).
    """

    genes: np.ndarray
    weights: np.ndarray

    def share(self, names: Collection[str], fold: bool = False) -> float:
        """Share of the weight that genes of these names carry, 0 to 1.

        Parameters
        ----------
        fold
            Whether to ignore the case of letters, as human and mouse names differ in.
        """
        genes = pd.Series(self.genes.astype(str))
        if fold:
            genes, names = genes.str.upper(), {name.upper() for name in names}
        return float(self.weights[genes.isin(set(names))].sum() / self.weights.sum())

    def is_supported(self, names: Collection[str]) -> bool:
        """Whether genes of these names are enough to label cells."""
        return self.share(names) >= MODEL_ENOUGH


def read_model(path: str | Path) -> Model:
    """The genes of a CellTypist model.

    Parameters
    ----------
    path
        A pickle, which can run code.

    Raises
    ------
    StudyError
        It is no CellTypist model.
    """
    try:
        with Path(path).open("rb") as file:
            classifier = pickle.load(file)["Model"]
        return Model(np.asarray(classifier.features), np.abs(classifier.coef_).sum(axis=0))
    # A pickle may raise anything.
    except Exception as error:  # noqa: BLE001
        problem = f"cannot be read as a CellTypist model: {type(error).__name__}: {error}"
        fix = "Name a model that celltypist has written, or remove it to use marker genes."
        raise StudyError(str(path), problem, fix, code="unreadable-model") from None


def read_markers(path: str | Path) -> pd.DataFrame:
    """Marker genes: at least cell_type and gene_name."""
    return pd.read_csv(path, sep="\t", comment="#")


def find_markers(markers: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """How many markers of each type are in the data.

    Parameters
    ----------
    markers
        Columns cell_type and gene_name.
    names
        Names of the genes in the data.

    Returns
    -------
    pandas.DataFrame
        By cell_type, in the order of `markers`: found, listed, and enough (whether cells may be
        given the type).
    """
    genes = markers.drop_duplicates(["cell_type", "gene_name"])
    found = genes["gene_name"].isin(set(names)).groupby(genes["cell_type"], sort=False)
    table = found.agg(found="sum", listed="size")
    return table.assign(enough=table["found"] >= np.maximum(TYPE_ENOUGH * table["listed"], 1))


def supported_markers(markers: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """The markers of the types that cells may be given.

    Where a single type of several is left, nothing can be compared with it: then none is left.
    """
    types = find_markers(markers, names)
    enough = types.index[types["enough"]]
    if len(enough) < min(2, len(types)):
        enough = enough[:0]
    return markers[markers["cell_type"].isin(enough)]
