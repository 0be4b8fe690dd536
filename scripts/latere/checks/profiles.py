"""Checks of identity by expression: distances between the profiles of runs."""

import logging
from dataclasses import dataclass

import numpy as np

from latere.checks.runs import PASS, WARN, Run, row, usual_genes

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


@dataclass
class Profiles:
    """Distances between the profiles of runs.

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

    Two random halves of a run's cells show how much of a distance is chance: the mean squared
    difference of log profiles, less that noise, is twice the squared coefficient of variation.

    Returns
    -------
    Profiles or None
        None where fewer than two runs have the cells, genes and counts.
    """
    usual = usual_genes(runs)
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
        twin = f"run {names[other]} of sample {of[other]}"
        numbers = (
            f"The nearest profile of another sample is that of {twin}: distance {least[at]:.2f}"
        )
        clear = np.flatnonzero(~same[at] & (found.noise[at] <= CLEAR_NOISE))
        if len(clear):
            halves = least[at] < ONE_LIBRARY and other in clear
            fix = (
                f", as between halves of one library (genetically identical animals: "
                f"{IDENTICAL_ANIMALS}). If both are of one specimen, give them one sample: they "
                "are not two replicates."
            )
            verdict, fix = (WARN, fix) if halves else (PASS, ".")
            yield row(run, "replicate", verdict, least[at], numbers + fix)
        own = found.distances[at, same[at]]
        own = own[~np.isnan(own)]
        if len(own):
            swapped = least[at] < own.min() - ONE_LIBRARY and least[at] < SWAPPED * own.min()
            fix = (
                ". The run may belong to the other sample. Look for a swap; sorted cells or "
                "another batch of the same sample have this effect, too."
            )
            numbers += f"; distance to the nearest run of its own sample {own.min():.2f}"
            verdict, fix = (WARN, fix) if swapped else (PASS, ".")
            yield row(run, "sample of the run", verdict, own.min(), numbers + fix)
        if len(set(of)) >= ENOUGH_SAMPLES:
            far = least[at] > max(FAR, OUTLYING * typical)
            detail = (
                f"The distance to the nearest profile of another sample is {least[at]:.2f}; the "
                f"median of the runs is {typical:.2f}"
            )
            fix = ". Check tissue, kit and annotation of this run." if far else "."
            yield row(run, "outlier", WARN if far else PASS, least[at], detail + fix)
