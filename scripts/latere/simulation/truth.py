"""What is planted: the expression of each cell type in each sample, and its share of the cells."""

import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.simulation.genome import MT_SHARE

# Share of each cell type in a healthy sample; leukaemia leaves less room, in the same proportions.
HEALTHY = {
    "T cell": 0.38,
    "B cell": 0.12,
    "NK cell": 0.16,
    "Monocyte": 0.20,
    "Dendritic cell": 0.14,
}
BLAST_SHARE = 0.45
# Blasts by subtype: the share of progenitor (CD34+) in a profile that is else a B cell's.
BLASTS = {"A": 0.4, "B": 0.2}
# Blasts are B-lineage leukaemia: any immune model takes them for B cells.
GROUPS = {f"Blast {subtype}": "B cell" for subtype in BLASTS}
MT_MEAN = 0.05  # mitochondrial share of a healthy cell's RNA
PROGRAMME = 60  # genes that set a subtype's blasts apart, beyond their mixture
LOG2FC = (0.5, 2.5)  # range of planted |log2 fold changes|


def build_profiles(pbmc, rng: np.random.Generator) -> pd.DataFrame:
    """Expression profiles of the simulated cell types.

    Parameters
    ----------
    pbmc
        As `load_pbmc` gives it.
    rng
        For the programmes of the blasts.

    Returns
    -------
    pandas.DataFrame
        Share of the RNA, cell type x gene; rows sum to 1 and every gene is expressed: a type's
        mean counts one cell of the overall mean in, as 31 NK cells do not prove a gene silent.
    """
    expression = pd.DataFrame(pbmc.X.toarray(), columns=pbmc.var_names)
    labels = pbmc.obs["cell_type"].to_numpy()
    sizes = pd.Series(labels).value_counts()
    means = expression.groupby(labels).sum().add(expression.mean())
    means = means.div(sizes.reindex(means.index) + 1, axis=0)
    profiles = {cell_type: means.loc[cell_type].to_numpy() for cell_type in HEALTHY}
    for subtype, progenitor in BLASTS.items():
        mixture = (
            progenitor * means.loc["CD34+ progenitor"] + (1 - progenitor) * means.loc["B cell"]
        )
        own = rng.permutation(means.shape[1])[:PROGRAMME]
        blast = mixture.to_numpy().copy()
        blast[own] *= 2 ** rng.normal(0, 1, PROGRAMME)
        profiles[f"Blast {subtype}"] = blast
    table = pd.DataFrame.from_dict(profiles, orient="index", columns=pbmc.var_names)
    return table.div(table.sum(axis=1), axis=0)


def plant_effects(
    profiles: pd.DataFrame, columns: list[str], n_genes: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Log2 fold changes in all cells of the samples that have an effect.

    Parameters
    ----------
    profiles
        Share of the RNA, cell type x gene.
    columns
        Columns of the sheet that have an effect.
    n_genes
        Genes an effect; neither the rarest, which no method could see, nor the few that make up
        much of all RNA, which would shift every other gene's share.

    Returns
    -------
    pandas.DataFrame
        log2 fold changes, column x gene; 0 where nothing is planted.
    """
    rank = profiles.mean().rank(pct=True).to_numpy()
    eligible = np.flatnonzero((rank > 0.3) & (rank < 0.95))
    planted = np.zeros((len(columns), profiles.shape[1]))
    for row in planted:
        genes = rng.choice(eligible, min(n_genes, eligible.size), replace=False)
        row[genes] = rng.uniform(*LOG2FC, genes.size) * rng.choice([-1, 1], genes.size)
    return pd.DataFrame(planted, index=columns, columns=profiles.columns)


def check_effects(effects: dict, samples: dict) -> None:
    """Check that every effect has samples.

    Parameters
    ----------
    effects
        Level by column of the sheet.
    samples
        Columns of the sheet by sample.

    Raises
    ------
    StudyError
        No simulated sample has the level.
    """
    for column, level in effects.items():
        levels = sorted({row.get(column, "") for row in samples.values()} - {""})
        if level not in levels:
            raise StudyError(
                f"key 'simulation.effects.{column}'",
                f"no simulated sample has '{level}' in column '{column}'",
                f"Levels: {', '.join(levels) or 'none'}.",
                code="unknown-level",
            )


def expected_expression(
    profiles: pd.DataFrame, planted: pd.DataFrame, samples: dict, effects: dict
) -> np.ndarray:
    """Expected expression of each cell type in each sample, without random effects.

    Relative to a fixed total: a planted gene does not dilute the others, so that a gene that
    nothing was done to has a true log2 fold change of exactly 0.

    Parameters
    ----------
    profiles, planted
        Cell type x gene; column of the sheet x gene.
    samples
        Columns of the sheet by sample.
    effects
        The level of each column whose samples have its effect.

    Returns
    -------
    numpy.ndarray
        Share of the RNA, shape (samples, cell types, genes + mitochondrial genes).
    """
    changed = np.array(
        [[row[column] == effects[column] for column in planted.index] for row in samples.values()],
        dtype=float,
    ).reshape(len(samples), len(planted))
    nuclear = profiles.to_numpy() * 2 ** (changed @ planted.to_numpy())[:, None, :]
    mitochondrial = np.array(list(MT_SHARE.values())) / sum(MT_SHARE.values())
    mitochondrial = np.broadcast_to(mitochondrial, (*nuclear.shape[:2], mitochondrial.size))
    return np.concatenate([(1 - MT_MEAN) * nuclear, MT_MEAN * mitochondrial], axis=2)


def expected_composition(samples: dict, cell_types: pd.Index) -> np.ndarray:
    """Expected share of each cell type, shape (samples, cell types).

    Parameters
    ----------
    samples
        Columns of the sheet by sample; one whose `subtype` is in `BLASTS` has its blasts.
    """
    shares = pd.DataFrame(0.0, index=list(samples), columns=cell_types)
    for name, row in samples.items():
        blast = f"Blast {row.get('subtype')}"
        has_blasts = blast in cell_types
        for cell_type, share in HEALTHY.items():
            shares.loc[name, cell_type] = share * (1 - BLAST_SHARE * has_blasts)
        if has_blasts:
            shares.loc[name, blast] = BLAST_SHARE
    return shares.to_numpy()


def collect_expected(
    expected: np.ndarray,
    composition: np.ndarray,
    samples: list[str],
    cell_types: list[str],
    genes: pd.DataFrame,
):
    """What is expected of every sample, from which the true change of any contrast follows.

    Parameters
    ----------
    expected, composition
        As `expected_expression` and `expected_composition` give them.
    samples, cell_types
        Names along their first and second axis.
    genes
        gene_id, gene_name.

    Returns
    -------
    anndata.AnnData
        A row a sample and cell type: `X` share of the RNA; `obs` sample, cell_type, group (of the
        tests that look at such cells), share (of the sample's cells).
    """
    import anndata as ad

    table = pd.DataFrame(
        {
            "sample": np.repeat(samples, len(cell_types)),
            "cell_type": np.tile(cell_types, len(samples)),
            "group": np.tile([GROUPS.get(name, name) for name in cell_types], len(samples)),
            "share": composition.ravel(),
        }
    )
    table.index = table["sample"] + "_" + table["cell_type"]
    return ad.AnnData(expected.reshape(len(table), -1), obs=table, var=genes.set_index("gene_id"))
