"""A small study of counts, for the unit tests of the analysis."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

SAMPLES = ["h1", "h2", "h3", "l1", "l2", "l3"]
CELLS, GENES, CHANGED = 60, 120, 12


@pytest.fixture(scope="session")
def cells() -> ad.AnnData:
    """Six samples of 60 cells in two types; genes 0 to 11 are 4 times higher in l1 to l3.

    Genes 20 to 39 mark type x, genes 40 to 59 type y; gene 119 has no count.
    """
    random = np.random.default_rng(7)
    level = random.gamma(2, 1, GENES)
    level[-1] = 0
    counts, rows = [], []
    for sample in SAMPLES:
        for number in range(CELLS):
            mean = level * random.gamma(10, 0.1)
            if sample.startswith("l"):
                mean[:CHANGED] = 4 * mean[:CHANGED]
            kind = "x" if number % 2 else "y"
            marks = slice(20, 40) if kind == "x" else slice(40, 60)
            mean[marks] = 6 * mean[marks]
            counts.append(random.poisson(mean))
            rows.append((f"{sample}_{number}", f"r{sample}", sample, kind))
    obs = pd.DataFrame(rows, columns=["cell", "run", "sample", "kind"]).set_index("cell")
    names = [f"G{number}" for number in range(GENES)]
    study = ad.AnnData(sp.csr_matrix(np.array(counts, dtype=np.float32)), obs=obs)
    study.var_names = [f"ENSG{number:04d}" for number in range(GENES)]
    study.var["gene_name"] = names
    study.var["tested"] = [True] * (GENES - 1) + [False]
    study.var["highly_variable"] = study.var["tested"]
    return study


@pytest.fixture(scope="session")
def design() -> dict:
    """Case l1 to l3 over control h1 to h3, no covariate."""
    return {
        "case": {name: [] for name in SAMPLES[3:]},
        "control": {name: [] for name in SAMPLES[:3]},
    }
