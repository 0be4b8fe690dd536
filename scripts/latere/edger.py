"""edgeR (Robinson 2010; Chen 2016) through rpy2: plain matrices in, plain tables out."""

import numpy as np
import pandas as pd

from latere.r import matrix, package, vector


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


def quasi_likelihood_test(
    counts: np.ndarray,
    design: np.ndarray,
    coefficient: int,
    min_log2fc: float = 0,
    ratio: np.ndarray | None = None,
) -> pd.DataFrame:
    """TMM, dispersions, quasi-likelihood fit and test of one coefficient.

    Parameters
    ----------
    counts
        Summed counts of the genes to test, (n_genes, n_samples).
    design
        Design matrix, (n_samples, n_coefficients); must be of full rank and leave at least
        one residual degree of freedom.
    coefficient
        Column of `design` to test, from 0.
    min_log2fc
        The test is of a change larger than this (TREAT; McCarthy and Smyth 2009).
    ratio
        What is known to change a sample's counts beside its depth, as factors of the expected
        counts, (n_genes, n_samples), above 0; none if None. It becomes an offset.

    Returns
    -------
    pandas.DataFrame
        By gene, in the order given: logFC (log2), F (of any change), PValue, FDR
        (Benjamini-Hochberg); and `cpm_<i>`, counts per million of sample i over its TMM-scaled
        library, divided by the ratio.
    """
    edger = package("edgeR")
    design = matrix(design)
    if ratio is None:
        fitted = edger.calcNormFactors(edger.DGEList(counts=matrix(counts)))
        cpm = np.asarray(edger.cpm(fitted))
    else:
        adjusted = counts / ratio
        depth = adjusted.sum(axis=0)
        factors = np.asarray(edger.calcNormFactors(matrix(adjusted), lib_size=vector(depth)))
        fitted = edger.DGEList(counts=matrix(counts), norm_factors=vector(factors))
        fitted = edger.scaleOffset(fitted, matrix(np.log(depth * factors) + np.log(ratio)))
        cpm = 1e6 * adjusted / (depth * factors)
    fitted = edger.estimateDisp(fitted, design)
    fitted = edger.glmQLFit(fitted, design, robust=True)
    test = edger.glmQLFTest(fitted, coef=coefficient + 1)
    table = _top(edger, test, ("logFC", "F", "PValue", "FDR"))
    if min_log2fc > 0:
        test = edger.glmTreat(fitted, coef=coefficient + 1, lfc=min_log2fc)
        table = table.assign(**_top(edger, test, ("PValue", "FDR")))
    return table.join(pd.DataFrame(cpm).add_prefix("cpm_"))


def _top(edger, test, columns) -> pd.DataFrame:
    """Columns of edgeR's table of a test, by gene in the order given."""
    top = edger.topTags(test, n=float("inf"), sort_by="none").rx2("table")
    return pd.DataFrame({name: np.asarray(top.rx2(name)) for name in columns})
