"""Each fault that `check_runs` looks for is planted in a sound study; the sound one passes."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import check_runs
from latere import tables
from latere.checks.identity import check_contrasts, find_sex
from latere.checks.runs import FAIL, PASS, WARN, Run, read_run
from latere.counts.genes import gene_table
from latere.gene_sets import read_gene_sets

# 500 genes; XIST and three genes of the Y chromosome come last. Two cell types.
N_GENES, N_CELLS, DEPTH = 500, 240, 2500
SEX_GENES = ["XIST", "RPS4Y1", "DDX3Y", "UTY"]
NAMES = ["MT-CO1", *(f"GENE{number}" for number in range(1, N_GENES - len(SEX_GENES))), *SEX_GENES]
IDS = [f"ENSG{number:011d}" for number in range(N_GENES)]
DONORS = {"h1": "female", "h2": "male", "h3": "F", "l1": "m", "l2": "female", "l3": "male"}
SHEET = {name: {"sex": sex, "disease": name[0]} for name, sex in DONORS.items()}
SIDES = {"l_vs_h": {"case": ["l1", "l2", "l3"], "control": ["h1", "h2", "h3"]}}


class Donors:
    """Cells of the donors; libraries of one donor differ by 7 % of a gene's expression."""

    def __init__(self, folder, gene_sets):
        self.folder, self.gene_sets = folder, gene_sets
        rng = np.random.default_rng(3)
        level = rng.lognormal(0, 1, N_GENES)
        level[-len(SEX_GENES) :] = 1
        self.types = level * rng.lognormal(0, 0.7, (2, N_GENES))
        leukemia = rng.lognormal(0, 1, N_GENES)
        self.donors = {}
        for name, sex in DONORS.items():
            own = rng.lognormal(0, 0.25, N_GENES) * (leukemia if name.startswith("l") else 1)
            absent = slice(-3, None) if sex.lower().startswith("f") else slice(-4, -3)
            own[absent] = 0.01
            self.donors[name] = own

    def counts(self, donor, seed, n_cells=N_CELLS):
        rng = np.random.default_rng(seed)
        rates = self.types * self.donors[donor] * rng.lognormal(0, 0.05, N_GENES)
        rates /= rates.sum(axis=1, keepdims=True)
        depth = DEPTH * rng.lognormal(0, 0.4, n_cells)
        kinds = (rng.random(n_cells) < 0.4).astype(int)
        noise = rng.gamma(5, 0.2, (n_cells, N_GENES))
        counts = sp.csr_matrix(rng.poisson(depth[:, None] * rates[kinds] * noise), dtype=np.int32)
        barcodes = ["".join(letters) for letters in rng.choice(list("ACGT"), (n_cells, 16))]
        return counts, barcodes

    def run(self, name, sample, counts, barcodes, ids=IDS, names=NAMES, kept=None, seed=0) -> Run:
        var, identifiers = gene_table(pd.DataFrame({"id": ids, "name": names}))
        path = self.folder / f"{name}.h5ad"
        cells = ad.AnnData(counts, obs=pd.DataFrame(index=pd.Index(barcodes)), var=var)
        cells.write_h5ad(path, compression="lzf")
        about = {
            "kind": "filtered",
            "looks": "filtered",
            "decided_by": "data",
            "reason": "no empty",
        }
        depth = np.asarray(counts.sum(axis=1)).ravel()
        facts = {
            "barcodes": about | {"number": len(barcodes), "with_counts": int((depth > 0).sum())},
            "depth_cv": depth.std() / depth.mean() if depth.any() else None,
            "largest_count": int(counts.max()) if counts.nnz else 0,
            "left_out": {},
            "identifiers": identifiers,
            "counts": {"layer": "X", "stored_as": "int32"},
        }
        called = pd.DataFrame(
            {
                "barcode": barcodes,
                "n_counts": depth,
                "n_genes": np.diff(counts.indptr),
                "doublet": pd.array([False] * len(barcodes), dtype="boolean"),
                "kept": np.ones(len(barcodes), bool) if kept is None else kept,
            }
        )
        about = facts, {"share": 0.03}, called, self.gene_sets
        return read_run(name, sample, str(path), *about, seed)


@pytest.fixture(scope="module")
def donors(root, tmp_path_factory) -> Donors:
    gene_sets = read_gene_sets(root / "config/gene_sets.tsv")
    return Donors(tmp_path_factory.mktemp("runs"), gene_sets)


@pytest.fixture(scope="module")
def sound(donors) -> dict[str, Run]:
    """A run of each donor, and a second one of h1."""
    sources = {name: name for name in DONORS} | {"h1_b": "h1"}
    return {
        name: donors.run(name, donor, *donors.counts(donor, seed))
        for seed, (name, donor) in enumerate(sources.items())
    }


def check(
    runs: dict[str, Run], sheet=SHEET, how="intersection", min_cells=10, remove_ambient=True
) -> pd.DataFrame:
    about = SIDES, how, min_cells, remove_ambient
    table = check_runs.check_runs(list(runs.values()), sheet, *about)
    assert list(table) == ["run", "check", "verdict", "value", "detail"]
    assert not table.duplicated(["run", "check", "detail"]).any()
    assert table["detail"].str.endswith(".").all()
    return table


def troubles(table: pd.DataFrame) -> dict:
    """Verdict by run and check, where it is not PASS."""
    found = table[table["verdict"] != PASS]
    return dict(zip(zip(found["run"], found["check"], strict=True), found["verdict"], strict=True))


def test_warnings_of_the_design_are_rows_of_the_study(sound):
    warnings = ["contrast 'c': leaves out s. Fill it.", "contrast 'd': leaves out s. Fill it."]
    about = list(sound.values()), SHEET, SIDES, "intersection", 10, True
    table = check_runs.check_runs(*about, warnings=warnings)
    told = table[table["check"] == "contrast"]
    assert told["run"].eq("study").all() and told["verdict"].eq(WARN).all()
    assert told["detail"].tolist() == [
        "Contrast 'c': leaves out s. Fill it.",
        "Contrast 'd': leaves out s. Fill it.",
    ]


def test_a_sound_study_passes(sound):
    table = check(sound)
    assert not troubles(table)
    asked = set(table["check"])
    assert asked >= {"sex", "duplicate", "replicate", "sample of the run", "outlier", "design"}
    assert asked >= {"gene names", "names from spreadsheets"}
    assert set(table.loc[table["check"] == "sex", "run"]) == set(SHEET)
    nearest = table.set_index(["check", "run"]).loc["replicate", "detail"]
    named = nearest.str.extract(r"of sample (\w+):")[0]
    assert named.isin(list(SHEET)).all() and (named != nearest.index.str[:2]).all()


def test_a_run_is_read_in_parts(donors, monkeypatch):
    counts, barcodes = donors.counts("h1", 0)
    kept = np.arange(N_CELLS) % 3 > 0
    whole = donors.run("parts", "h1", counts, barcodes, kept=kept)
    monkeypatch.setattr(tables, "PART", 10_000)
    parts = donors.run("parts", "h1", counts, barcodes, kept=kept)
    assert (whole.halves.sum(axis=0) == counts[kept].sum(axis=0)).all()
    assert (parts.halves == whole.halves).all() and (whole.halves.sum(axis=1) > 0).all()
    pd.testing.assert_frame_equal(parts.barcodes, whole.barcodes)
    other = donors.run("parts", "h1", counts, barcodes, kept=kept, seed=1)
    assert (other.halves != whole.halves).any()
    assert (other.halves.sum(axis=0) == whole.halves.sum(axis=0)).all()
    assert whole.barcodes["key"].is_unique and (whole.called, whole.kept) == (N_CELLS, kept.sum())


def test_one_run_twice(donors, sound):
    """Under another name, with other barcodes or its genes in another order: the cells show it."""
    counts, _ = donors.counts("h2", 1)
    order = np.random.default_rng(0).permutation(N_GENES)
    barcodes = [f"cell{number}" for number in range(N_CELLS)]
    genes = [np.array(IDS)[order], np.array(NAMES)[order]]
    twin = donors.run("twin", "l3", counts[:, order].tocsr(), barcodes, *genes)
    found = troubles(table := check(sound | {"l3": twin}))
    assert found["h2", "duplicate"] == found["twin", "duplicate"] == FAIL
    assert "240 of its 240 cells" in table[table["run"] == "twin"]["detail"].str.cat()
    assert found["study", "replicates of the contrast"] == FAIL
    detail = table[table["check"] == "replicates of the contrast"]["detail"].item()
    assert "l_vs_h" in detail and "h2 and l3" in detail


def test_copies_within_a_sample_or_outside_a_contrast(donors, sound):
    """Cells of one sample count twice in both, but no contrast compares them with themselves."""
    counts, _ = donors.counts("h2", 1)
    twin = donors.run("h2_b", "h2", counts, [f"cell{number}" for number in range(N_CELLS)])
    assert {check for _, check in troubles(check(sound | {"h2_b": twin}))} == {"duplicate"}
    rows = check_contrasts([{"h1", "l9"}, {"h2"}], SIDES)
    assert not list(rows)
    (found,) = check_contrasts([{"h1", "h2"}, {"h2", "h1"}, {"h3", "l1"}], SIDES)
    assert (found["verdict"], found["value"]) == (FAIL, 2)


@pytest.mark.parametrize(("share", "verdict"), [(0.05, PASS), (0.3, WARN), (1, FAIL)])
def test_one_library_counted_twice(donors, sound, share, verdict):
    """With other counts, as by another annotation or from a second sequencing."""
    counts, barcodes = donors.counts("h2", 1)
    others, new = donors.counts("h2", 50)
    again, n = counts.copy(), int(share * N_CELLS)
    again.data = np.random.default_rng(1).binomial(again.data, 0.7).astype(np.int32)
    again = sp.vstack([again[:n], others[n:]], format="csr")
    again.eliminate_zeros()
    names = [f"{barcode}-2" for barcode in [*barcodes[:n], *new[n:]]]
    found = troubles(check(sound | {"h2_b": donors.run("h2_b", "h2", again, names)}))
    named = dict.fromkeys([("h2", "duplicate"), ("h2_b", "duplicate")], verdict)
    assert found == (named if verdict != PASS else {})


def test_barcodes_of_plates_are_no_duplicates(donors, sound):
    """Each plate has the same barcodes, on other cells."""
    barcodes = donors.counts("h2", 1)[1]
    plate = donors.run("h3", "h3", donors.counts("h3", 2)[0], barcodes)
    assert not troubles(check(sound | {"h3": plate}))


def test_two_halves_of_one_library(donors, sound):
    """They are no replicates, and nothing else is told of them."""
    counts, barcodes = donors.counts("l1", 20, 2 * N_CELLS)
    halves = {
        name: donors.run(name, name, counts[rows], barcodes[rows])
        for name, rows in (("l1", slice(0, N_CELLS)), ("l3", slice(N_CELLS, None)))
    }
    table = check(sound | halves)
    assert troubles(table) == {("l1", "replicate"): WARN, ("l3", "replicate"): WARN}


def test_two_samples_with_their_names_swapped(donors, sound):
    swapped = {
        name: replace(sound[name], sample=other) for name, other in (("h2", "h3"), ("h3", "h2"))
    }
    table = check(sound | swapped)
    assert troubles(table) == {("h2", "sex"): FAIL, ("h3", "sex"): FAIL}
    detail = table.set_index(["run", "check"]).loc[("h2", "sex"), "detail"]
    assert "The sheet says male; XIST has" in detail and "female. Correct the sheet" in detail


def test_a_run_of_another_sample(donors, sound):
    """A run said to be of h1 is of h3, who is of the same sex; then of h2, who is not."""
    for seed, donor in ((30, "h3"), (31, "h2")):
        wrong = donors.run("h1_b", "h1", *donors.counts(donor, seed))
        table = check(sound | {"h1_b": wrong})
        found = troubles(table)
        assert found["h1_b", "sample of the run"] == WARN
        details = table.set_index(["run", "check"])["detail"]
        assert f"run {donor} of sample {donor}" in details["h1_b", "sample of the run"]
        assert (("h1", "sex of its runs") in found) == (donor == "h2")


def test_a_sample_unlike_all_others(donors, sound):
    rng = np.random.default_rng(5)
    donors.donors["odd"] = donors.donors["l3"] * rng.lognormal(0, 2, N_GENES)
    odd = donors.run("l3", "l3", *donors.counts("odd", 40))
    assert troubles(check(sound | {"l3": odd}))["l3", "outlier"] == WARN


def test_sex():
    enough, few = 2_000_000, 100_000
    assert find_sex(200, 3, enough) == "female" and find_sex(1, 40, enough) == "male"
    assert find_sex(30, 40, enough) == "both" and find_sex(2, 3, enough) == "neither"
    assert find_sex(2, 3, few) == ""


def test_sex_that_is_not_clear_is_not_told(donors, sound):
    unclear = replace(sound["h2"], sex_counts=(300, 400))
    assert troubles(check(sound | {"h2": unclear})) == {("h2", "sex"): WARN}
    gender = {name: {"Gender": columns["sex"].upper()} for name, columns in SHEET.items()}
    assert troubles(check(sound | {"h2": unclear}, gender)) == {("h2", "sex"): WARN}
    for sheet in ({name: {} for name in SHEET}, {name: {"sex": "mixed"} for name in SHEET}):
        assert "sex" not in set(check(sound | {"h2": unclear}, sheet)["check"])
    lacking = {name: replace(run, sex_counts=(5,)) for name, run in sound.items()}
    assert "sex" not in set(check(lacking)["check"])


def test_symbols_among_ids(donors, sound):
    """Named by symbols, a run shares no gene; the others are compared all the same."""
    counts, barcodes = donors.counts("l2", 4)
    symbols = donors.run("l2", "l2", counts, barcodes, NAMES, NAMES)
    table = check(sound | {"l2": symbols})
    assert troubles(table) == {("l2", "genes"): FAIL, ("study", "genes"): FAIL}
    details = table.set_index(["run", "check"])["detail"]
    assert "by Ensembl ids, this one by gene symbols" in details["l2", "genes"]
    assert ("l1", "replicate") in details and ("l2", "replicate") not in details


@pytest.mark.parametrize("how", ["intersection", "union"])
def test_another_release(donors, sound, how):
    """5 % of the genes of one run are not in the others."""
    counts, barcodes = donors.counts("l2", 4)
    ids = [f"{name}9" if at < 25 else name for at, name in enumerate(IDS)]
    table = check(sound | {"l2": donors.run("l2", "l2", counts, barcodes, ids)}, how=how)
    assert troubles(table) == {("l2", "genes"): WARN, ("study", "genes"): WARN}
    values = table.set_index(["run", "check"])["value"]
    expected = check(sound).set_index(["run", "check"])["value"]
    assert values["study", "genes"] == (475 if how == "intersection" else 525)
    # What a run lacks is no difference of its profile.
    assert values["l2", "replicate"] == pytest.approx(expected["l2", "replicate"], rel=0.1)
    detail = table.set_index(["run", "check"]).loc[("study", "genes"), "detail"]
    assert "475 genes are in all 7 runs, 525 in any" in detail
    what = "50 are left out" if how == "intersection" else "50 count 0 in the runs that lack them"
    assert what in detail


def test_symbols_that_stand_there_twice(donors, sound):
    counts, barcodes = donors.counts("l2", 4)
    names = [NAMES[0]] * 20 + NAMES[20:]
    by_id = donors.run("l2", "l2", counts, barcodes, IDS, names)
    assert not troubles(table := check(sound | {"l2": by_id}))
    assert table["detail"].str.contains("19 symbols appear more than once, kept apart").any()
    by_symbol = donors.run("l2", "l2", counts, barcodes, names, names)
    assert troubles(check({"l2": by_symbol}))["l2", "duplicated symbols"] == WARN


def test_species(donors, sound):
    mouse = [name.replace("ENSG", "ENSMUSG") for name in IDS]
    counts, barcodes = donors.counts("l2", 4)
    other = donors.run("l2", "l2", counts, barcodes, mouse)
    assert troubles(check(sound | {"l2": other}))["l2", "species"] == FAIL
    both = donors.run("l2", "l2", counts, barcodes, IDS[:250] + mouse[250:])
    assert troubles(check({"l2": both}))["l2", "species"] == WARN


def test_few_cells_and_none(donors, sound):
    """A sample without enough cells is no replicate; with it a side may have too few."""
    kept = np.arange(N_CELLS) < 5
    empty = donors.run("h3", "h3", sp.csr_matrix((0, N_GENES), dtype=np.int32), [])
    few = donors.run("h2", "h2", *donors.counts("h2", 1), kept=kept)
    table = check(sound | {"h2": few, "h3": empty})
    assert troubles(table) == {
        ("h2", "cells"): WARN,
        ("h3", "cells"): FAIL,
        ("h2", "cells removed"): WARN,
        ("h2", "cells of the sample"): FAIL,
        ("h3", "cells of the sample"): FAIL,
        ("study", "design"): FAIL,
    }
    detail = table.set_index("check").loc["design", "detail"]
    assert "3 of 3 case samples, 1 of 3 control samples have at least 10 cells" in detail


def test_what_load_counts_found(sound):
    run = sound["h2"]
    about = run.facts["barcodes"] | {"kind": "raw", "decided_by": "sheet"}
    left_out, counts = {"Antibody Capture": 3}, {"layer": "counts", "stored_as": "float32"}
    facts = run.facts | {"barcodes": about, "left_out": left_out, "counts": counts}
    table = check(sound | {"h2": replace(run, facts=facts, doublets=100)})
    assert troubles(table) == {("h2", "barcodes"): WARN, ("h2", "doublets"): WARN}
    details = table.set_index(["run", "check"])["detail"]
    assert "3 Antibody Capture" in details["h2", "left-out features"]
    assert "stored as float32, read as whole numbers" in details["h2", "counts"]


def test_whole_numbers_that_are_hardly_counts(sound):
    run = sound["h2"]
    for told, facts in (
        ("normalised and rounded", {"depth_cv": 0.003}),
        ("binarised", {"largest_count": 1}),
    ):
        table = check(sound | {"h2": replace(run, facts=run.facts | facts)})
        assert troubles(table) == {("h2", "counts"): WARN}
        assert told in table.set_index(["run", "check"]).loc[("h2", "counts"), "detail"]


def test_one_run(sound):
    """What takes two is not answered, and no sample is compared with itself."""
    table = check(
        {"h1": sound["h1"]}, {"h1": SHEET["h1"]} | {name: {} for name in SHEET if name != "h1"}
    )
    assert not {"duplicate", "replicate", "sample of the run", "outlier"} & set(table["check"])
    table = check({"h1": sound["h1"], "h1_b": sound["h1_b"]})
    assert "duplicate" in set(table["check"]) and "replicate" not in set(table["check"])


def test_ambient_rna_that_was_taken_out_of_some_runs(sound):
    left = {"share": None, "reason": "There are 0 empty droplets."}
    runs = sound | {"h1": replace(sound["h1"], ambient=left)}
    found = troubles(check(runs))
    assert found[("h1", "ambient RNA")] == "WARN" and found[("study", "ambient RNA")] == "FAIL"
    assert troubles(check(runs, remove_ambient=False)) == troubles(check(sound))


def test_a_limit_that_can_not_hold(sound):
    runs = sound | {"h1": replace(sound["h1"], has_mitochondria=False)}
    assert troubles(check(runs))[("h1", "mitochondrial genes")] == "WARN"
