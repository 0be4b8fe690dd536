"""Checks of labels: whether the genes of the study can support the cell types."""

import numpy as np
import pandas as pd

from latere.checks.runs import FAIL, PASS, STUDY, WARN, Run, row, study_genes
from latere.label_genes import (
    MODEL_ENOUGH,
    MODEL_SAFE,
    TYPE_SAFE,
    Model,
    find_markers,
    supported_markers,
)
from latere.tables import UNKNOWN


def check_model(model: Model, names: set[str]) -> dict:
    """How much of a CellTypist model the genes of the study carry."""
    share, folded = model.share(names), model.share(names, fold=True)
    found = int(np.isin(model.genes.astype(str), list(names)).sum())
    detail = (
        f"{found:,} of the {len(model.genes):,} genes of the CellTypist model are in the data and "
        f"carry {share:.1%} of its weight"
    )
    verdict, fix = PASS, "."
    if not model.is_supported(names):
        verdict = FAIL
        fix = f": under {MODEL_ENOUGH:.0%} types are mostly wrong, so every cell is {UNKNOWN}. "
        if folded >= MODEL_ENOUGH:
            fix += (
                f"If the case of letters is ignored, it is {folded:.1%}: the model or the data are "
                "of another species. Name a model of the species of the data"
            )
        else:
            fix += "Name a model whose genes are those of the data, in the same form (symbols)"
        fix += ", or set `annotation.celltypist_model` to null to use marker genes."
    elif share < MODEL_SAFE:
        verdict = WARN
        fix = f": under {MODEL_SAFE:.0%} some cells get another type. Compare with marker genes."
    return row(STUDY, "genes of the model", verdict, share, detail + fix)


def check_markers(markers: pd.DataFrame, names: set[str]) -> dict:
    """How many of the marker genes are in the data, in all and by cell type."""
    types = find_markers(markers, names)
    usable = set(supported_markers(markers, names)["cell_type"])
    genes = markers["gene_name"].drop_duplicates()
    found, number = int(genes.isin(names).sum()), len(genes)
    by_type = ", ".join(
        f"{name} {one.found} of {one.listed}"
        for name, one in zip(types.index, types.itertuples(), strict=True)
    )
    detail = f"{found:,} of {number:,} markers are in the data ({by_type})"
    left_out = [str(name) for name in types.index if name not in usable]
    short = types.index[types["found"] < TYPE_SAFE * types["listed"]]
    verdict, fix = PASS, "."
    if not usable:
        verdict = FAIL
        folded = int(genes.str.upper().isin({name.upper() for name in names}).sum())
        fix = (
            f": too few to distinguish the types, so every cell is {UNKNOWN}. Give the matrix with "
            "gene symbols, and name markers of its species by `annotation.markers`"
        )
        fix += (
            f" (if the case of letters is ignored, {folded:,} are: they are of another species)."
            if folded > max(2 * found, number / 2)
            else "."
        )
    elif left_out:
        verdict = WARN
        fix = (
            f". Too few for {', '.join(left_out)}: cells of these types get another type or "
            f"{UNKNOWN}. Add markers that are in the data."
        )
    elif len(short):
        verdict = WARN
        named = ", ".join(map(str, short))
        fix = f". Few for {named}: look at the scores before you trust these labels."
    return row(STUDY, "marker genes", verdict, found / number, detail + fix)


def check_labels(
    runs: list[Run], how: str, model: Model | None = None, markers: pd.DataFrame | None = None
):
    """The genes of the sources of labels that the study uses.

    Parameters
    ----------
    how
        `intersection` or `union` of the runs' genes.
    """
    names = set(study_genes(runs, how))
    if model is not None:
        yield check_model(model, names)
    if markers is not None:
        yield check_markers(markers, names)
