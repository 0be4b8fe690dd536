"""The registry of needs: what a job of a rule takes, by the size of its work.

One entry a rule. `plan` adds the needs up as they are; a rule asks for its own with a margin
(`latere.cluster.requests.ask`). Every number says where it comes from:

- measured: on two cores of a cloud machine, Debian 12. Reads: the demo's archive A_1 (416,037
  spots of 8 + 26 + 91 bases), counted once and eight times over. Cells: two studies of 6,000 and
  24,000 cells, drawn from 2,170 real PBMC with 33,694 genes, 1,230 entries a cell; and two of 3 and
  11 runs, 10,737 and 39,369 cells with 16.3 and 59.9 million entries, as tests/bench/cells.py makes
  them. Tables of genes: random ones, of the given sizes. CPU time is user plus system time, of GNU
  time or of Snakemake's benchmark tables.
- published: with its source.
"""

from collections.abc import Callable, Mapping

from latere.cluster.jobs import Job
from latere.cluster.requests import Need
from latere.cluster.sizes import ARCHIVE_BYTES, UNPACKED_BYTES, Shape, Sizes, index_bytes

# Rules whose jobs take what a rule is given by default (a minute and 500 MB, so the least that is
# asked for), whatever the study.
SMALL = {
    # Asks each tool for its version.
    "tool_versions",
    # Unpacks one list of barcodes: 45 MB and 1 s for the longest that ngs-tools ships (measured).
    "extract_whitelist",
    # Waits for the network, for a file whose size nobody knows before; the next attempt, which has
    # more time, goes on where the last one ended.
    "download",
    # Hardly grows: 164 and 167 MB, 5 s for 2 and 8 runs (measured).
    "multiqc",
    # The cells of one run: 105 MB, 6 s for 5 million entries (measured), 30 s for a full library.
    "run_metrics",
    # Genes and groups are not many more anywhere: 302 MB, 1.7 s for 15 groups of 20,000 (measured).
    "call_de",
    # Looks at the first reads of a run: 155 MB and 4 s with all chemistries (measured).
    "assign_roles",
    # The embedded study has one size.
    "simulate_study",
    "simulate_reads",
    "simulate_sra",
    "train_demo_model",
    "compare_truth",
    "plan",  # submits nothing, and runs where Snakemake does
}


# Groups of a test: all cells, and each cell type; 5 in PBMC, 14 types in config/markers.tsv.
GROUPS = 15
# By rule: the function that gives its need, and the properties of a `Job` that it depends on.
NEEDS: dict[str, tuple[Callable[..., Need], tuple[str, ...]]] = {}


def needs(*words: str) -> Callable:
    """Enter a function into the registry, as the need of the rule of its name.

    Parameters
    ----------
    words
        Properties of `Job`, in the order of the function's arguments.
    """

    def enter(function: Callable[..., Need]) -> Callable[..., Need]:
        NEEDS[function.__name__] = function, words
        return function

    return enter


def share(rule: str, other: str) -> None:
    """Give a rule the need of another one, so that it has no entry of its own."""
    if other in SMALL:
        SMALL.add(rule)
    elif other in NEEDS:
        function, words = NEEDS[other]

        def shared(*values):
            return function(*values)

        shared.__doc__ = f"As {other}."
        NEEDS[rule] = shared, words
    else:
        raise LookupError(f"rule {rule}: there is no need of a rule {other} that it could share")


def of_job(rule: str, wildcards: Mapping[str, str], threads: int, sizes: Sizes) -> Need:
    """What a job is expected to take; the least where its rule is small.

    Raises
    ------
    Unknown
        A size that it depends on is not known yet.
    """
    if rule in SMALL:
        return Need()
    function, words = NEEDS[rule]
    job = Job(wildcards, threads, sizes)
    return function(*(getattr(job, word) for word in words))


@needs("spots", "keep_archives")
def prefetch(spots: float, keep: bool = True) -> Need:
    """Download of an archive. The network is the site's: 10 MB/s are assumed, not measured."""
    size = ARCHIVE_BYTES * spots
    return Need(idle_s=size / 10e6, **{"kept" if keep else "waiting": size})


@needs("spots", "keep_fastq")
def fasterq_dump(spots: float, keep: bool = False) -> Need:
    """9.1 CPU s for 3.3 million spots: vdb-validate, fasterq-dump, gzip at its fastest (measured).

    Its plain reads are in the temporary folder of the node: 312 bytes for a spot of 132 bases, and
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


@needs("spots")
def check_reads(spots: float) -> Need:
    """3.5 CPU s for 3.3 million spots of three reads (measured)."""
    return Need(cpu_s=1.1e-6 * spots)


@needs("spots")
def fastqc(spots: float) -> Need:
    """6.8 CPU s for 416,037 cDNA reads, 3.7 s for barcodes; 310 MB each, together (measured)."""
    return Need(mem_mb=620, cpu_s=26e-6 * spots, kept=4e6)


@needs("bases")
def filter_annotation(bases: float) -> Need:
    """125 MB, 12 and 28 CPU s for genomes of 0.3e9 and 0.9e9 bases, with as many lines a base as
    GENCODE 44 has (measured); it keeps the annotation, gzipped.
    """
    return Need(mem_mb=120 + 20e-9 * bases, cpu_s=4 + 27e-9 * bases, kept=0.02 * bases)


@needs("bases")
def star_index(bases: float) -> Need:
    """Memory of 10 bytes a base (STAR manual, 2.2); 23 min on 8 threads for the 2.73e9 bases of
    the mouse, so 4.1e-6 CPU s a base (STAR issue 1906). On disk 16 bytes a base at the peak (640 MB
    for 40 million bases, measured), the unpacked genome beside them.
    """
    index = index_bytes(bases)
    scratch = max(0, 16 * bases - index) + bases
    return Need(mem_mb=(10 * bases + 2e9) / 1e6, cpu_s=4.1e-6 * bases, scratch=scratch, kept=index)


@needs("index", "threads")
def detect_strand(index: float, threads: int) -> Need:
    """STAR on the first 200,000 reads, as in `starsolo`; reading the index takes most of the time,
    at 200 MB/s, which are assumed, not measured.
    """
    memory = index + 150e6 * threads + 0.3e9
    return Need(mem_mb=memory / 1e6, cpu_s=82e-6 * 200_000, idle_s=index / 200e6)


@needs("spots", "index", "threads", "bam")
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


@needs("loaded", "entries")
def load_counts(read: Shape, entries: float) -> Need:
    """308, 588 and 766 MB, 3.0, 5.6 and 7.0 CPU s for 10x folders of 5.5, 16.3 and 23.0 million
    entries; 2.8 to 3.1 bytes an entry on disk (measured). Names of barcodes take more where more
    of them have counts: 1,022 and 1,617 MB, 14 and 22 CPU s for folders of 6.8 million barcodes,
    of which 1.1 and 3.5 million have some of 5.0 and 19.7 million entries; 1,044 and 1,634 MB as a
    10x .h5 (measured, made at random).
    """
    memory = 170 + 26e-6 * read.entries + 140e-6 * read.cells
    seconds = 2 + 0.25e-6 * read.entries + 3e-6 * read.cells
    return Need(mem_mb=memory, cpu_s=seconds, kept=3 * entries)


@needs("counted")
def call_cells(run: Shape) -> Need:
    """1,512 and 2,927 MB, 36 and 75 CPU s for raw matrices of 7.7 and 23.0 million entries, of
    100,000 and 300,000 empty droplets (measured). A filtered matrix takes less: 219 and 370 MB, 2
    CPU s for 5.5 and 16.3 million.
    """
    return Need(mem_mb=800 + 93e-6 * run.entries, cpu_s=16 + 2.6e-6 * run.entries)


@needs("counted")
def remove_ambient(run: Shape) -> Need:
    """804 and 1,607 MB, 26 and 98 CPU s for raw matrices of 7.7 and 23.0 million entries
    (measured).
    """
    return Need(
        mem_mb=390 + 53e-6 * run.entries, cpu_s=5 + 4.1e-6 * run.entries, kept=3 * run.entries
    )


@needs("counted")
def score_cells(run: Shape) -> Need:
    """553, 607, 913 and 1,074 MB, 3.9, 6.5, 13 and 12 CPU s for 5.5, 7.7, 16.3 and 23.0 million
    entries (measured).
    """
    return Need(mem_mb=360 + 33e-6 * run.entries, cpu_s=2 + 0.7e-6 * run.entries)


@needs("called")
def select_cells(shape: Shape) -> Need:
    """149, 183 and 401 MB for 10,737, 39,369 and 400,848 cells (measured)."""
    return Need(mem_mb=140 + 0.001 * shape.cells, cpu_s=2, kept=100 * shape.cells)


@needs("called")
def check_runs(shape: Shape) -> Need:
    """333, 393, 520 and 880 MB, 3, 8, 15 and 47 s for 10,737, 39,369, 100,212 and 400,848 cells
    with 16, 60, 153 and 611 million entries in runs of one size (measured); some entries of a run
    are in memory at a time.
    """
    return Need(mem_mb=450 + 0.0012 * shape.cells, cpu_s=3 + 0.1e-6 * shape.entries)


@needs("called")
def plot_cells(shape: Shape) -> Need:
    """214 MB, 3.2 CPU s for four runs of 28,632 cells (measured)."""
    return Need(mem_mb=200 + 0.001 * shape.cells, cpu_s=5 + 0.1e-3 * shape.cells, kept=5e6)


@needs("called", "largest_sample")
def merge_cells(shape: Shape, largest: float) -> Need:
    """644, 710, 627 and 1,316 MB, 6, 15, 33 and 139 CPU s for 10,737, 39,369, 100,212 and 400,848
    cells with 16, 60, 153 and 611 million entries, 1.7 to 2.0 bytes an entry on disk (measured). Of
    the largest sample all entries are in memory, 5.5 million of these.
    """
    return Need(
        mem_mb=540 + 0.0018 * shape.cells + 20e-6 * largest,
        cpu_s=5 + 0.22e-6 * shape.entries,
        kept=1.8 * shape.entries,
    )


def gpu_seconds(passes: float) -> float:
    """15 minutes for 8 million passes of a cell on an RTX 4070 Ti at 28 % (leukomap, whose
    39,375 cells take 8 million passes by scvi-tools' rule).
    """
    return 900 * passes / 8e6


def passes(cells: float, max_epochs: int | None) -> float:
    """Passes of a cell through the model at most: `max_epochs` or scvi-tools' rule."""
    return cells * (max_epochs or max(1, min(round(20_000 / max(cells, 1) * 400), 400)))


@needs("kept", "max_epochs")
def train_scvi(shape: Shape, max_epochs: int | None) -> Need:
    """968 and 1,190 MB for 7.4 and 29.4 million entries; an epoch of 1,500 cells and 12,000 genes
    0.76 CPU s, of 3,000 and 2,000 0.44 (measured). The libraries of CUDA get 4 GB more, which
    nobody has measured here. Time is asked for as without a GPU.
    """
    done = passes(shape.cells, max_epochs)
    return Need(
        mem_mb=4900 + 12e-6 * shape.entries,
        cpu_s=15 + (8e-5 + 0.04e-6 * shape.genes) * done,
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


@needs("kept")
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


@needs("kept", "largest_sample")
def variable_genes(shape: Shape, largest: float) -> Need:
    """All entries of the largest sample are in memory, as `merge_cells` was measured with them."""
    return Need(mem_mb=540 + 20e-6 * largest, cpu_s=5 + 0.1e-6 * shape.entries)


@needs("kept")
def log_pca(shape: Shape) -> Need:
    """653 and 762 MB, 5.6 and 10.4 CPU s for 16.3 and 59.9 million entries (measured)."""
    return Need(mem_mb=610 + 2.5e-6 * shape.entries, cpu_s=4 + 0.11e-6 * shape.entries)


@needs("kept")
def cluster_cells(shape: Shape) -> Need:
    """511 and 821 MB, 14 and 60 CPU s for 6,000 and 24,000 cells (measured)."""
    return Need(mem_mb=450 + 0.02 * shape.cells, cpu_s=5 + 2.5e-3 * shape.cells)


@needs("kept")
def label_cells(shape: Shape) -> Need:
    """709 and 836 MB, 5.7 and 11.6 CPU s for 16.3 and 59.9 million entries (measured with markers).
    CellTypist makes the genes of its model dense, 5,000 cells at a time: 240 MB for 6,000 genes.
    """
    return Need(mem_mb=900 + 3e-6 * shape.entries, cpu_s=4 + 0.3e-6 * shape.entries)


@needs("kept", "samples")
def sum_pseudobulks(shape: Shape, samples: int) -> Need:
    """465 and 576 MB, 2.4 and 5.0 CPU s for 15 and 60 million entries, 18,000 genes, 15 groups and
    11 samples (measured); the sums of more samples take 12 bytes a gene, group and sample.
    """
    sums = 12e-6 * shape.genes * GROUPS * samples
    return Need(mem_mb=390 + 2.5e-6 * shape.entries + sums, cpu_s=2 + 0.06e-6 * shape.entries)


@needs("kept")
def vote_types(shape: Shape) -> Need:
    """328 and 1,666 MB, 0.6 and 4.5 CPU s for 40,000 and 400,000 cells with evidence for 98 types
    (measured).
    """
    return Need(mem_mb=180 + 0.0037 * shape.cells, cpu_s=2 + 11e-6 * shape.cells)


@needs("kept")
def define_groups(shape: Shape) -> Need:
    """203 and 228 MB, 0.2 CPU s for 10,000 and 40,000 cells (measured)."""
    return Need(mem_mb=195 + 0.001 * shape.cells, cpu_s=2)


@needs("kept", "samples")
def build_design(shape: Shape, samples: int) -> Need:
    """371 MB, 3.6 CPU s for 18,000 genes, 15 groups and 11 samples (measured)."""
    rows = shape.genes * GROUPS * samples
    return Need(mem_mb=330 + 14e-6 * rows, cpu_s=2 + 0.5e-6 * rows)


@needs("kept", "samples")
def edger_de(shape: Shape, samples: int) -> Need:
    """399 and 490 MB, 18 and 50 CPU s for 5 and 15 groups of 14,000 genes in 11 samples; 551 MB, 77
    CPU s for 15 groups in 40 samples (measured).
    """
    rows = shape.genes * GROUPS
    return Need(
        mem_mb=320 + 0.8e-3 * rows + 8e-6 * rows * samples,
        cpu_s=2 + (0.18e-3 + 4.6e-6 * samples) * rows,
        kept=60 * rows,
    )


@needs("kept", "contrasts")
def compare_branches(shape: Shape, contrasts: int) -> Need:
    """329, 450 and 730 MB, 3, 10 and 28 CPU s for 2, 5 and 10 contrasts of 70,000, 210,000 and
    300,000 genes and groups, with 40,000, 40,000 and 400,000 cells (measured).
    """
    rows = shape.genes * GROUPS
    return Need(
        mem_mb=250 + 0.9e-3 * rows + 0.6e-3 * shape.cells,
        cpu_s=2 + 7.4e-6 * rows * contrasts + 9e-6 * shape.cells,
        kept=60 * rows * contrasts,
    )


@needs("kept")
def report(shape: Shape) -> Need:
    """220 MB for 6,000 cells (measured)."""
    return Need(mem_mb=200 + 0.01 * shape.cells, cpu_s=5 + 0.1e-3 * shape.cells, kept=5e6)
