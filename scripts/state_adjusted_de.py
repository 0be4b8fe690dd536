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
from latere.design import design_matrix
from latere.edger import quasi_likelihood_test
from latere.job import run_script, start
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


def read_decoded(file, group: str, samples: list[str], genes: list[str]) -> tuple:
    """Decoded sums of the samples of a test.

    Parameters
    ----------
    file
        An open `decoded.h5ad`.
    group
        Of the cells.
    samples, genes
        Of the design.

    Returns
    -------
    decoded : numpy.ndarray
        Shape (n_samples, n_decoded_as, n_genes).
    decoded_as : list of str
        Those samples of the design that the cells were decoded as; all, if none of them was.
    """
    obs, var = read_elem(file["obs"]), read_elem(file["var"])
    of_group = (obs["group"] == group).to_numpy()
    known = pd.unique(obs["decoded_as"].astype(str))
    decoded_as = [name for name in known if name in samples] or list(known)
    rows = np.flatnonzero(of_group)
    sums = file["X"][rows[0] : rows[-1] + 1][:, var.index.get_indexer(genes)]
    places = pd.MultiIndex.from_frame(obs.loc[of_group, ["sample", "decoded_as"]].astype(str))
    wanted = pd.MultiIndex.from_product([samples, decoded_as])
    shape = len(samples), len(decoded_as), len(genes)
    return sums[places.get_indexer(wanted)].reshape(shape), decoded_as


def compare_group(
    sums: ad.AnnData, about: dict, decoded: np.ndarray, decoded_as: list[str], min_log2fc: float = 0
) -> tuple[pd.DataFrame, tuple[float, float, float]]:
    """Test one group.

    Parameters
    ----------
    sums
        Rows of the group in `sums.h5ad`, a row per sample.
    about
        The design of the group, as `build_design` writes it.
    decoded, decoded_as
        As `read_decoded` gives them.
    min_log2fc
        The test is of a change larger than this.

    Returns
    -------
    tests : pandas.DataFrame
        By tested gene: gene_id, gene_name, log2fc (at equal state, case over control), mean_case
        and mean_control (per 10,000, at the average composition), statistic (F of any change), fdr
        (Benjamini-Hochberg over the genes of the group), log2fc_composition (the change that the
        composition alone predicts), pvalue.
    slopes : tuple
        As `state_slopes` gives them.
    """
    rows = sums.obs["sample"].astype(str).tolist()
    sums = sums[[rows.index(name) for name in about["samples"]], about["genes"]]
    counts = sums.X.toarray()
    side_of = dict(zip(about["samples"], about["sides"], strict=True))
    case = np.array(about["sides"]) == "case"
    ratio = composition_ratio(decoded, [side_of.get(name) == "case" for name in decoded_as])
    fitted = quasi_likelihood_test(
        counts.T,
        design_matrix(case, list(about["covariates"].values())),
        coefficient=1,
        min_log2fc=min_log2fc,
        ratio=ratio.T,
    )
    per_10k = fitted.filter(like="cpm_").to_numpy() / 100
    factor = np.log2(ratio)
    tests = pd.DataFrame(
        {
            "gene_id": sums.var_names,
            "gene_name": sums.var["gene_name"].to_numpy(),
            "log2fc": fitted["logFC"],
            "mean_case": per_10k[:, case].mean(axis=1),
            "mean_control": per_10k[:, ~case].mean(axis=1),
            "statistic": fitted["F"],
            "fdr": fitted["FDR"],
            "log2fc_composition": factor[case].mean(axis=0) - factor[~case].mean(axis=0),
            "pvalue": fitted["PValue"],
        }
    )
    return tests, state_slopes(counts, ratio, about["sides"])


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
            decoded = read_decoded(file, group, about["samples"], about["genes"])
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
