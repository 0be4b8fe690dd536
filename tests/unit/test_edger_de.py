"""edgeR through rpy2 equals an independent R script, and finds what was planted."""

import subprocess

import numpy as np
import pandas as pd

from edger_de import compare_group
from pseudobulk import pseudobulk

SCRIPT = """
library(edgeR)
args <- commandArgs(trailingOnly = TRUE)
counts <- as.matrix(read.delim(args[1], row.names = 1, check.names = FALSE))
design <- as.matrix(read.delim(args[2]))
y <- DGEList(counts)
y <- calcNormFactors(y, method = "TMM")
y <- estimateDisp(y, design)
fit <- glmQLFit(y, design, robust = TRUE)
res <- glmQLFTest(fit, coef = 2)
tab <- topTags(res, n = Inf, sort.by = "none")$table
tab$mean_case <- rowMeans(cpm(y)[, design[, 2] == 1]) / 100
write.table(tab, args[3], sep = "\\t", quote = FALSE)
"""


def test_equals_an_independent_r_script(cells, design, tmp_path):
    patients = ["p1", "p2", "p3"]
    for side in design.values():
        for name, patient in zip(list(side), patients, strict=True):
            side = design["case"] if name in design["case"] else design["control"]
            side[name] = [patient]
    bulk, _ = pseudobulk(cells, {"all": np.ones(cells.n_obs, bool)}, design, 10)
    table = compare_group(bulk).set_index("gene_id")
    tested = bulk.layers["tested"][0].astype(bool)
    counts = pd.DataFrame(bulk.X[:, tested].T, bulk.var_names[tested], bulk.obs["sample"])
    counts.to_csv(tmp_path / "counts.tsv", sep="\t")
    pd.DataFrame(bulk.obsm["design"]).to_csv(tmp_path / "design.tsv", sep="\t", index=False)
    (tmp_path / "edger.R").write_text(SCRIPT)
    subprocess.run(
        ["Rscript", "edger.R", "counts.tsv", "design.tsv", "out.tsv"], cwd=tmp_path, check=True
    )
    by_r = pd.read_csv(tmp_path / "out.tsv", sep="\t", index_col=0).loc[table.index]
    for ours, theirs in {
        "log2fc": "logFC",
        "pvalue": "PValue",
        "fdr": "FDR",
        "f": "F",
        "mean_case": "mean_case",
    }.items():
        np.testing.assert_allclose(table[ours], by_r[theirs], rtol=1e-6, atol=1e-12)
    for side in design.values():
        for name in side:
            side[name] = []


def test_finds_what_was_planted(cells, design):
    bulk, _ = pseudobulk(cells, {"all": np.ones(cells.n_obs, bool)}, design, 10)
    table = compare_group(bulk)
    called = set(table[table["fdr"] < 0.05]["gene_name"])
    assert called >= {f"G{number}" for number in range(12)}
    planted = table["gene_name"].isin([f"G{number}" for number in range(12)])
    assert table.loc[planted, "log2fc"].between(1.5, 2.3).all()
    assert (table.loc[planted, "mean_case"] > table.loc[planted, "mean_control"]).all()
