"""What jobs ask for follows the size of their work."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from latere.cluster import needs
from latere.cluster.jobs import Job
from latere.cluster.needs import NEEDS, of_job
from latere.cluster.requests import Need, ask
from latere.cluster.sizes import (
    ARCHIVE_BYTES,
    BYTES_PER_ENTRY,
    ENTRIES_PER_CELL,
    HUMAN_BASES,
    LISTED_BARCODES,
    MOST_BARCODES,
    MOST_CELLS,
    SPOTS_PER_CELL,
    Shape,
    Sizes,
    Unknown,
    index_bytes,
    matrix_shape,
)
from latere.study.sheet import Run
from latere.study.study import Study
from latere.urls import url_name

# As measured: MB at the peak. Two studies drawn from PBMC, two studies and two runs, each with
# its droplets, of tests/bench/cells.py.
PBMC = Shape(6000, 11143, 7.4e6), Shape(24000, 13957, 29.4e6)
BENCH = Shape(10737, 16672, 16.3e6), Shape(39369, 18300, 59.9e6)
RUNS = Shape(10_000, 33538, 7.7e6), Shape(10_000, 33538, 23.0e6)
# Barcodes, entries and MB of folders and of a 10x .h5 that were loaded.
LOADED = [(10_000, 5.5e6, 308), (10_000, 23.0e6, 766), (100_000, 5.0e6, 305)]
LOADED += [(6.8e6, 5.0e6, 1044), (6.8e6, 19.7e6, 1634)]
# Drawn at random: 18,000 genes, 15 groups, 11 samples; and the evidence for 98 types.
MADE = Shape(10_000, 18_000, 15e6), Shape(40_000, 18_000, 60e6)
CELLS = Shape(40_000, 18_000, 60e6), Shape(400_000, 18_000, 600e6)
MEASURED = {
    "call_cells": (RUNS, (1512, 2927)),
    "score_cells": (RUNS, (607, 1074)),
    "remove_ambient": (RUNS, (804, 1607)),
    "cluster_cells": (PBMC, (511, 821)),
    "scvi_de": (PBMC, (2799, 3152)),
    "select_cells": (BENCH, (149, 174)),
    "check_runs": (BENCH, (377, 418)),
    "log_pca": (BENCH, (653, 762)),
    "label_cells": (BENCH, (709 + 240, 836 + 240)),
    "sum_pseudobulks": (MADE, (465, 576), 11),
    "build_design": (MADE, (371, 372), 11),
    "vote_types": (CELLS, (328, 1666)),
    "define_groups": (MADE, (203, 228)),
}


def study(*runs, fasta="genome.fa"):
    config = {"reference": {"fasta": fasta}, "deep": {"max_epochs": None}}
    config["reads"] = {"keep_archives": True, "keep_fastq": False}
    return Study("s", config, {run.name: run for run in runs}, {})


def matrix(path, cells, genes=100, tested=None, parts=None):
    counts = sp.random(cells, genes, density=0.1, format="csr", random_state=1)
    table = ad.AnnData(counts)
    if parts:
        table.obs["s"] = np.repeat(list(parts), list(parts.values()))
    if tested:
        table.var["testable"] = np.arange(genes) < tested
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_h5ad(path)
    return Shape(cells, tested or genes, counts.nnz)


@pytest.mark.parametrize("rule", MEASURED)
def test_memory_is_near_what_was_measured(rule):
    shapes, memory, *samples = MEASURED[rule]
    for shape, measured in zip(shapes, memory, strict=True):
        assert NEEDS[rule][0](shape, *samples).mem_mb == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(
    ("genes", "threads"), [(0, 1), (777, 1), (2000, 2), (3999, 3), (4000, 4), (33_538, 4)]
)
def test_training_gets_the_threads_that_help(genes, threads):
    assert needs.branches.training_threads(Shape(1e6, genes, 1e9)) == threads


def test_join_asks_for_its_largest_sample():
    large = Shape(400_848, 18300, 610e6)
    for shape, measured in zip((*BENCH, large), (644, 710, 1316), strict=True):
        assert needs.cells.merge_cells(shape, 5.5e6).mem_mb == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(
    ("rows", "samples", "memory", "seconds"),
    [(70_000, 11, 399, 17.6), (210_000, 11, 490, 49.5), (210_000, 40, 551, 76.9)],
)
def test_edger_is_near_what_was_measured(rows, samples, memory, seconds):
    need = needs.branches.edger_de(Shape(1, rows / needs.branches.GROUPS, 1), samples)
    assert need.mem_mb == pytest.approx(memory, rel=0.1)
    assert need.cpu_s == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize(
    ("contrasts", "rows", "cells", "memory", "seconds"),
    [
        (2, 70_000, 40_000, 329, 3.2),
        (5, 210_000, 40_000, 450, 9.9),
        (10, 300_000, 400_000, 730, 27.8),
    ],
)
def test_comparison_is_near_what_was_measured(contrasts, rows, cells, memory, seconds):
    need = needs.branches.compare_branches(Shape(cells, rows / needs.branches.GROUPS, 1), contrasts)
    assert need.mem_mb == pytest.approx(memory, rel=0.1)
    assert need.cpu_s == pytest.approx(seconds, rel=0.15)


def test_annotation_of_a_large_genome_gets_more_time():
    for bases, seconds in [(0.3e9, 12), (0.9e9, 28)]:
        assert needs.reads.filter_annotation(bases).cpu_s == pytest.approx(seconds, rel=0.1)
    assert ask(needs.reads.filter_annotation(HUMAN_BASES), 1, 1) == {"mem_mb": 2000, "runtime": 10}
    assert ask(needs.reads.filter_annotation(17e9), 1, 1)["runtime"] > 20  # wheat


def test_human_study_asks_for_what_star_is_known_to_need():
    # The manual wants 32 GB for a human index, and the index to be held whole.
    index = needs.reads.star_index(HUMAN_BASES)
    assert 36_000 <= ask(index, 8, 1)["mem_mb"] <= 44_000
    assert index_bytes(HUMAN_BASES) == pytest.approx(29.5e9, rel=0.02)
    counting = needs.reads.starsolo(332_110_056, index_bytes(HUMAN_BASES), 8)
    assert 40_000 <= ask(counting, 8, 1)["mem_mb"] <= 48_000


def test_ask_has_margins_and_grows_with_the_attempt():
    need = Need(mem_mb=10_000, cpu_s=4 * 3600)
    assert ask(need, 4, 1) == {"mem_mb": 12_000, "runtime": 180}
    assert ask(need, 4, 3) == {"mem_mb": 36_000, "runtime": 540}
    assert ask(need, 1, 1)["runtime"] == 720
    least = ask(Need(mem_mb=1, cpu_s=1), 1, 1)
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
    assert needs.branches.passes(cells, max_epochs) == expected


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
    assert of_job("prefetch", {"accession": "SRR2"}, 1, sizes).kept == 85 * 1000


def test_index_on_disk_else_from_the_genome(tmp_path):
    def sizes(fasta):
        return Sizes(study(fasta=fasta), tmp_path / "results/s", tmp_path / "resources")

    url = "https://example.org/genome.fa.gz"
    with pytest.raises(Unknown, match="not there yet"):
        sizes(str(tmp_path / "genome.fa")).index()
    assert sizes(url).bases() == HUMAN_BASES
    downloaded = tmp_path / "resources/downloads" / url_name(url)
    downloaded.parent.mkdir(parents=True)
    downloaded.write_bytes(bytes(1000))
    assert sizes(url).bases() == 3600
    (tmp_path / "genome.fa").write_bytes(bytes(10**6))
    by_genome = sizes(str(tmp_path / "genome.fa")).index()
    assert by_genome == index_bytes(10**6)
    index = tmp_path / "results/s/reference/star_index"
    index.mkdir(parents=True)
    (index / "SA").write_bytes(bytes(5000))
    assert sizes(url).index() == 5000


def test_cells_of_the_sources_then_counted_then_kept(tmp_path):
    shared = tmp_path / "shared.h5ad"
    whole = matrix(shared, 300, parts={"a": 60, "b": 90, "other": 150})
    runs = [
        Run("a", "a", matrix=(str(shared),), subset="s=a"),
        Run("b", "b", matrix=(str(shared),), subset="s=b"),
        Run("c", "c", sra="SRR1", spots=50_000 * 20),
        Run("d", "d", sra="SRR2", spots=10**12),
    ]
    sizes = Sizes(study(*runs), tmp_path / "results/s")
    assert sizes.called().cells == 60 + 90 + 20 + MOST_CELLS
    part = Shape(60, 100, whole.entries / 5)
    assert sizes.source("a") == part
    counted = [matrix(tmp_path / f"results/s/counts/{run.name}.h5ad", 40) for run in runs]
    assert sizes.called() == Shape(160, 100, sum(shape.entries for shape in counted))
    assert sizes.kept() == sizes.called()
    kept = matrix(tmp_path / "results/s/cells/cells.h5ad", 120, tested=60)
    assert sizes.kept() == kept and sizes.called().cells == 160
    # A job that loads counts holds its part of the matrix, and the barcodes of all.
    assert sizes.loaded("a") == Shape(300, 100, part.entries)
    need = needs.cells.load_counts(sizes.loaded("a"), part.entries)
    assert of_job("load_counts", {"run": "a"}, 1, sizes) == need


def test_loading_counts_follows_barcodes_and_entries(tmp_path):
    for barcodes, entries, measured in LOADED:
        need = needs.cells.load_counts(Shape(barcodes, 36_601, entries), entries)
        assert need.mem_mb == pytest.approx(measured, rel=0.25)
        assert ask(need, 1, 1)["mem_mb"] > measured
    folder = tmp_path / "aggr"
    folder.mkdir()
    (folder / "matrix.mtx").write_text(
        "%%MatrixMarket matrix coordinate integer general\n100 4 12\n"
    )
    barcodes = [f"ACGTACGT-{n}" for n in (1, 1, 1, 2)]
    (folder / "barcodes.tsv").write_text("\n".join([*barcodes, ""]))
    files = tuple(str(folder / name) for name in ("matrix.mtx", "barcodes.tsv", "genes.tsv"))
    runs = [
        Run("a", "a", matrix=files, subset="barcode suffix=2"),
        Run("b", "b", sra="SRR1", spots=50_000 * 20),
    ]
    sizes = Sizes(study(*runs), tmp_path / "results/s")
    assert sizes.source("a") == Shape(1, 100, 3) and sizes.loaded("a") == Shape(4, 100, 12)
    assert sizes.loaded("b").cells == LISTED_BARCODES


def test_cells_of_a_run_are_those_published_where_they_are(tmp_path):
    table = tmp_path / "published.tsv"
    rows = [
        "level name cells source reference",
        "run a 300 x p",
        "run a 700 y p",
        "sample s 999 x p",
    ]
    rows += ["sample t 500 x p", "run c 0 x p"]
    table.write_text("\n".join("\t".join(row.split()) for row in rows) + "\n")
    runs = [
        Run("a", "s", sra="SRR1"),
        Run("b1", "t", sra="SRR2", spots=10**9),
        Run("b2", "t", matrix=("https://example.org/m.h5",)),
        Run("c", "u", sra="SRR3", spots=50_000 * 20),
    ]
    told = study(*runs)
    told.config["published_cells"] = str(table)
    sizes = Sizes(told, tmp_path / "results/s")
    # The most of the run itself, else its part of the sample, else by its spots.
    assert [sizes.source(run.name).cells for run in runs] == [700, 250, 250, 20]


def test_shape_of_a_10x_folder_and_of_a_broken_matrix(tmp_path):
    (tmp_path / "10x").mkdir()
    (tmp_path / "10x/matrix.mtx").write_text(
        "%%MatrixMarket matrix coordinate integer general\n%\n100 20 300\n1 1 1\n"
    )
    assert matrix_shape(str(tmp_path / "10x/matrix.mtx"), 0) == Shape(20, 100, 300)
    (tmp_path / "broken.h5ad").write_bytes(bytes(2800))
    assert matrix_shape(str(tmp_path / "broken.h5ad"), 0).entries == 1000
    # A column that is not there is told by the job that reads the matrix.
    matrix(tmp_path / "whole.h5ad", 30)
    size = (tmp_path / "whole.h5ad").stat().st_size
    shape = matrix_shape(str(tmp_path / "whole.h5ad"), 0, "s=a")
    assert shape.entries == int(size / BYTES_PER_ENTRY)


def test_shape_of_a_real_matrix(real):
    path = real / "matrices/pbmc4k_soupx_2170x33694.h5ad"
    shape = matrix_shape(str(path), 0)
    assert (shape.cells, shape.genes) == (2170, 33694)
    # What a cell is taken to hold at most is twice this.
    assert shape.entries / shape.cells == pytest.approx(ENTRIES_PER_CELL / 2, rel=0.15)


def test_archives_of_gse132509_have_the_bytes_a_spot_that_are_assumed(real):
    table = pd.read_csv(real / "caron2020/caron2020_samples.tsv", sep="\t")
    per_spot = table["sra_bytes"].sum() / table["spots"].sum()
    assert per_spot == pytest.approx(ARCHIVE_BYTES, rel=0.02)
    spots_per_cell = table["spots"].sum() / table["cells_cr3.1_run"].sum()
    assert spots_per_cell / SPOTS_PER_CELL < 1.5


def test_droplets_are_not_taken_for_cells(tmp_path):
    """Nor are the cells of many runs in one file for droplets."""
    path, many = tmp_path / "raw.h5ad", MOST_BARCODES + 1
    whole = matrix(path, many, genes=3, parts={"b": many})
    raw, part = Run("a", "s", matrix=(str(path),)), Run("b", "s", matrix=(str(path),), subset="s=b")
    sizes = Sizes(study(raw), tmp_path / "results/s")
    expected = Shape(MOST_CELLS, 3, whole.entries)
    assert sizes.called() == sizes.counted("a") == expected
    sizes = Sizes(study(part), tmp_path / "results/s")
    assert sizes.called() == whole
    matrix(tmp_path / "results/s/counts/b.h5ad", 40)
    assert sizes.called().cells == 40
    both = Sizes(study(raw, part), tmp_path / "results/s")
    assert both.largest_sample() == whole.entries + both.counted("b").entries


def test_words_of_a_need_are_properties_of_a_job():
    unknown = {word for _, words in NEEDS.values() for word in words} - set(dir(Job)) - {"threads"}
    assert not unknown


def test_small_rule_takes_the_least():
    sizes = Sizes(study(Run("a", "a")), "results/s")
    assert of_job("tool_versions", {"env": "x"}, 1, sizes) == Need()


def test_a_rule_shares_the_need_of_another(monkeypatch):
    monkeypatch.setattr(needs.registry, "NEEDS", dict(needs.NEEDS))
    monkeypatch.setattr(needs.registry, "SMALL", set(needs.SMALL))
    needs.share("mine", "call_de")
    assert needs.of_job("mine", {}, 1, None) == Need()
    needs.share("other", "define_groups")
    shape = Shape(10_000, 2_000, 10_000_000)
    assert needs.registry.NEEDS["other"][0](shape) == needs.branches.define_groups(shape)
    # `plan` explains each need by its docstring.
    assert needs.registry.NEEDS["other"][0].__doc__ == "As define_groups."
    with pytest.raises(LookupError, match="no need of a rule third"):
        needs.share("fourth", "third")
