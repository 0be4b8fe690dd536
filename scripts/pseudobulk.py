"""The question put to both branches: which groups, which samples, which genes.

Counts of a group are summed by sample, since samples are the replicates (Squair 2021). A
group is tested if at least two samples a side have enough of its cells, on the genes that
edgeR's filterByExpr keeps among the study's tested genes.
"""

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from latere.design import MIN_SAMPLES, design_matrix, is_estimable
from latere.edger import filter_by_expr
from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import ALL, UNKNOWN, read_by_cell, read_cells

# edgeR shares information between genes: with fewer there is nothing to share.
MIN_GENES = 10


def sum_by_sample(
    counts: sp.csr_matrix, cell_samples: np.ndarray, samples: list[str]
) -> np.ndarray:
    """Counts of the cells of each sample, summed.

    Parameters
    ----------
    counts
        Shape (n_cells, n_genes).
    cell_samples
        Sample of each cell.
    samples
        The samples to sum, in order; cells of others are left out.

    Returns
    -------
    numpy.ndarray
        Shape (n_samples, n_genes), int64.
    """
    sums = [counts[cell_samples == name].sum(axis=0, dtype=np.int64).A1 for name in samples]
    return np.array(sums)


def ask(cells_in: pd.Series, design: dict, min_cells: int) -> tuple[list[str], str]:
    """The samples that count in a test of one group, and why there is no test.

    Parameters
    ----------
    cells_in
        Number of the group's cells, by sample.
    design
        `case` and `control`: covariate values by sample.
    min_cells
        Least cells of a sample.

    Returns
    -------
    tuple
        Names of the samples, case first; and the reason why the group cannot be tested,
        empty if it can.
    """
    enough = {
        side: [name for name in names if cells_in.get(name, 0) >= min_cells]
        for side, names in design.items()
    }
    for side, names in enough.items():
        if len(names) < MIN_SAMPLES:
            return [], (
                f"{len(names)} of {len(design[side])} {side} samples have at least {min_cells} "
                f"cells; {MIN_SAMPLES} are needed"
            )
    used = enough["case"] + enough["control"]
    case = [name in design["case"] for name in used]
    if not is_estimable(case, covariates_of(used, design)):
        return [], "the contrast cannot be told from its covariates in the samples left"
    return used, ""


def covariates_of(samples: list[str], design: dict) -> list[list[str]]:
    """Values of each covariate in the given samples."""
    values = {**design["case"], **design["control"]}
    return [list(column) for column in zip(*(values[name] for name in samples), strict=True)]


def groups_of(cell_types: pd.Series) -> dict[str, np.ndarray]:
    """All cells, and the cells of each type.

    Parameters
    ----------
    cell_types
        Type by cell; cells of unknown type are in `all` only.

    Returns
    -------
    dict
        Boolean (n_cells,) by group.

    Raises
    ------
    StudyError
        A type has the name of the group of all cells.
    """
    names = sorted(set(cell_types) - {UNKNOWN})
    if ALL in names:
        raise StudyError(
            "the cell types",
            f"a type is called '{ALL}', as the group of all cells is",
            "Rename it in the marker table, or use another CellTypist model.",
        )
    groups = {ALL: np.ones(len(cell_types), dtype=bool)}
    return groups | {name: (cell_types == name).to_numpy() for name in names}


def pseudobulk(
    cells: ad.AnnData, groups: dict[str, np.ndarray], design: dict, min_cells: int
) -> tuple[ad.AnnData, pd.DataFrame]:
    """Summed counts of every group that can be tested, and the groups that cannot.

    Parameters
    ----------
    cells
        Raw counts of the tested genes, (n_cells, n_genes).
    groups
        For each group which cells it holds, boolean (n_cells,).
    design
        `case` and `control`: covariate values by sample.
    min_cells
        Least cells of a sample.

    Returns
    -------
    tuple
        AnnData with a row a group and sample: `obs` group, sample, side, n_cells; `obsm`
        design (coefficients, the contrast in column 1, padded with 0 to one width); layer
        `tested`, 1 where the gene is tested in the row's group. And a table group, reason.
    """
    rows, sums, layers, designs, skipped = [], [], [], [], []
    cell_samples = cells.obs["sample"].to_numpy().astype(str)
    for group, member in groups.items():
        n_cells = pd.Series(cell_samples[member]).value_counts()
        used, reason = ask(n_cells, design, min_cells)
        if not reason:
            case = [name in design["case"] for name in used]
            matrix = design_matrix(case, covariates_of(used, design))
            counts = sum_by_sample(cells.X, np.where(member, cell_samples, ""), used)
            tested = filter_by_expr(counts.T, matrix)
            if tested.sum() < MIN_GENES:
                reason = (
                    f"{tested.sum()} genes have enough counts in enough samples (filterByExpr); "
                    f"{MIN_GENES} are needed"
                )
            elif not counts[:, tested].any(axis=1).all():
                reason = "a sample has no count of the genes to test"
        if reason:
            skipped.append((group, reason))
            continue
        sums.append(counts)
        layers.append(np.tile(tested, (len(used), 1)))
        designs.append(pd.DataFrame(matrix))
        for name, on_case in zip(used, case, strict=True):
            rows.append((group, name, "case" if on_case else "control", n_cells[name]))
    obs = pd.DataFrame(rows, columns=["group", "sample", "side", "n_cells"])
    obs.index = obs["group"] + "|" + obs["sample"]
    shape = (0, cells.n_vars)
    bulk = ad.AnnData(np.concatenate(sums) if sums else np.zeros(shape), obs=obs, var=cells.var)
    bulk.layers["tested"] = np.concatenate(layers) if layers else np.zeros(shape, dtype=bool)
    width = pd.concat(designs).fillna(0).to_numpy() if designs else np.zeros((0, 2))
    bulk.obsm["design"] = width
    return bulk, pd.DataFrame(skipped, columns=["group", "reason"])


def main(snakemake):
    log = start(snakemake)
    cells = read_cells(snakemake.input.cells, "tested")
    types = read_by_cell(snakemake.input.cell_types, cells.obs_names)["cell_type"].astype(str)
    groups = groups_of(types)
    bulk, skipped = pseudobulk(cells, groups, snakemake.params.design, snakemake.params.min_cells)
    log.info("%d groups tested, %d skipped", bulk.obs["group"].nunique(), len(skipped))
    bulk.write_h5ad(snakemake.output.pseudobulk, compression="gzip")
    skipped.to_csv(snakemake.output.skipped, sep="\t", index=False)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
