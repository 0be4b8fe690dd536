"""A labelling that too few genes support types no cell, and a check says so with the numbers."""

import pickle

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from label_cells import label_by_markers, label_by_model, label_cells
from latere.checks.labels import check_labels
from latere.checks.runs import FAIL, PASS, WARN, Run
from latere.errors import StudyError
from latere.label_genes import Model, find_markers, read_model, supported_markers

GENES = [f"G{number}" for number in range(100)]
MARKERS = pd.DataFrame(
    {
        "cell_type": np.repeat(["T", "B", "M"], 10),
        "gene_name": [f"G{number}" for number in range(30)],
    }
)


def run(names, name="r1") -> Run:
    ids = pd.Index([f"E_{gene}" for gene in names])
    return Run(name, name, {}, ids, pd.Series(list(names), dtype=str))


def verdict(*runs, how="intersection", **sources):
    (row,) = check_labels(list(runs), how, **sources)
    assert row["run"] == "study" and row["detail"].endswith(".")
    return row["verdict"], pytest.approx(row["value"]), row["detail"]


def test_weight_counts_and_not_the_number_of_genes():
    """90 genes of little weight are less of a model than 10 of much."""
    model = Model(np.array(GENES), np.r_[np.full(10, 9.0), np.full(90, 1.0)])
    assert model.share(GENES[:10]) == pytest.approx(90 / 180)
    assert model.is_supported(GENES[:10]) and not model.is_supported(GENES[10:99])
    light = verdict(run(GENES[11:]), model=model)
    assert light[:2] == (FAIL, 89 / 180)
    assert "89 of the 100 genes" in light[2] and "49.4%" in light[2]
    assert verdict(run(GENES[:60]), model=model)[:2] == (WARN, 140 / 180)
    assert verdict(run(GENES), model=model)[:2] == (PASS, 1)
    assert not list(check_labels([run(GENES)], "union"))


def test_the_genes_of_the_study_count(cells):
    """Those that all runs have, or those that any has, as the cells are joined."""
    model = Model(np.array(GENES), np.ones(100))
    runs = run(GENES[:70]), run(GENES[40:], "r2")
    assert verdict(*runs, model=model)[:2] == (FAIL, 0.3)
    assert verdict(*runs, how="union", model=model)[:2] == (PASS, 1)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        # Mouse symbols, a prefix of the genome, ids: only the first is a matter of the case.
        ([f"g{number}" for number in range(100)], True),
        ([f"GRCh38_{name}" for name in GENES], False),
        ([f"ENSG{number:011d}" for number in range(100)], False),
    ],
)
def test_names_of_another_form(names, hint):
    found = verdict(run(names), model=Model(np.array(GENES), np.ones(100)))
    assert found[:2] == (FAIL, 0) and ("of another species" in found[2]) == hint
    found = verdict(run(names), markers=MARKERS)
    assert found[:2] == (FAIL, 0) and ("of another species" in found[2]) == hint


def test_markers_are_counted_by_type():
    names = [*GENES[:8], *GENES[10:13], *GENES[20:21]]
    table = find_markers(pd.concat([MARKERS, MARKERS[:5]]), names)
    assert table["found"].to_dict() == {"T": 8, "B": 3, "M": 1}
    assert set(table["listed"]) == {10} and list(table["enough"]) == [True, True, False]
    assert set(supported_markers(MARKERS, names)["cell_type"]) == {"T", "B"}
    found = verdict(run(names), markers=MARKERS)
    assert found[:2] == (WARN, 12 / 30)
    assert "12 of 30 markers are in the data (T 8 of 10, B 3 of 10, M 1 of 10)" in found[2]
    assert verdict(run(GENES), markers=MARKERS)[:2] == (PASS, 1)
    # All types have some, one has few.
    assert verdict(run([*GENES[:13], *GENES[20:]]), markers=MARKERS)[0] == WARN


def test_one_type_of_several_is_not_told_from_others():
    assert supported_markers(MARKERS, GENES[:10]).empty
    assert verdict(run(GENES[:10]), markers=MARKERS)[0] == FAIL
    alone = MARKERS[MARKERS["cell_type"] == "T"]
    assert len(supported_markers(alone, GENES[:10])) == 10
    assert verdict(run(GENES[:10]), markers=alone)[0] == PASS


@pytest.fixture(scope="module")
def model(cells, tmp_path_factory):
    """A model of the small study, and how to write the study under other names of genes."""
    import celltypist
    import scanpy as sc

    folder = tmp_path_factory.mktemp("labels")
    whole = cells.copy()
    whole.var_names = whole.var["gene_name"]
    sc.pp.normalize_total(whole, target_sum=1e4)
    sc.pp.log1p(whole)
    kind = cells.obs["kind"].to_numpy()
    celltypist.train(whole, labels=kind, n_jobs=1, max_iter=50).write(str(folder / "m.pkl"))
    return folder / "m.pkl"


def renamed(cells, folder, number) -> str:
    """The small study, of which so many genes keep their names."""
    names = cells.var["gene_name"].to_numpy(dtype=object).copy()
    names[number:] = [f"{name}x" for name in names[number:]]
    other = ad.AnnData(cells.X, obs=cells.obs, var=cells.var.assign(gene_name=names))
    other.write_h5ad(folder / f"{number}.h5ad")
    return str(folder / f"{number}.h5ad")


def test_a_model_of_other_genes_types_no_cell(cells, model, tmp_path):
    genes = read_model(model)
    names = cells.var["gene_name"]
    assert genes.share(names) == pytest.approx(1)
    assert genes.share(names[:30]) == genes.weights[np.isin(genes.genes, names[:30])].sum() / (
        genes.weights.sum()
    )
    path = renamed(cells, tmp_path, 5)
    assert not genes.is_supported(names[:5])
    labels = label_cells(*label_by_model(path, str(model)))
    assert set(labels["label"]) == {"unknown"} and labels["score"].notna().all()
    path = renamed(cells, tmp_path, 110)
    labels = label_cells(*label_by_model(path, str(model)))
    assert (labels["label"] == cells.obs["kind"]).mean() > 0.9


def test_markers_of_other_genes_type_no_cell(cells, tmp_path):
    """Two genes of twenty bear the names of markers by chance."""
    table = pd.DataFrame({"cell_type": np.repeat(["x", "y"], 20)})
    table["gene_name"] = [f"G{number}" for number in range(20, 60)]
    table.to_csv(tmp_path / "markers.tsv", sep="\t", index=False)
    markers = str(tmp_path / "markers.tsv")
    labels = label_cells(*label_by_markers(renamed(cells, tmp_path, 22), markers, 0))
    assert set(labels["label"]) == {"unknown"}
    labels = label_cells(*label_by_markers(renamed(cells, tmp_path, 119), markers, 0))
    assert (labels["label"] == cells.obs["kind"]).mean() > 0.9


@pytest.mark.parametrize(
    "content",
    [b"<html>not found</html>", b"", pickle.dumps({"Model": 1}), pickle.dumps([1, 2])],
    ids=["page", "empty", "other", "list"],
)
def test_what_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "m.pkl").write_bytes(content)
    with pytest.raises(StudyError, match=r"m\.pkl: .*\[unreadable-model\]"):
        read_model(tmp_path / "m.pkl")
