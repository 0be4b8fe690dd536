"""Apply the level of the study to fitted tests: which genes are called.

Apart from the fit, so that another level refits no model.
"""

import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start


def call_genes(tests: pd.DataFrame, fdr: float) -> pd.DataFrame:
    """Mark the genes that are called.

    Parameters
    ----------
    tests
        Group x gene, with at least the column fdr.
    fdr
        Highest fdr of a called gene.

    Returns
    -------
    pandas.DataFrame
        The same rows in the same order, and the column significant. A missing fdr is never called.
    """
    return tests.assign(significant=tests["fdr"] <= fdr)


def main(snakemake):
    """Read the tests of one branch and contrast, call, write."""
    log = start(snakemake)
    tests = pd.read_parquet(snakemake.input[0]).rename(columns={"design": "contrast"})
    called = call_genes(tests, snakemake.params.fdr)
    write_table(called, snakemake.output[0], "{branch}/de/{contrast}.parquet")
    counts = called.groupby("group", sort=False)["significant"].agg(["sum", "size"])
    for group, (significant, tested) in counts.iterrows():
        log.info("%s: %d of %d genes called", group, significant, tested)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
