"""A test of pseudobulks: its rows of the sums, its design matrix, its table."""

import anndata as ad
import numpy as np
import pandas as pd

from latere.design import design_matrix


def select_rows(sums: ad.AnnData, about: dict) -> tuple[ad.AnnData, np.ndarray, np.ndarray]:
    """What a test of one group looks at.

    Parameters
    ----------
    sums
        Rows of the group in `sums.h5ad`, a row per sample.
    about
        The design of the group, as `build_design` writes it.

    Returns
    -------
    sums : anndata.AnnData
        The samples and genes of the design, (n_samples, n_genes).
    case : numpy.ndarray
        Whether a sample is on the case side, (n_samples,).
    design : numpy.ndarray
        As `design_matrix` gives it.
    """
    rows = sums.obs["sample"].astype(str).tolist()
    sums = sums[[rows.index(name) for name in about["samples"]], about["genes"]]
    case = np.array(about["sides"]) == "case"
    return sums, case, design_matrix(case, list(about["covariates"].values()))


def make_table(sums: ad.AnnData, case: np.ndarray, fitted: pd.DataFrame) -> pd.DataFrame:
    """The table of a test.

    Parameters
    ----------
    sums, case
        As `select_rows` gives them.
    fitted
        As `quasi_likelihood_test` gives it.

    Returns
    -------
    pandas.DataFrame
        By tested gene: gene_id, gene_name, log2fc (case over control), mean_case and mean_control
        (mean over samples of TMM-scaled counts per 10,000), statistic (F of any change), fdr
        (Benjamini-Hochberg over the genes of the group), pvalue.
    """
    per_10k = fitted.filter(like="cpm_").to_numpy() / 100
    return pd.DataFrame(
        {
            "gene_id": sums.var_names,
            "gene_name": sums.var["gene_name"].to_numpy(),
            "log2fc": fitted["logFC"],
            "mean_case": per_10k[:, case].mean(axis=1),
            "mean_control": per_10k[:, ~case].mean(axis=1),
            "statistic": fitted["F"],
            "fdr": fitted["FDR"],
            "pvalue": fitted["PValue"],
        }
    )
