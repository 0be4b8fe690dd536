import numpy as np
import pandas as pd

from call_de import call_genes
from latere.tables import TEST_COLUMNS


def fitted(fdr, log2fc):
    n = len(fdr)
    return pd.DataFrame(
        {
            "design": "c",
            "group": "all",
            "gene_id": [f"G{i}" for i in range(n)],
            "gene_name": [f"g{i}" for i in range(n)],
            "log2fc": log2fc,
            "mean_case": 1.0,
            "mean_control": 1.0,
            "statistic": 1.0,
            "fdr": fdr,
            "pvalue": 0.5,
        }
    )


def test_a_gene_at_the_level_is_called():
    called = call_genes(fitted([0.05, 0.0501, 0.01, np.nan], [-1.0, 3.0, 0.01, 5.0]), 0.05)
    assert called["significant"].tolist() == [True, False, True, False]


def test_columns_are_those_of_the_contract():
    called = call_genes(fitted([0.01], [1.0]), 0.05)
    assert list(called.columns) == [*TEST_COLUMNS, "pvalue", "significant"]


def test_no_test_is_a_valid_empty_table():
    called = call_genes(fitted([], []), 0.05)
    assert called.empty
    assert called["significant"].dtype == bool
