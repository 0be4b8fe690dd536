"""Simulate the embedded study: its genome, its cells and the truth about both.

Expression profiles are those of real blood cells (Zheng et al. 2017, by way of scanpy); what
differs between samples is planted, so that every result of the pipeline has a right answer.
"""

import numpy as np
import pandas as pd

from latere.errors import StudyError
from latere.job import run_script, start
from latere.simulation import BASES, MITOCHONDRIAL, generator, load_pbmc

# Share of each cell type in a healthy sample; leukaemia leaves less room, in the same proportions.
HEALTHY = {
    "T cell": 0.38,
    "B cell": 0.12,
    "NK cell": 0.16,
    "Monocyte": 0.20,
    "Dendritic cell": 0.14,
}
BLAST_SHARE = 0.45
# Blasts by subtype: the share of progenitor (CD34+) in a profile that is else a B cell's.
BLASTS = {"A": 0.4, "B": 0.2}
# Blasts are B-lineage leukaemia: any immune model takes them for B cells.
GROUPS = {f"Blast {subtype}": "B cell" for subtype in BLASTS}
LINEAGE = {"Monocyte": "Myeloid", "Dendritic cell": "Myeloid"} | GROUPS

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
MT_MEAN, MT_CONCENTRATION = 0.05, 60  # share of a healthy cell's RNA: mean, beta concentration
DAMAGED = 0.03  # share of cells that leaked: little RNA, most of it mitochondrial
PROGRAMME = 60  # genes that set a subtype's blasts apart, beyond their mixture
LOG2FC = (0.5, 2.5)  # range of planted |log2 fold changes|
CELL_DISPERSION = 0.15  # variance of expression between cells of a type, relative to mean squared
CELL_SD, RUN_SD = 0.5, 0.15  # of log library sizes, between cells and between runs
RUN_GENE_SD = 0.08  # of log expression, a gene's in one run
COMPOSITION_CONCENTRATION = 60  # Dirichlet; the lower, the more samples differ in composition
CHROMOSOMES = 4


def build_profiles(pbmc, rng: np.random.Generator) -> pd.DataFrame:
    """Expression profiles of the simulated cell types.

    Parameters
    ----------
    pbmc
        As `latere.simulation.load_pbmc` gives it.
    rng
        For the programmes of the blasts.

    Returns
    -------
    pandas.DataFrame
        Share of the RNA, cell type x gene; rows sum to 1 and every gene is expressed: a type's
        mean counts one cell of the overall mean in, as 31 NK cells do not prove a gene silent.
    """
    expression = pd.DataFrame(pbmc.X.toarray(), columns=pbmc.var_names)
    labels = pbmc.obs["cell_type"].to_numpy()
    sizes = pd.Series(labels).value_counts()
    means = expression.groupby(labels).sum().add(expression.mean())
    means = means.div(sizes.reindex(means.index) + 1, axis=0)
    profiles = {cell_type: means.loc[cell_type].to_numpy() for cell_type in HEALTHY}
    for subtype, progenitor in BLASTS.items():
        mixture = (
            progenitor * means.loc["CD34+ progenitor"] + (1 - progenitor) * means.loc["B cell"]
        )
        own = rng.permutation(means.shape[1])[:PROGRAMME]
        blast = mixture.to_numpy().copy()
        blast[own] *= 2 ** rng.normal(0, 1, PROGRAMME)
        profiles[f"Blast {subtype}"] = blast
    table = pd.DataFrame.from_dict(profiles, orient="index", columns=pbmc.var_names)
    return table.div(table.sum(axis=1), axis=0)


def plant_effects(
    profiles: pd.DataFrame, columns: list[str], n_genes: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Log2 fold changes in all cells of the samples that have an effect.

    Parameters
    ----------
    profiles
        Share of the RNA, cell type x gene.
    columns
        Columns of the sheet that have an effect.
    n_genes
        Genes an effect; neither the rarest, which no method could see, nor the few that make up
        much of all RNA, which would shift every other gene's share.

    Returns
    -------
    pandas.DataFrame
        log2 fold changes, column x gene; 0 where nothing is planted.
    """
    rank = profiles.mean().rank(pct=True).to_numpy()
    eligible = np.flatnonzero((rank > 0.3) & (rank < 0.95))
    planted = np.zeros((len(columns), profiles.shape[1]))
    for row in planted:
        genes = rng.choice(eligible, min(n_genes, eligible.size), replace=False)
        row[genes] = rng.uniform(*LOG2FC, genes.size) * rng.choice([-1, 1], genes.size)
    return pd.DataFrame(planted, index=columns, columns=profiles.columns)


def check_effects(effects: dict, samples: dict) -> None:
    """Check that every effect has samples.

    Parameters
    ----------
    effects
        Level by column of the sheet.
    samples
        Columns of the sheet by sample.

    Raises
    ------
    StudyError
        No simulated sample has the level.
    """
    for column, level in effects.items():
        levels = sorted({row.get(column, "") for row in samples.values()} - {""})
        if level not in levels:
            raise StudyError(
                f"key 'simulation.effects.{column}'",
                f"no simulated sample has '{level}' in column '{column}'",
                f"Levels: {', '.join(levels) or 'none'}.",
            )


def expected_expression(
    profiles: pd.DataFrame, planted: pd.DataFrame, samples: dict, effects: dict
) -> np.ndarray:
    """Expected expression of each cell type in each sample, without random effects.

    Relative to a fixed total: a planted gene does not dilute the others, so that a gene that
    nothing was done to has a true log2 fold change of exactly 0.

    Parameters
    ----------
    profiles, planted
        Cell type x gene; column of the sheet x gene.
    samples
        Columns of the sheet by sample.
    effects
        The level of each column whose samples have its effect.

    Returns
    -------
    numpy.ndarray
        Share of the RNA, shape (samples, cell types, genes + mitochondrial genes).
    """
    changed = np.array(
        [[row[column] == effects[column] for column in planted.index] for row in samples.values()],
        dtype=float,
    ).reshape(len(samples), len(planted))
    nuclear = profiles.to_numpy() * 2 ** (changed @ planted.to_numpy())[:, None, :]
    mitochondrial = np.array(list(MT_SHARE.values())) / sum(MT_SHARE.values())
    mitochondrial = np.broadcast_to(mitochondrial, (*nuclear.shape[:2], mitochondrial.size))
    return np.concatenate([(1 - MT_MEAN) * nuclear, MT_MEAN * mitochondrial], axis=2)


def expected_composition(samples: dict, cell_types: pd.Index) -> np.ndarray:
    """Expected share of each cell type, shape (samples, cell types).

    Parameters
    ----------
    samples
        Columns of the sheet by sample; one whose `subtype` is in `BLASTS` has its blasts.
    """
    shares = pd.DataFrame(0.0, index=list(samples), columns=cell_types)
    for name, row in samples.items():
        blast = f"Blast {row.get('subtype')}"
        has_blasts = blast in cell_types
        for cell_type, share in HEALTHY.items():
            shares.loc[name, cell_type] = share * (1 - BLAST_SHARE * has_blasts)
        if has_blasts:
            shares.loc[name, blast] = BLAST_SHARE
    return shares.to_numpy()


def collect_expected(
    expected: np.ndarray,
    composition: np.ndarray,
    samples: list[str],
    cell_types: list[str],
    genes: pd.DataFrame,
):
    """What is expected of every sample, from which the true change of any contrast follows.

    Parameters
    ----------
    expected, composition
        As `expected_expression` and `expected_composition` give them.
    samples, cell_types
        Names along their first and second axis.
    genes
        gene_id, gene_name.

    Returns
    -------
    anndata.AnnData
        A row a sample and cell type: `X` share of the RNA; `obs` sample, cell_type, group (of the
        tests that look at such cells), share (of the sample's cells).
    """
    import anndata as ad

    table = pd.DataFrame(
        {
            "sample": np.repeat(samples, len(cell_types)),
            "cell_type": np.tile(cell_types, len(samples)),
            "group": np.tile([GROUPS.get(name, name) for name in cell_types], len(samples)),
            "share": composition.ravel(),
        }
    )
    table.index = table["sample"] + "_" + table["cell_type"]
    return ad.AnnData(expected.reshape(len(table), -1), obs=table, var=genes.set_index("gene_id"))


def vary_samples(expected: np.ndarray, sd: float, rng: np.random.Generator) -> np.ndarray:
    """Expression with each sample's random effects, half shared by its cell types.

    Parameters
    ----------
    expected
        Shape (samples, cell types, genes).
    sd
        Of log expression, between samples.
    """
    n_samples, n_types, n_genes = expected.shape
    shared = rng.normal(0, sd * np.sqrt(0.5), (n_samples, 1, n_genes))
    own = rng.normal(0, sd * np.sqrt(0.5), (n_samples, n_types, n_genes))
    return expected * np.exp(shared + own)


def simulate_run(
    rates: np.ndarray, composition: np.ndarray, settings: dict, rng: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Cells of one run and their molecules.

    Parameters
    ----------
    rates
        The sample's expression, shape (cell types, genes); the last genes are mitochondrial.
    composition
        The sample's shares of the cell types.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        A row a barcode: type (index of the cell type; a doublet's first), second_type (of a
        doublet, else -1), doublet, damaged, n_ambient (molecules of ambient RNA).
    counts : numpy.ndarray
        Molecules that were sequenced, barcode x gene, ambient RNA among them.
    ambient : float
        Mean molecules of ambient RNA in a droplet, with or without a cell.
    """
    n_cells = max(2, round(settings["cells_per_run"] * rng.lognormal(0, 0.08)))
    n_doublets = round(settings["doublets"] * n_cells)
    n = n_cells + n_doublets
    types = rng.choice(composition.size, n, p=composition)
    damaged = rng.random(n) < DAMAGED
    depth = settings["umis_per_cell"] * rng.lognormal(0, RUN_SD) * rng.lognormal(0, CELL_SD, n)
    depth *= np.where(damaged, 0.5, 1)
    mt = rng.beta(MT_MEAN * MT_CONCENTRATION, (1 - MT_MEAN) * MT_CONCENTRATION, n)
    mt = np.where(damaged, rng.uniform(0.25, 0.6, n), mt)

    rates = rates * rng.lognormal(0, RUN_GENE_SD, rates.shape[1])
    n_mt = len(MT_SHARE)
    share = np.repeat(
        np.column_stack([(1 - mt) / (1 - MT_MEAN), mt / MT_MEAN]),
        [rates.shape[1] - n_mt, n_mt],
        axis=1,
    )
    noise = rng.gamma(1 / CELL_DISPERSION, CELL_DISPERSION, (n, rates.shape[1]))
    counts = rng.poisson(depth[:, None] * share * rates[types] * noise)
    counts[:n_doublets] += counts[n_cells:]

    # Ambient RNA is the run's own RNA, the same in every droplet.
    soup = counts[:n_cells].sum(axis=0) / counts[:n_cells].sum()
    ambient = settings["ambient"] * settings["umis_per_cell"] * rng.lognormal(0, 0.2)
    foreign = rng.poisson(ambient * soup, (n_cells, rates.shape[1]))
    cells = pd.DataFrame(
        {
            "type": types[:n_cells],
            "second_type": np.append(types[n_cells:], np.full(n_cells - n_doublets, -1)),
            "doublet": np.arange(n_cells) < n_doublets,
            "damaged": damaged[:n_cells],
            "n_ambient": foreign.sum(axis=1),
        }
    )
    return cells, counts[:n_cells] + foreign, ambient


def simulate_cells(
    runs: dict,
    rates: np.ndarray,
    composition: np.ndarray,
    samples: list[str],
    cell_types: list[str],
    barcodes: np.ndarray,
    settings: dict,
    seed: int,
):
    """Cells of all runs, with barcodes, and their molecules.

    Parameters
    ----------
    runs
        Sample by run.
    rates, composition
        With random effects, by sample (in the order of `samples`) and cell type.
    barcodes
        The whitelist.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        run, barcode, cell, sample, cell_type, lineage, doublet, second_type (the cell type that
        shares the droplet; empty where none does), damaged, n_umis, n_ambient (of them).
    counts : scipy.sparse.csr_matrix
        True molecules, cell x gene.
    ambient : dict
        Mean molecules of ambient RNA in a droplet, by run.
    """
    from scipy import sparse

    tables, blocks, ambient = [], [], {}
    for run, sample in runs.items():
        rng = generator(seed, "cells", run)
        row = samples.index(sample)
        cells, counts, ambient[run] = simulate_run(rates[row], composition[row], settings, rng)
        order = rng.permutation(len(cells))
        cells, counts = cells.iloc[order], counts[order]
        barcode = barcodes[rng.choice(barcodes.size, len(cells), replace=False)]
        cell_type = np.array(cell_types)[cells["type"]]
        second_type = np.array([*cell_types, ""])[cells["second_type"]]  # -1: the last
        tables.append(
            pd.DataFrame(
                {
                    "run": run,
                    "barcode": barcode,
                    "cell": [f"{run}_{b}" for b in barcode],
                    "sample": sample,
                    "cell_type": cell_type,
                    "lineage": [LINEAGE.get(name, name) for name in cell_type],
                    "doublet": cells["doublet"].to_numpy(),
                    "second_type": second_type,
                    "damaged": cells["damaged"].to_numpy(),
                    "n_umis": counts.sum(axis=1),
                    "n_ambient": cells["n_ambient"].to_numpy(),
                }
            )
        )
        blocks.append(sparse.csr_matrix(counts.astype(np.int32)))
    return pd.concat(tables, ignore_index=True), sparse.vstack(blocks, format="csr"), ambient


def simulate_genome(names: list[str], rng: np.random.Generator) -> tuple[dict, pd.DataFrame]:
    """A genome with the genes on it.

    Parameters
    ----------
    names
        Gene symbols; those of the mitochondrion lie on chrM.

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


def simulate_truth(
    runs: dict,
    samples: dict,
    barcodes: np.ndarray,
    settings: dict,
    seed: int,
):
    """The whole study but for its reads.

    Parameters
    ----------
    runs
        Sample by run.
    samples
        Columns of the sheet by sample.
    barcodes
        The whitelist.
    settings
        Section `simulation` of the configuration.

    Returns
    -------
    cells : pandas.DataFrame
        As `simulate_cells` gives it.
    counts : anndata.AnnData
        True molecules; `uns["ambient"]` by run.
    expected : anndata.AnnData
        As `collect_expected` gives it.
    """
    import anndata as ad

    rng = generator(seed, "study")
    profiles = build_profiles(load_pbmc(), rng)
    cell_types = list(profiles.index)
    names = [*profiles.columns, *MT_SHARE]
    # Not Ensembl's ids, nor alike: the sequences behind them are simulated.
    genes = pd.DataFrame(
        {"gene_id": [f"SIMG{n:011d}" for n in range(1, len(names) + 1)], "gene_name": names}
    )
    effects = settings["effects"]
    check_effects(effects, samples)
    planted = plant_effects(profiles, list(effects), settings["de_genes"], rng)
    expected = expected_expression(profiles, planted, samples, effects)
    composition = expected_composition(samples, profiles.index)
    rates = vary_samples(expected, settings["sample_sd"], rng)
    # A share of 0 stays 0: a gamma of shape 0 is 0.
    varied = rng.gamma(composition * COMPOSITION_CONCENTRATION)
    varied /= varied.sum(axis=1, keepdims=True)
    cells, matrix, ambient = simulate_cells(
        runs, rates, varied, list(samples), cell_types, barcodes, settings, seed
    )
    counts = ad.AnnData(
        matrix,
        obs=cells.set_index("cell")[["run"]],
        var=genes.set_index("gene_id"),
        uns={"ambient": ambient},
    )
    return cells, counts, collect_expected(expected, composition, list(samples), cell_types, genes)


def main(snakemake):
    """Write the reference and the truth of the study."""
    log = start(snakemake)
    params, output = snakemake.params, snakemake.output
    barcodes = np.loadtxt(snakemake.input.whitelist, dtype=str)
    cells, counts, expected = simulate_truth(
        params.runs, params.samples, barcodes, params.simulation, params.seed
    )
    log.info("%d cells, %d genes, %d molecules", *counts.shape, counts.X.sum())
    chromosomes, exons = simulate_genome(
        list(counts.var["gene_name"]), generator(params.seed, "genome")
    )
    log.info("%d exons on %d bases", len(exons), sum(map(len, chromosomes.values())))
    write_fasta(chromosomes, output.fasta)
    write_gtf(exons, counts.var.reset_index(), output.gtf)
    cells.to_parquet(output.cells, index=False)
    counts.write_h5ad(output.counts, compression="gzip")
    expected.write_h5ad(output.expected, compression="gzip")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
