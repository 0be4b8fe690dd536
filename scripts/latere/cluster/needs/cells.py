"""Needs from counts to the cells of a study."""

from latere.cluster.needs.registry import needs
from latere.cluster.requests import Need
from latere.cluster.sizes import Shape


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
