"""What the columns of a table of genes or of cells contain, by their values. Tools write the same
columns in different orders and under different names."""

import re

import numpy as np
import pandas as pd

EXPRESSION = "Gene Expression"
# Types of features that CellRanger knows.
FEATURE_TYPES = (
    EXPRESSION,
    "Antibody Capture",
    "CRISPR Guide Capture",
    "Multiplexing Capture",
    "Antigen Capture",
    "Custom",
    "Peaks",
)
# Words of other tools for them.
TYPE_WORDS = {
    EXPRESSION: "gex rna mrna gene genes transcript transcriptome",
    "Antibody Capture": "antibody antibodies adt protein proteins prot cite abseq ab",
    "Multiplexing Capture": "hto htos hashtag hashtags sampletag sampletags cmo cellmultiplexing",
    "CRISPR Guide Capture": "crispr guide guides grna sgrna",
    "Peaks": "peak atac",
}
TYPES = {word: kind for kind, words in TYPE_WORDS.items() for word in words.split()}
TYPES |= {re.sub("[^a-z]", "", kind.lower()): kind for kind in FEATURE_TYPES}
# Words that a column of biotypes has, too, if it has no other word.
AMBIGUOUS = {"protein", "proteins", "prot", "gene", "genes", "transcript", "custom"}
# Names that tag antibodies, also where no column says so.
ANTIBODY = re.compile(
    r"total-?seq|pabo$|hash-?tag|sample_?tag_?\d|^anti[-_ ]"
    r"|^(adt|hto|cite|abseq|prot)[-_.:]|^hto\d*$|[-_.:](adt|hto|prot)\d*$",
    re.IGNORECASE | re.MULTILINE,
)

GENE_ID = r"(?:ENS[A-Z]*G\d+|FBgn\d+|WBGene\d+|AT[1-5CM]G\d{5})(?:\.\d+)?(?:_PAR_Y)?"
# With the genome in front of it, as CellRanger writes it for two species.
ID = re.compile(rf"(?:.*_)?{GENE_ID}")
# An id and a symbol in one name; a version of the id has no letter.
GAP = r"[_|:;,/. -]+"
COMBINED = re.compile(
    rf"(?P<id>{GENE_ID}){GAP}(?P<name>.*[A-Za-z].*)|(?P<name2>.*?[A-Za-z].*?){GAP}(?P<id2>{GENE_ID})"
)
# Of transcripts and proteins, and of databases that name genes beside the usual ids.
ACCESSION = re.compile(
    r"ENS[A-Z]*[TPRE]\d{5,}.*|[NX][MRP]_\d+.*|(HGNC|MGI|RGD|CCDS):?\d+.*"
    r"|[OPQ]\d[A-Z\d]{3}\d|[A-NR-Z]\d[A-Z][A-Z\d]{2}\d"
)
# In one part or two, with any text before and after it.
BARCODE = re.compile(r"[ACGTN]{6,}[-_.+]?[ACGTN]{6,}")
SYMBOL = re.compile(r"(?=.*[A-Za-z])[\w.\-/@()]+")
# Names of columns, where several columns have values of a kind.
NAMED = {
    "id": re.compile(r"^((ensembl|gene|feature)[_. ]?)*ids?$|ensembl", re.IGNORECASE),
    "name": re.compile(r"symbol|(^|gene|feature|short)[_. ]?names?$", re.IGNORECASE),
    "other species": re.compile("ortholog|homolog", re.IGNORECASE),
}
# No table has more types of features.
MOST_TYPES = 50
# No name is longer, and a line may be, of which patterns would never find the end.
LONGEST_NAME = 300
# This many values show what a column contains.
SOME = 1000


def some_of(values):
    """Values from all over a column, at most `SOME`."""
    return values[:: max(1, -(-len(values) // SOME))]


def share(looks, values) -> float:
    """Share of values that match."""
    return sum(bool(looks(value[:LONGEST_NAME])) for value in values) / max(len(values), 1)


def kind_of(values: pd.Series) -> str:
    """What a column contains.

    Parameters
    ----------
    values
        Text.

    Returns
    -------
    str
        empty, number (of the row), type (of a feature), id (of a gene), accession, barcode or text.
    """
    filled = values[values != ""]
    if filled.empty:
        return "empty"
    if len(filled) == len(values) and _counts_rows(values):
        return "number"
    if _are_types(filled):
        return "type"
    some = some_of(filled)
    for kind, looks in (
        ("id", ID.fullmatch),
        ("accession", ACCESSION.fullmatch),
        ("barcode", BARCODE.search),
    ):
        if share(looks, some) > 0.5:
            return kind
    return "text"


def _counts_rows(values: pd.Series) -> bool:
    """Whether values number the rows, of which some may be gone."""
    if share(re.compile(r"\d{1,15}(\.0)?").fullmatch, some_of(values)) != 1:
        return False
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
    return bool((np.diff(numbers) > 0).all() and numbers[-1] <= 100 + 20 * len(numbers))


def _are_types(filled: pd.Series) -> bool:
    numbers = filled.value_counts()
    words = [_type_word(value) for value in numbers.index[:MOST_TYPES]]
    known = numbers[:MOST_TYPES][[word in TYPES for word in words]]
    return bool(known.sum() > 0.9 * len(filled)) and not set(words) & set(TYPES) <= AMBIGUOUS


def _type_word(value: str) -> str:
    return re.sub("[^a-z]", "", value.lower())


def as_types(values: pd.Series) -> pd.Series:
    """Types of features in CellRanger's words; those of an unknown word keep it."""
    words = {value: TYPES.get(_type_word(value), value) for value in values.unique()}
    return values.map(words | {"": EXPRESSION})


def are_tags(values: pd.Series) -> pd.Series:
    """Whether names tag an antibody."""
    if not ANTIBODY.search("\n".join(values)):  # as of most tables, and fast
        return pd.Series(False, values.index)
    return values.map(lambda value: bool(ANTIBODY.search(value))).astype(bool)


def split_combined(values: pd.Series) -> tuple[pd.Series, pd.Series] | None:
    """Ids and symbols of names that have both; None if most names do not.

    Names that have a genome before the id share a few genomes, and are whole.
    """
    if share(COMBINED.fullmatch, some_of(values)) <= 0.5:
        return None
    found = values.str.slice(stop=LONGEST_NAME).str.extract(f"^(?:{COMBINED.pattern})$")
    names, ids = found["name"].fillna(found["name2"]), found["id"].fillna(found["id2"])
    if names.nunique() <= len(values) / 2:
        return None
    return ids.fillna(values), names.fillna(values)


def are_ids(values: pd.Series) -> bool:
    """Whether all names are ids or accessions."""
    some = some_of(values[values != ""])
    return share(lambda value: ID.fullmatch(value) or ACCESSION.fullmatch(value), some) == 1


def are_different(values: pd.Series) -> bool:
    """Whether most values differ, as names do."""
    filled = values[values != ""]
    return filled.nunique() > len(filled) / 2


def is_name_like(values: pd.Series) -> bool:
    """Whether text can be names of genes: words, most of them different."""
    some = some_of(values[values != ""])
    return are_different(values) and share(SYMBOL.fullmatch, some) > 0.9
