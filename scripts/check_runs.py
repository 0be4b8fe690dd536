"""Hold each run against the sheet and the other runs: PASS, WARN or FAIL, with figure and mend.

A check that can't answer (no column `sex`, one run, too few counts) gives no row; the log says why.
Nothing stops here: what is no count at all was refused before, and the report shows the table.
"""

import json
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata.io import read_elem

from latere.design import MIN_SAMPLES
from latere.droplets import expected_doublets
from latere.gene_sets import find_members, read_gene_sets
from latere.job import run_script, start
from latere.tables import SAME_GENES, read_parts

PASS, WARN, FAIL = "PASS", "WARN", "FAIL"
COLUMNS = ["run", "check", "verdict", "figure", "detail"]
STUDY = "study"

# A type that makes up a tenth of a run has 5 cells then.
FEW_CELLS = 50
# Limits are made to take a tail off; where most cells are one, the limits or the run are wrong.
MOST_LOST = 0.5
# Sums of cells vary by tenths of their mean (0.4 in pbmc4k); where they were scaled to one sum, by
# what rounding leaves.
SAME_SUM = 0.01
# An alarm needs three times the expected doublets, and a fifth of the run, as overloaded runs have
# their share by design.
MANY_DOUBLETS, TIMES_DOUBLETS = 0.2, 3
# Runs that were counted with one annotation share all genes. With fewer than these, down to
# `SAME_GENES`, it was another release, or genes were filtered run by run.
SAME_RELEASE = 0.98
# A few symbols stand for two genes in every annotation.
MANY_TWICE = 0.01
# Two cells never agree in the counts of 50 genes or more unless they are one.
RICH = 50
IDENTICAL = 0.01
# inDrop has the fewest barcodes of the droplet methods, 384 x 384 (Zilionis et al. 2017, Nat Protoc
# 12:44), so by chance two runs share no more than this lets expect.
FEWEST_BARCODES = 384 * 384
BARCODE = r"([ACGT]{12,})"
SOME_SHARED, MOST_SHARED = 0.1, 0.5
# With fewer shared barcodes a correlation of their depths may be chance: by 20 it is above
# `SAME_DEPTH` in 1 % of samples without any.
ENOUGH_SHARED = 20
# Plates reuse barcodes, but only in one library has a barcode the same depth twice.
SAME_DEPTH = 0.5
# Least cells, counts of a gene and such genes of which a run's profile is compared.
PROFILE_CELLS, PROFILE_COUNTS, PROFILE_GENES = 20, 200, 100
# Added before logarithms are taken, to half a run of the median depth.
PRIOR_COUNTS = 10
# Coefficients of variation between profiles: 0.4 between people, 0.1 between genetically identical
# animals, 0.01 between technical replicates (edgeR User's Guide, on data without replicates). As
# measured on zhao21 and the demo 0.2 to 0.5 from a sample to the nearest, 0.1 between two libraries
# of one sample; on pbmc4k and zhao21 0.04 at most from a random part of a library to the nearest.
ONE_LIBRARY, IDENTICAL_ANIMALS = 0.05, 0.1
# The noise at which such animals are twice as far apart as it alone would put them.
CLEAR_NOISE = 2 * IDENTICAL_ANIMALS**2
PROFILE_NOISE = 0.05
SWAPPED = 0.75
OUTLYING, FAR, ENOUGH_SAMPLES = 3, 0.5, 4
# So many times more frequent is one of XIST and the Y genes where it tells the sex; ambient RNA and
# doublets of pooled samples blur it. Least molecules to call a sex, and least share of all: the Y
# genes have 960 of a million in pbmc4k, and XIST none.
SEX_TIMES, SEX_COUNTS, SEX_SHARE = 5, 10, 20e-6
SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}

KINDS = {"ensembl": "Ensembl ids", "symbol": "gene symbols", "other": "ids of another kind"}


@dataclass(eq=False)
class Run:
    """What is known of a run.

    Attributes
    ----------
    facts
        As `load_counts` leaves them.
    genes
        Index of gene ids.
    called, kept, doublets
        Cells; of the doublets None where none could be called.
    halves
        Counts of its kept cells, split in two at random, (2, n_genes).
    has_mitochondria
        Whether it has a mitochondrial gene.
    sex_counts
        Molecules of the female and of the male genes; empty if it lacks either.
    barcodes
        By called cell: barcode, n_counts, n_genes and `key`, which tells its counts.
    ambient
        As `call_cells` tells it.
    """

    name: str
    sample: str
    facts: dict
    genes: pd.Index
    called: int = 0
    kept: int = 0
    doublets: int | None = None
    halves: np.ndarray = field(default_factory=lambda: np.zeros((2, 0)))
    has_mitochondria: bool = True
    sex_counts: tuple[int, ...] = ()
    barcodes: pd.DataFrame = field(default_factory=pd.DataFrame)
    ambient: dict = field(default_factory=dict)


def row(run: str, check: str, verdict: str, figure: float, detail: str) -> dict:
    """A row of the table."""
    return dict(zip(COLUMNS, (run, check, verdict, figure, detail), strict=True))


def read_run(
    name: str,
    sample: str,
    path: str,
    facts: dict,
    ambient: dict,
    cells: pd.DataFrame,
    gene_sets: pd.DataFrame,
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
    """
    with h5py.File(path) as file:
        var, barcodes = read_elem(file["var"]), read_elem(file["obs"]).index
        rows, n_genes = barcodes.isin(cells["barcode"]), len(var)
        kept = cells["kept"].to_numpy(dtype=bool)
        group = np.random.default_rng(0).permutation(len(cells)) % 2
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


def check_counts(run: Run) -> dict:
    """Whether whole numbers may be something else than counts of molecules."""
    about, largest = run.facts["counts"], run.facts["largest_count"]
    depth_cv, barcodes = run.facts["depth_cv"], run.facts["barcodes"]["with_counts"]
    integers = np.issubdtype(np.dtype(about["stored_as"]), np.integer)
    stored = f"stored as {about['stored_as']}{'' if integers else ', read as whole numbers'}"
    stored = f"layer {about['layer']}, {stored}" if about["layer"] else stored
    detail = f"Whole numbers, none negative, the largest {largest:,} ({stored})"
    mend = ""
    if barcodes >= FEW_CELLS and depth_cv < SAME_SUM:
        mend = (
            f", but the sums of {barcodes:,} barcodes vary by {depth_cv:.2%} only: they look "
            "normalised and rounded, or thinned to one depth. Give the counts before that"
        )
    elif barcodes >= FEW_CELLS and largest == 1:
        mend = ", but no count is above 1: they look as if made binary. Give the counts themselves"
    return row(run.name, "counts", WARN if mend else PASS, largest, f"{detail}{mend}.")


def check_barcodes(runs: list[Run]):
    """Raw or filtered, against what the data look like; counts; what was left out."""
    for run in runs:
        about = run.facts["barcodes"]
        agree = about["kind"] in ("both", about["looks"])
        detail = (
            f"{about['number']:,} barcodes, none twice; {about['kind']}, as the "
            f"{about['decided_by']} {'tell' if about['decided_by'] == 'data' else 'tells'}: "
            f"{about['reason']}."
        )
        mend = "" if agree else " Check column `barcodes` of the sheet; empty, the data decide."
        figure = about["number"]
        yield row(run.name, "barcodes", PASS if agree else WARN, figure, detail + mend)
        yield check_counts(run)
        if left_out := run.facts["left_out"]:
            named = ", ".join(f"{number:,} {kind}" for kind, number in left_out.items())
            detail = f"Features that are no gene expression are left out: {named}."
            yield row(run.name, "left-out features", PASS, sum(left_out.values()), detail)


def check_genes(runs: list[Run], how: str):
    """Identifiers of one kind and one release; none twice.

    Parameters
    ----------
    how
        `intersection` or `union`.
    """
    seen = Counter(gene for run in runs for gene in run.genes)
    usual = {gene for gene, number in seen.items() if number > len(runs) / 2}
    shared = {gene for gene, number in seen.items() if number == len(runs)}
    kinds = {run.name: run.facts["identifiers"]["kind"] for run in runs}
    kind = Counter(kinds.values()).most_common(1)[0][0]
    for run in runs:
        about = run.facts["identifiers"]
        share = sum(gene in usual for gene in run.genes) / max(len(run.genes), 1)
        has = share * len(run.genes) / max(len(usual), 1)
        verdict = PASS if min(share, has) >= SAME_RELEASE else WARN
        detail = (
            f"{len(run.genes):,} genes by {KINDS[about['kind']]}"
            f"{' (versions cut)' if about['versions'] else ''}"
        )
        if len(runs) > 1:
            detail += (
                f"; {share:.1%} of them are in more than half of the runs, "
                f"and it has {min(has, 1):.1%} of the {len(usual):,} genes that are"
            )
        mend = ""
        if not len(run.genes) or share < SAME_GENES:
            verdict = FAIL
            other = f"by {KINDS[kind]}, this one by {KINDS[about['kind']]}"
            told = f"most runs name genes {other}" if about["kind"] != kind else "hardly any shared"
            mend = f" ({told}). Name the genes of all runs alike, by Ensembl ids of one release."
        elif verdict == WARN:
            mend = ": another release, or genes were filtered. Count all runs with one annotation."
        yield row(run.name, "genes", verdict, share, detail + (mend or "."))
        twice = about["duplicated_ids"] or about["duplicated_names"]
        many = about["duplicated_ids"] > MANY_TWICE * len(run.genes)
        what = "identifiers stand" if about["duplicated_ids"] else "symbols stand"
        detail = (
            f"{twice:,} {what} there more than once" if twice else "No symbol stands there twice"
        )
        detail += ", kept apart by a number" if about["duplicated_ids"] else ""
        detail += ", kept apart by their ids" if twice and not about["duplicated_ids"] else ""
        mend = ". Their counts are split: give the matrix by Ensembl ids." if many else "."
        yield row(run.name, "duplicated symbols", WARN if many else PASS, twice, detail + mend)
    if len(runs) > 1:
        kept = shared if how == "intersection" else seen
        loss = (
            f"{len(seen) - len(shared):,} are left out"
            if how == "intersection"
            else f"{len(seen) - len(shared):,} count 0 in the runs that lack them"
        )
        detail = (
            f"{len(shared):,} genes are in all {len(runs)} runs, {len(seen):,} in any; by {how} "
            f"the study has {len(kept):,}, and {loss}"
        )
        few = len(shared) < SAME_RELEASE * len(usual)
        verdict = PASS if not few else FAIL if len(shared) < SAME_GENES * len(usual) else WARN
        kinds_told = (
            f"; identifiers are {' and '.join(KINDS[k] for k in sorted(set(kinds.values())))}"
        )
        mend = kinds_told if len(set(kinds.values())) > 1 else ""
        mend += ". Count all runs with one annotation." if few else "."
        yield row(STUDY, "genes", verdict, len(kept), detail + mend)


def check_species(runs: list[Run]):
    """One species within a run, and over the runs."""
    found = {run.name: run.facts["identifiers"]["species"] for run in runs}
    known = Counter(told["name"] for told in found.values() if told["name"] != "unknown")
    for name, told in found.items():
        if told["name"] == "unknown":
            logging.info("species: not checked for %s, its genes tell none", name)
            continue
        usual, _ = known.most_common(1)[0]
        numbers = f"{told['human']:,} genes are named as of human, {told['mouse']:,} as of mouse"
        if told["name"] != usual:
            detail = f"{numbers}: {told['name']}, and most runs {usual}. Give runs of one species."
            yield row(name, "species", FAIL, np.nan, detail)
        elif usual == "mixed":
            detail = f"{numbers}: two species. Give the genes and the cells of one."
            yield row(name, "species", WARN, np.nan, detail)
        else:
            yield row(name, "species", PASS, np.nan, f"{numbers}: {usual}.")


def check_cells(runs: list[Run], samples: list[str], sides: dict, min_cells: int):
    """Cells of runs and samples, against what the contrasts need.

    Parameters
    ----------
    sides
        Samples of `case` and `control`, by contrast.
    min_cells
        Cells that a sample must have to count in a test.
    """
    for run in runs:
        lost = 1 - run.kept / max(run.called, 1)
        detail = f"{run.kept:,} of {run.called:,} called cells are kept"
        verdict, mend = PASS, "."
        barcodes = run.facts["barcodes"]
        if not run.called:
            verdict, detail = FAIL, f"no cell is called among {barcodes['number']:,} barcodes"
            mend = (
                ": none has a count. Check the source of the run, or remove its row from the sheet."
            )
            if barcodes["with_counts"]:
                mend = ". See the knee plot; to leave the run out, remove its row."
        elif not run.kept:
            verdict = FAIL
            mend = ". See cells/limits.tsv and the knee plot; to leave the run out, remove its row."
        elif run.kept < FEW_CELLS:
            verdict, mend = (
                WARN,
                f": fewer than {FEW_CELLS}. See the knee plot and cells/qc.tsv.",
            )
        yield row(run.name, "cells", verdict, run.kept, detail + mend)
        if run.called:
            many = lost > MOST_LOST
            detail = f"{lost:.0%} of the called cells fall to the limits or as doublets"
            mend = ". See the waterfall, and set `cells.samples` for this sample." if many else "."
            yield row(run.name, "cells lost", WARN if many else PASS, lost, detail + mend)
        if run.doublets is not None and run.called:
            share, usual = run.doublets / run.called, expected_doublets(run.called)
            many = share > max(MANY_DOUBLETS, TIMES_DOUBLETS * usual)
            detail = (
                f"{share:.1%} of {run.called:,} cells are called doublets; {usual:.1%} are usual "
                "for as many cells in droplets"
            )
            mend = ". Look at the scores: cells in transition are called, too." if many else "."
            yield row(run.name, "doublets", WARN if many else PASS, share, detail + mend)
    of = {sample: [run.name for run in runs if run.sample == sample] for sample in samples}
    kept = {sample: sum(run.kept for run in runs if run.sample == sample) for sample in samples}
    for sample, number in kept.items():
        few = number < min_cells
        detail = f"{number:,} cells are kept of run {', '.join(of[sample])}"
        mend = f": fewer than {min_cells} (`de.min_cells`), so it is no replicate." if few else "."
        yield row(sample, "cells of the sample", (FAIL if few else PASS), number, detail + mend)
    for contrast, names in sides.items():
        enough = {
            side: [sample for sample in of_side if kept[sample] >= min_cells]
            for side, of_side in names.items()
        }
        told = ", ".join(
            f"{len(enough[side])} of {len(names[side])} {side} samples" for side in names
        )
        least = min(map(len, enough.values()))
        detail = f"Contrast {contrast}: {told} have at least {min_cells} cells"
        few = least < MIN_SAMPLES
        mend = (
            f". A side needs {MIN_SAMPLES}: widen the limits, or drop the contrast." if few else "."
        )
        yield row(STUDY, "design", FAIL if few else PASS, least, detail + mend)


def find_sex(female: int, male: int, molecules: int) -> str:
    """The sex that the counts of XIST and of the genes of the Y chromosome tell.

    Returns
    -------
    str
        `female`, `male`; `both` or `neither` where they are in contradiction; empty if there are
        too few molecules to say.
    """
    if max(female, male) < SEX_COUNTS:
        return "neither" if molecules * SEX_SHARE >= SEX_COUNTS else ""
    if female > SEX_TIMES * male:
        return "female"
    return "male" if male > SEX_TIMES * female else "both"


def check_mitochondria(runs: list[Run]):
    """Whether the limit on mitochondrial counts can hold."""
    for run in runs:
        if run.called and not run.has_mitochondria:
            detail = (
                "it has no mitochondrial gene, or none by the names of `cells.gene_sets`, so "
                "`max_percent_mt` removes none of its cells. Give the matrix with all genes, or "
                "add their names."
            )
            yield row(run.name, "mitochondrial genes", WARN, 0, detail)


def check_ambient(runs: list[Run]):
    """Whether ambient RNA was taken out of all runs alike, where the configuration asks for it."""
    left = [run.name for run in runs if run.ambient["share"] is None]
    for run in runs:
        share = run.ambient["share"]
        if share is None:
            detail = f"Nothing was taken out. {run.ambient['reason']}"
            yield row(run.name, "ambient RNA", WARN, np.nan, detail)
        else:
            yield row(run.name, "ambient RNA", PASS, share, f"{share:.1%} was taken out.")
    if 0 < len(left) < len(runs):
        detail = (
            f"It was taken out of {len(runs) - len(left)} runs, and not of {', '.join(left)}: what "
            "differs between them may be that. Give all runs raw, or set `cells.remove_ambient` "
            "to false."
        )
        yield row(STUDY, "ambient RNA", FAIL, len(left), detail)


def check_sex(runs: list[Run], samples: dict[str, dict]):
    """Sex genes against the sheet's column `sex` or `gender`, and between the runs of a sample."""
    for sample, columns in samples.items():
        named = {name.lower(): value.strip().lower() for name, value in columns.items()}
        told = SEXES.get(named.get("sex") or named.get("gender"))
        own = [run for run in runs if run.sample == sample and len(run.sex_counts) == 2]
        if not own:
            logging.info("sex: not checked for %s, its runs lack XIST or the Y genes", sample)
            continue
        found = {run.name: find_sex(*run.sex_counts, int(run.halves.sum())) for run in own}
        if {"female", "male"} <= set(found.values()):
            named = ", ".join(f"{run} {sex}" for run, sex in found.items() if sex)
            detail = f"Its runs are of different sex by XIST and Y genes ({named}): one is swapped."
            yield row(sample, "sex of its runs", FAIL, np.nan, detail)
        if not told:
            logging.info("sex: not checked for %s, the sheet tells neither female nor male", sample)
            continue
        female, male = np.sum([run.sex_counts for run in own], axis=0)
        molecules = int(sum(run.halves.sum() for run in own))
        sex = find_sex(female, male, molecules)
        numbers = (
            f"The sheet says {told}; XIST has {female:,} and the Y genes have {male:,} of "
            f"{molecules:,} molecules"
        )
        figure = female / max(female + male, 1)
        if not sex:
            logging.info("sex: not checked for %s: %s, too few", sample, numbers)
        elif sex == told:
            yield row(sample, "sex", PASS, figure, f"{numbers}: {sex}.")
        elif sex in ("female", "male"):
            mend = f": {sex}. Correct the sheet, or look for the sample that it was swapped with."
            yield row(sample, "sex", FAIL, figure, numbers + mend)
        else:
            reason = {
                "both": "both are there, as in a mixture of donors",
                "neither": "neither is there, as where cells lost the Y or the silent X",
            }[sex]
            yield row(sample, "sex", WARN, figure, f"{numbers}: unclear, {reason}.")


def count_shared(keys: list[np.ndarray]) -> np.ndarray:
    """How many keys each two runs share.

    Parameters
    ----------
    keys
        Of each run, unique within it.

    Returns
    -------
    numpy.ndarray
        Shape (n_runs, n_runs); 0 on the diagonal.
    """
    codes, known = pd.factorize(np.concatenate(keys))
    of_run = np.repeat(np.arange(len(keys)), list(map(len, keys)))
    shape = (len(keys), len(known))
    has = sp.csr_matrix((np.ones(len(codes), dtype=np.int64), (of_run, codes)), shape=shape)
    shared = (has @ has.T).toarray()
    np.fill_diagonal(shared, 0)
    return shared


def check_duplicates(runs: list[Run]):
    """Cells that two runs share: the same counts, or the same barcodes at the same depth."""
    runs = [run for run in runs if run.called]
    if len(runs) < 2:
        logging.info("duplicates: not checked, fewer than two runs have cells")
        return
    names = [run.name for run in runs]
    rich = [run.barcodes.loc[run.barcodes["n_genes"] >= RICH, "key"].unique() for run in runs]
    identical = count_shared(rich)
    barcodes = []
    for run in runs:
        found = run.barcodes["barcode"].str.extract(BARCODE)[0]
        depth = pd.Series(run.barcodes["n_counts"].to_numpy(), index=found)
        barcodes.append(depth[depth.index.notna() & ~depth.index.duplicated()])
    shared = count_shared([depth.index.to_numpy(dtype=object) for depth in barcodes])
    sizes = np.array([run.called for run in runs])
    smaller = np.minimum(sizes[:, None], sizes[None, :])
    chance = sizes[:, None] * sizes[None, :] / FEWEST_BARCODES
    excess = (shared > SOME_SHARED * smaller) & (shared > 3 * chance) & (shared >= ENOUGH_SHARED)
    for at, run in enumerate(runs):
        twin = int(np.argmax(identical[at] / smaller[at]))
        number, share = identical[at, twin], identical[at, twin] / smaller[at, twin]
        if number and share >= IDENTICAL:
            detail = (
                f"{number:,} of its {run.called:,} cells have exactly the counts of cells of run "
                f"{names[twin]} (sample {runs[twin].sample}): one matrix, or parts of it, stands "
                "there twice. Take one of the runs out of the sheet."
            )
            yield row(run.name, "duplicate", FAIL, share, detail)
            continue
        verdict, figure, other = PASS, 0.0, None
        for twin in np.flatnonzero(excess[at]):
            both = barcodes[at].index.intersection(barcodes[twin].index)
            depths = pd.DataFrame({"a": barcodes[at][both], "b": barcodes[twin][both]}).rank()
            alike = depths["a"].corr(depths["b"]) > SAME_DEPTH
            share = shared[at, twin] / smaller[at, twin]
            if alike and share > figure:
                verdict, figure, other = FAIL if share > MOST_SHARED else WARN, share, twin
        if verdict == PASS:
            detail = (
                f"{identical[at].max():,} cells have the counts of a cell of another run, at most "
                f"{shared[at].max():,} its barcode."
            )
            yield row(run.name, "duplicate", PASS, identical[at].max() / run.called, detail)
            continue
        mend = {
            FAIL: "one library was counted twice. Give its lanes in one row, or take one run out.",
            WARN: "index hopping between libraries of one flow cell, or cells stand in both.",
        }[verdict]
        detail = (
            f"{shared[at, other]:,} of its {run.called:,} barcodes are those of run {names[other]} "
            f"(sample {runs[other].sample}), at the same depth; chance gives "
            f"{chance[at, other]:,.0f} at most: {mend}"
        )
        yield row(run.name, "duplicate", verdict, figure, detail)


@dataclass
class Profiles:
    """How far the profiles of runs lie apart.

    Attributes
    ----------
    runs
        Those that can be compared.
    distances
        Coefficient of variation between two runs, beyond that within them; NaN on the diagonal,
        (n_runs, n_runs).
    noise
        Of the log profiles, the variance of their difference, (n_runs, n_runs).
    """

    runs: list[Run]
    distances: np.ndarray
    noise: np.ndarray


def compare_profiles(runs: list[Run]) -> Profiles | None:
    """Distances of the runs' pseudobulks.

    Two random halves of a run's cells tell how much of a distance is chance: the mean squared
    difference of log profiles, less that noise, is twice the squared coefficient of variation.

    Returns
    -------
    Profiles or None
        None where fewer than two runs have the cells, genes and counts.
    """
    seen = Counter(gene for run in runs for gene in run.genes)
    usual = {gene for gene, number in seen.items() if number > len(runs) / 2}
    able = [
        run
        for run in runs
        if run.kept >= PROFILE_CELLS and sum(map(usual.__contains__, run.genes)) >= len(usual) / 2
    ]
    if len(able) < 2 or not usual:
        return None
    genes = able[0].genes
    for run in able[1:]:
        genes = genes[genes.isin(run.genes)]
    halves = np.array([run.halves[:, run.genes.get_indexer(genes)] for run in able], dtype=float)
    halves = halves[:, :, np.median(halves.sum(axis=1), axis=0) >= PROFILE_COUNTS]
    if halves.shape[2] < PROFILE_GENES:
        return None
    sums = halves.sum(axis=2, keepdims=True)
    # The same share is added in all runs, so that depth makes no difference where a gene is silent.
    logs = np.log(halves / np.maximum(sums, 1) + PRIOR_COUNTS / np.median(sums))
    noise = ((logs[:, 0] - logs[:, 1]) ** 2).mean(axis=1) / 4
    clear = noise <= PROFILE_NOISE
    if clear.sum() < 2:
        return None
    profiles, noise = logs[clear].mean(axis=1), noise[clear]
    profiles -= profiles.mean(axis=0)
    square = (profiles**2).mean(axis=1)
    squared = square[:, None] + square[None, :] - 2 * profiles @ profiles.T / profiles.shape[1]
    both = noise[:, None] + noise[None, :]
    distances = np.sqrt(np.maximum(squared - both, 0) / 2)
    np.fill_diagonal(distances, np.nan)
    able = [run for run, is_clear in zip(able, clear, strict=True) if is_clear]
    return Profiles(able, distances, both)


def check_profiles(runs: list[Run]):
    """Samples that are parts of one library; runs that belong to another sample; outliers."""
    found = compare_profiles(runs)
    compared = found.runs if found else []
    if left := [run.name for run in runs if run not in compared]:
        message = "profiles: too few cells, shared genes or counts to compare %s"
        logging.info(message, ", ".join(left))
    if not compared:
        return
    names = np.array([run.name for run in found.runs])
    of = np.array([run.sample for run in found.runs])
    same = of[:, None] == of[None, :]
    if same.all():
        logging.info("profiles: not compared, one sample has the counts for it")
        return
    to_others = np.where(same, np.nan, found.distances)
    nearest = np.nanargmin(to_others, axis=1)
    least = np.nanmin(to_others, axis=1)
    typical = np.median(least)
    for at, run in enumerate(names):
        other = nearest[at]
        told = f"run {names[other]} of sample {of[other]}"
        numbers = f"Its profile varies from that of the nearest, {told}, by {least[at]:.2f}"
        clear = np.flatnonzero(~same[at] & (found.noise[at] <= CLEAR_NOISE))
        if len(clear):
            halves = least[at] < ONE_LIBRARY and other in clear
            mend = (
                f", as halves of one library do (genetically identical animals: {IDENTICAL_ANIMALS}"
                "). If both are of one specimen, give them one sample: they are no two replicates."
            )
            verdict, mend = (WARN, mend) if halves else (PASS, ".")
            yield row(run, "replicate", verdict, least[at], numbers + mend)
        own = found.distances[at, same[at]]
        own = own[~np.isnan(own)]
        if len(own):
            swapped = least[at] < own.min() - ONE_LIBRARY and least[at] < SWAPPED * own.min()
            mend = (
                ": it may belong there. Look for a swap; runs of one sample that hold other cells "
                "(sorted) or were made in other batches look so, too."
            )
            numbers += f", from that of the nearest run of its own sample by {own.min():.2f}"
            verdict, mend = (WARN, mend) if swapped else (PASS, ".")
            yield row(run, "sample of the run", verdict, own.min(), numbers + mend)
        if len(set(of)) >= ENOUGH_SAMPLES:
            far = least[at] > max(FAR, OUTLYING * typical)
            detail = (
                f"Its profile varies from that of the nearest, {told}, by {least[at]:.2f}; half of "
                f"the runs by {typical:.2f} or less"
            )
            mend = ". Check tissue, kit and annotation of this run." if far else "."
            yield row(run, "outlier", WARN if far else PASS, least[at], detail + mend)


def check_runs(
    runs: list[Run], samples: dict, sides: dict, how: str, min_cells: int, remove_ambient: bool
):
    """All checks.

    Parameters
    ----------
    samples
        The sheet's columns by sample.
    sides
        Samples of `case` and `control`, by contrast.
    how
        `intersection` or `union`.
    min_cells
        Cells that a sample must have to count in a test.
    remove_ambient
        Whether ambient RNA is taken out.

    Returns
    -------
    pandas.DataFrame
        run (or sample, or `study`), check, verdict, figure (NaN for none), detail.
    """
    rows = [
        *check_barcodes(runs),
        *check_genes(runs, how),
        *check_species(runs),
        *check_mitochondria(runs),
        *check_cells(runs, list(samples), sides, min_cells),
        *(check_ambient(runs) if remove_ambient else []),
        *check_sex(runs, samples),
        *check_duplicates(runs),
        *check_profiles(runs),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def main(snakemake):
    log = start(snakemake)
    given, params = snakemake.input, snakemake.params
    selection = pd.read_parquet(given.selection)
    by_run = {run: cells.reset_index(drop=True) for run, cells in selection.groupby("run")}
    gene_sets = read_gene_sets(given.gene_sets)
    runs = []
    files = zip(given.counts, given.facts, given.ambient, strict=True)
    for (run, sample), (path, *told) in zip(params.runs.items(), files, strict=True):
        facts, droplets = (json.loads(Path(file).read_text(encoding="utf-8")) for file in told)
        cells = by_run.get(run, selection[:0])
        runs.append(read_run(run, sample, path, facts, droplets["ambient"], cells, gene_sets))
    about = params.sides, params.genes, params.min_cells, params.remove_ambient
    table = check_runs(runs, params.samples, *about)
    log.info("%s", table["verdict"].value_counts().to_dict())
    for found in table[table["verdict"] != PASS].to_dict("records"):
        log.warning("%(verdict)s %(run)s, %(check)s: %(detail)s", found)
    table.to_csv(snakemake.output[0], sep="\t", index=False, na_rep="NA", float_format="%.4g")


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
