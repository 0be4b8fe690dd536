"""Checks of gene names: ids or numbers in place of symbols, prefixes, and what spreadsheets made.

Marker genes, CellTypist models and most gene sets find genes by their symbols.
"""

import datetime
import re
from collections import Counter

import pandas as pd

from latere.checks.runs import PASS, WARN, Run, row

# Annotations of Ensembl hold many genes without a symbol, which have their id as name.
MOST = 0.5
# Genes or names that are shown of many.
SHOWN = 12
IDS = {
    "Ensembl ids": r"(?:.*_)?ENS[A-Z]*[GT]\d{6,}(?:\.\d+)?(?:_PAR_Y)?",
    "RefSeq ids": r"[NX][MR]_\d+(?:\.\d+)?",
    "FlyBase ids": r"FBgn\d+",
    "WormBase ids": r"WBGene\d+",
    "MGI or HGNC ids": r"(?:MGI|HGNC):(?:MGI:)?\d+",
    # R writes X before a name that begins with a digit, and Entrez ids are numbers.
    "numbers": r"X?\d+(?:\.0)?",
}
# A genome before the name, as in references of two species; Seurat writes - for _.
GENOME = (
    r"^((?:GRC[a-z]\d+|hg\d+|mm\d+|rn\d+|mRatBN[\d.]+|Rnor[\d.]+|danRer\d+|dm\d+|ce\d+|BDGP\d+"
    r"|WBcel\d+|Sscrofa[\d.]+|Mmul\w+?|human|mouse|rat)(?:[._-]?p\d+)?)[_-]+(?=\w)"
)
# Months whose short names begin symbols, in the languages of common spreadsheets.
MONTHS = {"mar": 3, "mär": 3, "mrz": 3, "mars": 3, "maa": 3, "mrt": 3, "oct": 10, "okt": 10}
MONTHS |= {"ott": 10, "sep": 9, "sept": 9, "set": 9, "dec": 12, "dez": 12, "déc": 12, "dic": 12}
MONTHS |= {"jan": 1, "feb": 2, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8, "nov": 11}
# What a day of a month was: the earlier symbol, today's, and the numbers that exist.
FAMILIES = {
    3: [("MARCH", "MARCHF", range(1, 12)), ("MARC", "MTARC", (1, 2))],
    9: [("SEPT", "SEPTIN", range(1, 15))],
    12: [("DEC", "DELEC", (1,))],
}
ONCE = {(9, 15): [("SEP15", "SELENOF")], (10, 4): [("OCT4", "POU5F1")]}
# Days since 1899-12-30 as spreadsheets number them, 2000 to 2050.
SERIAL, FIRST_SERIAL, LAST_SERIAL = re.compile(r"(\d{5})(?:\.0)?"), 36526, 55153
# Names that were made unique end in a number.
AGAIN = r"(?:[-.]\d{1,3})?"
DATES = (
    rf"X?(?P<day>\d{{1,2}})[-. /]+(?P<month>[^\W\d]{{3,4}})\.?(?:[-. /]\d{{4}})?{AGAIN}",
    r"(?P<month>[A-Z][a-zäé]{2,3})-(?P<day>\d{2})",
    rf"X?\d{{4}}[-./](?P<month>\d{{2}})[-./](?P<day>\d{{2}})(?:[ T]00:00:00)?{AGAIN}",
    r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/\d{2,4}",
)
# A clone of RIKEN such as 2310009E13.
SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?E\+\d+")


def find_date(name: str) -> list[tuple[int, int]]:
    """Month and day that a name represents, in both orders where that is unclear; empty if none."""
    for pattern in DATES:
        if found := re.fullmatch(pattern, name):
            month, day = found["month"].lower(), int(found["day"])
            if not month.isdigit():
                return [(MONTHS[month], day)] if month in MONTHS and 0 < day < 32 else []
            dates = [(int(month), day)]
            dates += [(day, int(month))] if "/" in name else []
            return [(m, d) for m, d in dates if 0 < m < 13 and 0 < d < 32]
    serial = SERIAL.fullmatch(name)
    if serial and FIRST_SERIAL <= int(serial[1]) <= LAST_SERIAL:
        date = datetime.date(1899, 12, 30) + datetime.timedelta(days=int(serial[1]))
        return [(date.month, date.day)]
    return []


def genes_of_date(name: str, mouse: bool = False) -> list[str]:
    """The genes that a spreadsheet makes this date of, each as today's and the earlier symbol.

    Parameters
    ----------
    mouse
        Whether symbols are written as those of mouse.
    """
    genes = []
    for month, day in find_date(name):
        genes += ONCE.get((month, day), [])
        families = FAMILIES.get(month, [])
        genes += [(f"{old}{day}", f"{new}{day}") for old, new, known in families if day in known]
    names = [[gene.capitalize() if mouse else gene for gene in pair] for pair in genes]
    return [f"{new} (earlier {old})" if new != old else new for old, new in names]


def shorten(texts: list[str]) -> str:
    """An enumeration; of many texts the first."""
    more = f" and {len(texts) - SHOWN:,} more" if len(texts) > SHOWN else ""
    return f"{'; '.join(texts[:SHOWN])}{more}"


def find_ids(names: pd.Series) -> Counter:
    """How many names are ids or numbers, by kind."""
    return Counter({kind: int(names.str.fullmatch(form).sum()) for kind, form in IDS.items()})


def find_genomes(genes: pd.Index, names: pd.Series) -> Counter:
    """How many genes have a genome before their id or name, by genome."""
    found = names.str.extract(GENOME, flags=re.IGNORECASE)[0]
    of_id = pd.Series(genes.astype(str)).str.extract(GENOME, flags=re.IGNORECASE)[0]
    return Counter(found.where(found.notna(), of_id.to_numpy()).dropna())


def check_symbols(run: Run) -> dict:
    """Whether genes have symbols by which markers and models find them."""
    ids, number = find_ids(run.names), len(run.names)
    share = 1 - sum(ids.values()) / max(number, 1)
    named = [f"{count:,} are {kind}" for kind, count in ids.most_common() if count]
    detail = f"{share:.1%} of {number:,} genes have a symbol"
    detail += f" ({', '.join(named)})" if named else ""
    genomes = Counter(run.names.str.extract(GENOME, flags=re.IGNORECASE)[0].dropna())
    verdict, fix = PASS, "."
    if number and share < MOST:
        verdict, fix = (
            WARN,
            ": gene sets, marker genes and models that use symbols find few genes. Give the matrix "
            "with symbols beside the ids (10x: features.tsv; .h5ad: column gene_name of var).",
        )
    elif sum(genomes.values()) > MOST * number:
        share, verdict = 1 - sum(genomes.values()) / number, WARN
        fix = (
            f"; {sum(genomes.values()):,} begin with a genome ({shorten(list(genomes))}), so "
            "marker genes and models do not find them. Give the symbols without it."
        )
    return row(run.name, "gene names", verdict, share, detail + fix)


def check_spreadsheet(run: Run) -> dict:
    """Whether a spreadsheet made dates or numbers of gene names."""
    unique = run.names[run.names.str.contains(r"\d")].unique()
    if find_ids(run.names)["numbers"] > MOST * len(run.names):
        unique = unique[:0]
    dates = [name for name in unique if find_date(name)]
    numbers = [name for name in unique if SCIENTIFIC.fullmatch(name)]
    number = int(run.names.isin([*dates, *numbers]).sum())
    if not number:
        detail = "No gene name looks like a date or a number that a spreadsheet made of a symbol."
        return row(run.name, "names from spreadsheets", PASS, 0, detail)
    mouse = run.facts["identifiers"]["species"]["name"] == "mouse"
    were = {name: " or ".join(genes_of_date(name, mouse)) for name in dates}
    were |= dict.fromkeys(numbers, "a clone such as 2310009E13")
    listed = shorten([f"{name}: {gene or 'gene unknown'}" for name, gene in were.items()])
    kinds = " or ".join(["dates"] * bool(dates) + ["rounded numbers"] * bool(numbers))
    detail = (
        f"{number:,} gene names are {kinds}, which spreadsheets make of MARCH1, SEPT1 or DEC1: "
        f"{listed}. Give the names of the annotation that the reads were counted with, and do not "
        "open tables of genes in a spreadsheet."
    )
    return row(run.name, "names from spreadsheets", WARN, number, detail)


def check_names(runs: list[Run]):
    """Symbols, and what spreadsheets made of them."""
    for run in runs:
        if not len(run.names):
            continue
        yield check_symbols(run)
        yield check_spreadsheet(run)


def species_by_prefix(run: Run) -> dict[str, int]:
    """Genes of each species or genome that the prefixes of ids and names show, most frequent first.

    Ensembl ids begin with ENSG for human, and with ENS and letters of the species for others.
    """
    ids = pd.Series(run.genes.astype(str)).str.extract(r"^(ENS[A-Z]*G)\d{6,}")[0]
    # A few symbols, such as DM1-AS, look as if they began with a genome.
    found = max(find_genomes(run.genes, run.names), Counter(ids.dropna()), key=Counter.total)
    return dict(found.most_common())
