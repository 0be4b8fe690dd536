"""The table of gene sets, and which genes of a matrix it means."""

import pandas as pd
import pytest

from latere.errors import StudyError
from latere.gene_sets import GENE_SETS, find_members, read_gene_sets

HEADER = "gene_set\tspecies\tgene_name\tgene_id\tsource\n"


@pytest.fixture(scope="module")
def gene_sets(root):
    return read_gene_sets(root / "config/gene_sets.tsv")


def genes(names, ids=None):
    return pd.DataFrame({"gene_name": names}, index=ids or [f"g{n}" for n in range(len(names))])


def test_every_set_has_its_genes_of_both_species(gene_sets):
    numbers = gene_sets[~gene_sets["gene_name"].str.endswith("*")]
    numbers = numbers.groupby(["gene_set", "species"]).size().unstack()
    assert set(numbers.index) == set(GENE_SETS)
    # 43 and 54 genes of Tirosh et al., three of them by two names.
    assert numbers.loc["s_phase"].tolist() == [44, 44]
    assert numbers.loc["g2m_phase"].tolist() == [56, 56]
    assert numbers.loc["mitochondrial", "human"] == 37
    assert (numbers > 0).all(axis=None)


def test_table_is_clean(gene_sets):
    assert not gene_sets.duplicated(["gene_set", "species", "gene_name"]).any()
    assert (gene_sets["source"] != "").all()
    prefixes = {"human": r"ENSG\d{11}", "mouse": r"ENSMUSG\d{11}"}
    for species, pattern in prefixes.items():
        ids = gene_sets.loc[gene_sets["species"] == species, "gene_id"]
        assert ids[ids != ""].str.fullmatch(pattern).all()
    by_name = gene_sets[gene_sets["gene_id"] != ""].groupby(["species", "gene_name"])["gene_id"]
    assert (by_name.nunique() == 1).all()


def test_members_by_name_of_either_species(gene_sets):
    names = ["MT-CO1", "mt-Co1", "MTOR", "RPS3", "Rpl3", "RPS6KA1", "HBB", "HBEGF", "PCNA", "Pcna"]
    members = find_members(gene_sets, genes(names))
    found = {
        name: [n for n, m in zip(names, mask, strict=True) if m] for name, mask in members.items()
    }
    assert found == {
        "mitochondrial": ["MT-CO1", "mt-Co1"],
        "ribosomal": ["RPS3", "Rpl3"],
        "haemoglobin": ["HBB"],
        "s_phase": ["PCNA", "Pcna"],
        "g2m_phase": [],
        "sex_female": [],
        "sex_male": [],
    }


def test_members_by_id_where_there_are_no_names(gene_sets):
    ids = ["ENSG00000198804", "ENSG00000229807", "ENSMUSG00000064351", "ENSG00000000003"]
    members = find_members(gene_sets, genes(ids, ids))
    assert members["mitochondrial"].tolist() == [True, False, True, False]
    assert members["sex_female"].tolist() == [False, True, False, False]


def test_a_gene_may_be_of_two_sets(gene_sets):
    members = find_members(gene_sets, genes(["RPS4Y1"]))
    assert members["ribosomal"].all() and members["sex_male"].all()


@pytest.mark.parametrize(
    ("text", "code", "value"),
    [
        ("gene_set\tgene_name\n", "missing-column", "species, gene_id, source"),
        (HEADER + "mitochondria\thuman\tMT-CO1\t\tx\n", "unknown-gene-set", "'mitochondria'"),
        (HEADER + "s_phase\thuman\t\t\tx\n", "missing-gene", "'s_phase'"),
        ("", "unreadable-table", "sets.tsv"),
    ],
)
def test_a_broken_table_is_rejected(tmp_path, text, code, value):
    path = tmp_path / "sets.tsv"
    path.write_text(text)
    with pytest.raises(StudyError, match=value) as error:
        read_gene_sets(path)
    assert error.value.code == code


def test_a_missing_table_is_rejected(tmp_path):
    with pytest.raises(StudyError, match="cells.gene_sets"):
        read_gene_sets(tmp_path / "none.tsv")
