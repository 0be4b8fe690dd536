"""Label each cell by a source: the CellTypist model that the user named, or marker genes.

Where too few of their genes are in the data (`latere.label_genes`), every cell is `unknown`.
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.errors import StudyError
from latere.job import hush, run_script, start
from latere.label_genes import (
    MODEL_ENOUGH,
    find_markers,
    read_markers,
    read_model,
    supported_markers,
)
from latere.tables import UNKNOWN, read_normal
from latere.values import FORMULA_PROBLEM, is_formula

# Of a marker score: bins of genes by their expression, and random genes drawn from each bin that
# holds a marker (the defaults of scanpy's `score_genes`).
BINS, RANDOM_GENES = 25, 50


def predict(parts: Iterable[ad.AnnData], model_path: str) -> pd.DataFrame:
    """Probability of each type of a CellTypist model.

    Parameters
    ----------
    parts
        The cells, some at a time, as CellTypist makes the genes of its model dense: all genes,
        counts scaled to 10,000 a cell and log1p; names of `var` as the model has them (gene
        symbols).
    model_path
        Path of the model.

    Returns
    -------
    pandas.DataFrame
        Cell x type, 0 to 1; each type by itself, so that a row need not sum to 1.

    Raises
    ------
    StudyError
        The data and the model share no genes.
    """
    import celltypist

    hush("celltypist")
    model = celltypist.models.Model.load(str(Path(model_path).resolve()))
    tables = []
    for normal in parts:
        shared = np.isin(model.features, normal.var_names).sum()
        if not shared:
            raise StudyError(
                model_path,
                f"none of the model's {len(model.features)} genes is in the data",
                "Check that both name genes alike (symbols), or remove the model to use markers.",
                code="no-shared-genes",
            )
        if not tables:
            logging.info("%d of the model's %d genes are in the data", shared, len(model.features))
        tables.append(celltypist.annotate(normal, model=model).probability_matrix)
    return pd.concat(tables)


def mean_expression(parts: Iterable[ad.AnnData]) -> pd.Series:
    """Mean of the log-normalised counts of each gene, over the cells of all parts."""
    sums, n_cells = 0, 0
    for part in parts:
        of_part = part.X.sum(axis=0, dtype=np.float64).A1
        sums, n_cells = sums + pd.Series(of_part, part.var_names), n_cells + part.n_obs
    return sums / n_cells


def weigh_markers(means: pd.Series, markers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Weight of each gene in the score of each type.

    The score is the mean of the markers less the mean of random genes of similar expression, as of
    scanpy's `score_genes` (after Tirosh et al. 2016), which copies the matrix for each type.

    Parameters
    ----------
    means
        Mean expression by gene symbol.
    markers
        Columns cell_type and gene_name.
    seed
        Seed of the choice of random genes.

    Returns
    -------
    pandas.DataFrame
        Gene x type; types that cannot be scored are left out.
    """
    weights = pd.DataFrame(index=means.index)
    bins = means.rank(method="min") // max(1, round(len(means) / (BINS - 1)))
    for cell_type, listed in markers.groupby("cell_type", sort=False)["gene_name"]:
        genes = means.index[means.index.isin(listed)]
        random, drawn = np.random.RandomState(seed), []
        for similar in np.unique(bins[genes]):
            pool = pd.Series(means.index[bins == similar])
            few = len(pool) <= RANDOM_GENES
            drawn += list(pool if few else pool.sample(RANDOM_GENES, random_state=random))
        drawn = means.index[means.index.isin(drawn) & ~means.index.isin(genes)]
        if genes.empty or drawn.empty:
            why = (
                "all genes of similar expression are markers"
                if len(genes)
                else "no marker is in the data"
            )
            logging.warning("%s: cannot be scored by its markers: %s", cell_type, why)
            continue
        weights[cell_type] = 0.0
        weights.loc[genes, cell_type] = 1 / len(genes)
        weights.loc[drawn, cell_type] = -1 / len(drawn)
    return weights


def score_markers(normal: ad.AnnData, weights: pd.DataFrame) -> pd.DataFrame:
    """Score of each type by its marker genes.

    Parameters
    ----------
    normal
        Log-normalised counts, names of `var` are gene symbols.
    weights
        Of the same genes, as `weigh_markers` gives them.

    Returns
    -------
    pandas.DataFrame
        Cell x type, in log-normalised counts.
    """
    return pd.DataFrame(normal.X @ weights.to_numpy(), normal.obs_names, weights.columns)


def label_cells(evidence: pd.DataFrame, least: float) -> pd.DataFrame:
    """The best supported type of each cell, and its score.

    Parameters
    ----------
    evidence
        Cell x type.
    least
        Evidence that a type must pass; a cell without such a type is `unknown`.

    Returns
    -------
    pandas.DataFrame
        By cell: label; score, the evidence for the best type; second, the type after it, and
        margin, the score less the evidence for that. NaN where there is no such type.
    """
    values, types = evidence.to_numpy(), evidence.columns.to_numpy(dtype=object)
    rows = np.arange(len(evidence))
    table = pd.DataFrame(index=evidence.index)
    if not len(types):
        return table.assign(label=UNKNOWN, score=np.nan, second=None, margin=np.nan)
    best = values.argmax(axis=1)
    score = values[rows, best]
    table["label"] = np.where(score > least, types[best], UNKNOWN)
    table["score"] = score
    if len(types) < 2:
        return table.assign(second=None, margin=np.nan)
    others = values.copy()
    others[rows, best] = -np.inf
    second = others.argmax(axis=1)
    return table.assign(second=types[second], margin=score - values[rows, second])


def check_names(types: Iterable[str], where: str) -> None:
    """Reject names of types that a table cannot hold.

    Parameters
    ----------
    types
        Their names.
    where
        The file that they come from.

    Raises
    ------
    StudyError
        A spreadsheet would run a name, or a name is that of the column of cells.
    """
    types = list(types)
    if "cell" in types:
        problem = "a cell type is called 'cell', as the column of cells is"
        raise StudyError(where, problem, "Rename the cell type.", code="reserved-name")
    if odd := next(filter(is_formula, types), ""):
        problem = f"the cell type {odd!r} is not valid: {FORMULA_PROBLEM}"
        raise StudyError(
            where, problem, "Rename it in the marker table, or use another model.", code="formula"
        )


def read_symbols(path: str) -> set[str]:
    """Gene symbols of the kept cells."""
    with h5py.File(path) as file:
        return set(read_elem(file["var"])["gene_name"].astype(str))


def by_symbol(parts: Iterable[ad.AnnData]):
    """The same cells under gene symbols; of repeated symbols the first stays."""
    for normal in parts:
        names = pd.Index(normal.var["gene_name"].astype(str))
        first = ~names.duplicated()
        # No view of `normal`: it would keep it in memory until the garbage is collected.
        var = pd.DataFrame(index=names[first])
        yield ad.AnnData(normal.X[:, first], obs=normal.obs[[]], var=var)


def label_by_model(cells: str, path: str) -> tuple[pd.DataFrame, float]:
    """Probabilities of a model's types, and what a type must pass.

    Parameters
    ----------
    cells
        Path of the kept cells.
    path
        Path of the model.

    Returns
    -------
    tuple
        Cell x type; and a number that all pass, or none where the data have too little of the
        model.
    """
    model, names = read_model(path), read_symbols(cells)
    evidence = predict(by_symbol(read_normal(cells)), path)
    if model.is_supported(names):
        return evidence, -np.inf
    share = f"{model.share(names):.1%} of the model's weight, and {MODEL_ENOUGH:.0%} are needed"
    logging.warning("every cell is %s: the genes of the data carry %s", UNKNOWN, share)
    return evidence, np.inf


def label_by_markers(cells: str, path: str, seed: int) -> tuple[pd.DataFrame, float]:
    """Scores of the types that have enough markers in the data, and what a type must pass.

    Parameters
    ----------
    cells
        Path of the kept cells.
    path
        Path of the marker genes.
    seed
        Seed of the choice of random genes.
    """
    markers, names = read_markers(path), read_symbols(cells)
    logging.info("markers in the data:\n%s", find_markers(markers, names).to_string())
    markers = supported_markers(markers, names)
    means = mean_expression(by_symbol(read_normal(cells)))
    weights = weigh_markers(means, markers, seed)
    parts = by_symbol(read_normal(cells))
    return pd.concat(score_markers(part, weights) for part in parts), 0


def main(snakemake):
    log = start(snakemake)
    cells, given = snakemake.input.cells, snakemake.input
    if model := given.get("model"):
        checksum = hashlib.sha256(Path(model).read_bytes()).hexdigest()
        source = f"CellTypist {Path(model).name} sha256:{checksum[:12]}"
        evidence, least = label_by_model(cells, model)
    else:
        source = f"markers {Path(given.markers).name}"
        evidence, least = label_by_markers(cells, given.markers, snakemake.params.seed)
    check_names(evidence.columns, model or given.markers)
    labels = label_cells(evidence, least).assign(source=source)
    log.info("%s", labels["label"].value_counts().to_string())
    for table, path, name in (
        (labels, snakemake.output.labels, "annotation/{source}.parquet"),
        (evidence, snakemake.output.evidence, "annotation/evidence/{source}.parquet"),
    ):
        write_table(table.rename_axis("cell").reset_index(), path, name)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
