"""The test at equal state: by pencil and paper, against R, and on cells whose mixture changes."""

import subprocess
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from decode_states import find_states, measure_leak, some_of_each, write_decoded
from edger_de import compare_group as compare_totals
from latere.design import decoded_as
from latere.edger import quasi_likelihood_test
from latere.state_adjusted import composition_ratio, decode_sums, sides_alone, state_slopes
from state_adjusted_de import compare_group, name_alone, read_decoded
from train_scvi import train

pytestmark = pytest.mark.tools("rpy2", "Rscript")
R_SCRIPT = Path(__file__).parents[1] / "edger_offset.R"
CASE = np.array([True, True, True, False, False, False])
DESIGN = np.column_stack([np.ones(6), CASE])


def test_ratio_by_hand():
    """Two types with profiles (3, 1) and (1, 3); the first sample has both, the second one only."""
    one, other = np.array([3.0, 1.0]), np.array([1.0, 3.0])
    # Decoded as another sample, the genes change in all cells alike.
    as_sample = np.array([[1, 1], [2, 1]])
    decoded = np.stack([(one + other) * as_sample, 2 * one * as_sample])
    # Means over both sides: factors 1.5 and 1. Sample 1: (6, 4), sample 2: (9, 2).
    expected = np.array([[6 / 10, 4 / 10], [9 / 11, 2 / 11]]) / np.array([15 / 21, 6 / 21])
    np.testing.assert_allclose(composition_ratio(decoded, [True, False]), expected)
    # Three samples of a side count as one does.
    thrice = decoded[:, [0, 0, 0, 1]]
    np.testing.assert_allclose(composition_ratio(thrice, [True, True, True, False]), expected)
    # Where samples of one side only were decoded as, these are all there is.
    alone = composition_ratio(decoded[:, :1], [False])
    np.testing.assert_allclose(alone[0], [1 / 2 * 16 / 10, 1 / 2 * 16 / 6])


def test_depth_of_a_sample_changes_no_ratio():
    rng = np.random.default_rng(1)
    decoded = rng.gamma(2, 1, (3, 2, 5))
    once = composition_ratio(decoded, [True, False])
    ratio = composition_ratio(np.concatenate([decoded, 9 * decoded[:1]]), [True, False])
    np.testing.assert_allclose(ratio[0], ratio[3])
    np.testing.assert_allclose(ratio[1] / ratio[0], once[1] / once[0])


def make_counts(factor=1.0, seed=0, n_genes=400, spread=0.2):
    """Counts of six samples, and what composition multiplies them by: genes x samples."""
    rng = np.random.default_rng(seed)
    ratio = np.broadcast_to(factor, (n_genes, 6))
    mean = rng.gamma(1, 200, n_genes)[:, None] * rng.lognormal(0, 0.2, 6) * ratio
    noise = rng.lognormal(0, spread, (n_genes, 6))
    return rng.poisson(mean * noise) + 1, ratio


@pytest.mark.parametrize("min_log2fc", [0, 0.3])
def test_without_a_change_of_composition_it_is_edger(min_log2fc):
    counts, ratio = make_counts()
    plain = quasi_likelihood_test(counts, DESIGN, 1, min_log2fc)
    adjusted = quasi_likelihood_test(counts, DESIGN, 1, min_log2fc, ratio)
    np.testing.assert_allclose(np.log10(adjusted["PValue"]), np.log10(plain["PValue"]), atol=1e-9)
    np.testing.assert_allclose(adjusted, plain, rtol=1e-5)


@pytest.mark.parametrize("min_log2fc", [0, 0.5])
def test_equals_an_independent_r_script(tmp_path, min_log2fc):
    factor = 2 ** np.random.default_rng(2).normal(0, 0.7, (400, 6))
    counts, ratio = make_counts(factor)
    files = {"counts": counts, "design": DESIGN, "ratio": ratio}
    for name, values in files.items():
        pd.DataFrame(values).to_csv(tmp_path / f"{name}.tsv", sep="\t", index=name != "design")
    words = [*(tmp_path / f"{name}.tsv" for name in files), str(min_log2fc), tmp_path / "r.tsv"]
    subprocess.run(["Rscript", R_SCRIPT, *words], check=True)
    by_r = pd.read_csv(tmp_path / "r.tsv", sep="\t")
    ours = quasi_likelihood_test(counts, DESIGN, 1, min_log2fc, ratio)
    for column in ("logFC", "PValue", "FDR"):
        np.testing.assert_allclose(ours[column], by_r[column], rtol=1e-6, atol=1e-12)


def test_a_change_that_composition_explains_is_not_called():
    """A quarter of the genes are twice as high in the case, by its mixture; ten are changed."""
    factor = np.where(CASE & (np.arange(400) % 4 == 0)[:, None], 2.0, 1.0)
    counts, ratio = make_counts(factor, spread=0.1)
    counts[:10] = counts[:10] * np.where(CASE, 4, 1)
    called = {
        name: quasi_likelihood_test(counts, DESIGN, 1, ratio=given)["FDR"].to_numpy() <= 0.05
        for name, given in (("total", None), ("state", ratio))
    }
    assert called["total"].sum() > 80
    assert called["state"][:10].all() and called["state"][10:].sum() <= 5


def test_treat_calls_no_change_that_is_too_small():
    up = np.ones((400, 1))
    up[:40], up[40:60] = 1.6, 6
    counts, _ = make_counts(np.where(CASE, up, 1), spread=0.1)
    plain, treat = (quasi_likelihood_test(counts, DESIGN, 1, least) for least in (0, 1))
    assert (plain["FDR"] <= 0.05)[:40].mean() > 0.5
    assert not (treat["FDR"] <= 0.05)[:40].any()
    assert (treat["FDR"] <= 0.05)[40:60].mean() > 0.8
    np.testing.assert_allclose(treat["logFC"], plain["logFC"], rtol=1e-6)
    assert (treat["PValue"] >= plain["PValue"])[plain["FDR"] <= 0.05].all()


def test_slopes_show_where_the_response_is():
    rng = np.random.default_rng(3)
    log_ratio = rng.normal(0, 0.5, (6, 300))
    follows = rng.gamma(2, 500, 300) * 2**log_ratio
    spread, *slopes = state_slopes(follows, 2**log_ratio, DESIGN)
    assert spread == pytest.approx(0.5, rel=0.1) and slopes == pytest.approx([1, 1], abs=0.05)
    # The states of the case move half of the way, so that its genes follow them too steeply.
    moved = np.where(CASE, 1.0, -1.0)[:, None] * rng.normal(0, 0.5, 300)
    steep = follows * 2 ** (2 * moved)
    _, every, inside = state_slopes(steep, 2 ** (log_ratio + moved), DESIGN)
    assert every > inside + 0.3 and inside == pytest.approx(1, abs=0.05)
    # A covariate that composition follows is no response to the contrast.
    other = np.array([1.0, 0, 0, 1, 0, 0])
    by_other = 2 ** (log_ratio + other[:, None] * rng.normal(0, 2, 300))
    *_, inside = state_slopes(follows, by_other, np.column_stack([DESIGN, other]))
    assert inside == pytest.approx(1, abs=0.05)
    assert np.isnan(state_slopes(follows, np.ones((6, 300)), DESIGN)[1:]).all()


def test_cells_that_a_side_lacks_are_named():
    states = pd.DataFrame(
        [
            ("B cell", "a", 0, 30),
            ("B cell", "a", 1, 60),
            ("T cell", "b", 0, 9),
            ("B cell", "b", 1, 1),
            ("B cell", "x", 0, 90),
            ("T cell", "y", 2, 10),
            ("T cell", "other", 1, 999),
        ],
        columns=["group", "sample", "state", "n_cells"],
    )
    sides = {"a": "case", "b": "case", "x": "control", "y": "control"}
    shares, names = sides_alone(states.rename(columns={"group": "name"}), sides)
    assert shares == pytest.approx({"case": 0.61, "control": 0.1})
    assert names["case"].to_dict() == {"B cell": 1} and names["control"].to_dict() == {"T cell": 1}
    about = {"samples": list(sides), "sides": list(sides.values())}
    assert name_alone(states, "all", about)[2] == "case: B cell (61%); control: T cell (10%)"
    case, control, _ = name_alone(states, "B cell", about)
    assert (case, control) == (pytest.approx(61 / 91), 0)
    # Few cells may lack a state by chance.
    few = states.assign(n_cells=(states["n_cells"] + 9) // 10)
    assert name_alone(few, "all", about)[:2] == (0, 0)


def test_each_side_is_decoded_as_its_first_samples():
    many = [f"s{at:02d}" for at in range(30)]
    contrasts = {"one": {"case": many[:14], "control": ["c", "d"]}, "two": {"case": ["d"]}}
    assert decoded_as(contrasts) == ["c", "d", *many[:10]]
    assert decoded_as({}) == []


SMALL = {"n_latent": 4, "n_hidden": 16, "n_layers": 1, "seed": 3, "threads": 1}


@pytest.fixture(scope="module")
def mixed():
    """Six samples of 200 cells, as `cells` makes them: three in four of the case are of type x, one
    in four of the control; genes 0 to 11 are 4 times higher in the case.
    """
    random = np.random.default_rng(5)
    level, counts, rows = random.gamma(2, 1, 119), [], []
    for sample in ("h1", "h2", "h3", "l1", "l2", "l3"):
        case, own = sample.startswith("l"), level * random.lognormal(0, 0.2, 119)
        for number in range(200):
            kind = "x" if (number % 4 > 0) == case else "y"
            mean = own * random.gamma(10, 0.1)
            mean[20:40] *= 6 if kind == "x" else 1
            mean[40:60] *= 6 if kind == "y" else 1
            mean[:12] *= 4 if case else 1
            counts.append(random.poisson(mean))
            rows.append((f"{sample}_{number}", f"r{sample}", sample, kind))
    obs = pd.DataFrame(rows, columns=["cell", "run", "sample", "kind"]).set_index("cell")
    var = pd.DataFrame({"gene_name": [f"G{at}" for at in range(119)]})
    var.index = [f"ENSG{at:04d}" for at in range(119)]
    return ad.AnnData(sp.csr_matrix(np.array(counts, dtype=np.float32)), obs=obs, var=var)


@pytest.fixture(scope="module")
def trained(mixed):
    model, _ = train(mixed.copy(), **SMALL, max_epochs=300)
    depths = np.asarray(mixed.X.sum(axis=1)).ravel()
    return model, model.get_latent_representation(), depths


@pytest.fixture(scope="module")
def decoded(mixed, trained, tmp_path_factory):
    """`decoded.h5ad` of the mixed cells, a fifth of which belong to no group."""
    path = tmp_path_factory.mktemp("decoded") / "decoded.h5ad"
    groups = np.where(np.arange(mixed.n_obs) % 5, mixed.obs["kind"], "unknown")
    samples = mixed.obs["sample"].to_numpy(dtype=str)
    targets = ["h1", "h2", "l1", "l3"]
    write_decoded(path, *trained, groups, samples, targets, mixed.var[["gene_name"]])
    return path


def test_decoded_sums_are_those_of_the_model(mixed, trained, monkeypatch):
    model, latent, depths = trained
    rows = np.sort(np.arange(mixed.n_obs) % 3)
    sums = decode_sums(model, latent, depths, rows, 3, "l2")
    import torch

    batch = torch.full((mixed.n_obs, 1), 4)
    with torch.inference_mode():
        ones = torch.ones(mixed.n_obs, 1)
        given = model.module.generative(torch.as_tensor(latent), ones, batch)
    shares = given["px"].scale.numpy()
    expected = [(shares * depths[:, None])[rows == row].sum(axis=0) for row in range(3)]
    np.testing.assert_allclose(sums, expected, rtol=1e-4)
    monkeypatch.setattr("latere.state_adjusted.PART", 7 * mixed.n_vars)
    np.testing.assert_allclose(decode_sums(model, latent, depths, rows, 3, "l2"), sums, rtol=1e-5)


def test_decoded_file_holds_each_group_and_all(mixed, decoded, trained):
    stored = ad.read_h5ad(decoded)
    assert set(stored.obs["group"]) == {"x", "y", "all"} and stored.n_obs == 3 * 6 * 4
    assert list(stored.var_names) == list(mixed.var_names)
    with h5py.File(decoded) as file:
        names = ["l3", "h2", "l2"]
        sides = {"case": ["l3", "l2"], "control": ["h2", "h3", "h1"]}
        genes = list(mixed.var_names[[5, 2]])
        sums, case = read_decoded(file, "all", names, genes, sides)
        assert sums.shape == (3, 3, 2) and case.tolist() == [True, False, False]
        # As a sample of the design that has no cells of the group.
        assert read_decoded(file, "x", ["h3"], ["ENSG0001"], sides)[0].shape == (1, 3, 1)
        # The half of a null split that cells were not decoded as.
        halves = {"case": ["l3"], "control": ["l2"]}
        assert read_decoded(file, "x", ["l2"], ["ENSG0001"], halves)[1].tolist() == [True]
    own = (mixed.obs["sample"] == "l3").to_numpy()
    model, latent, depths = trained
    direct = decode_sums(model, latent[own], depths[own], np.zeros(own.sum(), int), 1, "h2")[0]
    np.testing.assert_allclose(sums[0, 1], direct[[5, 2]], rtol=1e-4)


def test_the_mixture_is_accounted_for(mixed, decoded, sum_all, group_design, sides):
    """Markers of the types change in total only; what was planted changes at equal state."""
    about, sums = group_design(mixed), sum_all(mixed)
    with h5py.File(decoded) as file:
        given = read_decoded(file, "all", about["samples"], about["genes"], sides)
    table, slopes = compare_group(sums, about, *given)
    table, total = table.set_index("gene_name"), compare_totals(sums, about).set_index("gene_name")
    markers = [f"G{at}" for at in range(20, 60) if f"G{at}" in table.index]
    planted = [f"G{at}" for at in range(12) if f"G{at}" in table.index]
    assert (total.loc[markers, "fdr"] <= 0.05).mean() > 0.7
    assert (table.loc[markers, "fdr"] <= 0.05).mean() < 0.1
    assert (table.loc[planted, "fdr"] <= 0.05).mean() > 0.8
    assert table.loc[planted, "log2fc"].mean() == pytest.approx(2, abs=0.35)
    # Both changes add up to the total one, but for the scale of TMM.
    gap = total["log2fc"] - table["log2fc"] - table["log2fc_composition"]
    assert (gap - gap.median()).abs().median() < 0.1
    up = table.loc[planted]
    assert (up["mean_case"] > up["mean_control"]).all()
    # The sides differ in their mixture, the samples of a side do not.
    assert slopes[0] > 0.2 and slopes[1] == pytest.approx(1, abs=0.3) and np.isnan(slopes[2])


def test_a_change_hardly_reaches_the_states(mixed, trained):
    """The leak test, of a converged model; a state that holds the genes takes the change."""
    leak = measure_leak(trained[0], mixed, 1)
    assert list(leak["sample"]) == list(pd.unique(mixed.obs["sample"]))
    assert leak["leak"].abs().max() < 0.1
    assert leak.equals(measure_leak(trained[0], mixed, 1))
    # A panel of a few genes has a leak too.
    few = mixed[:, :8].copy()
    small, _ = train(few.copy(), **SMALL, max_epochs=2)
    assert measure_leak(small, few, 1)["leak"].notna().all()
    chosen = some_of_each(mixed.obs["sample"].to_numpy(dtype=str), 7, 1)
    assert mixed.obs["sample"][chosen].value_counts().tolist() == 6 * [7]


def test_leak_of_states_that_follow_the_genes(mixed, trained, monkeypatch):
    """Latent spaces from which the planted change can be read give it back as the leak."""

    def decode(model, latent, *rest):
        return latent.sum(axis=0, keepdims=True) + 1e-9

    monkeypatch.setattr("decode_states.decode_sums", decode)
    monkeypatch.setattr(
        type(trained[0]), "get_latent_representation", lambda self, cells: cells.X.toarray()
    )
    assert measure_leak(trained[0], mixed, 1)["leak"].mean() == pytest.approx(1, abs=0.1)


def test_states_follow_the_types(mixed, trained):
    states = find_states(trained[1], 1)
    assert (states == find_states(trained[1], 1)).all() and 2 <= len(set(states)) <= 50
    of_state = pd.crosstab(states, mixed.obs["kind"].to_numpy())
    assert of_state.max(axis=1).sum() > 0.9 * mixed.n_obs
