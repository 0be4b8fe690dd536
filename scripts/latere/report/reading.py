"""How to read the numbers: what the branches share, and what `fdr` means in each."""

from latere.branches import REGISTRY
from latere.report.inputs import Inputs
from latere.tables import UNKNOWN, read_by_cell


def describe_groups(inputs: Inputs) -> str:
    """Where the groups of cells come from, as the end of a sentence."""
    name = inputs.config["groups"]["from"]
    if name in REGISTRY:
        return f"the cell types of the branch {REGISTRY[name].title}"
    source = read_by_cell(inputs.files.groups, inputs.cells.index)["source"].iloc[0]
    return f"given by {source}"


def collect(inputs: Inputs) -> dict:
    """The branches, the groups and the thresholds."""
    return {
        "groups": describe_groups(inputs),
        "unknown": UNKNOWN,
        "of_cells": [branch for branch in inputs.testing if branch.tests[0].replicates == "cells"],
        "two_questions": len({branch.question for branch in inputs.testing}) > 1,
        "embedding_only": [branch for branch in inputs.embedding if branch not in inputs.testing],
        "testing_only": [branch for branch in inputs.testing if branch not in inputs.embedding],
    }
