"""Counts of one run in one form, whatever their form was. Values that are not counts are rejected
with a reason; the data show whether barcodes are raw or filtered."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from latere.counts.barcodes import cell_names, check_kind, given_cells
from latere.counts.content import EXPRESSION
from latere.counts.faults import raw_counts
from latere.counts.files import find_files
from latere.counts.genes import gene_table
from latere.counts.parts import table_of
from latere.counts.readers import read
from latere.counts.sparse import with_counts
from latere.errors import StudyError
from latere.job import run_script, start
from latere.tables import write_counts


def load_counts(files: list[str], layout: dict, where: str, threads: int) -> tuple:
    """The counts of a run in the form that all later steps read.

    Parameters
    ----------
    files
        As `latere.counts.files.find_files` gives them.
    layout
        layer, subset and barcodes, as in the sheet.

    Returns
    -------
    AnnData
        X: int32 CSR, barcodes x genes; obs: by barcode, with `given` if the source says which
        are cells; var: gene_name, by gene_id.
    dict
        Facts on the matrix, for people and checks.

    Raises
    ------
    StudyError
        It cannot be read, has no counts, or is not what the sheet says.
    """
    from anndata import AnnData

    layer = layout["layer"]
    form, (values, barcodes, features), cells = read(files, layer, layout["subset"], threads)
    genes = (features["type"] == EXPRESSION).to_numpy()
    left_out = features.loc[~genes, "type"].value_counts().to_dict()
    if not genes.any():
        has = ", ".join(f"{kind}: {number:,}" for kind, number in left_out.items()) or "no feature"
        problem, fix = f"has no gene expression ({has})", "Give the matrix of the RNA."
        raise StudyError(where, problem, fix, code="no-gene-expression")
    if left_out:
        values = values[:, genes]
    stored_as = str(values.dtype)
    counts = raw_counts(values, files, layer, where)
    del values
    n_counts = np.asarray(counts.sum(axis=1, dtype=np.int64)).ravel()
    filled = n_counts[n_counts > 0]
    given = None if cells is None else given_cells(barcodes, cells, where)
    if given is None:
        about = check_kind(layout["barcodes"], n_counts, where)
    else:
        reason = "the source has raw barcodes, and says which are cells"
        about = {"kind": "both", "decided_by": "source", "looks": "raw", "reason": reason}
    about |= {
        "number": len(barcodes),
        "with_counts": filled.size,
        "given": None if given is None else int(given.sum()),
    }
    kept = np.ones(len(barcodes), bool) if about["kind"] == "filtered" else n_counts > 0
    obs = pd.DataFrame(index=cell_names(barcodes, where, kept))
    if given is not None:
        obs["given"] = given[kept]
    if about["kind"] != "filtered":
        counts = with_counts(counts, n_counts)
    var, identifiers = gene_table(features[genes])
    facts = {
        "source": [str(file) for file in files],
        "form": form,
        "subset": layout["subset"],
        "barcodes": about,
        "genes": len(var),
        "molecules": int(n_counts.sum()),
        "entries": int(counts.nnz),
        "largest_count": int(counts.data.max()) if counts.nnz else 0,
        # Depth varies from cell to cell, unless it was normalised.
        "depth_cv": float(filled.std() / filled.mean()) if filled.size else None,
        "left_out": left_out,
        "identifiers": identifiers,
        "counts": {"layer": (layer or "X") if form == "h5ad" else None, "stored_as": stored_as},
    }
    return AnnData(counts, obs=obs, var=var), facts


def log_facts(facts: dict, where: str, log) -> None:
    """Log the facts on a matrix, with warnings where a person should check."""
    barcodes = facts["barcodes"]
    log.info(
        "%s: %s, %s barcodes (decided by %s: %s)",
        where,
        facts["form"],
        barcodes["kind"],
        barcodes["decided_by"],
        barcodes["reason"],
    )
    log.info(
        "%s: %d barcodes, %d of them with counts, %d genes, %d molecules",
        where,
        barcodes["number"],
        barcodes["with_counts"],
        facts["genes"],
        facts["molecules"],
    )
    if barcodes["kind"] not in ("both", barcodes["looks"]):
        log.warning("%s: %s", where, barcodes["reason"])
    for kind, number in facts["left_out"].items():
        log.warning("%s: %d features of type %s are left out", where, number, kind)
    if facts["identifiers"]["duplicated_ids"]:
        log.warning("%s: gene ids are duplicated: %s", where, facts["identifiers"])


def main(snakemake):
    log = start(snakemake)
    files, run = [str(file) for file in snakemake.input], snakemake.wildcards.run
    if table_of(snakemake.params.layout["subset"]):
        files.pop()  # `subset` names the table, too
    if Path(files[0]).is_dir():
        files = list(find_files(files[0]))
    where = f"run {run}, {files[0]}"
    counts, facts = load_counts(files, snakemake.params.layout, where, snakemake.threads)
    log_facts(facts, where, log)
    write_counts(snakemake.output.counts, counts)
    Path(snakemake.output.facts).write_text(
        json.dumps({"run": run} | facts, indent=2) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
