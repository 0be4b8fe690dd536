"""What jobs ask for follows the size of their work."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from latere import requests
from latere.requests import Need, Shape, Sizes, Unknown
from latere.study import Run, Study, url_name

# A PBMC matrix of 6,000 and of 24,000 cells: entries, then MB at the peak, as measured.
SMALL, LARGE = Shape(6000, 11143, 7.4e6), Shape(24000, 13957, 29.4e6)
MEASURED = {
    "merge_cells": (507, 1301),
    "log_pca": (481, 848),
    "cluster_cells": (511, 821),
    "annotate_cells": (645, 1343),
    "pseudobulk": (350, 1121),
    "scvi_de": (2799, 3152),
}


def study(*runs, fasta="genome.fa"):
    config = {"reference": {"fasta": fasta}, "deep": {"max_epochs": None}}
    config["reads"] = {"keep_archives": True, "keep_fastq": False}
    return Study("s", config, {run.name: run for run in runs}, {})


def matrix(path, cells, genes=100, tested=None):
    counts = sp.random(cells, genes, density=0.1, format="csr", random_state=1)
    table = ad.AnnData(counts)
    if tested:
        table.var["tested"] = np.arange(genes) < tested
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_h5ad(path)
    return Shape(cells, tested or genes, counts.nnz)


@pytest.mark.parametrize("rule", MEASURED)
def test_memory_is_near_what_was_measured(rule):
    for shape, measured in zip((SMALL, LARGE), MEASURED[rule], strict=True):
        assert getattr(requests, rule)(shape).mem_mb == pytest.approx(measured, rel=0.25)


def test_human_study_asks_for_what_star_is_known_to_need():
    # The manual wants 32 GB for a human index, and the index to be held whole.
    index = requests.star_index(requests.HUMAN_BASES)
    assert 36_000 <= requests.ask(index, 8, 1)["mem_mb"] <= 44_000
    assert requests.index_bytes(requests.HUMAN_BASES) == pytest.approx(29.5e9, rel=0.02)
    counting = requests.starsolo(332_110_056, requests.index_bytes(requests.HUMAN_BASES), 8)
    assert 40_000 <= requests.ask(counting, 8, 1)["mem_mb"] <= 48_000


def test_ask_has_margins_and_grows_with_the_attempt():
    need = Need(mem_mb=10_000, cpu_s=4 * 3600)
    assert requests.ask(need, 4, 1) == {"mem_mb": 12_000, "runtime": 180}
    assert requests.ask(need, 4, 3) == {"mem_mb": 36_000, "runtime": 540}
    assert requests.ask(need, 1, 1)["runtime"] == 720
    least = requests.ask(Need(mem_mb=1, cpu_s=1), 1, 1)
    assert (least["mem_mb"], least["runtime"]) == (2000, 10)


@pytest.mark.parametrize(
    ("cells", "max_epochs", "expected"),
    [
        (0, None, 0),
        (1000, None, 400_000),
        (40_000, None, 8e6),
        (40_000, 10, 400_000),
        (9e6, None, 9e6),
    ],
)
def test_passes_follow_the_rule_of_scvi_tools(cells, max_epochs, expected):
    assert requests.passes(cells, max_epochs) == expected


def test_spots_from_the_sheet_or_the_files(tmp_path):
    (tmp_path / "resources/sra").mkdir(parents=True)
    (tmp_path / "resources/sra/SRR2.sra").write_bytes(bytes(85 * 1000))
    (tmp_path / "r1.fastq.gz").write_bytes(bytes(30 * 1000))
    (tmp_path / "r2.fastq.gz").write_bytes(bytes(61 * 1000))
    fastq = ((str(tmp_path / "r1.fastq.gz"),), (str(tmp_path / "r2.fastq.gz"),))
    runs = [
        Run("told", "a", sra="SRR1", spots=7),
        Run("archive", "b", sra="SRR2"),
        Run("fastq", "c", fastq=fastq),
        Run("nowhere", "d", sra="SRR4"),
    ]
    sizes = Sizes(study(*runs), tmp_path / "results/s", tmp_path / "resources")
    assert [sizes.spots(name) for name in ("told", "archive", "fastq")] == [7, 1000, 1000]
    with pytest.raises(Unknown, match="run nowhere"):
        sizes.spots("nowhere")
    # Unpacked reads tell, too, and a download is told from its run by the accession.
    (tmp_path / "results/s/reads/nowhere").mkdir(parents=True)
    (tmp_path / "results/s/reads/nowhere/x_1.fastq.gz").write_bytes(bytes(940))
    assert sizes.spots("nowhere") == 10
    assert requests.of_job("prefetch", {"accession": "SRR2"}, 1, sizes).kept == 85 * 1000


def test_index_on_disk_else_from_the_genome(tmp_path):
    def sizes(fasta):
        return Sizes(study(fasta=fasta), tmp_path / "results/s", tmp_path / "resources")

    url = "https://example.org/genome.fa.gz"
    with pytest.raises(Unknown, match="not there yet"):
        sizes(str(tmp_path / "genome.fa")).index()
    assert sizes(url).bases() == requests.HUMAN_BASES
    downloaded = tmp_path / "resources/downloads" / url_name(url)
    downloaded.parent.mkdir(parents=True)
    downloaded.write_bytes(bytes(1000))
    assert sizes(url).bases() == 3600
    (tmp_path / "genome.fa").write_bytes(bytes(10**6))
    by_genome = sizes(str(tmp_path / "genome.fa")).index()
    assert by_genome == requests.index_bytes(10**6)
    index = tmp_path / "results/s/reference/star_index"
    index.mkdir(parents=True)
    (index / "SA").write_bytes(bytes(5000))
    assert sizes(url).index() == 5000


def test_cells_of_the_sources_then_counted_then_kept(tmp_path):
    shared = tmp_path / "shared.h5ad"
    whole = matrix(shared, 300)
    runs = [
        Run("a", "a", matrix=str(shared), subset="s=a"),
        Run("b", "b", matrix=str(shared), subset="s=b"),
        Run("c", "c", sra="SRR1", spots=50_000 * 20),
        Run("d", "d", sra="SRR2", spots=10**12),
    ]
    sizes = Sizes(study(*runs), tmp_path / "results/s")
    assert sizes.called().cells == 300 + 20 + requests.MOST_CELLS
    counted = [matrix(tmp_path / f"results/s/counts/{run.name}.h5ad", 40) for run in runs]
    assert sizes.called() == Shape(160, 100, sum(shape.entries for shape in counted))
    assert sizes.kept() == sizes.called()
    kept = matrix(tmp_path / "results/s/cells/cells.h5ad", 120, tested=60)
    assert sizes.kept() == kept and sizes.called().cells == 160
    # A job that loads counts holds the whole matrix.
    assert requests.of_job("load_counts", {"run": "a"}, 1, sizes) == requests.load_counts(
        whole.entries
    )


def test_shape_of_a_10x_folder_and_of_a_broken_matrix(tmp_path):
    (tmp_path / "10x").mkdir()
    (tmp_path / "10x/matrix.mtx").write_text("%%MatrixMarket\n%\n100 20 300\n1 1 1\n")
    assert requests.matrix_shape(str(tmp_path / "10x"), 0) == Shape(20, 100, 300)
    (tmp_path / "broken.h5ad").write_bytes(bytes(2800))
    assert requests.matrix_shape(str(tmp_path / "broken.h5ad"), 0).entries == 1000


def test_shape_of_a_real_matrix(real):
    path = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    shape = requests.matrix_shape(str(path), 0)
    assert (shape.cells, shape.genes) == (2170, 33694)
    # What a cell is taken to hold at most is twice this.
    assert shape.entries / shape.cells == pytest.approx(requests.ENTRIES_PER_CELL / 2, rel=0.15)


def test_archives_of_gse132509_have_the_bytes_a_spot_that_are_assumed(real):
    table = pd.read_csv(real / "caron2020/caron2020_samples.tsv", sep="\t")
    per_spot = table["sra_bytes"].sum() / table["spots"].sum()
    assert per_spot == pytest.approx(requests.ARCHIVE_BYTES, rel=0.02)
    spots_per_cell = table["spots"].sum() / table["cells_cr3.1_run"].sum()
    assert spots_per_cell / requests.SPOTS_PER_CELL < 1.5


def test_rule_without_a_figure_of_its_own_takes_the_least():
    sizes = Sizes(study(Run("a", "a")), "results/s")
    assert requests.of_job("call_de", {"contrast": "x"}, 1, sizes) == Need()
