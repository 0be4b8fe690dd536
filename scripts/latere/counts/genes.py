"""Genes of a count matrix: which features are genes, their identifiers and their species."""

from collections import Counter

import pandas as pd

ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
NAME_COLUMNS = ("gene_symbols", "gene_name", "gene_symbol", "feature_name", "symbol")
EXPRESSION = "Gene Expression"
# The types of features that CellRanger knows; a column without any of them has another meaning,
# such as the biotype of genes.
FEATURE_TYPES = {EXPRESSION, "Antibody Capture", "CRISPR Guide Capture", "Multiplexing Capture"}
FEATURE_TYPES |= {"Antigen Capture", "Custom", "Peaks"}
ENSEMBL = r"^(?P<id>(?:.*_)?(?P<prefix>ENS[A-Z]*G)\d+)(?:\.\d+)?(?P<par>_PAR_Y)?$"


def types_of(column):
    """Types of features; all are genes if a column has no type of CellRanger."""
    return column if column.isin(FEATURE_TYPES).any() else column.map(lambda _: EXPRESSION)


def features_of(var):
    """Ids, names and types of the genes of an .h5ad, in any of the usual layouts.

    Parameters
    ----------
    var
        DataFrame of the genes; its index has the ids, unless a column has them.

    Returns
    -------
    DataFrame
        Columns id, name, type; the name is the id if no name is known.
    """
    index = pd.Series(var.index.astype(str), index=var.index)
    ids = next((var[name].astype("string") for name in ID_COLUMNS if name in var), index)
    ids = ids.where(ids.notna() & (ids != ""), index).astype(str)
    names = next((var[name].astype("string") for name in NAME_COLUMNS if name in var), index)
    names = names.where(names.notna() & (names != ""), ids).astype(str)
    types = types_of(var.get("feature_types", index).astype(str))
    features = pd.DataFrame({"id": ids, "name": names, "type": types})
    return features.reset_index(drop=True).astype(object)


def gene_table(features) -> tuple:
    """Ids and names of the genes.

    Parameters
    ----------
    features
        DataFrame with id and name.

    Returns
    -------
    DataFrame
        Index ``gene_id``, unique, Ensembl ids without version; column ``gene_name``.
    dict
        What the identifiers are: kind, prefix, species, and what was fixed.
    """
    from anndata.utils import make_index_unique

    ids, names = features["id"].astype(str), features["name"].astype(str)
    found = ids.str.extract(ENSEMBL)
    ensembl = found["id"].notna()
    plain = (found["id"] + found["par"].fillna("")).where(ensembl, ids)
    shown = plain.where(ids == names, names).to_numpy(dtype=object)
    kind = "other"
    if ensembl.mean() > 0.5:
        kind = "ensembl"
    elif (ids == names).mean() > 0.5:
        kind = "symbol"
    prefixes = Counter(found["prefix"].dropna())
    facts = {
        "kind": kind,
        "prefix": prefixes.most_common(1)[0][0] if kind == "ensembl" else None,
        "species": find_species(prefixes, names if kind != "ensembl" else names[:0]),
        "versions": bool((plain != ids).any()),
        "duplicated_names": int(names.duplicated().sum()),
        "duplicated_ids": int(plain.duplicated().sum()),
    }
    unique = make_index_unique(pd.Index(plain.to_numpy(dtype=object))).rename("gene_id")
    return pd.DataFrame({"gene_name": shown}, index=unique), facts


def find_species(prefixes: Counter, names) -> dict:
    """Species of the genes, by the prefixes of Ensembl, else by the case of symbols.

    Returns
    -------
    dict
        ``name``: human, mouse, mixed or unknown; ``human``, ``mouse``: genes of each.
    """
    human, mouse = prefixes["ENSG"], prefixes["ENSMUSG"]
    if len(names):
        # CD3E is human, Cd3e is mouse; C1orf43 matches neither pattern.
        human = int(names.str.fullmatch(r"[A-Z][A-Z0-9-]{2,}").sum())
        mouse = int(names.str.fullmatch(r"(?:[A-Z][a-z][A-Za-z0-9-]+|mt-\w+)").sum())
    of_all = max(sum(prefixes.values()), len(names), 1)
    if human + mouse < of_all / 2:
        name = "unknown"
    elif min(human, mouse) > 0.1 * (human + mouse):
        name = "mixed"
    else:
        name = "human" if human > mouse else "mouse"
    return {"name": name, "human": human, "mouse": mouse}
