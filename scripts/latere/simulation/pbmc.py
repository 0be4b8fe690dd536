"""The real cells that the embedded study takes its expression from."""

import numpy as np

# The fine labels of the data, merged to what 200 cells a run can carry.
LABELS = {
    "CD4+/CD25 T Reg": "T cell",
    "CD4+/CD45RA+/CD25- Naive T": "T cell",
    "CD4+/CD45RO+ Memory": "T cell",
    "CD8+ Cytotoxic T": "T cell",
    "CD8+/CD45RA+ Naive Cytotoxic": "T cell",
    "CD19+ B": "B cell",
    "CD56+ NK": "NK cell",
    "CD14+ Monocyte": "Monocyte",
    "Dendritic": "Dendritic cell",
    "CD34+": "CD34+ progenitor",
}


def load_pbmc():
    """The labelled blood cells that the scanpy wheel carries, as expression per 10,000.

    Returns
    -------
    anndata.AnnData
        700 cells x 764 genes (the one mitochondrial gene, MT-ND3, is left out: the simulation has
        all of them, in its own share). `X` linear expression, each cell's sum 10,000;
        `obs["cell_type"]` the merged label.
    """
    import scanpy as sc

    source = sc.datasets.pbmc68k_reduced()
    pbmc = source.raw.to_adata()
    pbmc = pbmc[:, ~pbmc.var_names.str.startswith("MT-")].copy()
    pbmc.X = pbmc.X.astype(np.float64).expm1()
    sc.pp.normalize_total(pbmc, target_sum=1e4)
    pbmc.obs["cell_type"] = source.obs["bulk_labels"].astype(str).map(LABELS)
    return pbmc
