"""Give each cluster of a branch the label of most of its cells.

As CellTypist does with majority voting (Dominguez Conde 2022). The confidence of a cell is the
evidence for the type it was given: the model's probability, or the marker score.
"""

import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start
from latere.tables import read_by_cell


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


def evidence_of(evidence: pd.DataFrame, types: pd.Series) -> np.ndarray:
    """Evidence for the type that each cell was given.

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


def main(snakemake):
    log = start(snakemake)
    labels = pd.read_parquet(snakemake.input.labels).set_index("cell")
    evidence = read_by_cell(snakemake.input.evidence, labels.index)
    clusters = read_by_cell(snakemake.input.clusters, labels.index)["cluster"]
    types = vote(labels["label"], clusters)
    log.info("%s", types.value_counts().to_string())
    table = pd.DataFrame(
        {
            "cell_type": types,
            "confidence": evidence_of(evidence, types),
            "cluster_share": (labels["label"] == types).groupby(clusters).transform("mean"),
            "source": labels["source"],
        }
    )
    table = table.rename_axis("cell").reset_index()
    write_table(table, snakemake.output[0], "{branch}/cell_types.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
