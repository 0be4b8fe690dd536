"""What a sequencer makes of true bases: errors, qualities, FASTQ files."""

import logging
from contextlib import ExitStack

import numpy as np

from latere.simulation.genome import BASES

BARCODE, UMI, CDNA = 16, 10, 91  # bases of each read or part
# Binned Illumina qualities, and how often a base of each is wrong, relative to their mean.
QUALITIES = np.frombuffer(b"F:,", dtype=np.uint8)
RELATIVE_ERROR = np.array([0.4, 4.0, 20.0])


def sequence_bases(
    bases: np.ndarray, error_rate: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """What the sequencer makes of true bases.

    Parameters
    ----------
    bases
        ASCII codes, shape (reads, length).
    error_rate
        Mean over a read of length `CDNA`.

    Returns
    -------
    bases, qualities : numpy.ndarray
        ASCII codes, same shape. Qualities fall along the read, and errors with them.
    """
    cycle = np.arange(bases.shape[1]) / CDNA
    middle, low = 0.03 + 0.05 * cycle, 0.01 + 0.03 * cycle
    # A table of 256 entries a cycle turns random bytes into qualities: fast.
    byte = (np.arange(256) + 0.5) / 256
    level = (byte > (1 - middle - low)[:, None]).astype(np.uint8) + (byte > (1 - low)[:, None])
    random = rng.integers(0, 256, bases.shape, dtype=np.uint8)
    level = level[np.arange(bases.shape[1]), random]
    mean = (1 - 0.09) * RELATIVE_ERROR[0] + 0.06 * RELATIVE_ERROR[1] + 0.03 * RELATIVE_ERROR[2]
    chance = (error_rate * RELATIVE_ERROR / mean).astype(np.float32)
    wrong = rng.random(bases.shape, dtype=np.float32) < chance[level]
    bases = bases.copy()
    code = np.searchsorted(BASES, bases[wrong])
    bases[wrong] = BASES[(code + rng.integers(1, 4, code.size)) % 4]
    return bases, QUALITIES[level]


def format_fastq(first: int, mate: int, bases: np.ndarray, qualities: np.ndarray) -> np.ndarray:
    """FASTQ records of reads of equal length.

    Parameters
    ----------
    first
        Number of the first spot.
    mate
        Number of the read in its spot.
    bases, qualities
        ASCII codes, shape (reads, length).

    Returns
    -------
    numpy.ndarray
        ASCII codes, shape (reads, bytes of a record).
    """

    def column(text: str) -> np.ndarray:
        return np.broadcast_to(np.frombuffer(text.encode(), np.uint8), (len(bases), len(text)))

    spots = first + np.arange(len(bases))
    digits = (spots[:, None] // 10 ** np.arange(7, -1, -1) % 10 + ord("0")).astype(np.uint8)
    # sharq reads only the names that real instruments give; the last coordinate counts the spots.
    head, tail = column("@SIM:1:LATERE:1:1101:1000:"), column(f" {mate}:N:0:0\n")
    return np.hstack([head, digits, tail, bases, column("\n+\n"), qualities, column("\n")])


def write_reads(chunks, paths: list[str], error_rate: float, rng: np.random.Generator) -> None:
    """Sequence reads and write them as FASTQ.

    Parameters
    ----------
    chunks
        True bases, as `simulate_reads` gives them.
    paths
        One file a read of a spot.
    error_rate
        Mean share of wrong bases.
    """
    n_spots = 0
    with ExitStack() as stack:
        files = [stack.enter_context(open(path, "wb")) for path in paths]
        for chunk in chunks:
            for mate, (bases, file) in enumerate(zip(chunk, files, strict=True), start=1):
                seen = sequence_bases(bases, error_rate, rng)
                file.write(format_fastq(n_spots + 1, mate, *seen).tobytes())
            n_spots += len(chunk[0])
            logging.info("%d spots", n_spots)
