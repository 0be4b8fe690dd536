"""Needs from archives to counts."""

from latere.cluster.needs.registry import needs
from latere.cluster.requests import Need
from latere.cluster.sizes import ARCHIVE_BYTES, UNPACKED_BYTES, index_bytes


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
