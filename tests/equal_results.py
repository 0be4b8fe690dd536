"""Whether results of before the branch registry hold the same values as those of now.

    python tests/equal_results.py OLD/results/demo NEW/results/demo

Wide tables (`_deep`, `_manual`) became long, and what was copied by contrast or branch is written
once. Differences on purpose: `annotation/`, `groups.parquet`, `cluster_share` and the branch
harmony are new; the statistic of deep is its Bayes factor, which was not in a table; `score` is
gone (it was -log10 of the p-value, or the posterior). Molecules in `truth.tsv` are whole numbers,
no longer rounded to six digits. `cells/checks.tsv` is not compared: its random thinning now follows
the seed of the configuration, which moves three metrics in the third digit.
"""

import argparse
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

# The branches of before; none else had columns of its own.
OLD = ("deep", "manual")


def same(what: str, old: pd.DataFrame, new: pd.DataFrame) -> None:
    """Compare two tables exactly, but for the types of text.

    Raises
    ------
    AssertionError
        Says which table and where.
    """
    text = lambda table: table.astype(  # noqa: E731
        {name: object for name in table if table[name].dtype.name in ("category", "string", "str")}
    ).reset_index(drop=True)
    pd.testing.assert_frame_equal(
        text(old), text(new), check_exact=True, check_dtype=False, obj=what
    )
    print(f"equal  {what}: {len(old)} rows, {', '.join(old)}")


def read_tsv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["NA"])


def compare_cells(old: Path, new: Path) -> None:
    before, after = (ad.read_h5ad(at / "cells/cells.h5ad") for at in (old, new))
    assert (before.X != after.X).nnz == 0 and before.X.dtype == after.X.dtype
    same("cells.h5ad obs", before.obs.reset_index(), after.obs.reset_index())
    var = after.var.rename(columns={"testable": "tested"})
    var["highly_variable"] = pd.read_parquet(new / "manual/variable_genes.parquet").set_index(
        "gene_id"
    )["highly_variable"]
    same("cells.h5ad var", before.var.reset_index(), var[before.var.columns].reset_index())


def compare_embeddings(old: Path, new: Path) -> None:
    for branch in OLD:
        for name in ("embedding", "umap", "clusters", "cell_types"):
            file = f"{branch}/{name}.parquet"
            before, after = (pd.read_parquet(at / file) for at in (old, new))
            same(file, before, after[before.columns])


def compare_designs(old: Path, new: Path, contrasts: list[str]) -> None:
    from latere.design import design_matrix

    sums = ad.read_h5ad(new / "design/sums.h5ad")
    for contrast in contrasts:
        bulk = ad.read_h5ad(old / f"cells/pseudobulk/{contrast}.h5ad")
        design = json.loads((new / f"design/{contrast}.json").read_text(encoding="utf-8"))
        assert list(design["groups"]) == list(bulk.obs["group"].unique())
        for group, about in design["groups"].items():
            rows = bulk[(bulk.obs["group"] == group).to_numpy()]
            assert about["samples"] == rows.obs["sample"].tolist()
            assert about["sides"] == rows.obs["side"].tolist()
            assert about["n_cells"] == rows.obs["n_cells"].tolist()
            names = [f"{group}|{sample}" for sample in about["samples"]]
            np.testing.assert_array_equal(rows.X, sums[names].X.toarray())
            tested = np.asarray(rows.layers["tested"][0], dtype=bool)
            assert about["genes"] == rows.var_names[tested].tolist()
            case = [side == "case" for side in about["sides"]]
            matrix = design_matrix(case, list(about["covariates"].values()))
            np.testing.assert_array_equal(rows.obsm["design"][:, : matrix.shape[1]], matrix)
            assert not rows.obsm["design"][:, matrix.shape[1] :].any()
        skipped = read_tsv(old / f"cells/pseudobulk/{contrast}.skipped.tsv")
        assert dict(skipped.to_numpy().tolist()) == design["skipped"]
        print(f"equal  design/{contrast}.json and sums: {bulk.n_obs} groups x samples")


def compare_tests(old: Path, new: Path, contrasts: list[str]) -> None:
    renamed = {"design": "contrast", "posterior": "proba_de"}
    for branch in OLD:
        for contrast in contrasts:
            for folder in ("tests", "de"):
                file = f"{branch}/{folder}/{contrast}.parquet"
                before, after = (pd.read_parquet(at / file) for at in (old, new))
                after = after.rename(columns=renamed)
                if branch == "manual":
                    after = after.rename(columns={"statistic": "f"})
                    score = -np.log10(after["pvalue"].clip(lower=np.finfo(float).tiny))
                else:
                    score = after["proba_de"]
                same(file, before, after.assign(score=score)[before.columns])


def compare_comparison(old: Path, new: Path, contrasts: list[str]) -> None:
    of = {at: at / "comparison" for at in (old, new)}
    key = ["contrast", "group"]
    summary, pairs = (read_tsv(of[new] / f"{name}.tsv") for name in ("summary", "pairs"))
    pair = pairs[(pairs["branch"] == "deep") & (pairs["other"] == "manual")]
    wide = pair.set_index(key)
    for branch in OLD:
        rows = summary[summary["branch"] == branch].set_index(key)
        assert (rows["tested"] == wide["tested"]).all()
        wide[f"significant_{branch}"] = rows["significant"]
    before = read_tsv(of[old] / "summary.tsv")
    same("summary.tsv and pairs.tsv", before, wide.reset_index()[before.columns])
    before, after = (read_tsv(of[at] / "skipped.tsv") for at in (old, new))
    for branch in OLD:
        rows = before[before["branch"] == branch]
        same(f"skipped.tsv ({branch})", rows[after.columns], after)
    before, after = (read_tsv(of[at] / "labels.tsv") for at in (old, new))
    after = after[(after["branch"] == "deep") & (after["other"] == "manual")]
    names = {"clusters": "clusters_deep", "clusters_other": "clusters_manual"}
    same("labels.tsv", before, after.rename(columns=names)[before.columns])
    calls = pd.read_parquet(of[new] / "calls.parquet").astype({"branch": str})
    for contrast in contrasts:
        before = pd.read_parquet(of[old] / f"genes/{contrast}.parquet")
        rows = calls[calls["contrast"] == contrast]
        after = before[["group", "gene_id", "gene_name"]].copy()
        for branch in OLD:
            own = rows[rows["branch"] == branch]
            own = own.astype({"group": str, "gene_id": str}).set_index(["group", "gene_id"])
            own = own.loc[pd.MultiIndex.from_frame(before[["group", "gene_id"]].astype(str))]
            for name in ("log2fc", "fdr", "significant"):
                after[f"{name}_{branch}"] = own[name].to_numpy()
            assert len(own) == (rows["branch"] == branch).sum()
        both = after[["significant_deep", "significant_manual"]].to_numpy()
        names = np.array([["neither", "manual only"], ["deep only", "both"]])
        after["category"] = names[both[:, 0].astype(int), both[:, 1].astype(int)]
        same(f"calls.parquet ({contrast})", before, after[before.columns])


def compare_truth(old: Path, new: Path) -> None:
    at = [folder / "comparison" for folder in (old, new)]
    before, after = (read_tsv(folder / "truth.tsv") for folder in at)
    labels = read_tsv(at[1] / "truth_labels.tsv").pivot(
        index="run", columns="branch", values="lineage_right"
    )
    for branch in OLD:
        after[f"lineage_right_{branch}"] = labels.loc[after["run"], branch].to_numpy()
    after["molecules"] = [float(f"{number:.6g}") for number in after["molecules"]]
    same("truth.tsv and truth_labels.tsv", before, after[before.columns])
    for name in ("truth_cells.tsv", "truth_de.tsv"):
        same(name, *(read_tsv(folder / name) for folder in at))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    at = parser.parse_args()
    contrasts = sorted(path.stem for path in (at.old / "manual/de").glob("*.parquet"))
    compare_cells(at.old, at.new)
    compare_embeddings(at.old, at.new)
    compare_designs(at.old, at.new, contrasts)
    compare_tests(at.old, at.new, contrasts)
    compare_comparison(at.old, at.new, contrasts)
    if (at.old / "comparison/truth.tsv").exists():
        compare_truth(at.old, at.new)
    print("Every table that both hold has the same values.")


if __name__ == "__main__":
    main()
