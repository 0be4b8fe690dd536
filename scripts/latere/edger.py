"""edgeR (Robinson 2010; Chen 2016) through rpy2: plain matrices in, plain tables out."""

import numpy as np
import pandas as pd

from latere.r import matrix, package


def filter_by_expr(counts: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Genes with enough counts for a test, by edgeR's `filterByExpr`.

    Parameters
    ----------
    counts
        Summed counts, (n_genes, n_samples).
    design
        Design matrix, (n_samples, n_coefficients).

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,).
    """
    kept = package("edgeR").filterByExpr(matrix(counts), design=matrix(design))
    return np.asarray(kept, dtype=bool)


def quasi_likelihood_test(counts: np.ndarray, design: np.ndarray, coefficient: int) -> pd.DataFrame:
    """TMM, dispersions, quasi-likelihood fit and F test of one coefficient.

    Parameters
    ----------
    counts
        Summed counts of the genes to test, (n_genes, n_samples).
    design
        Design matrix, (n_samples, n_coefficients); must be of full rank and leave at least
        one residual degree of freedom.
    coefficient
        Column of `design` to test, from 0.

    Returns
    -------
    pandas.DataFrame
        By gene, in the order given: logFC (log2), F, PValue, FDR (Benjamini-Hochberg); and
        `cpm_<i>`, counts per million of sample i over its TMM-scaled library.
    """
    edger = package("edgeR")
    design = matrix(design)
    fitted = edger.DGEList(counts=matrix(counts))
    fitted = edger.calcNormFactors(fitted)
    cpm = np.asarray(edger.cpm(fitted))
    fitted = edger.estimateDisp(fitted, design)
    fitted = edger.glmQLFit(fitted, design, robust=True)
    test = edger.glmQLFTest(fitted, coef=coefficient + 1)
    top = edger.topTags(test, n=float("inf"), sort_by="none").rx2("table")
    table = pd.DataFrame(
        {name: np.asarray(top.rx2(name)) for name in ("logFC", "F", "PValue", "FDR")}
    )
    return table.join(pd.DataFrame(cpm).add_prefix("cpm_"))
