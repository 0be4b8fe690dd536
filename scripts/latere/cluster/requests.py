"""What a job needs: memory, CPU time and disk by the size of its work, and what to ask for.

One model serves two ends: a rule asks for its `Need` with a margin that grows with each attempt
(`ask`), and `plan` adds the needs up as they are. Every figure tells where it comes from:

- measured: on two cores of a cloud machine, Debian 12. Reads: the demo's archive A_1 (416,037
  spots of 8 + 26 + 91 bases), counted once and eight times over. Cells: two studies of 6,000 and
  24,000 cells, drawn from 2,170 real PBMC with 33,694 genes, 1,230 entries a cell; and two of 3 and
  11 runs, 10,737 and 39,369 cells with 16.3 and 59.9 million entries, as tests/bench/cells.py makes
  them. CPU time is user plus system time, of GNU time or of Snakemake's benchmark tables.
- published: with its source.
"""

import math
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from latere.counts.columns import rows_of
from latere.counts.hdf5 import open_h5
from latere.counts.inspection import check_mtx
from latere.errors import StudyError
from latere.study.sheet import Run
from latere.study.study import Study
from latere.urls import URL, url_name

# Asked for over expected. Memory: what is measured differs by less from run to run. Time: other
# processors, shared file systems; a job that ends early gives the rest back.
MEMORY_MARGIN = 1.2
TIME_MARGIN = 3
LEAST_MEM_MB, STEP_MEM_MB = 2000, 500
LEAST_MINUTES = 10

# Bytes a spot of an SRA archive: 303 GB, 3,587 million spots of 132 bases (GSE132509, SRA).
ARCHIVE_BYTES = 85
# Bytes a spot of gzipped FASTQ: 78 for the 114 bases of real v2 reads (bamtofastq's test data), so
# 91 for 132 bases; plain FASTQ with fasterq-dump's read names 588 (measured).
FASTQ_BYTES = {True: 91, False: 588}
# As `fasterq_dump` leaves them, with short names and gzipped fast: 81 for the same real reads.
UNPACKED_BYTES = 94
# Spots of a run that is still to be downloaded and whose size nothing tells: a large one, for its
# time only. The largest of GSE132509 has 332 million.
MOST_SPOTS = 400e6
# GRCh38 without alternative loci, in bases; gzipped FASTA holds 3.6 bases a byte (measured).
HUMAN_BASES, BASES_PER_GZ_BYTE = 3.1e9, 3.6
# Read pairs a cell of 3' v2, and most cells of a library, that the maker advises (10x Genomics,
# knowledge base 115002022743 and 360001378811). GSE132509 has 70,000 read pairs a cell.
SPOTS_PER_CELL, MOST_CELLS = 50_000, 10_000
# A matrix with more barcodes holds those of empty droplets, too.
MOST_BARCODES = 50_000
# Genes that pass as tested (14,000 measured in PBMC; 19,400 protein-coding genes in GENCODE 44),
# and entries (counts above 0) a cell: twice that of PBMC, as larger cells hold more.
TESTED_GENES, ENTRIES_PER_CELL = 20_000, 2_500
# Bytes an entry of a compressed .h5ad (measured).
BYTES_PER_ENTRY = 2.8


class Unknown(Exception):
    """A size that neither the sheet nor a file tells yet; the message says what is missing."""


@dataclass(frozen=True)
class Need:
    """What a job is expected to take.

    Attributes
    ----------
    mem_mb
        Memory at its peak, MB.
    cpu_s
        CPU time, seconds, all threads together.
    idle_s
        Time without CPU, seconds.
    gpu_s
        GPU time, seconds, where there is a GPU.
    scratch
        Bytes on the study's disk at the peak that do not stay.
    waiting
        Bytes of outputs that lie there until the next jobs have read them.
    local
        Bytes in the temporary folder of the node, at the peak.
    kept
        Bytes of its outputs that stay.
    """

    mem_mb: float = 500
    # A minute for a job that has no figure of its own: in the demo none took more than 10 s.
    cpu_s: float = 60
    idle_s: float = 0
    gpu_s: float = 0
    scratch: float = 0
    waiting: float = 0
    local: float = 0
    kept: float = 0


@dataclass(frozen=True)
class Shape:
    """Cells of a study, genes that are tested, and entries (counts above 0) of the matrix."""

    cells: float
    genes: float
    entries: float


def ask(need: Need, threads: int, attempt: int) -> dict[str, int]:
    """What a job asks for: its need, with margins, times the number of the attempt.

    Returns
    -------
    dict
        `mem_mb` and `runtime` (minutes).
    """
    memory = MEMORY_MARGIN * need.mem_mb / STEP_MEM_MB
    minutes = TIME_MARGIN * (need.cpu_s / threads + need.idle_s) / 60
    return {
        "mem_mb": attempt * max(LEAST_MEM_MB, STEP_MEM_MB * math.ceil(memory)),
        "runtime": attempt * max(LEAST_MINUTES, math.ceil(minutes)),
    }


def prefetch(spots: float, keep: bool = True) -> Need:
    """Download of an archive. The network is the site's: 10 MB/s are assumed, not measured."""
    size = ARCHIVE_BYTES * spots
    return Need(idle_s=size / 10e6, **{"kept" if keep else "waiting": size})


def fasterq_dump(spots: float, keep: bool = False) -> Need:
    """9.1 CPU s for 3.3 million spots: vdb-validate, fasterq-dump, gzip at its fastest (measured).

    Its plain reads lie in the temporary folder of the node: 312 bytes for a spot of 132 bases, and
    an eighth more while its 8 threads join their parts. Gzipped reads wait to be counted. The
    archive is read twice, the plain reads are written and read twice at most, at 200 MB/s, which is
    assumed, not measured. Memory is what it is granted (`--mem`): enough for 100 MB a thread, its
    default.
    """
    plain, packed = 312 * spots, UNPACKED_BYTES * spots
    moved = 4 * plain + packed + 2 * ARCHIVE_BYTES * spots
    return Need(
        mem_mb=2000,
        cpu_s=2.8e-6 * spots,
        idle_s=moved / 200e6,
        local=plain * 9 / 8,
        **{"kept" if keep else "waiting": packed},
    )


def check_reads(spots: float) -> Need:
    """3.5 CPU s for 3.3 million spots of three reads (measured)."""
    return Need(cpu_s=1.1e-6 * spots)


def fastqc(spots: float) -> Need:
    """6.8 CPU s for 416,037 cDNA reads, 3.7 s for barcodes; 310 MB each, together (measured)."""
    return Need(mem_mb=620, cpu_s=26e-6 * spots, kept=4e6)


def star_index(bases: float) -> Need:
    """Memory of 10 bytes a base (STAR manual, 2.2); 23 min on 8 threads for the 2.73e9 bases of
    the mouse, so 4.1e-6 CPU s a base (STAR issue 1906). On disk 16 bytes a base at the peak (640 MB
    for 40 million bases, measured), the unpacked genome beside them.
    """
    index = index_bytes(bases)
    scratch = max(0, 16 * bases - index) + bases
    return Need(mem_mb=(10 * bases + 2e9) / 1e6, cpu_s=4.1e-6 * bases, scratch=scratch, kept=index)


def index_bytes(bases: float) -> float:
    """Size of a STAR index: genome and suffix array 9 bytes a base, and 6 * 4^n for the index of
    n-mers, n as the manual advises (STAR wiki, FAQ on run time). Human: 29.5 GB.
    """
    return 9 * bases + 6 * 4 ** min(14, math.log2(bases) / 2 - 1)


def detect_strand(index: float, threads: int) -> Need:
    """STAR on the first 200,000 reads, as in `starsolo`; reading the index takes most of the time,
    at 200 MB/s, which are assumed, not measured.
    """
    memory = index + 150e6 * threads + 0.3e9
    return Need(mem_mb=memory / 1e6, cpu_s=82e-6 * 200_000, idle_s=index / 200e6)


def starsolo(spots: float, index: float, threads: int, bam: bool = False) -> Need:
    """Counts of one run.

    Memory: the index, 150 MB a thread (STAR wiki; 110 measured), and 24 bytes a spot: 12 for each
    of two tables (STAR issue 1577; 22 measured). CPU: 19 min on 32 threads for 445 million human
    spots (benchmark of STAR-suite, 2026-03), 82e-6 s a spot; 35e-6 on the demo's small genome.
    Output: 6 bytes a spot and three barcode lists (measured with 1.25 reads a molecule: at most).
    In the temporary folder of the node 63 bytes a spot. A BAM takes 60 bytes a spot, 369 in that
    folder, and 0.1 GB more memory (measured): the index is freed before it is sorted (STAR.cpp).
    """
    memory = index + 150e6 * threads + 24 * spots + 0.3e9
    return Need(
        mem_mb=memory / 1e6,
        cpu_s=82e-6 * spots,
        local=(369 if bam else 63) * spots,
        kept=7e6 + (66 if bam else 6) * spots,
    )


def load_counts(entries: float) -> Need:
    """308, 588 and 766 MB, 3.0, 5.6 and 7.0 CPU s for 10x folders of 5.5, 16.3 and 23.0 million
    entries; 2.8 to 3.1 bytes an entry on disk (measured).
    """
    return Need(mem_mb=170 + 26e-6 * entries, cpu_s=2 + 0.25e-6 * entries, kept=3 * entries)


def call_cells(run: Shape) -> Need:
    """1,512 and 2,927 MB, 36 and 75 CPU s for raw matrices of 7.7 and 23.0 million entries, of
    100,000 and 300,000 empty droplets (measured). A filtered matrix takes less: 219 and 370 MB, 2
    CPU s for 5.5 and 16.3 million.
    """
    return Need(mem_mb=800 + 93e-6 * run.entries, cpu_s=16 + 2.6e-6 * run.entries)


def remove_ambient(run: Shape) -> Need:
    """804 and 1,607 MB, 26 and 98 CPU s for raw matrices of 7.7 and 23.0 million entries
    (measured).
    """
    return Need(
        mem_mb=390 + 53e-6 * run.entries, cpu_s=5 + 4.1e-6 * run.entries, kept=3 * run.entries
    )


def score_cells(run: Shape) -> Need:
    """553, 607, 913 and 1,074 MB, 3.9, 6.5, 13 and 12 CPU s for 5.5, 7.7, 16.3 and 23.0 million
    entries (measured).
    """
    return Need(mem_mb=360 + 33e-6 * run.entries, cpu_s=2 + 0.7e-6 * run.entries)


def select_cells(shape: Shape) -> Need:
    """149, 183 and 401 MB for 10,737, 39,369 and 400,848 cells (measured)."""
    return Need(mem_mb=140 + 0.001 * shape.cells, cpu_s=2, kept=100 * shape.cells)


def check_runs(shape: Shape) -> Need:
    """333, 393, 520 and 880 MB, 3, 8, 15 and 47 s for 10,737, 39,369, 100,212 and 400,848 cells
    with 16, 60, 153 and 611 million entries in runs of one size (measured); some entries of a run
    lie in memory at a time.
    """
    return Need(mem_mb=450 + 0.0012 * shape.cells, cpu_s=3 + 0.1e-6 * shape.entries)


def plot_cells(shape: Shape) -> Need:
    """214 MB, 3.2 CPU s for four runs of 28,632 cells (measured)."""
    return Need(mem_mb=200 + 0.001 * shape.cells, cpu_s=5 + 0.1e-3 * shape.cells, kept=5e6)


def merge_cells(shape: Shape, largest: float) -> Need:
    """644, 710, 627 and 1,316 MB, 6, 15, 33 and 139 CPU s for 10,737, 39,369, 100,212 and 400,848
    cells with 16, 60, 153 and 611 million entries, 1.7 to 2.0 bytes an entry on disk (measured). Of
    the largest sample all entries lie in memory, 5.5 million of these.
    """
    return Need(
        mem_mb=540 + 0.0018 * shape.cells + 20e-6 * largest,
        cpu_s=5 + 0.22e-6 * shape.entries,
        kept=1.8 * shape.entries,
    )


def variable_genes(shape: Shape, largest: float) -> Need:
    """All entries of the largest sample lie in memory, as `merge_cells` was measured with them."""
    return Need(mem_mb=540 + 20e-6 * largest, cpu_s=5 + 0.1e-6 * shape.entries)


def gpu_seconds(passes: float) -> float:
    """15 minutes for 8 million passes of a cell on an RTX 4070 Ti at 28 % (leukomap, whose
    39,375 cells take 8 million passes by scvi-tools' rule).
    """
    return 900 * passes / 8e6


def passes(cells: float, max_epochs: int | None) -> float:
    """Passes of a cell through the model at most: `max_epochs` or scvi-tools' rule."""
    return cells * (max_epochs or max(1, min(round(20_000 / max(cells, 1) * 400), 400)))


def train_scvi(shape: Shape, max_epochs: int | None) -> Need:
    """968 and 1,190 MB for 7.4 and 29.4 million entries; 0.11e-6 CPU s a pass of a cell and gene
    (measured: 2 epochs, 6,000 cells, 11,143 genes). The libraries of CUDA get 4 GB more, which
    nobody has measured here. Time is asked for as without a GPU.
    """
    done = passes(shape.cells, max_epochs)
    return Need(
        mem_mb=4900 + 12e-6 * shape.entries,
        cpu_s=10 + 0.11e-6 * done * shape.genes,
        gpu_s=gpu_seconds(done),
        kept=2000 * shape.genes,
    )


# Genes for each CPU thread of the training, and most threads. Seconds of an epoch of 1,501 cells on
# the longest path of 1, 2 and 4 threads: 0.26, 0.36, 0.36 with 700 genes; 0.58, 0.43, 0.41 with
# 2,000; 3.0, 1.7, 1.0 with 12,000 (measured).
GENES_PER_THREAD, MOST_THREADS = 1000, 4


def training_threads(shape: Shape) -> int:
    """CPU threads that make a training faster. Mini-batches have one size: genes decide."""
    return int(min(MOST_THREADS, max(1, shape.genes // GENES_PER_THREAD)))


# Groups of a test: all cells, and each cell type; 5 in PBMC, 14 types in config/markers.tsv.
GROUPS = 15


def scvi_de(shape: Shape) -> Need:
    """5,000 pairs of draws a gene and group: 2,799 and 3,152 MB with 11,143 and 13,957 genes, 797
    with 700; 1.3e-3 CPU s a gene and group. Two threads take a fifth less with 12,000 genes,
    four no less (measured), so one thread is asked for.
    """
    return Need(
        mem_mb=700 + 0.18 * shape.genes + 12e-6 * shape.entries,
        cpu_s=15 + 1.3e-3 * shape.genes * GROUPS,
        kept=50 * shape.genes * GROUPS,
    )


def log_pca(shape: Shape) -> Need:
    """653 and 762 MB, 5.6 and 10.4 CPU s for 16.3 and 59.9 million entries (measured)."""
    return Need(mem_mb=610 + 2.5e-6 * shape.entries, cpu_s=4 + 0.11e-6 * shape.entries)


def cluster_cells(shape: Shape) -> Need:
    """511 and 821 MB, 14 and 60 CPU s for 6,000 and 24,000 cells (measured)."""
    return Need(mem_mb=450 + 0.02 * shape.cells, cpu_s=5 + 2.5e-3 * shape.cells)


def label_cells(shape: Shape) -> Need:
    """709 and 836 MB, 5.7 and 11.6 CPU s for 16.3 and 59.9 million entries (measured with markers).
    CellTypist makes the genes of its model dense, 5,000 cells at a time: 240 MB for 6,000 genes.
    """
    return Need(mem_mb=900 + 3e-6 * shape.entries, cpu_s=4 + 0.3e-6 * shape.entries)


def sum_pseudobulks(shape: Shape) -> Need:
    """488 and 915 MB, 2.7 and 5.1 CPU s for 16.3 and 59.9 million entries (measured)."""
    return Need(mem_mb=330 + 10e-6 * shape.entries, cpu_s=3 + 0.1e-6 * shape.entries)


def report(shape: Shape) -> Need:
    """220 MB for 6,000 cells (measured)."""
    return Need(mem_mb=200 + 0.01 * shape.cells, cpu_s=5 + 0.1e-3 * shape.cells, kept=5e6)


class Sizes:
    """Sizes of a study's work, from its files where they are there, else as the sheet tells.

    Parameters
    ----------
    study
        The checked study.
    results, resources
        Folders of its results, and of what it downloads.
    """

    def __init__(self, study: Study, results: str, resources: str = "resources"):
        self.study, self.results, self.resources = study, Path(results), Path(resources)

    @cached_property
    def _by_accession(self) -> dict[str, str]:
        return {run.accession: name for name, run in self.study.runs.items() if run.accession}

    def run_of(self, wildcards: dict) -> str | None:
        """Name of the run that a job works on, by its run or its accession."""
        return wildcards.get("run") or self._by_accession.get(wildcards.get("accession"))

    def archive(self, run: Run) -> Path:
        """Where the archive of a run lies, if it is there: with its study, else with the shared."""
        if not run.accession:
            return Path(run.sra)
        own = self.results / f"sra/{run.accession}.sra"
        return own if own.is_file() else self.resources / f"sra/{run.accession}.sra"

    def spots(self, name: str) -> float:
        """Spots of a run: the sheet's, else from the size of its archive or FASTQ files.

        Raises
        ------
        Unknown
            The sheet does not tell, and no file is there.
        """
        run = self.study.runs[name]
        if run.spots is not None:
            return run.spots
        if run.fastq:
            return sum(map(fastq_spots, (file for lane in run.fastq for file in lane)))
        unpacked = self.results / "reads" / name
        if self.archive(run).is_file():
            return self.archive(run).stat().st_size / ARCHIVE_BYTES
        if unpacked.is_dir():
            packed = sum(file.stat().st_size for file in unpacked.glob("*.fastq.gz"))
            return packed / UNPACKED_BYTES
        raise Unknown(f"spots of run {name}: not in the sheet, and its archive is not there yet")

    def local(self, path: str) -> Path:
        """Where a file lies, or will lie, that is named by path or by URL."""
        return self.resources / "downloads" / url_name(path) if URL.match(path) else Path(path)

    def bases(self) -> float:
        """Bases of the genome; those of the human one while a URL is not yet downloaded.

        Raises
        ------
        Unknown
            The embedded study has not made its genome yet.
        """
        path = self.study.config["reference"]["fasta"]
        local = self.local(path)
        if local.is_file():
            return local.stat().st_size * (BASES_PER_GZ_BYTE if local.suffix == ".gz" else 1)
        if URL.match(path):
            return HUMAN_BASES
        raise Unknown(f"size of the genome: {path} is not there yet")

    def index(self) -> float:
        """Bytes of the STAR index: on disk, else from the genome."""
        folder = self.results / "reference/star_index"
        files = (
            [entry for entry in os.scandir(folder) if entry.is_file()] if folder.is_dir() else []
        )
        return sum(entry.stat().st_size for entry in files) or index_bytes(self.bases())

    def source(self, name: str) -> Shape:
        """Cells of a run in its matrix, or in its part of one, else what its reads will give."""
        run = self.study.runs[name]
        if run.matrix and (matrix := self.local(run.matrix[0])).is_file():
            return self._shape(run, matrix, run.subset)
        # What a matrix holds that is still to be fetched nobody knows.
        cells = MOST_CELLS if run.matrix else min(self.spots(name) / SPOTS_PER_CELL, MOST_CELLS)
        return Shape(cells, TESTED_GENES, ENTRIES_PER_CELL * cells)

    def _shape(self, run: Run, path: Path, subset: str = "") -> Shape:
        """Shape of the matrix of a run; of its barcodes, if they are droplets, as many as cells."""
        shape = matrix_shape(str(path), path.stat().st_mtime, subset)
        droplets = shape.cells > MOST_BARCODES and not run.subset
        return replace(shape, cells=MOST_CELLS) if droplets else shape

    def counted(self, name: str) -> Shape:
        """Counts of a run, raw ones with their droplets, else what its source tells."""
        counts = self.results / f"counts/{name}.h5ad"
        return self._shape(self.study.runs[name], counts) if counts.is_file() else self.source(name)

    def called(self) -> Shape:
        """Cells of all runs before the limits: counted, else as their sources tell."""
        shapes = [self.counted(name) for name in self.study.runs]
        return Shape(
            sum(shape.cells for shape in shapes),
            max(shape.genes for shape in shapes),
            sum(shape.entries for shape in shapes),
        )

    def largest_sample(self) -> float:
        """Entries of the sample with the most of them."""
        entries = Counter()
        for name, run in self.study.runs.items():
            entries[run.sample] += self.counted(name).entries
        return max(entries.values())

    def kept(self) -> Shape:
        """Cells that both branches look at: those of `cells.h5ad`, else all that are called."""
        cells = self.results / "cells/cells.h5ad"
        return matrix_shape(str(cells), cells.stat().st_mtime) if cells.is_file() else self.called()


def fastq_spots(file: str | Path) -> float:
    """Spots that one of a run's FASTQ files stands for, so that all of them together give all."""
    file = Path(file)
    return file.stat().st_size / FASTQ_BYTES[file.suffix == ".gz"]


@cache
def matrix_shape(path: str, changed: float, subset: str = "") -> Shape:
    """Shape of a count matrix: an .h5ad, a 10x .h5 or a MatrixMarket file.

    Parameters
    ----------
    path
        The matrix.
    changed
        Time of its last change, so that another one is read anew.
    subset
        ``obs_column=value`` of the cells of an .h5ad that count, else all; each is taken to have as
        many entries as the others.

    Returns
    -------
    Shape
        Tested genes are those marked so, else all. Of a file of another form a guess by its size:
        what is wrong with it is told by the job that reads it.
    """
    try:
        shape = _mtx_shape(path) if ".mtx" in Path(path).name else _h5_shape(path)
        share = float(rows_of(path, subset).mean()) if subset else 1
        return replace(shape, cells=shape.cells * share, entries=shape.entries * share)
    except (OSError, KeyError, ValueError, StopIteration, StudyError):
        entries = int(Path(path).stat().st_size / BYTES_PER_ENTRY)
        return Shape(entries / ENTRIES_PER_CELL, TESTED_GENES, entries)


def _h5_shape(path: str) -> Shape:
    import h5py

    with open_h5(path) as file:
        if "X" not in file:
            genes, cells = file["matrix/shape"][:]
            return Shape(int(cells), int(genes), len(file["matrix/data"]))
        counts = file["X"]
        sparse = isinstance(counts, h5py.Group)
        cells, genes = counts.attrs["shape"] if sparse else counts.shape
        tested = file["var/testable"][:].sum() if "testable" in file["var"] else genes
        return Shape(int(cells), int(tested), len(counts["data"]) if sparse else counts.size)


def _mtx_shape(path: str) -> Shape:
    genes, cells, entries = check_mtx(path)
    return Shape(cells, genes, entries)


def of_job(rule: str, wildcards: dict, threads: int, sizes: Sizes) -> Need:
    """What a job is expected to take; the least where its rule has no figure of its own.

    Raises
    ------
    Unknown
        A size that it depends on is not known yet.
    """
    run = sizes.run_of(wildcards)
    match rule:
        case "prefetch":
            return prefetch(sizes.spots(run), sizes.study.config["reads"]["keep_archives"])
        case "fasterq_dump":
            return fasterq_dump(sizes.spots(run), sizes.study.config["reads"]["keep_fastq"])
        case "check_reads":
            return check_reads(sizes.spots(run))
        case "fastqc":
            return fastqc(sizes.spots(run))
        case "detect_strand":
            return detect_strand(sizes.index(), threads)
        case "star_index":
            return star_index(sizes.bases())
        case "starsolo":
            bam = sizes.study.config["reads"]["bam"]
            return starsolo(sizes.spots(run), sizes.index(), threads, bam)
        case "load_counts":
            return load_counts(sizes.source(run).entries)
        case "call_cells":
            return call_cells(sizes.counted(run))
        case "score_cells":
            return score_cells(sizes.counted(run))
        case "remove_ambient":
            return remove_ambient(sizes.counted(run))
        case "select_cells":
            return select_cells(sizes.called())
        case "check_runs":
            return check_runs(sizes.called())
        case "plot_cells":
            return plot_cells(sizes.called())
        case "merge_cells":
            return merge_cells(sizes.called(), sizes.largest_sample())
        case "train_scvi":
            return train_scvi(sizes.kept(), sizes.study.config["deep"]["max_epochs"])
        case "scvi_de":
            return scvi_de(sizes.kept())
        case "variable_genes":
            return variable_genes(sizes.kept(), sizes.largest_sample())
        case "log_pca":
            return log_pca(sizes.kept())
        case "cluster_cells":
            return cluster_cells(sizes.kept())
        case "label_cells":
            return label_cells(sizes.kept())
        case "sum_pseudobulks":
            return sum_pseudobulks(sizes.kept())
        case "report":
            return report(sizes.kept())
    return Need()
