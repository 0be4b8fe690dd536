"""Columns of genes and barcodes are known by their values, as every tool writes them."""

import codecs
import gzip

import numpy as np
import pandas as pd
import pytest
from count_matrices import GENE_TYPE, load
from scipy.io import mmwrite
from scipy.sparse import coo_matrix

from latere.counts.features import features_of_text
from latere.counts.genes import features_of
from latere.counts.text_tables import read_barcodes
from latere.errors import StudyError

NUMBER = 40
IDS = [f"ENSG{n:011}" for n in range(1000, 1000 + NUMBER)]
NAMES = ["CD3E", "MT-CO1", "HLA-A", *(f"ZNF{n}" for n in range(3, NUMBER))]
FLIES = [f"FBgn{n:07}" for n in range(NUMBER)]
SEQUENCES = [
    f"{'ACGT'[n // 16]}{'ACGT'[n // 4 % 4]}{'ACGT'[n % 4]}TTGACCGATTACA" for n in range(50)
]


def lines(form, ids=IDS, names=NAMES, header="", end="\n"):
    rows = zip(ids, names, strict=True)
    text = (form.format(n=n, i=i, s=s) for n, (i, s) in enumerate(rows, 1))
    return header + "".join(f"{line}{end}" for line in text)


TYPE = "Gene Expression"
TEXTS = {
    "10x": lines("{i}\t{s}\t" + TYPE),
    "blanks": lines("{i} {s}"),
    "blanks and types": lines("{i}  {s}  " + TYPE),
    "quotes and blanks": lines(f'"{{i}}" "{{s}}" "{TYPE}"'),
    "single quotes": lines(f"'{{i}}'\t'{{s}}'\t'{TYPE}'"),
    "commas": lines("{i},{s}"),
    "semicolons": lines('"{i}";"{s}"'),
    "Parse": lines("{i},{s},hg38", header="gene_id,gene_name,genome\n"),
    "swapped": lines("{s}\t{i}"),
    "swapped, blanks, numbers": lines("{n} {s} {i}"),
    "row numbers": lines(f"{{n}}\t{{i}}\t{{s}}\t{TYPE}"),
    "row numbers and quotes": lines('"{n}"\t"{i}"\t"{s}"'),
    "header": lines("{i}\t{s}\t1", header="ENSEMBL\tSYMBOL\tCHR\n"),
    "header of R over row names": lines("{n}\t{i}\t{s}", header="V1\tV2\n"),
    "header of R, quoted": lines('"{n}" "{i}" "{s}"', header='"ID" "Symbol"\n'),
    "empty name over row numbers": lines('"{n}","{i}","{s}"', header='"","x","y"\n'),
    "Monocle": lines("{i},{i},{s},12", header=",id,gene_short_name,num_cells_expressed\n"),
    "chromosome between": lines("{i}\tchr1\t{s}"),
    "id and symbol in one name": lines("{i}_{s}"),
    "symbol and id in one name": lines("{s}_{i}"),
    "one name with a bar": lines("{i}|{s}"),
    "one name of R": lines("{s}.{i}"),
    "one name with a colon": lines("{s}:{i}"),
    "one name, twice": lines("{i}_{s}\t{i}_{s}\t" + TYPE),
    "byte order mark": codecs.BOM_UTF8.decode() + lines("{i}\t{s}"),
    "line ends of Windows": lines("{i}\t{s}", end="\r\n"),
    "blanks at the ends": lines(" {i} \t{s} "),
    "empty last line": lines("{i}\t{s}") + "\n",
}


@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("lengths", [(NUMBER, 7), ()], ids=["matrix", "alone"])
def test_a_table_of_genes(tmp_path, form, lengths):
    path = tmp_path / "genes.tsv"
    path.write_bytes(TEXTS[form].encode())
    features = features_of_text(str(path), lengths)
    assert features["id"].tolist() == IDS
    assert features["name"].tolist() == NAMES
    assert set(features["type"]) == {GENE_TYPE}


@pytest.mark.parametrize("ids", [IDS, [f"ENST{n:011}" for n in range(NUMBER)]])
def test_most_names_may_be_ids(tmp_path, ids):
    """Where the annotation names few genes, as of many species, the id is in the name column."""
    names = [name if n % 3 == 0 else ids[n] for n, name in enumerate(NAMES)]
    (tmp_path / "features.tsv").write_text(lines("{i}\t{s}\t" + TYPE, ids, names))
    features = features_of_text(str(tmp_path / "features.tsv"), (NUMBER,))
    assert features["id"].tolist() == ids and features["name"].tolist() == names
    features = features_of(pd.DataFrame({"gene_name": names}, index=ids))
    assert features["id"].tolist() == ids and features["name"].tolist() == names


def test_versions_are_no_symbols(tmp_path):
    path = tmp_path / "genes.tsv"
    ids = [f"{name}.{n}" for n, name in enumerate(IDS, 1)]
    path.write_text("".join(f"{name}\n" for name in ids))
    features = features_of_text(str(path))
    assert features["id"].tolist() == features["name"].tolist() == ids


def test_other_ids_are_known_too(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text(lines("{s}\t{i}", ids=FLIES))
    features = features_of_text(str(path))
    assert features["id"].tolist() == FLIES and features["name"].tolist() == NAMES


def test_what_is_not_decisive_is_read_in_the_usual_order(tmp_path):
    path = tmp_path / "genes.tsv"
    numbers = [str(n * n * 7919 % 100003) for n in range(1, NUMBER + 1)]
    path.write_text(lines("{i}\t{s}", ids=numbers))
    features = features_of_text(str(path))
    assert features["id"].tolist() == numbers and features["name"].tolist() == NAMES
    # A name may have a blank, and a genome stands before the ids of two species.
    names = [*NAMES[:-1], "spike in"]
    ids = [f"{'GRCh38' if n % 2 else 'mm10'}_{i}" for n, i in enumerate(IDS)]
    path.write_text(lines("{i}\t{s}", ids=ids, names=names))
    features = features_of_text(str(path))
    assert features["id"].tolist() == ids and features["name"].tolist() == names
    path.write_text("".join(f"{name}\n" for name in names))
    features = features_of_text(str(path))
    assert features["id"].tolist() == features["name"].tolist() == names


def test_a_header_over_symbols_alone_is_known_by_its_surplus(tmp_path):
    path = tmp_path / "genes.tsv"
    path.write_text("gene_short_name\n" + "".join(f"{name}\n" for name in NAMES))
    assert features_of_text(str(path), (NUMBER, 7))["id"].tolist() == NAMES
    path.write_text("".join(f"gene_{n}\n" for n in range(NUMBER + 1)))
    assert len(features_of_text(str(path), (NUMBER, 7))) == NUMBER + 1
    # As many lines as the matrix has rows: all of them are genes.
    assert len(features_of_text(str(path), (NUMBER + 1, 7))) == NUMBER + 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (lines("{n}"), "numbered-genes"),
        (lines("{n}\t" + TYPE), "numbered-genes"),
        (lines("{i} {s}") + "ENSG00000000001 CD4 of a spike\n", "row-length"),
        (lines("{i}\t{s}") + "X\tCD45R\N{GREEK SMALL LETTER ALPHA}\n", "not-utf8"),
    ],
)
def test_a_table_that_cannot_be_understood(tmp_path, text, code):
    path = tmp_path / "genes.tsv"
    path.write_bytes(text.encode("utf-16" if code == "not-utf8" else "utf-8"))
    with pytest.raises(StudyError, match=r"genes\.tsv") as error:
        features_of_text(str(path))
    assert error.value.code == code and error.value.fix


@pytest.mark.parametrize("line", ["a" * 200_000, "a_" * 100_000 + "!", "gene" + "_a" * 99 + "!"])
def test_a_long_line_takes_no_long_time(tmp_path, line):
    path = tmp_path / "genes.tsv"
    path.write_text(lines("{i}_{s}") + line + "\n")
    for lengths in ((NUMBER + 1, 5), (NUMBER, 5)):
        assert len(features_of_text(str(path), lengths)) == NUMBER + 1
    path.write_text(f"{line}\n{line}\n")
    assert len(features_of_text(str(path), (2, 5))) == 2


BARCODES = {
    "plain": "".join(f"{code}-1\n" for code in SEQUENCES),
    "row numbers": "".join(f"{n}\t{code}-1\n" for n, code in enumerate(SEQUENCES, 1)),
    "quotes": "".join(f'"{code}-1"\n' for code in SEQUENCES),
    "quotes, numbers, header": '"x"\n'
    + "".join(f'"{n}" "{code}-1"\n' for n, code in enumerate(SEQUENCES, 1)),
    "header": "barcode\n" + "".join(f"{code}-1\n" for code in SEQUENCES),
    "behind a sample": "".join(f"S1\t{code}-1\n" for code in SEQUENCES),
    "a table of cells": "sample,barcode,n\n" + "".join(f"S1,{code}-1,5\n" for code in SEQUENCES),
}


@pytest.mark.parametrize("form", BARCODES)
def test_a_table_of_barcodes(tmp_path, form):
    path = tmp_path / "barcodes.tsv"
    path.write_text(BARCODES[form])
    for lengths in ((50, 9), ()):
        found = read_barcodes(str(path), lengths)
        assert found.tolist() == [f"{code}-1" for code in SEQUENCES]


def test_cells_may_be_numbered(tmp_path):
    path = tmp_path / "barcodes.tsv"
    path.write_text("".join(f"{n}\n" for n in range(1, 51)))
    assert read_barcodes(str(path), (50, 9)).tolist() == [str(n) for n in range(1, 51)]


def test_the_three_files_as_r_writes_them(tmp_path):
    """A header and row numbers in both tables, and the matrix as it is."""
    values = np.arange(NUMBER * 50).reshape(NUMBER, 50) % 7
    mmwrite(tmp_path / "matrix.mtx", coo_matrix(values))
    (tmp_path / "genes.tsv").write_text(TEXTS["header of R, quoted"])
    (tmp_path / "barcodes.tsv").write_text(BARCODES["quotes, numbers, header"])
    counts, facts = load(tmp_path)
    assert counts.obs_names.tolist() == SEQUENCES and counts.var_names.tolist() == IDS
    assert counts.var["gene_name"].tolist() == NAMES
    assert (counts.X.toarray() == values.T).all()
    assert facts["identifiers"]["kind"] == "ensembl"


def by(index, /, **columns):
    return pd.DataFrame(columns, index=pd.Index(index))


COUNTED = [str(n) for n in range(1, NUMBER + 1)]
VARS = {
    "scanpy": by(NAMES, gene_ids=IDS, feature_types=[TYPE] * NUMBER, genome="GRCh38"),
    "cellxgene": by(IDS, feature_name=NAMES, feature_biotype="gene", feature_reference="NCBITaxon"),
    "SingleCellExperiment": by(COUNTED, ID=IDS, Symbol=NAMES, Type=TYPE),
    "SingleCellExperiment, named by symbols": by(NAMES, ID=IDS, Symbol=NAMES),
    "Monocle": by(IDS, gene_short_name=NAMES, num_cells_expressed=range(NUMBER)),
    "Parse": by(COUNTED, gene_id=IDS, gene_name=NAMES, genome="hg38"),
    "Stereopy": by(IDS, real_gene_name=NAMES, n_cells=range(NUMBER)),
    "Seurat": by(COUNTED, features=NAMES, **{"gene.id": IDS, "vst.variable": True}),
    "categories": by(COUNTED, names=pd.Categorical(NAMES), ensembl=pd.Categorical(IDS)),
    "index in the file": by(range(NUMBER), index=NAMES, EnsemblGeneID=IDS),
    "id and symbol in one name": by([f"{i}.7_{s}" for i, s in zip(IDS, NAMES, strict=True)]),
    "symbol and id in one name": by([f"{s}_{i}" for i, s in zip(IDS, NAMES, strict=True)]),
    "names and ids changed over": by(NAMES, gene_name=IDS, gene_id=NAMES),
    "other columns of words": by(
        IDS, description=["a protein of"] * NUMBER, chromosome_name="chr1", symbol=NAMES
    ),
    "transcripts and another species": by(
        NAMES,
        transcript=[i.replace("G", "T", 2) for i in IDS],
        mouse_ortholog_id=[i.replace("ENSG", "ENSMUSG") for i in IDS],
        ensembl_gene_id=IDS,
    ),
}


@pytest.mark.parametrize("form", VARS)
def test_the_genes_of_an_h5ad(form):
    features = features_of(VARS[form])
    assert [name.partition(".")[0] for name in features["id"]] == IDS
    assert features["name"].tolist() == NAMES
    assert set(features["type"]) == {GENE_TYPE}


@pytest.mark.parametrize("column", ["library_id", "id", "gene_id", "chromosome_id"])
def test_a_column_of_few_values_has_no_ids(column):
    features = features_of(by(NAMES).assign(**{column: "L1"}))
    assert features["id"].tolist() == NAMES


def test_entrez_numbers_are_ids_where_they_are_called_so():
    numbers = [n * 7919 % 100_003 for n in range(1, NUMBER + 1)]
    features = features_of(by(NAMES, gene_id=numbers, start=numbers[::-1]))
    assert features["id"].tolist() == list(map(str, numbers))
    assert features["name"].tolist() == NAMES


def test_the_log_says_which_columns_were_chosen(caplog):
    with caplog.at_level("INFO"):
        features_of(VARS["Stereopy"], "a.h5ad")
        features_of(VARS["Parse"], "b.h5ad")
    assert (
        "a.h5ad: ids of genes are in the index, their names in column real_gene_name" in caplog.text
    )
    assert "b.h5ad: ids of genes are in column gene_id, their names in column gene_n" in caplog.text


def test_names_of_a_seurat_export_without_ids():
    for var in (by(COUNTED, features=NAMES), by(COUNTED, _index=NAMES, mean=np.ones(NUMBER))):
        features = features_of(var)
        assert features["id"].tolist() == features["name"].tolist() == NAMES


@pytest.mark.parametrize(
    "var",
    [
        by(COUNTED),
        by(range(NUMBER), highly_variable=True),
        by(COUNTED, chromosome="chr1", feature_types=TYPE),
        # Some genes were dropped since.
        by([str(3 * n) for n in range(NUMBER)], mean=np.ones(NUMBER)),
    ],
)
def test_numbered_genes_without_names_are_refused(var):
    with pytest.raises(
        StudyError, match=r"^a\.h5ad: .*numbered.*\[numbered-genes\]\n  -> "
    ) as error:
        features_of(var, "a.h5ad")
    assert all(name in str(error.value) for name in var)


KINDS = {
    "feature_types": [TYPE, "Antibody Capture"],
    "Type": ["Gene.Expression", "Antibody.Capture"],
    "modality": ["rna", "prot"],
    "assay": ["RNA", "ADT"],
    "kind": ["Gene Expression", "HTO"],
    "feature type": ["GEX", "hashtag"],
    "only filled for tags": ["", "Antibody Capture"],
}


@pytest.mark.parametrize("column", KINDS)
def test_tags_are_known_by_the_values_of_any_column(column):
    gene, tag = KINDS[column]
    var = by([*NAMES[:-3], "CD3", "CD4", "CD19"])
    var[column] = [gene] * (NUMBER - 3) + [tag] * 3
    types = features_of(var)["type"]
    assert (types[:-3] == GENE_TYPE).all()
    assert types[-3:].isin(["Antibody Capture", "Multiplexing Capture"]).all()


@pytest.mark.parametrize(
    "tags",
    [
        ["CD3_TotalSeqB", "CD4_TotalSeqC", "IgG1_control_TotalSeqB"],
        ["Hashtag_1", "hashtag-2", "HTO3"],
        ["ADT-CD3", "adt_CD4", "CD19:ADT"],
        ["CD3:SK7|CD3E|AHS0033|pAbO", "CD4|SK3|AHS0032|pAbO", "SampleTag01_hs|stAbO"],
    ],
)
def test_tags_are_known_by_their_names(tmp_path, tags):
    path = tmp_path / "features.tsv"
    path.write_text(lines("{i}\t{s}") + "".join(f"{tag}\t{tag}\n" for tag in tags))
    types = features_of_text(str(path))["type"]
    assert (types[:-3] == GENE_TYPE).all() and (types[-3:] == "Antibody Capture").all()


PEAKS = [f"chr1:{n}00-{n}50" for n in range(1, 4 * NUMBER)]


def test_genes_beside_more_peaks(tmp_path):
    """As of a multiome: most features have no id of a gene."""
    path = tmp_path / "features.tsv"
    path.write_text(
        lines("{i}\t{s}\tGene Expression\tchr1\t{n}\t{n}9")
        + "".join(f"{peak}\t{peak}\tPeaks\tchr1\t5\t9\n" for peak in PEAKS)
    )
    types = [GENE_TYPE] * NUMBER + ["Peaks"] * len(PEAKS)
    var = by([*NAMES, *PEAKS], gene_ids=[*IDS, *PEAKS], feature_types=types)
    for features in (features_of_text(str(path)), features_of(var)):
        assert features["type"].tolist() == types
        assert features["id"].tolist() == [*IDS, *PEAKS]
        assert features["name"].tolist() == [*NAMES, *PEAKS]


def test_columns_that_only_tags_fill():
    """CellRanger's reference of features has them for all."""
    var = by([*NAMES[:-1], "CD3"], feature_types=[TYPE] * (NUMBER - 1) + ["Antibody Capture"])
    empty = [""] * (NUMBER - 1)
    var = var.assign(pattern=[*empty, "5PNN(BC)"], sequence=[*empty, "ACGTACGTACGTACG"])
    var = var.assign(target_gene_id=[*empty, IDS[0]], read=[*empty, "R2"])
    features = features_of(var.reset_index(names="names"))
    assert features["name"].tolist() == features["id"].tolist() == [*NAMES[:-1], "CD3"]


@pytest.mark.parametrize("biotypes", [["protein"], ["gene", "spike-in"], ["protein", "lincRNA"]])
def test_biotypes_are_no_types_of_features(biotypes):
    var = by(NAMES, gene_type=[biotypes[n % len(biotypes)] for n in range(NUMBER)])
    assert set(features_of(var)["type"]) == {GENE_TYPE}


def test_a_gzipped_table_of_another_size_is_still_refused(write_10x):
    """Only a line that has no gene is passed over."""
    folder = write_10x("10x")
    path = folder / "features.tsv.gz"
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(b"ENSG00000000009\tNEW\tGene Expression\n" + text))
    with pytest.raises(StudyError, match=r"\[unequal-sizes\]"):
        load(folder)
