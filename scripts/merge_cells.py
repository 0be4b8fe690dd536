"""Join the kept cells of all runs on disk, a part of one run in memory at a time.

A gene is testable if the pseudobulks of at least two samples hold 10 counts each.
"""

import logging

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem, sparse_dataset, write_elem

from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import (
    CORRECTED,
    SAME_GENES,
    STORED,
    read_parts,
    read_tsv,
)

MIN_COUNTS_TESTABLE = 10
MIN_SAMPLES_TESTABLE = 2
# With fewer cells there are no neighbourhoods and no held-out cells for early stopping.
MIN_CELLS = 20
# Columns of the selection that are the same for all kept cells, or repeat the index.
LEFT_OUT = ["cell", "barcode", "reasons", "kept"]
# Arrays grow by whole chunks; their size is set here, as it cannot be guessed from an empty matrix.
# The number of entries may pass 2^31, and the type of a stored matrix cannot be changed.
GROWING = {"chunks": (1 << 16,), "indptr_dtype": np.int64}


def join_genes(genes: dict[str, pd.DataFrame], how: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The genes of a study.

    Parameters
    ----------
    genes
        By run: gene_name, by gene_id.
    how
        `intersection` or `union`.

    Returns
    -------
    joined : pandas.DataFrame
        gene_name by gene_id, each as the first run with that gene has it.
    everywhere : numpy.ndarray
        Whether all runs have the gene, boolean (n_genes,).

    Raises
    ------
    StudyError
        A run shares hardly any genes with the runs before it.
    """
    shared = joined = None
    for run, var in genes.items():
        if shared is None:
            shared = joined = var[["gene_name"]]
            continue
        known = joined.index.isin(var.index)
        if known.sum() < SAME_GENES * min(len(var), len(joined)):
            number = known.sum() or "none"
            raise StudyError(
                f"run {run}",
                f"shares {number} of its {len(var)} genes with the runs before it; its genes are "
                f"such as {', '.join(var.index[:3])}, theirs such as {', '.join(joined.index[:3])}",
                "Count all runs with one annotation, or give all runs the same gene names.",
                code="no-shared-genes",
            )
        lacks, adds = (~known).sum(), (~var.index.isin(joined.index)).sum()
        if lacks or adds:
            message = "run %s lacks %d genes of the runs before it, and has %d that they lack"
            logging.warning(message, run, lacks, adds)
        shared = shared[shared.index.isin(var.index)]
        joined = pd.concat([joined, var.loc[~var.index.isin(joined.index), ["gene_name"]]])
    logging.info("%d genes in all runs, %d in any: %s", len(shared), len(joined), how)
    if shared.empty:
        problem = "no gene is in all runs, though each run shares some with the runs before it"
        raise StudyError(
            "the study",
            problem,
            "Set `cells.genes` to union, or give all runs the same gene names.",
            code="no-shared-genes",
        )
    joined = shared if how == "intersection" else joined
    return joined, joined.index.isin(shared.index)


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


def testable_genes(sums: pd.DataFrame) -> np.ndarray:
    """Genes with enough counts in enough samples to be tested by any branch.

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
    enough = (sums.to_numpy() >= MIN_COUNTS_TESTABLE).sum(axis=0)
    return enough >= min(MIN_SAMPLES_TESTABLE, len(sums))


def check_enough(n_cells: int, testable: np.ndarray, qc: pd.DataFrame) -> None:
    """Stop where there is nothing to analyse.

    Parameters
    ----------
    n_cells
        Cells that are kept.
    testable
        Boolean, (n_genes,).
    qc
        Cells called and kept by run, as `select_cells` writes them.

    Raises
    ------
    StudyError
        Too few cells are kept, or no gene can be tested.
    """
    fix = "See cells/qc.tsv and cells/limits.tsv, and `cells` in the configuration."
    if n_cells < MIN_CELLS:
        logging.error("%s", qc.to_string())
        problem = f"{n_cells} of {qc['called'].sum()} called cells pass the limits"
        raise StudyError(
            "the study", f"{problem}; at least {MIN_CELLS} are needed", fix, code="too-few-cells"
        )
    if not testable.any():
        problem = f"no gene has {MIN_COUNTS_TESTABLE} counts in {MIN_SAMPLES_TESTABLE} samples"
        raise StudyError(
            "the study",
            problem,
            "Add samples, or widen the limits to keep more cells.",
            code="no-testable-gene",
        )


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
        By cell: run, sample, the sheet's columns, then metrics and scores; text as categories.
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
        samples (the sheet's columns by sample) and genes (`intersection` or `union`).
    qc
        As `select_cells` gives it.
    """
    genes = {run: read_genes(counts[run]) for run in counts}
    var, everywhere = join_genes(genes, params.genes)
    obs = describe_cells(selection, params.samples)
    check_enough(len(obs), np.ones(len(var), dtype=bool), qc)
    ad.AnnData(obs=obs, var=var).write_h5ad(path)
    with h5py.File(path, "a") as file:
        sums, var["n_cells"] = append_runs(file, "X", counts, selection, var.index)
        var["mean_counts"] = sums.sum().to_numpy() / len(obs)
        if corrected:
            sums, _ = append_runs(file, f"layers/{CORRECTED}", corrected, selection, var.index)
        # What a run could not count is no count of 0: it would look like a change.
        var["testable"] = testable_genes(sums) & everywhere
        check_enough(len(obs), var["testable"].to_numpy(), qc)
        write_elem(file, "var", var)
    logging.info("%d cells, %d of %d genes testable", len(obs), var["testable"].sum(), len(var))


def main(snakemake):
    start(snakemake)
    given, params = snakemake.input, snakemake.params
    selection = pd.read_parquet(given.selection)
    selection = selection[selection["kept"]].reset_index(drop=True)
    qc = read_tsv(given.qc)
    counts = dict(zip(params.runs, given.counts, strict=True))
    corrected = dict(zip(params.runs, given.corrected, strict=False))
    merge(snakemake.output[0], counts, corrected, selection, params, qc)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
