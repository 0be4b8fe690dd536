"""Differential expression of the manual branch: edgeR quasi-likelihood on pseudobulks.

One F test a contrast and group (Chen, Lun and Smyth 2016), samples as replicates.
"""

import shutil

import anndata as ad
import numpy as np
import pandas as pd

from latere.edger import quasi_likelihood_test
from latere.job import run_script, start
from latere.tables import TEST_COLUMNS


def compare_group(bulk: ad.AnnData) -> pd.DataFrame:
    """Test one group.

    Parameters
    ----------
    bulk
        Rows of one group of the pseudobulk table, (n_samples, n_genes).

    Returns
    -------
    pandas.DataFrame
        By tested gene: gene_id, gene_name, log2fc (case over control), mean_case and
        mean_control (mean over samples of TMM-scaled counts per 10,000), score (-log10 of
        the p-value), fdr (Benjamini-Hochberg over the genes of the group), pvalue, f.
    """
    bulk = bulk[:, np.asarray(bulk.layers["tested"][0], dtype=bool)]
    design = bulk.obsm["design"]
    design = design[:, (design != 0).any(axis=0)]  # padding of narrower groups
    fitted = quasi_likelihood_test(bulk.X.T, design, coefficient=1)
    case = (bulk.obs["side"] == "case").to_numpy()
    per_10k = fitted.filter(like="cpm_").to_numpy() / 100
    smallest = np.finfo(float).tiny
    return pd.DataFrame(
        {
            "gene_id": bulk.var_names,
            "gene_name": bulk.var["gene_name"].to_numpy(),
            "log2fc": fitted["logFC"],
            "mean_case": per_10k[:, case].mean(axis=1),
            "mean_control": per_10k[:, ~case].mean(axis=1),
            "score": -np.log10(fitted["PValue"].clip(lower=smallest)),
            "fdr": fitted["FDR"],
            "pvalue": fitted["PValue"],
            "f": fitted["F"],
        }
    )


def main(snakemake):
    log = start(snakemake)
    bulk = ad.read_h5ad(snakemake.input.pseudobulk)
    tables = []
    for group in bulk.obs["group"].unique():
        table = compare_group(bulk[(bulk.obs["group"] == group).to_numpy()])
        log.info("%s: %d genes tested", group, len(table))
        tables.append(table.assign(contrast=snakemake.wildcards.contrast, group=group))
    empty = pd.DataFrame(columns=[*TEST_COLUMNS, "pvalue", "f"])
    tests = pd.concat(tables, ignore_index=True) if tables else empty
    tests[[*TEST_COLUMNS, "pvalue", "f"]].to_parquet(snakemake.output.tests, index=False)
    shutil.copyfile(snakemake.input.skipped, snakemake.output.skipped)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
