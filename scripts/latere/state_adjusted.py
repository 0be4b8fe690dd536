"""What the cells of a sample would express on average, had they been in the average sample.

scVI separates the state of a cell (its place in the latent space) from its sample (the batch). So
the sum of the states of a sample's cells, decoded under the samples of both sides, is what its
composition alone predicts. edgeR then tests what is left, with the samples as replicates.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

# Elements of a mini-batch of decoded cells: 32 MB.
PART = 1 << 23
# Log2 ratios that vary less than this say nothing about a slope.
LEAST_RATIO = 0.05
# A side lacks a state that is this much rarer in it than in the other, and of which as many cells
# as this would be expected there.
LACKING, EXPECTED = 0.05, 10


def decode_sums(
    model, latent: np.ndarray, depths: np.ndarray, rows: np.ndarray, n_rows: int, sample: str
) -> np.ndarray:
    """Sums of cells as they would be in one sample.

    Parameters
    ----------
    model
        A trained scvi.model.SCVI.
    latent
        Places of the cells in the latent space, (n_cells, n_latent).
    depths
        Counts of the cells over the genes of the model, (n_cells,).
    rows
        The sum that each cell belongs to, (n_cells,), ascending.
    n_rows
        Number of sums.
    sample
        The sample (batch of the model) to decode as.

    Returns
    -------
    numpy.ndarray
        Expected counts, (n_rows, n_genes), float32.
    """
    import torch

    module = model.module
    batches = model.adata_manager.get_state_registry("batch").categorical_mapping
    code = int(np.flatnonzero(batches == sample)[0])
    sums = torch.zeros(n_rows, module.n_input)
    size = max(1, PART // module.n_input)
    with torch.inference_mode():
        for first in range(0, len(latent), size):
            part = slice(first, first + size)
            z = torch.as_tensor(latent[part], dtype=torch.float32)
            batch = torch.full((len(z), 1), code)
            shares = module.decoder.px_scale_decoder(module.decoder.px_decoder(z, batch))
            # The cells of a part belong to few sums.
            of_part, places = np.unique(rows[part], return_inverse=True)
            weights = torch.zeros(len(of_part), len(z))
            weights[places, np.arange(len(z))] = torch.as_tensor(depths[part], dtype=torch.float32)
            sums[of_part] += weights @ shares
    return sums.numpy()


def composition_ratio(decoded: np.ndarray, case: Sequence[bool]) -> np.ndarray:
    """How a sample's composition changes the share of each gene, relative to all samples.

    Parameters
    ----------
    decoded
        Expected counts of the tested genes, (n_samples, n_decoded_as, n_genes): the sums of each
        sample's cells, decoded as each of some samples.
    case
        Whether a sample that is decoded as is on the case side, (n_decoded_as,).

    Returns
    -------
    numpy.ndarray
        Factors, (n_samples, n_genes), above 0; 1 where the composition changes nothing.
    """
    case = np.asarray(case, dtype=bool)
    # Both sides count the same, however many samples they have.
    sides = [decoded[:, side].mean(axis=1) for side in (case, ~case) if side.any()]
    expected = np.mean(sides, axis=0, dtype=float)
    shares = expected / expected.sum(axis=1, keepdims=True)
    together = expected.sum(axis=0) / expected.sum()
    return shares / together


def state_slopes(
    counts: np.ndarray, ratio: np.ndarray, design: np.ndarray
) -> tuple[float, float, float]:
    """How strongly the samples' expression follows what their composition predicts.

    Parameters
    ----------
    counts
        Summed counts, (n_samples, n_genes).
    ratio
        As `composition_ratio` gives it.
    design
        Design matrix, (n_samples, n_coefficients); its column 1 is the contrast.

    Returns
    -------
    tuple
        Root mean square of the log2 ratio; and robust slopes of log expression on it, over all
        samples and within the sides, NaN where the ratio varies by less than `LEAST_RATIO`. The
        slopes are near 1 where the prediction holds. If the first is much larger, the response to
        the contrast is in the states, and the test does not see it.
    """
    share = np.log2((counts + 0.5) / (counts.sum(axis=1, keepdims=True) + 1))
    slopes = []
    for columns in (np.delete(design, 1, axis=1), design):
        x, y = (_residuals(values, columns).ravel() for values in (np.log2(ratio), share))
        slopes.append(_slope(x[x != 0], y[x != 0]))
    return float(np.sqrt(np.mean(np.log2(ratio) ** 2))), slopes[0], slopes[1]


def _residuals(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values, (n_samples, n_genes), less what columns of a design explain."""
    return values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]


def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Slope of the line through the origin with the least sum of absolute deviations."""
    if not len(x) or np.sqrt(np.mean(x**2)) < LEAST_RATIO:
        return float("nan")
    order = np.argsort(y / x)
    weight = np.cumsum(np.abs(x)[order])
    return float((y / x)[order][np.searchsorted(weight, weight[-1] / 2)])


def sides_alone(
    states: pd.DataFrame, sides: dict[str, str]
) -> tuple[dict[str, float], dict[str, pd.Series]]:
    """Cells of a side whose state the other side lacks.

    Parameters
    ----------
    states
        Cells of a group: sample, state, n_cells, and what to name the states by (`name`).
    sides
        Side by sample.

    Returns
    -------
    shares : dict
        By side: the share of its cells in states that the other side lacks.
    names : dict
        By side: the share of these cells by name, descending.
    """
    of_side = states.assign(side=states["sample"].map(sides)).dropna(subset="side")
    cells = of_side.pivot_table(
        index="state", columns="side", values="n_cells", aggfunc="sum", fill_value=0
    ).reindex(columns=["case", "control"], fill_value=0)
    frequency = cells / cells.sum().clip(lower=1)
    shares, names = {}, {}
    for side, other in (("case", "control"), ("control", "case")):
        rare = frequency[other] < LACKING * frequency[side]
        alone = frequency.index[rare & (frequency[side] * cells[other].sum() >= EXPECTED)]
        of_alone = of_side[of_side["state"].isin(alone) & (of_side["side"] == side)]
        shares[side] = float(frequency.loc[alone, side].sum())
        by_name = of_alone.groupby("name")["n_cells"].sum().sort_values(ascending=False)
        names[side] = by_name / max(by_name.sum(), 1)
    return shares, names
