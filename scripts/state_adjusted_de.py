"""Test of the deep branch: edgeR on pseudobulks, adjusted for the states of the cells.

Counts, samples, covariates and genes are those of the manual branch. What the composition of a
sample's cells alone predicts, by scVI's latent space, enters as an offset: what is tested is the
change at equal state.
"""

import json
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.contract import write_table
from latere.design import MOST_DECODED
from latere.edger import quasi_likelihood_test
from latere.job import run_script, start
from latere.pseudobulks import make_table, select_rows
from latere.state_adjusted import composition_ratio, sides_alone, state_slopes
from latere.tables import ALL, join_tests

OWN = ["log2fc_composition", "pvalue"]
DIAGNOSIS = [
    "design",
    "group",
    "composition",
    "slope",
    "slope_within",
    "case_alone",
    "control_alone",
    "alone",
]
# Names of states that a side has alone are given if they hold this share of its cells.
NAMED = 0.01


def read_decoded(
    file, group: str, samples: list[str], genes: list[str], sides: dict[str, list[str]]
) -> tuple[np.ndarray, np.ndarray]:
    """Decoded sums of the samples of a test.

    Parameters
    ----------
    file
        An open `decoded.h5ad`.
    group
        Of the cells.
    samples, genes
        Of the design of the group.
    sides
        Names of the samples of the whole design, as `case` and `control`: any cell can be decoded
        as any sample, also as one without cells of the group.

    Returns
    -------
    decoded : numpy.ndarray
        Shape (n_samples, n_decoded_as, n_genes); of each side, its first `MOST_DECODED` samples
        that were decoded as.
    case : numpy.ndarray
        Whether a sample that is decoded as is on the case side, (n_decoded_as,). A half of a null
        split may have none: its halves do not differ, so the other one stands for both.
    """
    obs, var = read_elem(file["obs"]), read_elem(file["var"])
    of_group = (obs["group"] == group).to_numpy()
    known = set(obs["decoded_as"].astype(str))
    targets = {
        name: side == "case"
        for side, names in sides.items()
        for name in [name for name in names if name in known][:MOST_DECODED]
    }
    rows = np.flatnonzero(of_group)
    sums = file["X"][rows[0] : rows[-1] + 1]
    places = pd.MultiIndex.from_frame(obs.loc[of_group, ["sample", "decoded_as"]].astype(str))
    wanted = places.get_indexer(pd.MultiIndex.from_product([samples, targets]))
    sums = sums[np.ix_(wanted, var.index.get_indexer(genes))]
    shape = len(samples), len(targets), len(genes)
    return sums.reshape(shape), np.array(list(targets.values()), dtype=bool)


def compare_group(
    sums: ad.AnnData,
    about: dict,
    decoded: np.ndarray,
    decoded_case: np.ndarray,
    min_log2fc: float = 0,
) -> tuple[pd.DataFrame, tuple[float, float, float]]:
    """Test one group.

    Parameters
    ----------
    sums
        Rows of the group in `sums.h5ad`, a row per sample.
    about
        The design of the group, as `build_design` writes it.
    decoded, decoded_case
        As `read_decoded` gives them.
    min_log2fc
        The test is of a change larger than this.

    Returns
    -------
    tests : pandas.DataFrame
        As `latere.pseudobulks.make_table` gives it, at equal state and at the average composition;
        and log2fc_composition, the change that the composition alone predicts.
    slopes : tuple
        As `state_slopes` gives them.
    """
    sums, case, design = select_rows(sums, about)
    counts, ratio = sums.X.toarray(), composition_ratio(decoded, decoded_case)
    fitted = quasi_likelihood_test(counts.T, design, 1, min_log2fc, ratio.T)
    tests = make_table(sums, case, fitted)
    # By the same design as the change at equal state.
    tests["log2fc_composition"] = np.linalg.lstsq(design, np.log2(ratio), rcond=None)[0][1]
    return tests, state_slopes(counts, ratio, design)


def name_alone(states: pd.DataFrame, group: str, about: dict) -> tuple[float, float, str]:
    """The cells of a group whose states are on one side only.

    Parameters
    ----------
    states
        `states.parquet`.
    group, about
        The group and its design.

    Returns
    -------
    tuple
        Share of the case cells, of the control cells, and both in words, by group of the cells.
    """
    of_group = states if group == ALL else states[states["group"] == group]
    side_of = dict(zip(about["samples"], about["sides"], strict=True))
    shares, names = sides_alone(of_group.rename(columns={"group": "name"}), side_of)
    words = [
        f"{side}: {name} ({share * shares[side]:.0%})"
        for side, of_side in names.items()
        for name, share in of_side.items()
        if share * shares[side] >= NAMED
    ]
    return shares["case"], shares["control"], "; ".join(words)


def main(snakemake):
    log = start(snakemake)
    given, params = snakemake.input, snakemake.params
    sums, states = ad.read_h5ad(given.sums), pd.read_parquet(given.states)
    design = json.loads(Path(given.design).read_text(encoding="utf-8"))
    of_rows, tables, diagnosis = sums.obs["group"].astype(str).to_numpy(), {}, []
    with h5py.File(given.decoded) as file:
        for group, about in design["groups"].items():
            of_group = group, about["samples"], about["genes"]
            decoded = read_decoded(file, *of_group, params.sides)
            rows = sums[np.flatnonzero(of_rows == group)]
            tables[group], slopes = compare_group(rows, about, *decoded, params.min_log2fc)
            alone = name_alone(states, group, about)
            diagnosis.append((design["design"], group, *slopes, *alone))
            log.info("%s: %d genes tested", group, len(tables[group]))
    tests = join_tests(design["design"], tables, OWN)
    write_table(tests, snakemake.output.tests, "{branch}/tests/{design}.parquet")
    diagnosis = pd.DataFrame(diagnosis, columns=DIAGNOSIS)
    write_table(diagnosis, snakemake.output.diagnosis, "deep/diagnosis/{design}.tsv", digits=4)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
