"""Genes of a count matrix: by what they are named, and what is none."""

import logging

import pandas as pd
import pytest
from count_matrices import COUNTS, GENE_TYPE, IDS, check, load

import load_counts
from latere.counts.genes import features_of
from latere.errors import StudyError


def test_antibodies_are_left_out(write_h5, write_10x, caplog):
    types = [GENE_TYPE, "Antibody Capture", GENE_TYPE, "CRISPR Guide Capture"]
    for path in (write_h5(types=types), write_10x("10x", types=types)):
        counts, facts = load(path)
        assert (counts.X.toarray() == COUNTS[:, [0, 2]]).all()
        assert list(counts.var_names) == [IDS[0], IDS[2]]
        assert facts["left_out"] == {"Antibody Capture": 1, "CRISPR Guide Capture": 1}
        load_counts.log_facts(facts, "here", logging.getLogger())
        assert "1 features of type Antibody Capture are left out" in caplog.text
    with pytest.raises(StudyError, match=r"Peaks: 4.*\[no-gene-expression\]"):
        load(write_h5(types=["Peaks"] * 4))


def test_h5ad_with_symbols_and_ids(write_h5ad):
    var = pd.DataFrame({"gene_ids": IDS}, index=["A", "B", "B-1", "MT-C"])
    check(load(write_h5ad(var=var))[0], names=["A", "B", "B-1", "MT-C"])


def test_h5ad_with_names_missing(write_h5ad):
    var = pd.DataFrame({"feature_name": ["A", None, "", "MT-C"]}, index=IDS)
    check(load(write_h5ad(var=var))[0], names=["A", IDS[1], IDS[2], "MT-C"])


def test_versions_of_ensembl_are_cut(write_10x):
    ids = ["ENSG00000000001.4", "ENSMUSG00000000002.12", "ENSG00000000003.1_PAR_Y", "AC000001.1"]
    counts, facts = load(write_10x("10x", ids=ids))
    expected = ["ENSG00000000001", "ENSMUSG00000000002", "ENSG00000000003_PAR_Y", "AC000001.1"]
    assert list(counts.var_names) == expected
    assert facts["identifiers"]["versions"] and facts["identifiers"]["kind"] == "ensembl"
    assert facts["identifiers"]["species"] == {"name": "mixed", "human": 2, "mouse": 1}


def test_ids_are_made_unique_and_reported(write_10x, caplog):
    ids = ["ENSG00000000001.4", "ENSG00000000001.5", IDS[2], IDS[3]]
    counts, facts = load(write_10x("10x", ids=ids))
    assert list(counts.var_names[:2]) == ["ENSG00000000001", "ENSG00000000001-1"]
    assert facts["identifiers"]["duplicated_ids"] == 1
    load_counts.log_facts(facts, "here", logging.getLogger())
    assert "gene ids are duplicated" in caplog.text


@pytest.mark.parametrize(
    ("symbols", "name"),
    [
        (["CD3E", "MT-CO1", "C1orf43", "GAPDH"], "human"),
        (["Cd3e", "mt-Co1", "Gm1234", "Actb"], "mouse"),
        (["CD3E", "Cd3e", "GAPDH", "Gapdh"], "mixed"),
        (["gene1", "gene2", "gene3", "gene4"], "unknown"),
    ],
)
def test_species_of_symbols(write_h5ad, symbols, name):
    _, facts = load(write_h5ad(var=pd.DataFrame(index=symbols)))
    assert facts["identifiers"]["kind"] == "symbol"
    assert facts["identifiers"]["species"]["name"] == name


def test_genes_without_an_id_keep_the_name_of_the_index():
    """Nothing joins `nan` of one run with `nan` of another."""
    ids = [IDS[0], None, "", IDS[3]]
    var = pd.DataFrame({"ensembl_id": ids}, index=["AAA", "BBB", "CCC", "MT-C"])
    features = features_of(var)
    assert features["id"].tolist() == [IDS[0], "BBB", "CCC", IDS[3]]


def test_a_column_of_biotypes_is_no_type_of_feature(write_10x):
    check(load(write_10x("biotypes", types="protein_coding"))[0])


def test_antibodies_alone_are_no_genes():
    var = pd.DataFrame({"feature_types": "Antibody Capture"}, index=IDS)
    assert (features_of(var)["type"] == "Antibody Capture").all()
