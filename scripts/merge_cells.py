"""Join the kept cells of all runs on disk, a part of one run in memory at a time; choose the genes.

Genes are tested if the pseudobulks of at least two samples hold 10 counts each, and highly variable
by scanpy's `seurat_v3` on raw counts (Stuart et al. 2019), sample by sample.
"""

import logging
import os

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, sparse_dataset, write_elem

from latere.errors import StudyError
from latere.job import start
from latere.tables import CORRECTED, STORED, counts_of, read_counts, read_parts

MIN_COUNTS_TESTED = 10
MIN_SAMPLES_TESTED = 2
# The trend of `seurat_v3` is a local regression; a sample of fewer cells has too few levels of
# expression for it, and the regression fails.
MIN_CELLS_TREND = 100
# Below this no neighbourhood, no held-out cells for early stopping: nothing to be learned.
MIN_CELLS = 20
# Of the columns of the selection those that tell nothing of a cell that is kept.
LEFT_OUT = ["cell", "barcode", "reasons", "kept"]
# What is appended to grows by whole chunks; their size is left to no guess at an empty matrix. The
# number of entries may pass 2^31, and the type of a stored matrix is for good.
GROWING = {"chunks": (1 << 16,), "indptr_dtype": np.int64}


def join_genes(genes: dict[str, pd.DataFrame], how: str) -> pd.DataFrame:
    """The genes of a study.

    Parameters
    ----------
    genes
        By run: gene_name, by gene_id.
    how
        `intersection` or `union`.

    Returns
    -------
    pandas.DataFrame
        gene_name by gene_id, each as the first run with that gene has it.

    Raises
    ------
    StudyError
        A run shares no gene with those before it.
    """
    shared = joined = None
    for run, var in genes.items():
        if shared is None:
            shared = joined = var[["gene_name"]]
            continue
        known = joined.index.isin(var.index)
        if not known.any():
            raise StudyError(
                f"run {run}",
                f"shares none of its {len(var)} genes with the runs before it, "
                f"such as {', '.join(var.index[:3])}",
                "Count all runs against one annotation, or name their genes alike.",
            )
        lacks, adds = (~known).sum(), (~var.index.isin(joined.index)).sum()
        if lacks or adds:
            message = "run %s lacks %d genes of the runs before it, and has %d that they lack"
            logging.warning(message, run, lacks, adds)
        shared = shared[shared.index.isin(var.index)]
        joined = pd.concat([joined, var.loc[~var.index.isin(joined.index), ["gene_name"]]])
    logging.info("%d genes in all runs, %d in any: %s", len(shared), len(joined), how)
    if shared.empty:
        problem = "no gene is in all runs, though each shares some with those before it"
        raise StudyError("the study", problem, "Set `cells.genes` to union, or name genes alike.")
    return shared if how == "intersection" else joined


def read_genes(path: str) -> pd.DataFrame:
    """The genes of a count matrix, without its counts."""
    with h5py.File(path) as file:
        return read_elem(file["var"])


def append_runs(
    file: h5py.File, key: str, paths: dict[str, str], selection: pd.DataFrame, genes: pd.Index
) -> tuple[pd.DataFrame, np.ndarray]:
    """Write the kept cells of all runs, one run after the other.

    Parameters
    ----------
    file
        An .h5ad, open for writing.
    key
        Where its new matrix goes.
    paths
        Count matrix by run.
    selection
        The kept cells: run, sample, barcode; of each run in the order of its matrix.
    genes
        Ids of the study's genes; a run has no count of a gene that it lacks.

    Returns
    -------
    sums : pandas.DataFrame
        Counts of the cells of each sample, sample x gene.
    n_cells : numpy.ndarray
        Cells with a count, by gene.
    """
    sums = pd.DataFrame(0.0, index=selection["sample"].unique(), columns=genes)
    n_cells = np.zeros(len(genes), dtype=np.int64)
    stored = None
    for run, path in paths.items():
        cells = selection[selection["run"] == run]
        with h5py.File(path) as source:
            if stored is None:
                dtype = source["X/data"].dtype
                empty = sp.csr_matrix((0, len(genes)), dtype=dtype)
                write_elem(file, key, empty, dataset_kwargs=STORED | GROWING)
                stored = sparse_dataset(file[key])
            barcodes = read_elem(source["obs"]).index
            rows = barcodes.isin(cells["barcode"])
            if barcodes[rows].tolist() != cells["barcode"].tolist():
                raise ValueError(f"{path} does not hold the kept cells of run {run} in their order")
            columns = genes.get_indexer(read_elem(source["var"]).index)
            for part in read_parts(source["X"], rows, columns, len(genes)):
                stored.append(part)
                sums.loc[cells["sample"].iloc[0]] += np.bincount(
                    part.indices, weights=part.data, minlength=len(genes)
                )
                n_cells += np.bincount(part.indices, minlength=len(genes))
    return sums, n_cells


def tested_genes(sums: pd.DataFrame) -> np.ndarray:
    """Genes with enough counts in enough samples to be tested in both branches.

    Parameters
    ----------
    sums
        Counts of the cells of each sample, (n_samples, n_genes).

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,): at least 10 counts in each of at least two samples (in the one
        sample where the study has only one).
    """
    enough = (sums.to_numpy() >= MIN_COUNTS_TESTED).sum(axis=0)
    return enough >= min(MIN_SAMPLES_TESTED, len(sums))


def highly_variable(
    counts: h5py.Group, samples: np.ndarray, tested: np.ndarray, n_top: int
) -> np.ndarray:
    """The most variable of the tested genes, the counts of one sample in memory at a time.

    Ranked by the samples that have at least 100 cells; by all cells together where none has;
    all tested genes where there are fewer than 100 cells, or no more genes than asked for. The
    ranks of samples are joined as scanpy joins them (Seurat's SelectIntegrationFeatures): genes by
    the median of the ranks in the samples where they are among the first, then by their number.

    Parameters
    ----------
    counts
        A stored CSR matrix, (n_cells, n_genes).
    samples
        Sample of each cell.
    tested
        Boolean, (n_genes,).
    n_top
        Number of genes.

    Returns
    -------
    numpy.ndarray
        Boolean, (n_genes,).
    """
    import scanpy as sc

    if tested.sum() <= n_top or len(samples) < MIN_CELLS_TREND:
        return tested
    sizes = pd.Series(samples).value_counts()
    large = sorted(sizes.index[sizes >= MIN_CELLS_TREND])
    logging.info("%d of %d samples are large enough to rank genes", len(large), len(sizes))
    ranks = []
    for rows in [samples == name for name in large] or [np.ones(len(samples), dtype=bool)]:
        part = ad.AnnData(read_counts(counts, rows, tested))
        figures = sc.pp.highly_variable_genes(
            part, flavor="seurat_v3", n_top_genes=n_top, inplace=False
        )
        ranks.append(figures["highly_variable_rank"].to_numpy())
    ranks = pd.DataFrame(np.array(ranks).T)
    table = pd.DataFrame({"rank": ranks.median(axis=1), "samples": ranks.notna().sum(axis=1)})
    table = table.sort_values(["rank", "samples"], ascending=[True, False], na_position="last")
    first = np.flatnonzero(tested)[table.index[:n_top]]
    return np.isin(np.arange(len(tested)), first)


def check_enough(n_cells: int, tested: np.ndarray, qc: pd.DataFrame) -> None:
    """Stop where there is nothing to analyse.

    Parameters
    ----------
    n_cells
        Cells that are kept.
    tested
        Boolean, (n_genes,).
    qc
        Cells called and kept by run, as `select_cells` tells.

    Raises
    ------
    StudyError
        Too few cells are kept, or no gene can be tested.
    """
    mend = "See cells/qc.tsv and cells/limits.tsv, and `cells` in the configuration."
    if n_cells < MIN_CELLS:
        logging.error("%s", qc.to_string())
        problem = f"{n_cells} of {qc['called'].sum()} called cells pass the limits"
        raise StudyError("the study", f"{problem}; at least {MIN_CELLS} are needed", mend)
    if not tested.any():
        problem = f"no gene has {MIN_COUNTS_TESTED} counts in {MIN_SAMPLES_TESTED} samples"
        raise StudyError("the study", problem, "Add samples, or cells by wider limits.")


def describe_cells(selection: pd.DataFrame, samples: dict[str, dict]) -> pd.DataFrame:
    """What is known of each kept cell.

    Parameters
    ----------
    selection
        The kept cells.
    samples
        The sheet's columns by sample.

    Returns
    -------
    pandas.DataFrame
        By cell: run, sample, the sheet's columns, then figures and scores; text as categories.
    """
    obs = selection.set_index("cell", drop=False).drop(columns=LEFT_OUT)
    sheet = pd.DataFrame.from_dict(samples, orient="index").reindex(obs["sample"])
    obs = pd.concat([obs[["run", "sample"]], sheet.set_index(obs.index), obs.iloc[:, 2:]], axis=1)
    text = obs.select_dtypes(["object", "string"]).columns
    return obs.astype(dict.fromkeys(text, "category"))


def merge(path: str, counts: dict, corrected: dict, selection: pd.DataFrame, params, qc) -> None:
    """Write the cells of a study.

    Parameters
    ----------
    path
        The .h5ad to write.
    counts, corrected
        Raw counts by run, and those without ambient RNA; the latter may be none.
    selection
        The kept cells.
    params
        samples (the sheet's columns by sample), genes (`intersection` or `union`), and
        n_highly_variable.
    qc
        As `select_cells` gives it.
    """
    var = join_genes({run: read_genes(counts[run]) for run in counts}, params.genes)
    obs = describe_cells(selection, params.samples)
    check_enough(len(obs), np.ones(len(var), dtype=bool), qc)
    ad.AnnData(obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "a") as file:
        sums, var["n_cells"] = append_runs(file, "X", counts, selection, var.index)
        var["mean_counts"] = sums.sum().to_numpy() / len(obs)
        if corrected:
            sums, _ = append_runs(file, f"layers/{CORRECTED}", corrected, selection, var.index)
        var["tested"] = tested_genes(sums)
        check_enough(len(obs), var["tested"].to_numpy(), qc)
        chosen = selection["sample"].to_numpy(), var["tested"].to_numpy()
        var["highly_variable"] = highly_variable(counts_of(file), *chosen, params.n_highly_variable)
        write_elem(file, "var", var)
    logging.info("%d cells, %d of %d genes tested", len(obs), var["tested"].sum(), len(var))


def main(snakemake):
    start(snakemake)
    given, params = snakemake.input, snakemake.params
    selection = pd.read_parquet(given.selection)
    selection = selection[selection["kept"]].reset_index(drop=True)
    qc = pd.read_csv(given.qc, sep="\t")
    counts = dict(zip(params.runs, given.counts, strict=True))
    corrected = dict(zip(params.runs, given.corrected, strict=False))
    part = f"{snakemake.output[0]}.part"
    merge(part, counts, corrected, selection, params, qc)
    os.replace(part, snakemake.output[0])


if __name__ == "__main__":
    main(snakemake)  # noqa: F821
