"""Reads of a run from its true molecules, as 10x 3' v2 sequencing gives them.

Adds what the truth does not count: empty droplets, unspliced and foreign molecules, PCR copies.
"""

import numpy as np
import pandas as pd

from latere.simulation.genome import BASES, reverse_complement
from latere.simulation.sequencer import BARCODE, CDNA, UMI

# The four oligos of one sample index, which 10x mixes so that every cycle sees every base.
SAMPLE_INDEX = ("GGTTTACT", "CTAAACGG", "TCGGCGTC", "AACCGTAA")
TAIL = 60  # bases of poly(A) at the end of a transcript
UNSPLICED = 0.08  # unspliced molecules for each one of a gene with introns
# Molecules from anywhere in the genome; from outside it, with a barcode that no bead carries.
GENOMIC, FOREIGN = 0.02, 0.03
EMPTY_SHAPE = 4  # of the gamma distribution of ambient RNA over empty droplets: they vary by half
# How far from the end of its transcript a cDNA read begins: 60 bases and a gamma distribution.
MIN_DISTANCE, DISTANCE_SHAPE, DISTANCE_SCALE = 60, 2.2, 85
CHUNK = 100_000


def build_templates(
    chromosomes: dict, exons: pd.DataFrame, gene_ids: list[str], rng: np.random.Generator
) -> tuple[np.ndarray, pd.DataFrame, tuple[int, int], tuple[int, int]]:
    """All sequences that a read may come from, end to end.

    Parameters
    ----------
    chromosomes, exons
        As `read_fasta` and `read_exons` give them.
    gene_ids
        Genes in the order of the counts.

    Returns
    -------
    sequence : numpy.ndarray
        ASCII codes, sense strand of the transcripts.
    genes : pandas.DataFrame
        A row a gene: begin and end of the transcript in `sequence`, tail excluded; intron_begin
        and intron_end of its last intron, -1 without one.
    genome, foreign : tuple
        Begin and end in `sequence` of the genome and of what is not in it.
    """
    tail = np.full(TAIL, ord("A"), dtype=np.uint8)
    by_gene = dict(list(exons.groupby("gene_id")))
    pieces, rows, position = [], [], 0
    for gene_id in gene_ids:
        parts = by_gene[gene_id].sort_values("start")
        strand, chromosome = parts["strand"].iloc[0], chromosomes[parts["chromosome"].iloc[0]]
        begin, end = parts["start"].min(), parts["end"].max()
        spliced = np.concatenate([chromosome[row.start : row.end] for row in parts.itertuples()])
        whole = chromosome[begin:end]
        gaps = np.column_stack([parts["end"][:-1], parts["start"][1:]]) - begin
        if strand == "-":
            spliced, whole = reverse_complement(spliced), reverse_complement(whole)
            gaps = (whole.size - gaps)[::-1, ::-1]
        row = [position, position + spliced.size, -1, -1]
        position += spliced.size + TAIL
        pieces += [spliced, tail]
        if len(gaps):
            row[2:] = position + gaps[-1]
            pieces.append(whole)
            position += whole.size
        rows.append(row)
    spans = []
    for piece in (np.concatenate(list(chromosomes.values())), BASES[rng.integers(0, 4, 100_000)]):
        spans.append((position, position + piece.size))
        position += piece.size
        pieces.append(piece)
    genes = pd.DataFrame(rows, columns=["begin", "end", "intron_begin", "intron_end"])
    return np.concatenate(pieces), genes, *spans


def simulate_molecules(
    counts, soup: np.ndarray, ambient: float, n_empty: int, has_intron: np.ndarray, rng
) -> pd.DataFrame:
    """All molecules of a run that are sequenced at least once.

    Parameters
    ----------
    counts
        True molecules of the run's cells, sparse, cell x gene.
    soup
        Profile of the ambient RNA, sums to 1.
    ambient
        Its mean molecules in a droplet.
    n_empty
        Droplets without a cell.
    has_intron
        By gene.

    Returns
    -------
    pandas.DataFrame
        droplet (cells first, then empty droplets), gene, kind (transcript, unspliced, genomic,
        foreign).
    """
    counts = counts.tocoo()
    droplet = np.repeat(counts.row, counts.data)
    gene = np.repeat(counts.col, counts.data)
    # Droplets differ in how much of it they caught.
    caught = rng.poisson(ambient * rng.gamma(EMPTY_SHAPE, 1 / EMPTY_SHAPE, n_empty))
    droplet = np.concatenate([droplet, counts.shape[0] + np.repeat(np.arange(n_empty), caught)])
    gene = np.concatenate([gene, rng.choice(soup.size, caught.sum(), p=soup)])
    spliced = pd.DataFrame({"droplet": droplet, "gene": gene, "kind": "transcript"})
    chance = rng.random(len(spliced))
    unspliced = spliced[has_intron[gene] & (chance < UNSPLICED)].assign(kind="unspliced")
    genomic = spliced[chance > 1 - GENOMIC].assign(kind="genomic")
    foreign = spliced[(chance < 1 - GENOMIC) & (chance > 1 - GENOMIC - FOREIGN)]
    return pd.concat([spliced, unspliced, genomic, foreign.assign(kind="foreign")])


def place_reads(
    kind: np.ndarray,
    gene: np.ndarray,
    genes: pd.DataFrame,
    genome: tuple[int, int],
    foreign: tuple[int, int],
    rng: np.random.Generator,
) -> np.ndarray:
    """Where in the templates each read begins.

    Copies of a molecule are broken at different places, as in 10x, where the cDNA is
    amplified before it is cut.

    Parameters
    ----------
    kind, gene
        Of the molecule of each read.
    genes, genome, foreign
        As `build_templates` gives them.

    Returns
    -------
    numpy.ndarray
        Positions, shape (reads,).
    """
    begin, end, intron_begin, intron_end = genes.to_numpy()[gene].T
    distance = MIN_DISTANCE + rng.gamma(DISTANCE_SHAPE, DISTANCE_SCALE, gene.size).astype(int)
    starts = np.maximum(end - distance, begin)
    unit = rng.random(gene.size)
    # A read that spans the intron's edge is unspliced too; half a read at most is outside.
    low, high = intron_begin - CDNA // 2, intron_end - CDNA // 2
    starts = np.where(kind == "unspliced", low + (unit * (high - low)).astype(int), starts)
    for name, (low, high) in (("genomic", genome), ("foreign", foreign)):
        starts = np.where(kind == name, low + (unit * (high - CDNA - low)).astype(int), starts)
    return starts


def encode(words) -> np.ndarray:
    """Words of equal length as ASCII codes, shape (words, length)."""
    return np.array(words, dtype=bytes)[:, None].view(np.uint8)


def simulate_reads(
    counts, ambient: float, cell_barcodes, whitelist, templates: tuple, settings: dict, rng
):
    """Reads of a run, in chunks.

    Parameters
    ----------
    counts
        True molecules of the run's cells, sparse, cell x gene.
    ambient
        Mean molecules of ambient RNA in a droplet.
    cell_barcodes
        Of the cells, array of str.
    whitelist
        All barcodes.
    templates
        As `build_templates` gives them.
    settings
        Section `simulation` of the configuration.

    Yields
    ------
    tuple of numpy.ndarray
        True bases of index, barcode and cDNA reads, each of shape (reads, length).
    """
    sequence, genes, genome, foreign = templates
    soup = np.asarray(counts.sum(axis=0), dtype=float).ravel()
    n_empty = settings["empty_droplets"]
    molecules = simulate_molecules(
        counts, soup / soup.sum(), ambient, n_empty, (genes["intron_begin"] >= 0).to_numpy(), rng
    )
    drawn = whitelist[rng.choice(whitelist.size, n_empty + len(cell_barcodes), replace=False)]
    empty = drawn[~np.isin(drawn, cell_barcodes)][:n_empty]
    kind, gene = molecules["kind"].to_numpy(str), molecules["gene"].to_numpy()
    # The barcode read of each molecule: its droplet's barcode and a UMI.
    tags = BASES[rng.integers(0, 4, (len(molecules), BARCODE + UMI))]
    captured = kind != "foreign"
    droplet = molecules["droplet"].to_numpy()[captured]
    tags[captured, :BARCODE] = encode([*cell_barcodes, *empty])[droplet]
    # Copies after the first: negative binomial of size 1, as PCR spreads them.
    copies = 1 + rng.negative_binomial(1, 1 / settings["copies"], len(molecules))
    reads = rng.permutation(np.repeat(np.arange(len(molecules)), copies))
    windows = np.lib.stride_tricks.sliding_window_view(sequence, CDNA)
    oligos = encode(SAMPLE_INDEX)
    for begin in range(0, reads.size, CHUNK):
        part = reads[begin : begin + CHUNK]
        starts = place_reads(kind[part], gene[part], genes, genome, foreign, rng)
        yield (
            oligos[rng.integers(0, len(oligos), part.size)],
            tags[part],
            windows[starts],
        )
