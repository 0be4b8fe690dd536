"""Cell types: by the CellTypist model that the user named, else by marker genes.

Each cell gets a label of its own; the label of most cells in a cluster of the branch is then
given to the whole cluster, as CellTypist does with majority voting (Dominguez Conde 2022).
"""

import hashlib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.job import start
from latere.tables import log_normalise, read_by_cell

UNKNOWN = "unknown"
# CellTypist makes the genes of its model dense; so many cells at a time bound its memory.
CHUNK = 10_000


def predict(normal: ad.AnnData, model_path: str) -> pd.DataFrame:
    """Label each cell by a CellTypist model.

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
        By cell: label, and confidence (probability of that label by itself, 0 to 1).

    Raises
    ------
    StudyError
        The data and the model share no genes.
    """
    import celltypist

    model = celltypist.models.Model.load(str(Path(model_path).resolve()))
    shared = np.isin(model.features, normal.var_names).sum()
    if shared == 0:
        raise StudyError(
            model_path,
            f"none of the model's {len(model.features)} genes is in the data",
            "Check that both name genes alike (symbols), or leave the model out for markers.",
        )
    tables = []
    for first in range(0, normal.n_obs, CHUNK):
        part = celltypist.annotate(normal[first : first + CHUNK].copy(), model=model)
        labels = part.predicted_labels["predicted_labels"].astype(str)
        best = part.probability_matrix.max(axis=1)
        tables.append(pd.DataFrame({"label": labels, "confidence": best}))
    return pd.concat(tables)


def score_markers(normal: ad.AnnData, markers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Label each cell by its best marker score.

    The score of a type is the mean of its markers less the mean of random genes of similar
    expression (scanpy's `score_genes`, after Tirosh et al. 2016).

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
        By cell: label, `unknown` where no score is above 0; confidence, by how much the best
        score leads the next (log-normalised counts).
    """
    import scanpy as sc

    scores = {}
    for cell_type, genes in markers.groupby("cell_type", sort=False)["gene_name"]:
        present = [gene for gene in genes if gene in normal.var_names]
        if present:
            sc.tl.score_genes(normal, present, score_name="_score", random_state=seed)
            scores[cell_type] = normal.obs.pop("_score").to_numpy()
    if not scores:
        return pd.DataFrame({"label": UNKNOWN, "confidence": np.nan}, index=normal.obs_names)
    table = pd.DataFrame(scores, index=normal.obs_names)
    ranked = np.sort(np.column_stack([table.to_numpy(), np.zeros(len(table))]), axis=1)
    label = table.idxmax(axis=1).where(table.max(axis=1) > 0, UNKNOWN)
    return pd.DataFrame({"label": label, "confidence": ranked[:, -1] - ranked[:, -2]})


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
        table = predict(normal, model)
    else:
        source = f"markers {Path(snakemake.input.markers).name}"
        markers = pd.read_csv(snakemake.input.markers, sep="\t", comment="#")
        table = score_markers(normal, markers, snakemake.params.seed)
    table["cell_type"] = vote(table["label"], clusters)
    table["source"] = source
    log.info("%s", table["cell_type"].value_counts().to_string())
    table = table.rename_axis("cell").reset_index()
    table[["cell", "cell_type", "confidence", "source"]].to_parquet(
        snakemake.output[0], index=False
    )


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
