"""Limits on the cells of a sample: its own, and those of the study."""

import difflib
from collections.abc import Iterable, Mapping

from latere.errors import StudyError


def limits_of(cells: Mapping, sample: str) -> dict[str, float | dict | None]:
    """Limits on the cells of a sample: its own, and those of the study for what it leaves out.

    Parameters
    ----------
    cells
        The section `cells` of the configuration.
    sample
        Its name; any other gives the limits of the study.

    Returns
    -------
    dict
        By key of the configuration: a number, None, or deviations, floor and ceiling.
    """
    own, limits = cells["samples"].get(sample, {}), {}
    for name in [name for name in cells if name.startswith(("min_", "max_"))]:
        rule = own.get(name, cells[name])
        if isinstance(rule, Mapping):
            of_study = cells[name] if isinstance(cells[name], Mapping) else {}
            rule = dict.fromkeys(("deviations", "floor", "ceiling")) | of_study | rule
        limits[name] = rule
    return limits


def check_limits(
    cells: Mapping, samples: Iterable[str], source: str, sheet: str
) -> list[StudyError]:
    """Limits of a sample that is not in the sheet, that set no limit, or that keep no cell."""
    errors = []
    own, samples = cells["samples"], list(samples)
    for sample in [name for name in own if name not in samples]:
        close = difflib.get_close_matches(sample, samples, n=1)
        known = ", ".join(samples)
        fix = f"Did you mean '{close[0]}'?" if close else f"Samples: {known}."
        where = f"{source}: key 'cells.samples.{sample}'"
        errors.append(
            StudyError(where, f"sample '{sample}' is not in {sheet}", fix, code="unknown-sample")
        )
    for sample in ["", *own]:
        for name, rule in limits_of(cells, sample).items():
            if not isinstance(rule, Mapping) or (sample and name not in own[sample]):
                continue
            where = f"{source}: key 'cells.{f'samples.{sample}.' * bool(sample)}{name}'"
            floor, ceiling = rule["floor"], rule["ceiling"]
            # The other end only bounds the limit that these two set.
            end = "floor" if name.startswith("min") else "ceiling"
            if rule["deviations"] is None and rule[end] is None:
                problem = f"sets no limit: it has neither deviations nor a {end}"
                fix = "Give one of them, or a number for a fixed limit; null for none."
                errors.append(StudyError(where, problem, fix, code="no-limit"))
            elif None not in (floor, ceiling) and floor > ceiling:
                problem = f"its floor, {floor}, is above its ceiling, {ceiling}"
                fix = "Give a floor below the ceiling; null for none."
                errors.append(StudyError(where, problem, fix, code="floor-above-ceiling"))
        limits = limits_of(cells, sample)
        for metric in ("counts", "genes"):
            least, most = (limits[f"{side}_{metric}"] for side in ("min", "max"))
            least = least["floor"] if isinstance(least, Mapping) else least
            most = most["ceiling"] if isinstance(most, Mapping) else most
            if None not in (least, most) and least > most:
                where = f"{source}: key 'cells{'.samples.' * bool(sample)}{sample}'"
                problem = f"no cell has {least} {metric} at least and {most} at most"
                fix = "Give limits that keep cells."
                errors.append(StudyError(where, problem, fix, code="minimum-above-maximum"))
    return errors
