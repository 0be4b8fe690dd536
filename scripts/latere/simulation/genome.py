"""The genome of the embedded study, with the genes on it: drawn, written and read again."""

import re

import numpy as np
import pandas as pd

BASES = np.frombuffer(b"ACGT", dtype=np.uint8)
COMPLEMENT = np.arange(256, dtype=np.uint8)
COMPLEMENT[BASES] = BASES[::-1]
CHROMOSOMES = 4
MITOCHONDRIAL = "chrM"
# Protein-coding genes of the mitochondrion, in their order on it, with their usual share of its
# RNA. ND6 alone is on the other strand.
MT_SHARE = {
    "MT-ND1": 0.08,
    "MT-ND2": 0.08,
    "MT-CO1": 0.15,
    "MT-CO2": 0.15,
    "MT-ATP8": 0.005,
    "MT-ATP6": 0.12,
    "MT-CO3": 0.16,
    "MT-ND3": 0.05,
    "MT-ND4L": 0.01,
    "MT-ND4": 0.10,
    "MT-ND5": 0.03,
    "MT-ND6": 0.005,
    "MT-CYB": 0.06,
}


def reverse_complement(sequence: np.ndarray) -> np.ndarray:
    """The other strand of a sequence of ASCII codes, shape (length,)."""
    return COMPLEMENT[sequence[::-1]]


def simulate_genome(names: list[str], rng: np.random.Generator) -> tuple[dict, pd.DataFrame]:
    """A genome with the genes on it.

    Parameters
    ----------
    names
        Gene symbols; those of the mitochondrion are on chrM.

    Returns
    -------
    chromosomes : dict
        Sequence as ASCII codes, by name.
    exons : pandas.DataFrame
        A row an exon, in the order of the genome: gene (position in `names`), chromosome, strand,
        start, end (0-based, half-open).
    """
    names = np.array(names)
    is_mt = np.isin(names, list(MT_SHARE))
    parts = np.array_split(rng.permutation(np.flatnonzero(~is_mt)), CHROMOSOMES)
    plan = {f"chr{number}": part for number, part in enumerate(parts, start=1)}
    plan[MITOCHONDRIAL] = np.flatnonzero(is_mt)
    chromosomes, exons = {}, []
    for chromosome, genes in plan.items():
        nuclear = chromosome != MITOCHONDRIAL
        position, introns = 500, []
        for gene in genes:
            if nuclear:
                n_exons = rng.choice([1, 2, 3, 4], p=[0.25, 0.3, 0.25, 0.2])
                strand = rng.choice(["+", "-"])
            else:
                n_exons, strand = 1, "-" if names[gene] == "MT-ND6" else "+"
            # The last exon, which the reads come from, is the long one, as in real genes.
            lengths = rng.integers(100, 250, n_exons)
            lengths[-1] = rng.integers(350, 900)
            for index, length in enumerate(lengths if strand == "+" else lengths[::-1]):
                if index:
                    intron = rng.integers(150, 800)
                    introns.append((position, position + intron, strand))
                    position += intron
                exons.append((gene, chromosome, strand, position, position + length))
                position += length
            position += rng.integers(200, 1200) if nuclear else rng.integers(5, 60)
        sequence = BASES[rng.choice(4, position + 500, p=[0.27, 0.23, 0.23, 0.27])]
        for begin, end, strand in introns:
            ends = (b"GT", b"AG") if strand == "+" else (b"CT", b"AC")
            sequence[begin : begin + 2] = np.frombuffer(ends[0], np.uint8)
            sequence[end - 2 : end] = np.frombuffer(ends[1], np.uint8)
        chromosomes[chromosome] = sequence
    return chromosomes, pd.DataFrame(
        exons, columns=["gene", "chromosome", "strand", "start", "end"]
    )


def write_fasta(chromosomes: dict, path: str) -> None:
    """Write sequences in lines of 60 bases."""
    with open(path, "wb") as handle:
        for name, sequence in chromosomes.items():
            handle.write(f">{name} simulated\n".encode())
            for begin in range(0, sequence.size, 60):
                handle.write(sequence[begin : begin + 60].tobytes() + b"\n")


def write_gtf(exons: pd.DataFrame, genes: pd.DataFrame, path: str) -> None:
    """Write genes, one transcript each, and their exons.

    Parameters
    ----------
    exons
        As `simulate_genome` gives it.
    genes
        gene_id, gene_name, in the order that `exons` counts them.
    """
    with open(path, "w", encoding="utf-8") as handle:
        for number, gene in exons.groupby("gene", sort=False):
            identity = genes.iloc[number]
            transcript = identity["gene_id"].replace("SIMG", "SIMT")
            of_gene = f'gene_id "{identity["gene_id"]}"; gene_name "{identity["gene_name"]}";'
            of_transcript = f'{of_gene} transcript_id "{transcript}";'
            whole = (gene["start"].min(), gene["end"].max())
            lines = [("gene", *whole, of_gene), ("transcript", *whole, of_transcript)]
            lines += [("exon", row.start, row.end, of_transcript) for row in gene.itertuples()]
            chromosome, strand = gene[["chromosome", "strand"]].iloc[0]
            for feature, begin, end, attributes in lines:
                columns = (
                    chromosome,
                    "simulated",
                    feature,
                    begin + 1,
                    end,
                    ".",
                    strand,
                    ".",
                    attributes,
                )
                handle.write("\t".join(map(str, columns)) + "\n")


def read_fasta(path: str) -> dict:
    """Sequences as ASCII codes, by name."""
    chromosomes = {}
    with open(path, "rb") as handle:
        for record in handle.read().split(b">")[1:]:
            header, _, sequence = record.partition(b"\n")
            name = header.split()[0].decode()
            chromosomes[name] = np.frombuffer(sequence.replace(b"\n", b""), np.uint8)
    return chromosomes


def read_exons(path: str) -> pd.DataFrame:
    """Exons of a GTF: gene_id, chromosome, strand, start, end (0-based, half-open)."""
    table = pd.read_csv(path, sep="\t", header=None, comment="#", usecols=[0, 2, 3, 4, 6, 8])
    table.columns = ["chromosome", "feature", "start", "end", "strand", "attributes"]
    table = table[table["feature"] == "exon"]
    ids = table["attributes"].map(lambda text: re.search(r'gene_id "([^"]+)"', text)[1])
    return table.assign(gene_id=ids, start=table["start"] - 1).drop(columns=["attributes"])
