"""Cell types: by the CellTypist model that the user named, else by marker genes.

Each cell gets a label of its own; the label of most cells in a cluster of the branch is then
given to the whole cluster, as CellTypist does with majority voting (Dominguez Conde 2022). The
confidence of a cell is what speaks for the type it was given: the model's probability, or the
marker score.
"""

import hashlib
import logging
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.job import start
from latere.tables import UNKNOWN, log_normalise, read_by_cell

# CellTypist makes the genes of its model dense; so many cells at a time bound its memory.
CHUNK = 10_000


def predict(normal: ad.AnnData, model_path: str) -> pd.DataFrame:
    """Probability of each type of a CellTypist model.

    Parameters
    ----------
    normal
        All genes, counts scaled to 10,000 a cell and log1p; names of `var` as the model has
        them (gene symbols).
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

    model = celltypist.models.Model.load(str(Path(model_path).resolve()))
    if not np.isin(model.features, normal.var_names).any():
        raise StudyError(
            model_path,
            f"none of the model's {len(model.features)} genes is in the data",
            "Check that both name genes alike (symbols), or leave the model out for markers.",
        )
    return pd.concat(
        celltypist.annotate(normal[first : first + CHUNK].copy(), model=model).probability_matrix
        for first in range(0, normal.n_obs, CHUNK)
    )


def score_markers(normal: ad.AnnData, markers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Score of each type by its marker genes.

    The score is the mean of the markers less the mean of random genes of similar expression
    (scanpy's `score_genes`, after Tirosh et al. 2016).

    Parameters
    ----------
    normal
        Log-normalised counts, names of `var` are gene symbols.
    markers
        Columns cell_type and gene_name.
    seed
        Seed of the choice of random genes.

    Returns
    -------
    pandas.DataFrame
        Cell x type, in log-normalised counts; types that cannot be scored are left out.
    """
    import scanpy as sc

    scores = pd.DataFrame(index=normal.obs_names)
    for cell_type, genes in markers.groupby("cell_type", sort=False)["gene_name"]:
        present = [gene for gene in genes if gene in normal.var_names]
        if not present:
            logging.warning("%s: none of its markers is in the data", cell_type)
            continue
        try:
            sc.tl.score_genes(normal, present, score_name="_score", random_state=seed)
        except RuntimeError as error:  # all genes of that expression are its markers
            logging.warning("%s: cannot be scored (%s)", cell_type, error)
            continue
        scores[cell_type] = normal.obs.pop("_score").to_numpy()
    return scores


def own_labels(evidence: pd.DataFrame, least: float) -> pd.Series:
    """The type that most speaks for each cell.

    Parameters
    ----------
    evidence
        Cell x type.
    least
        Evidence that a type must pass; a cell without such a type is `unknown`.

    Returns
    -------
    pandas.Series
        Type by cell.
    """
    if evidence.shape[1] == 0:
        return pd.Series(UNKNOWN, index=evidence.index)
    return evidence.idxmax(axis=1).where(evidence.max(axis=1) > least, UNKNOWN)


def evidence_of(evidence: pd.DataFrame, types: pd.Series) -> np.ndarray:
    """What speaks for the type that each cell was given.

    Parameters
    ----------
    evidence
        Cell x type.
    types
        Type by cell, in the order of `evidence`.

    Returns
    -------
    numpy.ndarray
        Shape (n_cells,), in the unit of `evidence`; NaN for `unknown`.
    """
    column = evidence.columns.get_indexer(types)
    values = evidence.to_numpy()[np.arange(len(types)), column] if evidence.shape[1] else np.nan
    return np.where(column >= 0, values, np.nan)


def vote(labels: pd.Series, clusters: pd.Series) -> pd.Series:
    """Give every cell of a cluster the label that most of its cells have.

    Parameters
    ----------
    labels, clusters
        Label and cluster of each cell, with one index.

    Returns
    -------
    pandas.Series
        Label by cell; of equally frequent ones the first in the alphabet.
    """
    counts = pd.crosstab(clusters, labels).sort_index(axis=1)
    return clusters.map(counts.idxmax(axis=1))


def by_symbol(cells: ad.AnnData) -> ad.AnnData:
    """Log-normalised counts under gene symbols; of repeated symbols the first stays."""
    normal = log_normalise(cells)
    normal.var_names = normal.var["gene_name"].astype(str)
    return normal[:, ~normal.var_names.duplicated()].copy()


def main(snakemake):
    log = start(snakemake)
    cells = ad.read_h5ad(snakemake.input.cells)
    clusters = read_by_cell(snakemake.input.clusters, cells.obs_names)["cluster"]
    normal = by_symbol(cells)
    if model := snakemake.input.get("model"):
        checksum = hashlib.sha256(Path(model).read_bytes()).hexdigest()
        source = f"CellTypist {Path(model).name} sha256:{checksum[:12]}"
        evidence, least = predict(normal, model), -np.inf
    else:
        source = f"markers {Path(snakemake.input.markers).name}"
        markers = pd.read_csv(snakemake.input.markers, sep="\t", comment="#")
        evidence, least = score_markers(normal, markers, snakemake.params.seed), 0
    types = vote(own_labels(evidence, least), clusters)
    log.info("%s", types.value_counts().to_string())
    table = pd.DataFrame({"cell_type": types, "confidence": evidence_of(evidence, types)})
    table = table.assign(source=source).rename_axis("cell").reset_index()
    table.to_parquet(snakemake.output[0], index=False)


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
