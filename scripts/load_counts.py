"""Called cells of one run as raw integer counts, whether STARsolo counted them or the sheet
names a matrix."""

from pathlib import Path

from latere.errors import StudyError
from latere.job import start

ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
NAME_COLUMNS = ("gene_symbols", "gene_name", "gene_symbol", "feature_name", "symbol")
SUFFIX = "-1"


def read_starsolo(folder: Path, run: str):
    """Cells that STARsolo called; none is a valid answer.

    Returns
    -------
    AnnData
        Cells x genes; ``var_names`` are gene ids.
    """
    import pandas as pd
    import scanpy as sc
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    gene = folder / f"{run}.Solo.out" / "Gene"
    if (gene / "filtered").is_dir():
        return sc.read_10x_mtx(gene / "filtered", var_names="gene_ids")
    # Without a single counted molecule STAR writes no folder of called cells.
    features = pd.read_csv(gene / "raw/features.tsv.gz", sep="\t", header=None, index_col=0)
    var = pd.DataFrame({"gene_symbols": features[1]}, index=features.index.astype(str))
    return AnnData(csr_matrix((0, len(var)), dtype="float32"), var=var)


def read_matrix(path: Path, subset: str, where: str):
    """A count matrix of the sheet: 10x folder, 10x ``.h5`` or ``.h5ad``.

    Parameters
    ----------
    subset
        ``column=value``: the cells of an ``.h5ad`` that belong to the run; empty for all.

    Raises
    ------
    StudyError
        The matrix cannot be read, or has no cell of the subset.
    """
    import anndata
    import scanpy as sc

    try:
        if path.is_dir():
            return sc.read_10x_mtx(path, var_names="gene_ids")
        if path.suffix == ".h5":
            adata = sc.read_10x_h5(path)
            adata.var["gene_symbols"] = adata.var_names
            adata.var_names = adata.var["gene_ids"].to_numpy()
            return adata
        adata = anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError) as error:
        raise StudyError(
            where, f"cannot be read ({error})", "Give a 10x folder, a 10x .h5 or an .h5ad."
        ) from None
    return select_cells(adata, subset, where) if subset else adata


def select_cells(adata, subset: str, where: str):
    """Cells whose column of ``obs`` has a value.

    Raises
    ------
    StudyError
        No such column or no such value.
    """
    column, _, value = subset.partition("=")
    if column not in adata.obs:
        known = ", ".join(adata.obs.columns)
        raise StudyError(where, f"has no column '{column}' of cells", f"Columns: {known}.")
    labels = adata.obs[column].astype(str)
    if not (labels == value).any():
        known = ", ".join(sorted(labels.unique())[:20])
        raise StudyError(where, f"no cell has {column} '{value}'", f"Values: {known}.")
    return adata[(labels == value).to_numpy()].copy()


def raw_counts(adata, where: str):
    """The raw counts of a matrix: its layer ``counts`` where there is one, else ``X``.

    Returns
    -------
    csr_matrix
        Cells x genes, int32.

    Raises
    ------
    StudyError
        Not counts: negative or fractional values.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    name = "layer 'counts'" if "counts" in adata.layers else "X"
    counts = csr_matrix(adata.layers.get("counts", adata.X))
    bad = counts.data[(counts.data < 0) | (counts.data != np.floor(counts.data))]
    if bad.size or not np.isfinite(counts.data).all():
        raise StudyError(
            where,
            f"{name} holds {bad[0] if bad.size else 'infinite values'}: not raw counts",
            "Give the matrix before any normalisation, or put the counts into layer 'counts'.",
        )
    counts = counts.astype(np.int32)
    counts.eliminate_zeros()
    counts.sort_indices()
    return counts


def gene_table(var):
    """Gene ids and names of a matrix.

    Parameters
    ----------
    var
        DataFrame of the genes, in any of the usual layouts; what its index holds is the id
        unless a column has the ids.

    Returns
    -------
    DataFrame
        Index ``gene_id``, unique; column ``gene_name``, which is the id where no name is known.
    """
    import pandas as pd
    from anndata.utils import make_index_unique

    index = pd.Series(var.index.astype(str), index=var.index)
    ids = next((var[name].astype(str) for name in ID_COLUMNS if name in var), index)
    names = next((var[name].astype("string") for name in NAME_COLUMNS if name in var), index)
    names = names.where(names.notna() & (names != ""), ids).astype(str)
    unique = make_index_unique(pd.Index(ids.to_numpy(dtype=object)))
    return pd.DataFrame({"gene_name": names.to_numpy(dtype=object)}, index=unique.rename("gene_id"))


def cell_names(barcodes, where: str):
    """Barcodes without the ``-1`` that CellRanger adds, if all have it.

    Raises
    ------
    StudyError
        A barcode stands there twice.
    """
    import pandas as pd

    names = pd.Index(barcodes.astype(str), dtype=object, name="barcode")
    if len(names) and names.str.endswith(SUFFIX).all():
        names = names.str.removesuffix(SUFFIX)
    if not names.is_unique:
        raise StudyError(
            where,
            f"barcode {names[names.duplicated()][0]} stands there twice",
            "Give the cells of one run: a merged matrix needs `subset` in the sheet.",
        )
    return names


def load_counts(adata, run: str, sample: str, where: str):
    """The counts of a run in the form that all later steps read.

    Returns
    -------
    AnnData
        X: int32 CSR, cells x genes; obs: run, sample, by barcode; var: gene_name, by gene_id.
    """
    import pandas as pd
    from anndata import AnnData

    names = cell_names(adata.obs_names, where)
    obs = pd.DataFrame({"run": run, "sample": sample}, index=names, dtype=object)
    return AnnData(raw_counts(adata, where), obs=obs, var=gene_table(adata.var))


def main(snakemake):
    log = start(snakemake)
    run, source = snakemake.wildcards.run, Path(snakemake.input[0])
    where = f"run {run}, {source}"
    if (source / f"{run}.Solo.out").is_dir():
        adata = read_starsolo(source, run)
    else:
        adata = read_matrix(source, snakemake.params.subset, where)
    counts = load_counts(adata, run, snakemake.params.sample, where)
    log.info("%s: %d cells, %d genes, %d molecules", where, *counts.shape, counts.X.sum())
    if not counts.n_obs:
        log.warning("%s: no cell was called; the run adds none to the study", where)
    counts.write_h5ad(snakemake.output[0], compression="gzip")


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
