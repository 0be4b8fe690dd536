"""Checks of form: barcodes and counts of a run, and the genes of the study."""

import logging
from collections import Counter

import numpy as np

from latere.checks.names import species_by_prefix
from latere.checks.runs import FAIL, FEW_CELLS, PASS, STUDY, WARN, Run, row, usual_genes
from latere.tables import SAME_GENES

# Sums of cells vary by tenths of their mean (0.4 in pbmc4k); where they were scaled to one sum, by
# what rounding leaves.
SAME_SUM = 0.01
# Runs that were counted with one annotation share all genes. With fewer than these, down to
# `SAME_GENES`, it was another release, or genes were filtered run by run.
SAME_RELEASE = 0.98
# A few symbols stand for two genes in every annotation.
MANY_TWICE = 0.01
# A second species has more of the genes than viruses, transgenes or spike-ins.
SECOND_SPECIES, MIXED = 0.1, "mixed"
KINDS = {"ensembl": "Ensembl ids", "symbol": "gene symbols", "other": "other ids"}


def check_counts(run: Run) -> dict:
    """Whether whole numbers may be something other than counts of molecules."""
    about, largest = run.facts["counts"], run.facts["largest_count"]
    depth_cv, barcodes = run.facts["depth_cv"], run.facts["barcodes"]["with_counts"]
    integers = np.issubdtype(np.dtype(about["stored_as"]), np.integer)
    stored = f"stored as {about['stored_as']}{'' if integers else ', read as whole numbers'}"
    stored = f"layer {about['layer']}, {stored}" if about["layer"] else stored
    detail = f"All values are non-negative whole numbers; the largest is {largest:,} ({stored})"
    fix = ""
    if barcodes >= FEW_CELLS and depth_cv < SAME_SUM:
        fix = (
            f", but the sums of {barcodes:,} barcodes vary by only {depth_cv:.2%}: the values look "
            "normalised and rounded, or downsampled to one depth. Give the original counts"
        )
    elif barcodes >= FEW_CELLS and largest == 1:
        fix = ", but no value is above 1: they look binarised. Give the original counts"
    return row(run.name, "counts", WARN if fix else PASS, largest, f"{detail}{fix}.")


def describe_barcodes(about: dict, agree: bool) -> str:
    """Whether barcodes are raw or filtered, and who says so, in a sentence without its stop.

    Parameters
    ----------
    about
        Section `barcodes` of the facts of a run.
    agree
        Whether the data look as the sheet says.
    """
    if about["decided_by"] == "source":
        return "The source of the counts has all barcodes, and says which are cells"
    if not agree:
        return about["reason"][:1].upper() + about["reason"][1:]
    says = "The data look" if about["decided_by"] == "data" else "The sheet says"
    return f"{says} {about['kind']}: {about['reason']}"


def check_barcodes(runs: list[Run]):
    """Raw or filtered, compared with the data; counts; features left out."""
    for run in runs:
        about = run.facts["barcodes"]
        agree = about["kind"] in ("both", about["looks"])
        detail = (
            f"{about['number']:,} barcodes, none duplicated. {describe_barcodes(about, agree)}."
        )
        fix = "" if agree else " Check column `barcodes` of the sheet; empty, the data decide."
        yield row(run.name, "barcodes", PASS if agree else WARN, about["number"], detail + fix)
        yield check_counts(run)
        if left_out := run.facts["left_out"]:
            named = ", ".join(f"{number:,} {kind}" for kind, number in left_out.items())
            detail = f"Features other than gene expression are left out: {named}."
            yield row(run.name, "left-out features", PASS, sum(left_out.values()), detail)


def check_genes(runs: list[Run]):
    """Identifiers of one kind and one release; none twice."""
    usual = usual_genes(runs)
    kind = Counter(run.facts["identifiers"]["kind"] for run in runs).most_common(1)[0][0]
    for run in runs:
        about = run.facts["identifiers"]
        share = sum(gene in usual for gene in run.genes) / max(len(run.genes), 1)
        has = share * len(run.genes) / max(len(usual), 1)
        verdict = PASS if min(share, has) >= SAME_RELEASE else WARN
        detail = (
            f"{len(run.genes):,} genes, named by {KINDS[about['kind']]}"
            f"{' (versions cut)' if about['versions'] else ''}"
        )
        if len(runs) > 1:
            detail += (
                f". {len(usual):,} genes are in more than half of the runs: this run has "
                f"{min(has, 1):.1%} of them, and {share:.1%} of its genes are among them"
            )
        fix = ""
        if not len(run.genes) or share < SAME_GENES:
            verdict = FAIL
            other = f"by {KINDS[kind]}, this one by {KINDS[about['kind']]}"
            reason = (
                f"most runs name genes {other}"
                if about["kind"] != kind
                else "few of its genes are in other runs"
            )
            fix = f" ({reason}). Use Ensembl ids of one release for the genes of all runs."
        elif verdict == WARN:
            fix = ": another release, or genes were filtered. Count all runs with one annotation."
        yield row(run.name, "genes", verdict, share, detail + (fix or "."))
        twice = about["duplicated_ids"] or about["duplicated_names"]
        many = about["duplicated_ids"] > MANY_TWICE * len(run.genes)
        what = "identifiers appear" if about["duplicated_ids"] else "symbols appear"
        detail = f"{twice:,} {what} more than once" if twice else "No symbol appears twice"
        detail += ", kept apart by a number" if about["duplicated_ids"] else ""
        detail += ", kept apart by their ids" if twice and not about["duplicated_ids"] else ""
        fix = ". Their counts are split: give the matrix by Ensembl ids." if many else "."
        yield row(run.name, "duplicated symbols", WARN if many else PASS, twice, detail + fix)


def check_shared_genes(runs: list[Run], how: str):
    """The genes of the study, by those that its runs share.

    Parameters
    ----------
    how
        `intersection` or `union`.
    """
    if len(runs) < 2:
        return
    shared = set.intersection(*(set(run.genes) for run in runs))
    seen = set.union(*(set(run.genes) for run in runs))
    usual = usual_genes(runs)
    kinds = {run.facts["identifiers"]["kind"] for run in runs}
    kept = shared if how == "intersection" else seen
    loss = (
        f"{len(seen) - len(shared):,} are left out"
        if how == "intersection"
        else f"{len(seen) - len(shared):,} count 0 in the runs that lack them"
    )
    detail = (
        f"{len(shared):,} genes are in all {len(runs)} runs, {len(seen):,} in any run. The {how} "
        f"has {len(kept):,}, and {loss}"
    )
    few = len(shared) < SAME_RELEASE * len(usual)
    verdict = PASS if not few else FAIL if len(shared) < SAME_GENES * len(usual) else WARN
    named = " and ".join(KINDS[kind] for kind in sorted(kinds))
    fix = f"; identifiers are {named}" if len(kinds) > 1 else ""
    fix += ". Count all runs with one annotation." if few else "."
    yield row(STUDY, "genes", verdict, len(kept), detail + fix)


def check_species(runs: list[Run]):
    """One species within a run, and over the runs."""
    found = {run.name: find_species(run) for run in runs}
    known = Counter(name for name, _ in found.values() if name != "unknown")
    for run, (name, numbers) in found.items():
        if name == "unknown":
            logging.info("species: not checked for %s, its genes show none", run)
            continue
        usual, _ = known.most_common(1)[0]
        if name != usual:
            detail = f"{numbers}: {name}, but most runs are {usual}. Give runs of one species."
            yield row(run, "species", FAIL, np.nan, detail)
        elif usual == MIXED:
            detail = f"{numbers}: two species. Give the genes and the cells of one."
            yield row(run, "species", WARN, np.nan, detail)
        else:
            yield row(run, "species", PASS, np.nan, f"{numbers}: {usual}.")


def find_species(run: Run) -> tuple[str, str]:
    """Species of a run, and the numbers of genes that show it."""
    about = run.facts["identifiers"]["species"]
    parts = {
        name: number
        for name, number in species_by_prefix(run).items()
        if number > SECOND_SPECIES * len(run.genes)
    }
    if len(parts) > 1:
        named = [f"{number:,} genes have names of {name}" for name, number in parts.items()]
        return MIXED, ", ".join(named)
    human, mouse = about["human"], about["mouse"]
    return about["name"], f"{human:,} genes have human names, {mouse:,} mouse names"
