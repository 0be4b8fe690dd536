"""The files of a count matrix are found, however a sheet names them."""

import pytest
from count_matrices import three

from latere.counts.files import find_files
from latere.errors import StudyError
from latere.urls import conceal


def names(files, folder):
    return [file.removeprefix(f"{folder}/") for file in files]


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("genes", ["genes", "features"])
@pytest.mark.parametrize("prefix", ["", "GSM3872434_ETV6-RUNX1_1."])
def test_10x_folder(touch, prefix, genes, ending):
    files = three(f"10x/{prefix}", ending, genes)
    folder = touch(*files, *(["10x/GSM3872435_ETV6-RUNX1_2.matrix.mtx"] if prefix else []))
    # With the dot or without, and by the name of the matrix.
    for way in (f"10x/{prefix}", f"10x/{prefix}".rstrip("./"), files[0]):
        assert names(find_files(str(folder / way)), folder) == files


SOLO = three("a.Solo.out/Gene/raw/") + three("a.Solo.out/Gene/filtered/")
OUTS = three("outs/raw_feature_bc_matrix/") + three("outs/filtered_feature_bc_matrix/")
OLD = three("outs/raw_gene_bc_matrices/GRCh38/", "", "genes")
OLD += three("outs/filtered_gene_bc_matrices/GRCh38/", "", "genes")


@pytest.mark.parametrize(
    ("made", "way"),
    [
        (SOLO, ""),
        (SOLO, "a.Solo.out"),
        (SOLO, "a.Solo.out/Gene"),
        (OUTS, ""),
        (OUTS, "outs"),
        (OLD, "outs"),
    ],
)
def test_output_with_raw_and_filtered(touch, made, way):
    folder = touch(*made)
    path = str(folder / way)
    assert names(find_files(path), folder) == [*made[:3], made[4]]
    assert names(find_files(path, "raw"), folder) == made[:3]
    assert names(find_files(path, "filtered"), folder) == made[3:]


def test_output_in_hdf5_only(touch):
    files = [f"outs/{kind}_feature_bc_matrix.h5" for kind in ("raw", "filtered")]
    folder = touch(*files)
    assert names(find_files(f"{folder}/outs"), folder) == files
    assert names(find_files(f"{folder}/outs", "filtered"), folder) == files[1:]


def test_output_without_called_cells(touch):
    folder = touch(*SOLO[:3])
    assert names(find_files(str(folder)), folder) == SOLO[:3]
    with pytest.raises(StudyError, match=r"filtered .*\[missing-matrix\]"):
        find_files(str(folder), "filtered")


def test_three_files_by_name():
    urls = [f"https://example.org/a/GSM1_cells_of_b.{name}.gz" for name in ("genes.tsv", "mtx")]
    urls.insert(1, "https://example.org/a/GSM1_barcodes.tsv.gz")
    assert find_files(", ".join(urls)) == (urls[2], urls[1], urls[0])
    with pytest.raises(StudyError, match=r"2 files.*\[ambiguous-files\]"):
        find_files(",".join(urls[:2]))
    with pytest.raises(StudyError, match=r"one file of three.*\[unsupported-format\]"):
        find_files(urls[2])
    assert find_files("https://example.org/a.h5ad") == ("https://example.org/a.h5ad",)
    assert find_files("no/such") == ("no/such",)


@pytest.mark.parametrize(
    "form",
    [
        "GSM1_{}_Tcells",
        "GSM1_{}_immune-cells_of_genes",
        "genes_and_cells_{}",
        "GSM1_{}TumorCells",
        "scGene_{}_rep1",
        "{}.GSM1.CD45_cells",
    ],
)
@pytest.mark.parametrize("genes", ["features", "genes"])
def test_the_name_of_a_sample_may_have_words_of_the_parts(touch, form, genes):
    parts = [f"{form.format('matrix')}.mtx.gz"]
    parts += [f"{form.format(part)}.tsv.gz" for part in ("barcodes", genes)]
    folder = touch(*(f"a/{name}" for name in parts))
    wanted = tuple(f"{folder}/a/{name}" for name in parts)
    assert find_files(", ".join(wanted[::-1])) == wanted
    # Alone in a folder they need no more than its name.
    assert find_files(f"{folder}/a") == wanted


def test_three_files_by_what_their_names_begin_with(touch):
    names = [f"GSM{n}_{part}_Tcells" for n in (1, 10) for part in ("matrix", "barcodes", "genes")]
    ends = [f"{name}.{'mtx' if 'matrix' in name else 'tsv'}" for name in names]
    folder = touch(*ends)
    assert find_files(f"{folder}/GSM1") == tuple(f"{folder}/{name}" for name in ends[:3])
    (folder / ends[0]).unlink()
    assert find_files(f"{folder}/GSM1") == (f"{folder}/GSM1",)


@pytest.mark.parametrize(
    ("missing", "wanted"),
    [
        (0, "no matrix: matrix.mtx.gz or matrix.mtx"),
        (1, "no barcodes: barcodes.tsv.gz"),
        (2, "no features: features.tsv.gz or features.tsv or genes.tsv.gz or genes.tsv"),
    ],
)
def test_a_file_is_missing(touch, missing, wanted):
    files = three()
    del files[missing]
    with pytest.raises(StudyError, match=wanted) as caught:
        find_files(str(touch(*files)))
    assert caught.value.code == "missing-file"


def test_folders_that_name_no_matrix(touch):
    folder = touch(*three("geo/a."), *three("geo/b."), "empty/x.txt")
    with pytest.raises(StudyError, match=r"a\.matrix\.mtx\.gz, b.*\[several-matrices\]"):
        find_files(f"{folder}/geo")
    with pytest.raises(StudyError, match=r"\[missing-matrix\]"):
        find_files(f"{folder}/empty")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("counts.csv", r"a table of text.*\n.*write_h5ad"),
        ("GSM1_counts.TSV.gz", r"a table of text.*\n.*write_h5ad"),
        ("dge.txt.gz", "a table of text"),
        ("counts.xlsx", "a spreadsheet"),
        ("atlas.loom", r"a loom file.*\n.*read_loom"),
        ("seurat.rds", r"an object of R.*\n.*write10xCounts.*LayerData"),
        ("all.RData", "an object of R"),
        ("GSE1_RAW.tar", r"an archive of files.*\n.*Unpack it"),
        ("filtered_feature_bc_matrix.tar.gz", "an archive"),
        ("a.zip", "an archive"),
        ("atlas.h5ad.gz", r"a packed HDF5 file.*\n.*gunzip"),
        ("GSM1_barcodes.tsv.gz", r"one file of three.*\n.*separated by commas"),
        ("counts.mtx.gz", "one file of three"),
    ],
)
def test_forms_that_are_not_read(touch, name, words):
    url = f"https://example.org/a/{name}"
    in_query = f"https://example.org/geo/?acc=GSM1&file={name.replace('_', '%5F')}"
    for text in (str(touch(name) / name), url, f"{url}?download=1", in_query):
        with pytest.raises(StudyError, match=words) as caught:
            find_files(text)
        assert caught.value.code == "unsupported-format"
        assert caught.value.where == conceal(text)
    # A file that does not exist is reported elsewhere.
    assert find_files(f"no/{name}") == (f"no/{name}",)


def test_link_to_the_archive_of_a_series():
    with pytest.raises(StudyError, match=r"an archive.*\[unsupported-format\]"):
        find_files("https://example.org/geo/download/?acc=GSE1&format=file")


@pytest.mark.parametrize("name", ["a.h5", "b.h5ad"])
def test_the_only_file_of_a_folder_is_taken(touch, name):
    folder = touch(f"a/{name}", "a/notes.txt")
    assert names(find_files(f"{folder}/a"), folder) == [f"a/{name}"]
    touch("a/other.h5")
    with pytest.raises(StudyError, match=rf"{name}, other.h5.*\[several-matrices\]"):
        find_files(f"{folder}/a")


MULTI = "outs/per_sample_outs/s1/count/sample_"


@pytest.mark.parametrize("hdf5", [True, False])
@pytest.mark.parametrize("way", ["", "outs", "outs/per_sample_outs/s1", f"{MULTI[:-8]}"])
def test_output_of_multi(touch, way, hdf5):
    ends = (".h5",) if hdf5 else [f"/{name}" for name in three()]
    made = {
        kind: [f"{MULTI}{kind}_feature_bc_matrix{end}" for end in ends]
        for kind in ("raw", "filtered")
    }
    pool = [f"outs/multi/count/raw_feature_bc_matrix{end}" for end in ends]
    folder = touch(*made["filtered"], *pool)
    path, cells = str(folder / way), made["filtered"][:2][-1]
    # The droplets of the only sample are those of its pool; CellRanger 7 and later give its own.
    assert names(find_files(path), folder) == [*pool, cells]
    touch(*made["raw"])
    assert names(find_files(path), folder) == [*made["raw"], cells]
    assert names(find_files(path, "filtered"), folder) == made["filtered"]


def test_samples_of_multi_are_separate(touch):
    one = [f"{MULTI}filtered_feature_bc_matrix.h5"]
    two = [one[0].replace("s1", "s2")]
    # Beside them the matrix of all, as CellRanger 10 leaves it.
    folder = touch(*one, *two, "outs/multi/count/raw_feature_bc_matrix.h5", *OUTS)
    with pytest.raises(StudyError, match=r"per_sample_outs/s1, .*s2.*\[several-matrices\]"):
        find_files(f"{folder}/outs")
    assert names(find_files(f"{folder}/outs/per_sample_outs/s2"), folder) == two
    pool = ["outs/multi/count/raw_feature_bc_matrix.h5"]
    assert names(find_files(f"{folder}/outs/multi"), folder) == pool


def test_output_of_starsolo_without_exons(touch):
    full = "a.Solo.out/GeneFull_Ex50pAS/raw/"
    folder = touch(*three(full), *three("a.Solo.out/Velocyto/raw/"), *three("a.Solo.out/SJ/raw/"))
    assert names(find_files(str(folder)), folder) == three(full)
    touch(*three("a.Solo.out/GeneFull/raw/"))
    with pytest.raises(StudyError, match=r"GeneFull, GeneFull_Ex50pAS.*\[several-matrices\]"):
        find_files(str(folder))
    touch(*three("a.Solo.out/Gene/raw/"))
    assert names(find_files(str(folder)), folder) == three("a.Solo.out/Gene/raw/")


def test_two_outputs_of_starsolo(touch):
    folder = touch(*SOLO, *three("b.Solo.out/Gene/raw/"))
    with pytest.raises(StudyError, match=r"has 2 outputs \(a.Solo.out, b.*\n.*one in each row"):
        find_files(str(folder))


def test_velocities_alone_are_no_counts(touch):
    with pytest.raises(StudyError, match=r"\[missing-matrix\]"):
        find_files(f"{touch(*three('Solo.out/Velocyto/raw/'))}/Solo.out")


def test_one_matrix_of_a_prefix_in_a_folder_is_taken(touch):
    folder = touch(*three("geo/GSM1_S1."))
    assert names(find_files(f"{folder}/geo"), folder) == three("geo/GSM1_S1.")


def test_two_genomes_are_not_one_matrix(touch):
    files = [three(f"outs/raw_gene_bc_matrices/{name}/", "", "genes") for name in ("hg19", "mm10")]
    with pytest.raises(StudyError, match=r"hg19, mm10.*\[several-genomes\]"):
        find_files(f"{touch(*files[0], *files[1])}/outs")
