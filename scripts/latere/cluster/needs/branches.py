"""Needs of the branches, of what they share, and of the report."""

from dataclasses import replace

from latere.cluster.needs.registry import needs
from latere.cluster.requests import Need
from latere.cluster.sizes import Shape

# Groups of a test: all cells, and each cell type; 5 in PBMC, 14 types in config/markers.tsv.
GROUPS = 15


def gpu_seconds(passes: float) -> float:
    """At most: 15 minutes for 8 million passes of a cell on an RTX 4070 Ti, by scvi-tools' own loop
    (leukomap, of 39,375 cells). Graphs take 1 minute on an H200 (prototype, 0.26 s an epoch).
    """
    return 900 * passes / 8e6


def passes(cells: float, max_epochs: int | None) -> float:
    """Passes of a cell through the model at most: `max_epochs` or scvi-tools' rule."""
    return cells * (max_epochs or max(1, min(round(20_000 / max(cells, 1) * 400), 400)))


@needs("kept", "max_epochs")
def train_scvi(shape: Shape, max_epochs: int | None) -> Need:
    """968 and 1,190 MB for 7.4 and 29.4 million entries; an epoch of 1,500 cells and 12,000 genes
    0.76 CPU s, of 3,000 and 2,000 0.44 (measured). 4 GB more for CUDA, not measured. Time is as
    without a GPU, whose memory `latere.fast_scvi.graph` counts: 1.3 GB for 56 million entries.
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


@needs("kept", "samples", "decoded_as")
def decode_states(shape: Shape, samples: int, decoded_as: int) -> Need:
    """787 and 755 MB, 9.9 and 13.2 CPU s for 10,000 cells as 11 samples and 4,000 as 30, of 12,000
    genes; 647 MB, 1.7 s for 10,000 as 6, of 3,000; with sums of 14 groups on disk (measured).
    """
    sums = samples * decoded_as * shape.genes
    decoded = shape.cells * decoded_as * shape.genes
    return Need(
        mem_mb=700 + 0.012 * shape.genes + 6e-6 * sums,
        cpu_s=15 + 9e-9 * decoded,
        kept=4 * GROUPS * sums,
    )


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


@needs("kept", "samples", "decoded_as")
def state_adjusted_de(shape: Shape, samples: int, decoded_as: int) -> Need:
    """As edger_de, with the decoded sums of a group in memory twice (counted, not measured)."""
    need = edger_de(shape, samples)
    return replace(need, mem_mb=need.mem_mb + 8e-6 * samples * decoded_as * shape.genes)


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
