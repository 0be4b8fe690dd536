"""Checks of identity: the sex of a sample, and cells that two runs share."""

import logging

import numpy as np
import pandas as pd
import scipy.sparse as sp

from latere.checks.runs import FAIL, PASS, STUDY, WARN, Run, row

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
# So many times more frequent is one of XIST and the Y genes where it shows the sex; ambient RNA and
# doublets of pooled samples blur it. Least molecules to call a sex, and least share of all: the Y
# genes have 960 of a million in pbmc4k, and XIST none.
SEX_TIMES, SEX_COUNTS, SEX_SHARE = 5, 10, 20e-6
SEXES = {"female": "female", "f": "female", "male": "male", "m": "male"}


def find_sex(female: int, male: int, molecules: int) -> str:
    """Sex by the counts of XIST and of the genes of the Y chromosome.

    Returns
    -------
    str
        `female`, `male`; `both` or `neither` where they contradict each other; empty if
        there are too few molecules to say.
    """
    if max(female, male) < SEX_COUNTS:
        return "neither" if molecules * SEX_SHARE >= SEX_COUNTS else ""
    if female > SEX_TIMES * male:
        return "female"
    return "male" if male > SEX_TIMES * female else "both"


def check_sex(runs: list[Run], samples: dict[str, dict]):
    """Sex genes compared with the sheet's column `sex` or `gender`, and among a sample's runs."""
    for sample, columns in samples.items():
        named = {name.lower(): value.strip().lower() for name, value in columns.items()}
        sheet = SEXES.get(named.get("sex") or named.get("gender"))
        own = [run for run in runs if run.sample == sample and len(run.sex_counts) == 2]
        if not own:
            logging.info("sex: not checked for %s, its runs lack XIST or the Y genes", sample)
            continue
        found = {run.name: find_sex(*run.sex_counts, int(run.halves.sum())) for run in own}
        if {"female", "male"} <= set(found.values()):
            named = ", ".join(f"{run} {sex}" for run, sex in found.items() if sex)
            detail = (
                f"XIST and Y genes show different sexes in its runs ({named}): a run is swapped."
            )
            yield row(sample, "sex of its runs", FAIL, np.nan, detail)
        if not sheet:
            logging.info("sex: not checked for %s, the sheet says neither female nor male", sample)
            continue
        female, male = np.sum([run.sex_counts for run in own], axis=0)
        molecules = int(sum(run.halves.sum() for run in own))
        sex = find_sex(female, male, molecules)
        numbers = (
            f"The sheet says {sheet}; XIST has {female:,} and the Y genes have {male:,} of "
            f"{molecules:,} molecules"
        )
        share = female / max(female + male, 1)
        if not sex:
            logging.info("sex: not checked for %s: %s, too few", sample, numbers)
        elif sex == sheet:
            yield row(sample, "sex", PASS, share, f"{numbers}: {sex}.")
        elif sex in ("female", "male"):
            fix = f": {sex}. Correct the sheet, or look for the sample that it was swapped with."
            yield row(sample, "sex", FAIL, share, numbers + fix)
        else:
            reason = {
                "both": "both are expressed, as in a mixture of donors",
                "neither": "neither is expressed, as in cells that lost the Y or the inactive X",
            }[sex]
            yield row(sample, "sex", WARN, share, f"{numbers}: unclear, {reason}.")


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


def check_duplicates(runs: list[Run], sides: dict | None = None):
    """Cells that two runs share: the same counts, or the same barcodes at the same depth.

    Parameters
    ----------
    sides
        Samples of `case` and `control`, by contrast: one that tests samples which share their cells
        gets a row of its own.
    """
    twins = []
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
                f"{names[twin]} (sample {runs[twin].sample}): a matrix, or a part of it, appears "
                "twice. Remove one of the runs from the sheet."
            )
            twins.append({run.sample, runs[twin].sample})
            yield row(run.name, "duplicate", FAIL, share, detail)
            continue
        verdict, largest, other = PASS, 0.0, None
        for twin in np.flatnonzero(excess[at]):
            both = barcodes[at].index.intersection(barcodes[twin].index)
            depths = pd.DataFrame({"a": barcodes[at][both], "b": barcodes[twin][both]}).rank()
            same_depth = depths["a"].corr(depths["b"]) > SAME_DEPTH
            share = shared[at, twin] / smaller[at, twin]
            if same_depth and share > largest:
                verdict, largest, other = FAIL if share > MOST_SHARED else WARN, share, twin
        if verdict == PASS:
            detail = (
                f"Overlap of its {run.called:,} cells with any other run: at most "
                f"{identical[at].max():,} by identical counts, at most {shared[at].max():,} by "
                "barcode."
            )
            yield row(run.name, "duplicate", PASS, identical[at].max() / run.called, detail)
            continue
        fix = {
            FAIL: "a library was counted twice. Give its lanes in one row, or remove one run.",
            WARN: "index hopping within a flow cell, or the same cells are in both runs.",
        }[verdict]
        detail = (
            f"{shared[at, other]:,} of its {run.called:,} barcodes are those of run {names[other]} "
            f"(sample {runs[other].sample}), at the same depth; by chance it would be "
            f"{chance[at, other]:,.0f} at most: {fix}"
        )
        if verdict == FAIL:
            twins.append({run.sample, runs[other].sample})
        yield row(run.name, "duplicate", verdict, largest, detail)
    yield from check_contrasts(twins, sides or {})


def check_contrasts(twins: list[set[str]], sides: dict):
    """Contrasts that test samples which share their cells.

    Parameters
    ----------
    twins
        Samples of two runs that share cells.
    sides
        Samples of `case` and `control`, by contrast.
    """
    for contrast, names in sides.items():
        tested = {sample for of_side in names.values() for sample in of_side}
        duplicated = {tuple(sorted(pair)) for pair in twins if len(pair) == 2 and pair <= tested}
        if duplicated:
            named = ", ".join(" and ".join(pair) for pair in sorted(duplicated))
            detail = (
                f"Contrast {contrast} compares samples with the same cells: {named}. They are not "
                "replicates, and its tests are not valid. Remove one of each from the sheet."
            )
            yield row(STUDY, "replicates of the contrast", FAIL, len(duplicated), detail)
