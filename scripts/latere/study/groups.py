"""Branches of a study, and where the groups of its tests come from."""

import difflib
from collections.abc import Mapping, Sequence

from latere.branches import REGISTRY
from latere.counts.columns import columns_of
from latere.counts.hdf5 import form_of
from latere.errors import StudyError
from latere.study.sheet import Run
from latere.urls import URL, url_name

# What labels cells one by one.
LABEL_SOURCES = ("celltypist", "markers")


def check_branches(config: Mapping, source: str) -> list[StudyError]:
    """Problems of the branches that the configuration names."""
    errors = []
    for number, name in enumerate(config["branches"], 1):
        if name not in REGISTRY:
            close = difflib.get_close_matches(name, REGISTRY, n=1)
            fix = f"Did you mean '{close[0]}'? " if close else ""
            where = f"{source}: key 'branches', entry {number}"
            known = f"{fix}Known: {', '.join(REGISTRY)}."
            errors.append(
                StudyError(where, f"unknown branch '{name}'", known, code="unknown-branch")
            )
    return errors


def places_of(name: str, config: Mapping, samples: Mapping, runs: Sequence[Run]) -> list[str]:
    """Where groups of this name may come from.

    Parameters
    ----------
    name
        The key `groups.from`.
    config
        The configuration.
    samples
        Columns of the sheet by sample.
    runs
        The runs of the sheet.

    Returns
    -------
    list of str
        Those of `branch`, `source` (of labels), `sheet` and `obs` that have the name.
    """
    found = ["branch"] if name in REGISTRY and REGISTRY[name].embeds else []
    has_model = config["annotation"]["celltypist_model"]
    found += ["source"] if name in LABEL_SOURCES and (has_model or name == "markers") else []
    found += ["sheet"] if any(name in columns for columns in samples.values()) else []
    return found or (["obs"] if _all_have_column(name, runs) else [])


def _all_have_column(name: str, runs: Sequence[Run]) -> bool:
    """Whether the matrix of each run is an .h5ad with a column of this name."""
    if not all(len(run.matrix) == 1 for run in runs):
        return False
    for (file,) in {run.matrix for run in runs}:
        # A file to download is checked by the job that reads it.
        if URL.match(file):
            if not url_name(file).endswith(".h5ad"):
                return False
        elif form_of(file) != "h5ad" or name not in columns_of(file):
            return False
    return True


def check_groups(
    config: Mapping, samples: Mapping, runs: Sequence[Run], source: str
) -> list[StudyError]:
    """Problems of the key `groups.from`."""
    # Here: the module brings numpy and pandas, which every job of Snakemake would wait for.
    from latere.tables import ALL

    name, where = config["groups"]["from"], f"{source}: key 'groups.from'"
    places = places_of(name, config, samples, runs)
    if len(places) > 1:
        problem = f"'{name}' could be several things: {', '.join(places)}"
        fix = "Rename the column of the sheet."
        return [StudyError(where, problem, fix, code="ambiguous-groups")]
    if places == ["branch"] and name not in config["branches"]:
        fix = f"Add it there, or take the groups from one of them: {', '.join(config['branches'])}."
        problem = f"the branch '{name}' is not in `branches`"
        return [StudyError(where, problem, fix, code="branch-not-used")]
    if places == ["sheet"] and ALL in {columns.get(name) for columns in samples.values()}:
        problem = f"column '{name}' of the sheet has the value '{ALL}', which names all cells"
        return [StudyError(where, problem, "Rename the value.", code="reserved-name")]
    if places:
        return []
    if name == "celltypist":
        fix = "Name a model by `annotation.celltypist_model`."
        return [StudyError(where, "no CellTypist model is named", fix, code="missing-model")]
    columns = ", ".join(next(iter(samples.values()), {})) or "none"
    fix = (
        f"Give a branch ({', '.join(name for name, b in REGISTRY.items() if b.embeds)}), a source "
        f"of labels ({', '.join(LABEL_SOURCES)}), a column of the sheet ({columns}), or a column "
        "that `obs` has in the .h5ad of every run."
    )
    return [StudyError(where, f"'{name}' is not known", fix, code="unknown-groups")]
