"""Ways to gain power on the test at equal state, tried on simulated studies (studies.py).

BH is what the workflow does. IHW (Ignatiadis 2016) weights the genes of a group by what the model
learnt without the contrast: how much a gene differs between the groups' decoded profiles, or its
decoded mean. ASH (Stephens 2017) shrinks the changes of a group; sharing shrinks those of a gene
in all cell types together, as mashr (Urbut 2019) does: covariances are a change that all types
share and one of its own, and the correlation of the noise is estimated.
Nothing was chosen on seeds above 0. Run it with PYTHONPATH=scripts; IHW needs its R package.
"""

import argparse
import itertools
import sys
import tempfile
import warnings
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem
from scipy.stats import norm

import state_adjusted_de
from decode_states import write_decoded
from latere.branches import AT_EQUAL_STATE
from latere.job import hush
from latere.r import package, start_r, vector
from latere.tables import ALL
from latere.truth.tests import POOLED, compare_tests
from scvi_de import expected_fdr
from train_scvi import train

sys.path.insert(0, str(Path(__file__).parent))
from studies import SCENARIOS, blood_template, simulate
from truth import defaults, design_study, sum_study

# Standard deviations of the prior, in units of the standard error.
SPREADS = 0, 1, 2, 4
# Weight of the null in the fit, in genes, as in ashr.
PENALTY = 10


def benjamini_hochberg(pvalue: np.ndarray) -> np.ndarray:
    """Adjusted p-values."""
    from scipy.stats import false_discovery_control

    return false_discovery_control(pvalue)


def weighted(pvalue: np.ndarray, covariate: np.ndarray) -> np.ndarray:
    """Adjusted p-values of IHW, in four strata of a covariate."""
    r = start_r()
    found = package("IHW").ihw(vector(pvalue), vector(covariate), alpha=0.05, nbins=4)
    return np.asarray(r.r("function(x) IHW::adj_pvalues(x)")(found))


def null_correlation(z: np.ndarray) -> np.ndarray:
    """Correlation between types of scores that no change explains, (n_types, n_types)."""
    small = (np.abs(np.nan_to_num(z)) < 2).all(axis=1)
    found = pd.DataFrame(z[small]).corr(min_periods=50).fillna(0).to_numpy(copy=True)
    np.fill_diagonal(found, 1)
    values, vectors = np.linalg.eigh(found)
    found = vectors * values.clip(0.05) @ vectors.T
    scale = np.sqrt(np.diag(found))
    return found / scale[:, None] / scale


def false_sign_rates(z: np.ndarray, correlation: np.ndarray, shared=SPREADS) -> np.ndarray:
    """Posterior probability that a change is null or has the other sign.

    Parameters
    ----------
    z
        Scores, (n_genes, n_types), NaN where a gene is not tested.
    correlation
        Of their noise, (n_types, n_types).
    shared
        Standard deviations of the change that all types share.
    """
    n_types, known = z.shape[1], ~np.isnan(z)
    priors = [
        every**2 * np.ones((n_types, n_types)) + own**2 * np.eye(n_types)
        for every in shared
        for own in SPREADS
    ]
    shape = len(z), len(priors)
    log, means, sds = np.empty(shape), np.zeros((*shape, n_types)), np.zeros((*shape, n_types))
    patterns, of = np.unique(known, axis=0, return_inverse=True)
    for place, pattern in enumerate(patterns):
        rows, has = np.flatnonzero(of.ravel() == place), np.flatnonzero(pattern)
        x = z[np.ix_(rows, has)]
        for at, prior in enumerate(priors):
            total = (correlation + prior)[np.ix_(has, has)]
            inverse = np.linalg.inv(total)
            quadratic = np.einsum("ij,jk,ik->i", x, inverse, x)
            log[rows, at] = -0.5 * (quadratic + np.linalg.slogdet(total)[1])
            gain = prior[:, has] @ inverse
            means[rows, at] = x @ gain.T
            left = np.diag(prior) - np.einsum("ij,ij->i", gain, prior[:, has])
            sds[rows, at] = np.sqrt(left.clip(0))
    likelihood = np.exp(log - log.max(axis=1, keepdims=True))
    weights, added = np.full(len(priors), 1 / len(priors)), np.zeros(len(priors))
    added[0] = PENALTY
    for _ in range(300):
        posterior = likelihood * weights
        posterior /= posterior.sum(axis=1, keepdims=True)
        weights = (posterior.sum(axis=0) + added) / (len(z) + PENALTY)
    with np.errstate(divide="ignore", invalid="ignore"):
        up = np.where(sds > 0, norm.cdf(means / sds), means > 0)
        down = np.where(sds > 0, norm.cdf(-means / sds), means < 0)
    most = np.maximum(*(np.einsum("gc,gct->gt", posterior, at) for at in (up, down)))
    return np.where(known, 1 - most, np.nan)


def adjust(tests: pd.DataFrame, spread: pd.Series) -> dict[str, pd.Series]:
    """The fdr of each way, by row of the tests of all groups.

    Parameters
    ----------
    tests
        group, gene_id, log2fc, pvalue, mean_case, mean_control.
    spread
        By gene: standard deviation between groups of the decoded log expression.
    """
    score = norm.isf(tests["pvalue"].clip(lower=1e-300) / 2) * np.sign(tests["log2fc"])
    by_group = tests.groupby("group", sort=False)
    found = {"BH": by_group["pvalue"].transform(benjamini_hochberg)}
    for name, covariate in (
        ("IHW, spread between types", tests["gene_id"].map(spread)),
        ("IHW, mean", tests["mean_case"] + tests["mean_control"]),
    ):
        found[name] = pd.concat(
            pd.Series(
                weighted(rows["pvalue"].to_numpy(), covariate[rows.index].to_numpy()), rows.index
            )
            for _, rows in by_group
        )
    found["ASH"] = pd.concat(
        pd.Series(
            expected_fdr(
                1 - false_sign_rates(score[rows.index].to_numpy()[:, None], np.eye(1), (0,))[:, 0]
            ),
            rows.index,
        )
        for _, rows in by_group
    )
    types = tests[tests["group"] != ALL]
    z = types.assign(z=score).pivot(index="gene_id", columns="group", values="z")
    rates = pd.DataFrame(
        false_sign_rates(z.to_numpy(), null_correlation(z.to_numpy())), z.index, z.columns
    ).stack()
    of_rows = rates.reindex(pd.MultiIndex.from_frame(types[["gene_id", "group"]])).to_numpy()
    shared = (
        pd.Series(of_rows, types.index)
        .groupby(types["group"])
        .transform(lambda of: expected_fdr(1 - of.to_numpy()))
    )
    # Of all cells together there is nothing to share.
    found["sharing"] = found["BH"].where(tests["group"] == ALL, shared)
    return found


def measure(template, name: str, size: int, seed: int) -> list[dict]:
    """False discoveries and power of each way in one study, by group."""
    study = simulate(template, name, size, seed)
    deep, de = defaults()
    sums = sum_study(study)
    designs = design_study(sums, study.sides, de["min_cells"])
    cells = study.cells[:, sums.var_names].copy()
    sizes = {key: deep[key] for key in ("n_latent", "n_hidden", "n_layers", "max_epochs")}
    model, _ = train(cells, **sizes, seed=seed, threads=1, accelerator="cpu")
    samples, groups = cells.obs["sample"].to_numpy(dtype=str), study.groups.to_numpy(dtype=str)
    latent, depths = model.get_latent_representation(), np.asarray(cells.X.sum(axis=1)).ravel()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoded.h5ad"
        write_decoded(path, model, latent, depths, groups, samples, sorted(set(samples)), sums.var)
        tables = []
        with h5py.File(path) as file:
            obs, profiles = read_elem(file["obs"]), file["X"][:]
            for group, (about, rows) in designs.items():
                of_group = group, about["samples"], about["genes"]
                given = state_adjusted_de.read_decoded(file, *of_group, study.sides)
                table, _ = state_adjusted_de.compare_group(rows, about, *given)
                tables.append(table.assign(group=group))
    tests = pd.concat(tables, ignore_index=True)
    of_types = pd.DataFrame(profiles, columns=sums.var_names).groupby(obs["group"].to_numpy()).sum()
    of_types = of_types.drop(ALL)
    shares = np.log2(of_types.div(of_types.sum(axis=1), axis=0) + 1e-7)
    truth = study.truth.rename(columns={AT_EQUAL_STATE: "true_log2fc"}).assign(one_sided="")
    rows = []
    for way, fdr in adjust(tests, shares.std()).items():
        called = tests.assign(significant=fdr <= de["fdr"])
        about = {"scenario": name, "size": size, "seed": seed, "way": way}
        rows += [about | row for row in compare_tests(called, truth)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="the table (TSV) to write or add to")
    parser.add_argument(
        "--scenarios", nargs="+", choices=SCENARIOS, default=["null", "base", "shift", "ts"]
    )
    parser.add_argument("--sizes", nargs="+", type=int, default=[4, 2])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    given = parser.parse_args()
    hush("lightning", "scvi")
    warnings.simplefilter("ignore")
    template = blood_template()
    for seed, size, name in itertools.product(given.seeds, given.sizes, given.scenarios):
        rows = pd.DataFrame(measure(template, name, size, seed))
        new = not given.table.exists()
        rows.round(4).to_csv(given.table, sep="\t", index=False, na_rep="NA", mode="a", header=new)
        shown = rows[rows["group"].isin([ALL, POOLED])]
        columns = ["way", "group", "called", "false_discoveries", "fdp", "power"]
        print(f"{name}, {size} v {size}, seed {seed}", flush=True)
        print(shown[columns].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
