"""Test of the manual branch: edgeR quasi-likelihood on pseudobulks.

One F test per design and group (Chen, Lun and Smyth 2016), samples as replicates; with a least
fold change, a test against it (TREAT; McCarthy and Smyth 2009).
"""

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from latere.contract import write_table
from latere.edger import quasi_likelihood_test
from latere.job import run_script, start
from latere.pseudobulks import make_table, select_rows
from latere.tables import join_tests

OWN = ["pvalue"]


def compare_group(sums: ad.AnnData, about: dict, min_log2fc: float = 0) -> pd.DataFrame:
    """Test one group.

    Parameters
    ----------
    sums
        Rows of the group in `sums.h5ad`, a row per sample.
    about
        The design of the group, as `build_design` writes it.
    min_log2fc
        The test is of a change larger than this.

    Returns
    -------
    pandas.DataFrame
        As `latere.pseudobulks.make_table` gives it.
    """
    sums, case, design = select_rows(sums, about)
    fitted = quasi_likelihood_test(sums.X.toarray().T, design, 1, min_log2fc)
    return make_table(sums, case, fitted)


def main(snakemake):
    log = start(snakemake)
    sums = ad.read_h5ad(snakemake.input.sums)
    design = json.loads(Path(snakemake.input.design).read_text(encoding="utf-8"))
    of_rows, tables = sums.obs["group"].astype(str).to_numpy(), {}
    for group, about in design["groups"].items():
        rows = sums[np.flatnonzero(of_rows == group)]
        tables[group] = compare_group(rows, about, snakemake.params.min_log2fc)
        log.info("%s: %d genes tested", group, len(tables[group]))
    tests = join_tests(design["design"], tables, OWN)
    write_table(tests, snakemake.output[0], "{branch}/tests/{design}.parquet")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
