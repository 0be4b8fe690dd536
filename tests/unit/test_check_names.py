"""Gene names that markers and models cannot find: ids, numbers, prefixes, dates."""

import numpy as np
import pandas as pd
import pytest

from latere.checks.form import check_species
from latere.checks.names import check_names, find_date, genes_of_date
from latere.checks.runs import FAIL, PASS, WARN, Run
from latere.counts.genes import gene_table

SYMBOLS = [f"{letter}{number}" for letter in ("ZNF", "KRT", "OR1A", "MT-") for number in range(50)]


def run(names, ids=None, name="r1") -> Run:
    """A run of these genes."""
    features = pd.DataFrame({"id": names if ids is None else ids, "name": names})
    var, identifiers = gene_table(features)
    facts = {"identifiers": identifiers}
    return Run(name, name, facts, var.index, var["gene_name"].reset_index(drop=True))


def verdicts(names, ids=None) -> dict:
    rows = list(check_names([run(names, ids)]))
    return {row["check"]: (row["verdict"], row["value"], row["detail"]) for row in rows}


def ensembl(prefix, number=200) -> list[str]:
    return [f"{prefix}{at:011d}" for at in range(number)]


@pytest.mark.parametrize(
    ("name", "dates", "genes"),
    [
        ("1-Mar", [(3, 1)], ["MARCHF1 (earlier MARCH1)", "MTARC1 (earlier MARC1)"]),
        ("11-Mar", [(3, 11)], ["MARCHF11 (earlier MARCH11)"]),
        # As R names columns, as scanpy and R tell duplicates apart.
        ("X1.Mar", [(3, 1)], ["MARCHF1 (earlier MARCH1)", "MTARC1 (earlier MARC1)"]),
        ("1-Mar-1", [(3, 1)], ["MARCHF1 (earlier MARCH1)", "MTARC1 (earlier MARC1)"]),
        ("3-Mar.1", [(3, 3)], ["MARCHF3 (earlier MARCH3)"]),
        ("15-Sep", [(9, 15)], ["SELENOF (earlier SEP15)"]),
        ("1-Dec", [(12, 1)], ["DELEC1 (earlier DEC1)"]),
        ("4-Oct", [(10, 4)], ["POU5F1 (earlier OCT4)"]),
        ("Sep-09", [(9, 9)], ["SEPTIN9 (earlier SEPT9)"]),
        # Other languages, with the year, as a number of days.
        ("02. Mrz", [(3, 2)], ["MARCHF2 (earlier MARCH2)", "MTARC2 (earlier MARC2)"]),
        ("1-déc", [(12, 1)], ["DELEC1 (earlier DEC1)"]),
        ("2024-09-07", [(9, 7)], ["SEPTIN7 (earlier SEPT7)"]),
        ("2001-03-06 00:00:00", [(3, 6)], ["MARCHF6 (earlier MARCH6)"]),
        (
            "3/9/2024",
            [(3, 9), (9, 3)],
            ["MARCHF9 (earlier MARCH9)", "SEPTIN3 (earlier SEPT3)"],
        ),
        ("44256", [(3, 1)], ["MARCHF1 (earlier MARCH1)", "MTARC1 (earlier MARC1)"]),
        ("5-Jan", [(1, 5)], []),
    ],
)
def test_dates_and_the_genes_that_they_were(name, dates, genes):
    assert find_date(name) == dates
    assert genes_of_date(name) == genes


@pytest.mark.parametrize(
    "name",
    ["MARCH1", "SEPTIN9", "March1", "DEC1", "OCT4", "7SK", "RP11-34P13.7", "AC012345.1", "2-Cat"]
    + ["HLA-DRB1", "NOV", "32-Mar", "MT-ND1", "5-HT3", "set-19", "mar-1", "5S_rRNA", "12345"],
)
def test_what_is_no_date(name):
    assert find_date(name) == []


def test_symbols_pass():
    found = verdicts(SYMBOLS, ensembl("ENSG"))
    assert found["gene names"][:2] == (PASS, 1)
    assert found["names from spreadsheets"][:2] == (PASS, 0)
    # An annotation where a third of the genes has no symbol.
    some = [*SYMBOLS[:140], *ensembl("ENSG")[140:]]
    assert verdicts(some, ensembl("ENSG"))["gene names"][:2] == (PASS, pytest.approx(0.7))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (ensembl("ENSG"), "200 are Ensembl ids"),
        ([f"{name}.{at}" for at, name in enumerate(ensembl("ENSMUSG"))], "200 are Ensembl ids"),
        ([str(at) for at in range(1, 201)], "200 are numbers"),
        ([f"X{at}" for at in range(1, 201)], "200 are numbers"),
        # In the range of the days that spreadsheets number: ids of Entrez stay ids.
        ([str(at) for at in range(44200, 44400)], "200 are numbers"),
        ([f"NM_{at:06d}.2" for at in range(200)], "200 are RefSeq ids"),
        ([f"FBgn{at:07d}" for at in range(200)], "200 are FlyBase ids"),
    ],
)
def test_ids_and_numbers_are_no_symbols(names, kind):
    found = verdicts(names)
    verdict, share, detail = found["gene names"]
    assert (verdict, share) == (WARN, 0) and kind in detail
    assert found["names from spreadsheets"][0] == PASS


def test_what_a_spreadsheet_made_is_listed():
    found = verdicts(["1-Mar", "1-Mar", "3-Sep", "2.31E+19", *SYMBOLS])
    verdict, number, detail = found["names from spreadsheets"]
    assert (verdict, number) == (WARN, 4)
    assert "1-Mar: MARCHF1 (earlier MARCH1) or MTARC1 (earlier MARC1); 3-Sep: SEPTIN3" in detail
    assert "2.31E+19: a clone" in detail
    mouse = [name.capitalize() for name in SYMBOLS[:150]]
    detail = verdicts(["1-Mar", *mouse])["names from spreadsheets"][2]
    assert "Marchf1 (earlier March1) or Mtarc1 (earlier Marc1)" in detail
    days = [f"{day}-{month}" for month in ("Mar", "Sep") for day in range(1, 10)]
    assert "; 3-Sep:" in verdicts([*days, *SYMBOLS])["names from spreadsheets"][2]
    assert "and 6 more" in verdicts([*days, *SYMBOLS])["names from spreadsheets"][2]


@pytest.mark.parametrize("between", ["_", "___", "-"])
def test_a_genome_before_every_name(between):
    names = [f"GRCh38{between}{name}" for name in SYMBOLS]
    verdict, share, detail = verdicts(names, ensembl("ENSG"))["gene names"]
    assert (verdict, share) == (WARN, 0) and "GRCh38" in detail


def species(*runs) -> dict:
    return {row["run"]: row["verdict"] for row in check_species(list(runs))}


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        # Human and rat, which no symbol tells from mouse.
        (SYMBOLS * 2, [*ensembl("ENSG"), *ensembl("ENSRNOG")]),
        (SYMBOLS * 2, [*ensembl("ENSG"), *ensembl("ENSMUSG", 150), *ensembl("ENSSSCG", 50)]),
        # Symbols alone, after the genome that they are of.
        ([f"{genome}_{name}" for genome in ("GRCh38", "mm10") for name in SYMBOLS], None),
        ([f"{genome}-{name}" for genome in ("hg19", "mm10") for name in SYMBOLS], None),
        (SYMBOLS * 2, [f"{at}{name}" for at in ("hg38_", "dm6_") for name in SYMBOLS]),
    ],
)
def test_two_species_in_one_matrix(names, ids):
    assert species(run(names, ids)) == {"r1": WARN}
    human = [run(SYMBOLS, ensembl("ENSG"), name) for name in ("r2", "r3")]
    assert species(run(names, ids), *human) == {"r1": FAIL, "r2": PASS, "r3": PASS}


def test_a_symbol_that_looks_like_a_genome():
    """Human genes are mixed with those of rat; one symbol hides it from nobody."""
    names = ["DM1-AS", *SYMBOLS[1:], *SYMBOLS]
    assert species(run(names, [*ensembl("ENSG"), *ensembl("ENSRNOG")])) == {"r1": WARN}
    assert species(run(names[:200], ensembl("ENSG"))) == {"r1": PASS}


def test_a_virus_is_no_second_species():
    names, ids = [*SYMBOLS, *[f"gp{at}" for at in range(12)]], None
    ids = [*ensembl("ENSG"), *[f"HIV_{at}" for at in range(12)]]
    assert species(run(names, ids)) == {"r1": PASS}
    assert np.isclose(verdicts(names, ids)["gene names"][1], 1)
