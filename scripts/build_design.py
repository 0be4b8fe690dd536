"""The design of a test: by group the samples that count, their sides, covariates and genes.

The same for every branch. A group is tested if at least two samples of each side have enough of its
cells, on the genes that edgeR's filterByExpr keeps among the testable genes of the study.
"""

import json
from collections.abc import Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd

from latere.design import MIN_SAMPLES, design_matrix, why_not_estimable
from latere.edger import filter_by_expr
from latere.job import run_script, start

# edgeR shares information between genes: with fewer there is nothing to share.
MIN_GENES = 10


def choose_samples(
    n_cells: Mapping[str, int], sides: Mapping[str, Sequence[str]], min_cells: int
) -> tuple[dict[str, str], str]:
    """The samples that take part in a test of one group.

    Parameters
    ----------
    n_cells
        Number of the group's cells, by sample.
    sides
        Names of the samples, as `case` and `control`.
    min_cells
        Fewest cells of a sample.

    Returns
    -------
    tuple
        Side by sample, case first; and the reason why the group cannot be tested, empty if it can.
    """
    enough = {
        side: [name for name in names if n_cells.get(name, 0) >= min_cells]
        for side, names in sides.items()
    }
    for side, names in enough.items():
        if len(names) < MIN_SAMPLES:
            return {}, (
                f"{len(names)} of {len(sides[side])} {side} samples have at least {min_cells} "
                f"cells; {MIN_SAMPLES} are needed"
            )
    return {name: side for side in ("case", "control") for name in enough[side]}, ""


def design_group(
    sums: ad.AnnData,
    sides: Mapping[str, Sequence[str]],
    covariates: Mapping[str, Mapping[str, str | float]],
    min_cells: int,
) -> tuple[dict, str]:
    """The design of one group.

    Parameters
    ----------
    sums
        Rows of the group in `sums.h5ad`, a row per sample.
    sides
        Names of the samples, as `case` and `control`.
    covariates
        Values by covariate and sample: text of a category, or a number.
    min_cells
        Fewest cells of a sample.

    Returns
    -------
    tuple
        samples, sides, n_cells, covariates (their values in these samples) and genes (ids); and the
        reason why the group cannot be tested, empty if it can.
    """
    n_cells = dict(zip(sums.obs["sample"], sums.obs["n_cells"].astype(int), strict=True))
    side_of, reason = choose_samples(n_cells, sides, min_cells)
    if reason:
        return {}, reason
    samples, case = list(side_of), [side == "case" for side in side_of.values()]
    values = {name: [of[sample] for sample in samples] for name, of in covariates.items()}
    if reason := why_not_estimable(samples, case, values):
        return {}, f"in the samples left, {reason}"
    rows = sums.obs["sample"].astype(str).tolist()
    counts = sums.X[[rows.index(name) for name in samples]].toarray()
    tested = filter_by_expr(counts.T, design_matrix(case, list(values.values())))
    if tested.sum() < MIN_GENES:
        return {}, (
            f"{tested.sum()} genes have enough counts in enough samples (filterByExpr); "
            f"{MIN_GENES} are needed"
        )
    if not counts[:, tested].any(axis=1).all():
        return {}, "a sample has no count of the genes to test"
    return {
        "samples": samples,
        "sides": list(side_of.values()),
        "n_cells": [n_cells[name] for name in samples],
        "covariates": values,
        "genes": sums.var_names[tested].tolist(),
    }, ""


def main(snakemake):
    log = start(snakemake)
    sums, params = ad.read_h5ad(snakemake.input[0]), snakemake.params
    groups, skipped = {}, {}
    of_rows = sums.obs["group"].astype(str).to_numpy()
    for group in pd.unique(of_rows):
        rows = sums[np.flatnonzero(of_rows == group)]
        design, reason = design_group(rows, params.sides, params.covariates, params.min_cells)
        if reason:
            skipped[group] = reason
        else:
            groups[group] = design
    log.info("%d groups can be tested, %d are skipped", len(groups), len(skipped))
    design = {"design": snakemake.wildcards.design, "groups": groups, "skipped": skipped}
    with open(snakemake.output[0], "w", encoding="utf-8") as handle:
        json.dump(design, handle, indent=1)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
