"""Genes that indicate the quality of a cell, its phase in the cell cycle, the sex of a sample."""

from pathlib import Path

from latere.errors import StudyError

COLUMNS = ("gene_set", "species", "gene_name", "gene_id", "source")
GENE_SETS = (
    "mitochondrial",
    "ribosomal",
    "haemoglobin",
    "s_phase",
    "g2m_phase",
    "sex_female",
    "sex_male",
)
ANY_NAME = "*"


def read_gene_sets(path: str | Path):
    """A table of gene sets.

    Parameters
    ----------
    path
        TSV as ``config/gene_sets.tsv``: ``#`` begins a comment; a ``gene_name`` that ends in ``*``
        matches all names that begin so; one of ``gene_name`` and ``gene_id`` may be empty.

    Returns
    -------
    pandas.DataFrame
        One row per gene, text: gene_set, species, gene_name, gene_id, source.

    Raises
    ------
    StudyError
        No table, a column is missing, a gene set is unknown, or a row names no gene.
    """
    import pandas as pd

    fix = "Check `cells.gene_sets` in the configuration; config/gene_sets.tsv shows the form."
    try:
        table = pd.read_csv(path, sep="\t", comment="#", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        problem = f"cannot be read as a table of gene sets: {error}"
        raise StudyError(str(path), problem, fix, code="unreadable-table") from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise StudyError(
            str(path), f"has no column {', '.join(missing)}", fix, code="missing-column"
        )
    unknown = table.loc[~table["gene_set"].isin(GENE_SETS), "gene_set"].unique()
    if len(unknown):
        known = f"Known gene sets: {', '.join(GENE_SETS)}."
        problem = f"unknown gene set '{unknown[0]}'"
        raise StudyError(str(path), problem, known, code="unknown-gene-set")
    nameless = table.index[(table["gene_name"] == "") & (table["gene_id"] == "")]
    if len(nameless):
        row = table.loc[nameless[0], "gene_set"]
        problem = f"a row of '{row}' has neither gene_name nor gene_id"
        raise StudyError(str(path), problem, fix, code="missing-gene")
    return table[list(COLUMNS)]


def find_members(gene_sets, var) -> dict:
    """Which genes of a matrix belong to each set.

    A gene belongs to a set if its id or its name is listed, for any species: ids distinguish
    species, and so does the case of names (MCM5 of human, Mcm5 of mouse).

    Parameters
    ----------
    gene_sets
        As `read_gene_sets` gives it.
    var
        Genes of a count matrix: index gene ids without version, column `gene_name`.

    Returns
    -------
    dict
        By set, in the order of `GENE_SETS`: boolean, shape (n_genes,).
    """
    ids, names = var.index.astype(str), var["gene_name"].astype(str)
    members = {}
    for gene_set in GENE_SETS:
        rows = gene_sets[gene_sets["gene_set"] == gene_set]
        begins = rows["gene_name"].str.endswith(ANY_NAME)
        prefixes = tuple(rows.loc[begins, "gene_name"].str.removesuffix(ANY_NAME))
        listed = ids.isin(set(rows["gene_id"]) - {""})
        listed |= names.isin(set(rows.loc[~begins, "gene_name"]) - {""}).to_numpy()
        members[gene_set] = listed | names.str.startswith(prefixes).to_numpy(dtype=bool)
    return members
