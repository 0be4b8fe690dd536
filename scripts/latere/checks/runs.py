"""The facts of a run that the checks use, and the rows of their table."""

from collections import Counter
from dataclasses import dataclass, field

import h5py
import numpy as np
import pandas as pd
from anndata.io import read_elem

from latere.gene_sets import find_members
from latere.tables import read_parts

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
COLUMNS = ["run", "check", "verdict", "value", "detail"]
STUDY = "study"
# A type that makes up a tenth of a run has 5 cells then.
FEW_CELLS = 50


@dataclass(eq=False)
class Run:
    """Facts of a run.

    Attributes
    ----------
    facts
        As `load_counts` leaves them.
    genes
        Index of gene ids.
    names
        Their symbols, in the same order.
    called, kept, doublets
        Cells; of the doublets None where none could be called.
    halves
        Counts of its kept cells, split in two at random, (2, n_genes).
    has_mitochondria
        Whether it has a mitochondrial gene.
    sex_counts
        Molecules of the female and of the male genes; empty if it lacks either.
    barcodes
        By called cell: barcode, n_counts, n_genes and `key`, a number that identifies its counts.
    ambient
        As `call_cells` writes it.
    """

    name: str
    sample: str
    facts: dict
    genes: pd.Index
    names: pd.Series = field(default_factory=lambda: pd.Series(dtype=str))
    called: int = 0
    kept: int = 0
    doublets: int | None = None
    halves: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    has_mitochondria: bool = True
    sex_counts: tuple[int, ...] = ()
    barcodes: pd.DataFrame = field(default_factory=pd.DataFrame)
    ambient: dict = field(default_factory=dict)


def row(run: str, check: str, verdict: str, value: float, detail: str) -> dict:
    """A row of the table."""
    return dict(zip(COLUMNS, (run, check, verdict, value, detail), strict=True))


def read_run(
    name: str,
    sample: str,
    path: str,
    facts: dict,
    ambient: dict,
    cells: pd.DataFrame,
    gene_sets: pd.DataFrame,
    seed: int,
) -> Run:
    """What the checks need of a run, its counts read in parts.

    Parameters
    ----------
    path
        Its count matrix.
    cells
        Its called cells, in the order of the matrix: barcode, n_counts, n_genes, doublet, kept.
    gene_sets
        As `read_gene_sets` gives it.
    seed
        For the halves.
    """
    with h5py.File(path) as file:
        var, barcodes = read_elem(file["var"]), read_elem(file["obs"]).index
        rows, n_genes = barcodes.isin(cells["barcode"]), len(var)
        kept = cells["kept"].to_numpy(dtype=bool)
        group = np.random.default_rng(seed).permutation(len(cells)) % 2
        # Sums of products with these, modulo 2^64, are alike only for cells that are alike.
        weights = pd.util.hash_array(var.index.to_numpy(dtype=object)).astype(np.int64)
        halves, keys, first = np.zeros((2, n_genes), dtype=np.int64), [], 0
        for part in read_parts(file["X"], rows, np.arange(n_genes), n_genes):
            of_part = slice(first, first + part.shape[0])
            for half in (0, 1):
                chosen = kept[of_part] & (group[of_part] == half)
                halves[half] += (chosen.astype(np.int64) @ part).ravel()
            keys.append(part.astype(np.int64) @ weights)
            first = of_part.stop
    doublets = cells["doublet"].astype("boolean")
    members, sums = find_members(gene_sets, var), halves.sum(axis=0)
    sexes = [members[sex] for sex in ("sex_female", "sex_male")]
    return Run(
        name=name,
        sample=sample,
        facts=facts,
        genes=var.index,
        names=var["gene_name"].astype(str).reset_index(drop=True),
        called=len(cells),
        kept=int(kept.sum()),
        doublets=None if doublets.isna().all() else int(doublets.sum()),
        halves=halves,
        has_mitochondria=bool(members["mitochondrial"].any()),
        sex_counts=tuple(int(sums[sex].sum()) for sex in sexes if sex.any()),
        barcodes=cells[["barcode", "n_counts", "n_genes"]].assign(
            key=np.concatenate([*keys, np.zeros(0, dtype=np.int64)])
        ),
        ambient=ambient,
    )


def usual_genes(runs: list[Run]) -> set[str]:
    """Ids of the genes that more than half of the runs have."""
    seen = Counter(gene for run in runs for gene in run.genes)
    return {gene for gene, number in seen.items() if number > len(runs) / 2}


def study_genes(runs: list[Run], how: str) -> pd.Series:
    """Symbols of the genes of the study, by id.

    Parameters
    ----------
    how
        `intersection` or `union` of the runs' genes.
    """
    names = pd.concat([pd.Series(run.names.to_numpy(), run.genes) for run in runs])
    names = names[~names.index.duplicated()]
    if how == "union":
        return names
    return names[[all(gene in run.genes for run in runs) for gene in names.index]]
