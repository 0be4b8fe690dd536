"""Sizes of a study's work: spots, bases, cells and entries, from its files or by what is published.

Every number has its source: measured, as `latere.cluster.needs` says on what; or
published, with its source.
"""

import math
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from latere.counts.columns import rows_of
from latere.counts.hdf5 import open_h5
from latere.counts.inspection import check_mtx
from latere.counts.parts import of_barcodes, parse_subset
from latere.errors import StudyError
from latere.published import read_published
from latere.study.sheet import Run
from latere.study.study import Study
from latere.urls import URL, url_name

# Bytes a spot of an SRA archive: 303 GB, 3,587 million spots of 132 bases (GSE132509, SRA).
ARCHIVE_BYTES = 85
# Bytes a spot of gzipped FASTQ: 78 for the 114 bases of real v2 reads (bamtofastq's test data), so
# 91 for 132 bases; plain FASTQ with fasterq-dump's read names 588 (measured).
FASTQ_BYTES = {True: 91, False: 588}
# As `fasterq_dump` leaves them, with short names and gzipped fast: 81 for the same real reads.
UNPACKED_BYTES = 94
# Spots of a run that is still to be downloaded and whose size is not known: a large one, for its
# time only. The largest of GSE132509 has 332 million.
MOST_SPOTS = 400e6
# GRCh38 without alternative loci, in bases; gzipped FASTA holds 3.6 bases a byte (measured).
HUMAN_BASES, BASES_PER_GZ_BYTE = 3.1e9, 3.6
# Read pairs a cell of 3' v2, and most cells of a library, that the maker advises (10x Genomics,
# knowledge base 115002022743 and 360001378811). GSE132509 has 70,000 read pairs a cell.
SPOTS_PER_CELL, MOST_CELLS = 50_000, 10_000
# A matrix with more barcodes holds those of empty droplets, too.
MOST_BARCODES = 50_000
# Barcodes of the longest list of 10x (v3), all of which STARsolo's raw matrix has.
LISTED_BARCODES = 6.8e6
# Genes that pass as tested (14,000 measured in PBMC; 19,400 protein-coding genes in GENCODE 44),
# and entries (counts above 0) a cell: twice that of PBMC, as larger cells hold more.
TESTED_GENES, ENTRIES_PER_CELL = 20_000, 2_500
# Bytes an entry of a compressed .h5ad (measured).
BYTES_PER_ENTRY = 2.8


class Unknown(Exception):
    """A size that neither the sheet nor a file gives yet; the message says what is missing."""


@dataclass(frozen=True)
class Shape:
    """Cells of a study, genes that are tested, and entries (counts above 0) of the matrix."""

    cells: float
    genes: float
    entries: float


def index_bytes(bases: float) -> float:
    """Size of a STAR index: genome and suffix array 9 bytes a base, and 6 * 4^n for the index of
    n-mers, n as the manual advises (STAR wiki, FAQ on run time). Human: 29.5 GB.
    """
    return 9 * bases + 6 * 4 ** min(14, math.log2(bases) / 2 - 1)


class Sizes:
    """Sizes of a study's work, from its files where they exist, else from the sheet.

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
        """The archive of a run, if it is there: with its study, else with the shared."""
        if not run.accession:
            return Path(run.sra)
        own = self.results / f"sra/{run.accession}.sra"
        return own if own.is_file() else self.resources / f"sra/{run.accession}.sra"

    def spots(self, name: str) -> float:
        """Spots of a run: the sheet's, else from the size of its archive or FASTQ files.

        Raises
        ------
        Unknown
            The sheet does not say, and no file is there.
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
        """The place, now or later, of a file that is named by path or by URL."""
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

    @cached_property
    def published(self) -> dict[str, float]:
        """Cells of runs that others published: the most of any source, a sample's shared evenly."""
        path = self.study.config.get("published_cells")
        most = defaultdict(int)
        for each in read_published(path) if path else []:
            most[each.level, each.name] = max(most[each.level, each.name], each.cells)
        runs = Counter(run.sample for run in self.study.runs.values())
        cells = {
            name: most.get(("run", name)) or most.get(("sample", run.sample), 0) / runs[run.sample]
            for name, run in self.study.runs.items()
        }
        return {name: number for name, number in cells.items() if number}

    def source(self, name: str) -> Shape:
        """Cells of a run in its matrix, or in its part of one, else what its reads will give: as
        published, else a guess by its spots.
        """
        run = self.study.runs[name]
        if run.matrix and (matrix := self.local(run.matrix[0])).is_file():
            others = tuple(str(self.local(file)) for file in run.matrix[1:])
            return self._shape(run, matrix, run.subset, others)
        if name in self.published:
            cells = self.published[name]
        else:
            # What a matrix holds that is still to be fetched nobody knows.
            cells = MOST_CELLS if run.matrix else min(self.spots(name) / SPOTS_PER_CELL, MOST_CELLS)
        return Shape(cells, TESTED_GENES, ENTRIES_PER_CELL * cells)

    def loaded(self, name: str) -> Shape:
        """What is read of the source of a run: all barcodes, and their entries; those of the run
        only, where its part of an .h5ad is read alone.
        """
        run = self.study.runs[name]
        if not run.matrix:
            return replace(self.source(name), cells=LISTED_BARCODES)
        if not (matrix := self.local(run.matrix[0])).is_file():
            return self.source(name)
        shape = matrix_shape(str(matrix), matrix.stat().st_mtime)
        alone = run.subset and matrix.suffix == ".h5ad"
        return replace(shape, entries=self.source(name).entries) if alone else shape

    def _shape(self, run: Run, path: Path, subset: str = "", others: tuple[str, ...] = ()) -> Shape:
        """Shape of the matrix of a run; of its barcodes, if they are droplets, as many as cells."""
        shape = matrix_shape(str(path), path.stat().st_mtime, subset, others)
        # A column of `obs` has values for cells.
        cells_only = run.subset and not of_barcodes(parse_subset(run.subset)[0])
        droplets = shape.cells > MOST_BARCODES and not cells_only
        return replace(shape, cells=MOST_CELLS) if droplets else shape

    def counted(self, name: str) -> Shape:
        """Counts of a run, raw ones with their droplets, else those of its source."""
        counts = self.results / f"counts/{name}.h5ad"
        return self._shape(self.study.runs[name], counts) if counts.is_file() else self.source(name)

    def called(self) -> Shape:
        """Cells of all runs before the limits: counted, else as their sources say."""
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
    """Spots that one of a run's FASTQ files counts for, so that all of them together give all."""
    file = Path(file)
    return file.stat().st_size / FASTQ_BYTES[file.suffix == ".gz"]


@cache
def matrix_shape(
    path: str, changed: float, subset: str = "", others: tuple[str, ...] = ()
) -> Shape:
    """Shape of a count matrix: an .h5ad, a 10x .h5 or a MatrixMarket file.

    Parameters
    ----------
    path
        The matrix.
    changed
        Time of its last change, so that a changed one is read again.
    subset
        The cells that count, as in the sheet, else all; each is taken to have as many entries as
        the others.
    others
        The other files of the matrix.

    Returns
    -------
    Shape
        Tested genes are those marked so, else all. Of a file of another form a guess by its size:
        the job that reads it reports what is wrong.
    """
    try:
        shape = _mtx_shape(path) if ".mtx" in Path(path).name else _h5_shape(path)
        share = float(rows_of((path, *others), subset).mean()) if subset else 1
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
