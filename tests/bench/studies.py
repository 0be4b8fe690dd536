"""Simulated studies whose truth is known: whole single cells, drawn from real ones, in scenarios.

No reads, droplets, doublets or ambient RNA, so that what a test gets wrong is its own fault. The
expression of a cell is that of a real cell, averaged with its nearest neighbours of the same type:
what is left of the spread inside a type is the spread of its states.
"""

from dataclasses import dataclass, field

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from latere.branches import AT_EQUAL_STATE, TOTAL
from latere.simulation.cells import CELL_DISPERSION, CELL_SD, RUN_SD, vary_samples
from latere.simulation.pbmc import load_pbmc
from latere.simulation.streams import generator
from latere.simulation.truth import plant_effects
from latere.tables import ALL

CELLS = 300  # of a sample
DONOR_SD = 0.25  # of log expression between samples, half of the variance shared by the types
CONCENTRATION = 60  # Dirichlet, of the samples' composition around that of their side
PLANTED = 0.1  # share of the genes
# Of the template: genes at most, cells that have a gene, cells of a type, neighbours averaged.
MOST_GENES, CELLS_OF_GENE, CELLS_OF_TYPE, NEIGHBOURS = 3000, 20, 30, 15
MOLECULES = 1500  # mean of a cell, where the template holds no counts
# What the template's label calls a cell without a type.
UNLABELLED = "?"


@dataclass(frozen=True)
class Template:
    """Real cells that cells are drawn from.

    Attributes
    ----------
    profiles
        Share of the RNA, (n_states, n_genes): a state is a real cell.
    types
        Of each state, (n_states,).
    positions
        Of each state along the first component of its type, mean 0 and variance 1, (n_states,).
    genes
        Names, (n_genes,).
    molecules
        Mean of a cell.
    """

    profiles: np.ndarray
    types: np.ndarray
    positions: np.ndarray
    genes: np.ndarray
    molecules: float

    @property
    def by_size(self) -> list[str]:
        """The types, the most numerous first."""
        return pd.Series(self.types).value_counts().index.tolist()


@dataclass(frozen=True)
class Scenario:
    """How the case side differs from the control side.

    Attributes
    ----------
    planted
        Whether genes change.
    by_type
        Whether half of the changes are in the most numerous type only, and half in the second.
    programme
        Whether each case cell has a strength of its response of its own, 2 Beta(1.2, 1.2).
    factors
        On the share of a type in the case, by its place in the order of size.
    alone
        Share of the least numerous type in the case, which the control lacks; 0 if both have it.
    drift
        Log weight of a standard deviation along the first component of a type; of the other sign
        in the control.
    """

    planted: bool = True
    by_type: bool = False
    programme: bool = False
    factors: dict[int, float] = field(default_factory=dict)
    alone: float = 0.0
    drift: float = 0.0


SHIFT = {0: 0.5, 1: 2.0}
SCENARIOS = {
    "null": Scenario(planted=False),
    "nullshift": Scenario(planted=False, factors=SHIFT),
    "base": Scenario(),
    "shift": Scenario(factors=SHIFT),
    "cont": Scenario(drift=0.6),
    "oneside": Scenario(alone=1 / 3),
    "prog": Scenario(programme=True),
    "ts": Scenario(by_type=True),
}


@dataclass(frozen=True)
class Study:
    """A simulated study.

    Attributes
    ----------
    cells
        Counts, float32; `obs["sample"]`, `var["gene_name"]`.
    groups
        Cell type by cell.
    sides
        Names of the samples, as `case` and `control`.
    truth
        group, gene_id, and a column of log2 fold changes for each question; no group of a cell
        type that one side lacks.
    """

    cells: ad.AnnData
    groups: pd.Series
    sides: dict[str, list[str]]
    truth: pd.DataFrame


def build_template(
    expression: np.ndarray, labels: np.ndarray, genes: np.ndarray, molecules: float
) -> Template:
    """States and positions of real cells.

    Parameters
    ----------
    expression
        Linear, in any unit, (n_cells, n_genes).
    labels
        Cell type of each cell; cells of small types are left out.
    genes
        Names of the genes.
    molecules
        Mean of a cell.
    """
    from sklearn.decomposition import PCA
    from sklearn.neighbors import NearestNeighbors

    size = pd.Series(labels).groupby(labels).transform("size").to_numpy()
    kept = (size >= CELLS_OF_TYPE) & (labels != UNLABELLED)
    expression, types = expression[kept], labels[kept]
    expressed = expression.any(axis=0)
    expression, genes = expression[:, expressed], genes[expressed]
    shares = expression / expression.sum(axis=1, keepdims=True)
    space = PCA(20, random_state=0).fit_transform(np.log1p(1e4 * shares))
    profiles, positions = np.empty_like(shares), np.empty(len(types))
    for name in np.unique(types):
        of_type = np.flatnonzero(types == name)
        near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(space[of_type])
        near = near.kneighbors(space[of_type], return_distance=False)
        # The overall mean counts as one cell: few cells do not prove a gene silent.
        summed = shares[of_type][near].sum(axis=1) + shares.mean(axis=0)
        profiles[of_type] = summed / (NEIGHBOURS + 1)
        log = np.log1p(1e4 * profiles[of_type])
        first = PCA(1, random_state=0).fit(log)
        along, loadings = first.transform(log)[:, 0], first.components_[0]
        # A component has no sign of its own.
        positions[of_type] = along * np.sign(loadings[np.abs(loadings).argmax()]) / along.std()
    return Template(profiles, types, positions, genes, molecules)


def blood_template() -> Template:
    """The blood cells that the scanpy wheel carries."""
    pbmc = load_pbmc()
    labels = pbmc.obs["cell_type"].to_numpy(dtype=str)
    return build_template(pbmc.X.toarray(), labels, pbmc.var_names.to_numpy(dtype=str), MOLECULES)


def read_template(path: str, labels: str) -> Template:
    """Cells of a file: genes at random of those that enough cells have.

    Parameters
    ----------
    path
        An .h5ad with raw counts.
    labels
        The column of `obs` with the cell types.
    """
    cells = ad.read_h5ad(path)
    counts = sp.csr_matrix(cells.X)
    known = np.flatnonzero(np.bincount(counts.indices, minlength=cells.n_vars) >= CELLS_OF_GENE)
    rng = generator(0, "genes")
    genes = np.sort(rng.choice(known, min(MOST_GENES, len(known)), replace=False))
    counts = counts[:, genes].toarray().astype(float)
    used = counts.sum(axis=1) > 0
    names = cells.var_names[genes].to_numpy(dtype=str)
    of_cells = cells.obs[labels].to_numpy(dtype=str)[used]
    return build_template(counts[used], of_cells, names, counts.sum(axis=1).mean())


def side_shares(template: Template, scenario: Scenario) -> dict[str, pd.Series]:
    """Expected share of each cell type, by side.

    Parameters
    ----------
    template, scenario
        Of the study; without a difference a type has its share of the template's cells.
    """
    shares = pd.Series(template.types).value_counts(normalize=True)[template.by_size]
    sides = {"case": shares.copy(), "control": shares.copy()}
    for place, factor in scenario.factors.items():
        sides["case"].iloc[place] *= factor
    if scenario.alone:
        others = shares.iloc[:-1].sum()
        sides["case"].iloc[-1] = others * scenario.alone / (1 - scenario.alone)
        sides["control"].iloc[-1] = 0
    return {side: of_side / of_side.sum() for side, of_side in sides.items()}


def state_weights(template: Template, drift: float) -> np.ndarray:
    """How often a state is drawn in its type, (n_states,); of a type they sum to 1."""
    weights = pd.Series(np.exp(drift * template.positions))
    return (weights / weights.groupby(template.types).transform("sum")).to_numpy()


def plant(template: Template, scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """Log2 fold changes in the case, (n_types, n_genes), types in the order of size."""
    types = template.by_size
    if not scenario.planted:
        return np.zeros((len(types), len(template.genes)))
    means = [template.profiles[template.types == name].mean(axis=0) for name in types]
    profiles = pd.DataFrame(means, types, template.genes)
    n_genes = round(PLANTED * len(template.genes))
    change = plant_effects(profiles, ["case"], n_genes, rng).to_numpy()
    if not scenario.by_type:
        return np.repeat(change, len(types), axis=0)
    planted = np.zeros((len(types), len(template.genes)))
    changed = rng.permutation(np.flatnonzero(change[0]))
    for row, genes in zip(planted, np.array_split(changed, 2), strict=False):
        row[genes] = change[0, genes]
    return planted


def draw_strengths(n_cells: int, scenario: Scenario, rng: np.random.Generator) -> np.ndarray:
    """How strongly each case cell responds, (n_cells,), 1 on average."""
    return 2 * rng.beta(1.2, 1.2, n_cells) if scenario.programme else np.ones(n_cells)


def mean_factors(planted: np.ndarray, scenario: Scenario) -> np.ndarray:
    """Factors of the expression in the case, mean over cells, (n_types, n_genes)."""
    if not scenario.programme:
        return 2**planted
    from scipy.stats import beta

    strengths = 2 * beta.ppf((np.arange(500) + 0.5) / 500, 1.2, 1.2)
    return np.mean([2 ** (planted * strength) for strength in strengths], axis=0)


def true_changes(template: Template, scenario: Scenario, planted: np.ndarray) -> pd.DataFrame:
    """Log2 fold changes of expected expression, as `Study` holds them.

    The total change is that of the mean over the cells of a side. The change at equal state is
    that of the same states in the same shares, the mean of both sides. The samples' own effects
    are not part of the truth.

    Parameters
    ----------
    template, scenario
        Of the study.
    planted
        As `plant` gives it.
    """
    shares = side_shares(template, scenario)
    order = pd.Index(template.by_size).get_indexer(template.types)
    factor = mean_factors(planted, scenario)
    weights = {
        side: shares[side].to_numpy()[order] * state_weights(template, sign * scenario.drift)
        for side, sign in (("case", 1), ("control", -1))
    }
    tables = []
    for group in [ALL, *template.by_size]:
        member = (template.types == group) | (group == ALL)
        own = {side: np.where(member, of_side, 0) for side, of_side in weights.items()}
        if not all(of_side.any() for of_side in own.values()):
            continue
        own = {side: of_side / of_side.sum() for side, of_side in own.items()}
        mean = (own["case"] + own["control"]) / 2
        changes = {}
        for question, case, control in ((TOTAL, *own.values()), (AT_EQUAL_STATE, mean, mean)):
            # By type, as all states of a type change alike.
            of_case = sum(
                factor[place] * (case * (order == place) @ template.profiles)
                for place in range(len(factor))
            )
            # Equal changes differ by the rounding of the sums.
            changes[question] = np.log2(of_case / (control @ template.profiles)).round(9)
        tables.append(pd.DataFrame({"group": group, "gene_id": template.genes, **changes}))
    return pd.concat(tables, ignore_index=True)


def simulate(template: Template, name: str, size: int, seed: int) -> Study:
    """A study; the same one for the same arguments.

    Parameters
    ----------
    template
        The real cells.
    name
        Of the scenario.
    size
        Samples of a side.
    seed
        Seed of the study.
    """
    scenario, rng = SCENARIOS[name], generator(seed, name, str(size))
    types, shares = template.by_size, side_shares(template, scenario)
    planted = plant(template, scenario, rng)
    sides = {side: [f"{side}{at + 1}" for at in range(size)] for side in ("case", "control")}
    effects = vary_samples(np.ones((2 * size, *planted.shape)), DONOR_SD, rng)
    blocks, tables = [], []
    for sample, effect in zip(sum(sides.values(), []), effects, strict=True):
        side = "case" if sample in sides["case"] else "control"
        sign = 1 if side == "case" else -1
        # A Dirichlet that allows for types without cells.
        composition = rng.gamma(CONCENTRATION * shares[side].to_numpy())
        of_type = rng.multinomial(CELLS, composition / composition.sum())
        weights = state_weights(template, sign * scenario.drift)
        strengths = (sign > 0) * draw_strengths(CELLS, scenario, rng)
        place = np.repeat(np.arange(len(types)), of_type)
        states = [
            rng.choice(np.flatnonzero(template.types == of), n, p=weights[template.types == of])
            for of, n in zip(types, of_type, strict=True)
        ]
        rates = template.profiles[np.concatenate(states)] * effect[place]
        rates *= 2 ** (planted[place] * strengths[:, None])
        depth = template.molecules * rng.lognormal(0, RUN_SD) * rng.lognormal(0, CELL_SD, CELLS)
        noise = rng.gamma(1 / CELL_DISPERSION, CELL_DISPERSION, rates.shape)
        counts = rng.poisson(depth[:, None] * rates * noise)
        blocks.append(sp.csr_matrix(counts.astype(np.float32)))
        tables.append(pd.DataFrame({"sample": sample, "cell_type": np.array(types)[place]}))
    obs = pd.concat(tables, ignore_index=True)
    obs.index = obs["sample"] + "_" + obs.index.astype(str)
    var = pd.DataFrame({"gene_name": template.genes}, index=template.genes)
    cells = ad.AnnData(sp.vstack(blocks, format="csr"), obs=obs[["sample"]], var=var)
    return Study(cells, obs["cell_type"], sides, true_changes(template, scenario, planted))
