"""Branches and groups that a configuration names, and where groups are read."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from count_matrices import genes

from define_groups import read_obs
from latere.branches import REGISTRY
from latere.errors import StudyError
from latere.study.groups import check_branches, check_groups, places_of
from latere.study.sheet import Run

SAMPLES = {"s1": {"tissue": "blood"}, "s2": {"tissue": "marrow"}}


def config(name="manual", model=None, branches=("deep", "manual", "harmony")):
    return {
        "branches": list(branches),
        "groups": {"from": name},
        "annotation": {"celltypist_model": model},
    }


@pytest.fixture
def runs(tmp_path):
    """Two runs: one has a file of its own, one is the subset `b` of another's."""
    made = []
    for name, subset in (("r1", ""), ("r2", "part=b")):
        counts = sp.csr_matrix(np.ones((4, 3), dtype=np.int32))
        # As CellRanger names them: `load_counts` drops what all of them end in.
        barcodes = [f"{barcode}-1" for barcode in "ABCD"]
        obs = pd.DataFrame({"kind": ["x", "y", None, "x"], "part": list("abab")}, barcodes)
        if name == "r2":
            obs["only"] = 1
        obs["kind"] = obs["kind"].astype("category")
        ad.AnnData(counts, obs=obs, var=genes(3)).write_h5ad(tmp_path / f"{name}.h5ad")
        made.append(Run(name, name, matrix=(str(tmp_path / f"{name}.h5ad"),), subset=subset))
    return made


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("manual", ["branch"]),
        ("harmony", ["branch"]),
        ("markers", ["source"]),
        ("celltypist", []),
        ("tissue", ["sheet"]),
        ("kind", ["obs"]),
        ("only", []),
        ("none", []),
    ],
)
def test_a_name_has_its_place(runs, name, places):
    assert places_of(name, config(), SAMPLES, runs) == places
    problems = check_groups(config(name), SAMPLES, runs, "c.yaml")
    assert bool(problems) != bool(places)
    for problem in problems:
        assert problem.where == "c.yaml: key 'groups.from'" and problem.fix


def test_a_model_is_needed_for_its_labels(runs):
    assert places_of("celltypist", config(model="m.pkl"), SAMPLES, runs) == ["source"]
    (problem,) = check_groups(config("celltypist"), SAMPLES, runs, "c.yaml")
    assert problem.code == "missing-model" and "annotation.celltypist_model" in problem.fix


def test_a_name_of_two_things_is_rejected(runs):
    samples = {name: {"manual": "yes"} for name in SAMPLES}
    (problem,) = check_groups(config(), samples, runs, "c.yaml")
    assert problem.code == "ambiguous-groups" and "branch, sheet" in problem.problem


def test_what_the_sheet_took_from_obs_is_one_thing(runs):
    samples = {name: {"kind": "x"} for name in SAMPLES}
    assert check_groups(config("kind"), samples, runs, "c.yaml") == []
    assert places_of("kind", config("kind"), samples, runs)[0] == "sheet"


def test_a_run_that_is_counted_here_has_no_obs(runs):
    assert places_of("kind", config(), SAMPLES, [*runs, Run("r3", "r3", sra="SRR1")]) == []


def test_an_unknown_branch_is_rejected():
    (problem,) = check_branches(config(branches=["deep", "harmnoy"]), "c.yaml")
    assert problem.code == "unknown-branch"
    assert problem.where == "c.yaml: key 'branches', entry 2"
    assert "Did you mean 'harmony'?" in problem.fix
    assert check_branches(config(branches=REGISTRY), "c.yaml") == []


def test_a_column_of_obs_is_read_by_cell(runs):
    matrices = {(run.name, run.subset): run.matrix[0] for run in runs}
    values, source = read_obs(matrices, "kind")
    assert values.dropna().to_dict() == {
        "r1_A": "x",
        "r1_B": "y",
        "r1_D": "x",
        "r2_B": "y",
        "r2_D": "x",
    }
    assert values.index.tolist() == ["r1_A", "r1_B", "r1_C", "r1_D", "r2_B", "r2_D"]
    assert source == "column kind of obs"
    with pytest.raises(StudyError, match=r"'only'.*\[missing-column\]"):
        read_obs(matrices, "only")


def test_every_entry_of_the_registry_is_complete():
    assert list(REGISTRY)[:2] == ["deep", "manual"]
    for name, branch in REGISTRY.items():
        assert name == branch.name and branch.title and (branch.embeds or branch.tests)
        assert branch.colour.startswith("#") and len(branch.colour) == 7
    assert len({branch.colour for branch in REGISTRY.values()}) == len(REGISTRY)
