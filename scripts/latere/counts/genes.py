"""Genes of a count matrix: which features are genes, their identifiers and their species."""

import logging
from collections import Counter

import pandas as pd

from latere.counts.content import (
    EXPRESSION,
    NAMED,
    are_different,
    are_ids,
    are_tags,
    as_types,
    is_name_like,
    kind_of,
    split_combined,
)
from latere.errors import StudyError

ENSEMBL = r"^(?P<id>(?:.*_)?(?P<prefix>ENS[A-Z]*G)\d+)(?:\.\d+)?(?P<par>_PAR_Y)?$"


def features_of(table: pd.DataFrame, where: str = "") -> pd.DataFrame:
    """Ids, names and types of features: of an .h5ad, of a 10x .h5, or of a table of text.

    Columns are chosen by their values. If several have ids, or several have names, the names of
    the columns decide, then their order.

    Parameters
    ----------
    table
        The table. Its index is a column, too, unless it numbers the rows.
    where
        The file, for the message.

    Returns
    -------
    DataFrame
        Columns id, name, type; the name is the id if no name is known.

    Raises
    ------
    StudyError
        The features are numbered, and no column has their names.
    """
    columns = {None: pd.Series(table.index.astype(str), dtype=object)}
    for label, values in table.items():
        if not pd.api.types.is_float_dtype(values) and not pd.api.types.is_bool_dtype(values):
            values = values.astype("string").fillna("").astype(object)
            columns[label] = values.reset_index(drop=True)
    for label, values in list(columns.items()):
        if parts := split_combined(values):
            columns[label], columns[label, "name"] = parts
    kinds = {label: kind_of(values) for label, values in columns.items()}
    # Where no column has a name, the order is all that says what they are.
    id_column, name_column = _choose(columns, kinds, isinstance(table.index, pd.RangeIndex))
    if kinds[id_column] == "number":
        has = ", ".join(map(str, table.columns)) or "none"
        problem = f"its genes are numbered, and no column has their names (columns: {has})"
        fix = "Write the matrix again with the Ensembl id or the symbol of each gene."
        raise StudyError(where, problem, fix, code="numbered-genes")
    # A column with both has given two.
    used = [label[0] if isinstance(label, tuple) else label for label in (id_column, name_column)]
    said = ["the index" if label is None else f"column {label}" for label in used]
    logging.info("%s: ids of genes are in %s, their names in %s", where or "genes", *said)
    ids, names = columns[id_column], columns[name_column]
    for instead in (columns[None] if kinds[None] != "number" else names, names):
        ids = ids.where(ids != "", instead)
    names = names.where(names != "", ids)
    types = pd.Series(EXPRESSION, ids.index, dtype=object)
    types = types.mask(are_tags(ids) | are_tags(names), "Antibody Capture")
    for label, kind in kinds.items():
        # A feature is a gene if no column has another type for it.
        if kind == "type":
            other = as_types(columns[label])
            types = types.where(other == EXPRESSION, other)
    return pd.DataFrame({"id": ids, "name": names, "type": types}).astype(object)


def _choose(columns: dict, kinds: dict, ordered: bool) -> tuple:
    """The labels of the columns of ids and of names; the label of the index is None.

    Parameters
    ----------
    columns
        Values by label.
    kinds
        What each has.
    ordered
        Whether the columns of a table of text are in a usual order: ids, names.
    """

    def is_named(use: str, label) -> bool:
        name = "name" if isinstance(label, tuple) else "" if label is None else str(label)
        return bool(NAMED[use].search(name)) and not NAMED["other species"].search(name)

    texts = [label for label in columns if kinds[label] == "text"]
    index = [label for label in texts if label is None]

    def is_filled(use: str, label) -> bool:
        """Not about a few features only, such as the sequences of tags."""
        return (columns[label] != "").mean() >= (0.1 if is_named(use, label) else 0.5)

    of_ids = [label for label in columns if kinds[label] == "id" and is_filled("id", label)]
    likely = [label for label in texts if is_name_like(columns[label]) and is_filled("name", label)]
    ids = sorted(of_ids, key=lambda label: not is_named("id", label))
    ids += [label for label in texts if is_named("id", label) and are_different(columns[label])]
    ids += index + (texts if ordered else likely)
    rest = columns if ordered else [None]
    ids += [label for label in rest if kinds[label] not in ("number", "empty", "type")]
    id_column = ids[0] if ids else None
    # Most genes of an annotation may have no name; the id is then repeated in its place.
    mixed = [label for label in columns if kinds[label] in ("id", "accession")]
    mixed = [label for label in mixed if label is not None and not are_ids(columns[label])]
    names = [label for label in likely + mixed if is_named("name", label)]
    names += index + likely
    names += [label for label in texts + mixed if ordered and is_filled("name", label)]
    return id_column, next((label for label in names if label != id_column), id_column)


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
