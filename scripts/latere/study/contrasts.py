"""Contrasts: the samples on their two sides, and whether their effect can be estimated."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence

from latere.design import MIN_SAMPLES, why_not_estimable
from latere.errors import StudyError

# Less than Python reads: no `nan`, no `inf`, no `1_000`.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?", re.ASCII)
# The same with a comma, as German or French tables have it.
COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")


def sides(contrast: Mapping, samples: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Names of the samples on each side of a contrast."""
    return {
        side: [name for name, row in samples.items() if row[contrast["column"]] == contrast[side]]
        for side in ("case", "control")
    }


def covariates_of(
    contrast: Mapping, samples: Mapping[str, Mapping[str, str]], names: Sequence[str]
) -> dict[str, dict[str, str | float]]:
    """Values of the covariates of a contrast.

    Parameters
    ----------
    contrast
        With its defaults, checked.
    samples
        Columns of the sheet by sample.
    names
        Samples of the design.

    Returns
    -------
    dict
        By covariate and sample: text of a category, or a number.
    """
    categories = {
        column: {name: samples[name][column] for name in names} for column in contrast["covariates"]
    }
    numbers = {
        column: {name: float(samples[name][column]) for name in names}
        for column in contrast["numeric_covariates"]
    }
    return categories | numbers


def check_contrasts(
    contrasts: Mapping[str, Mapping],
    samples: Mapping[str, Mapping[str, str]],
    source: str,
    sheet: str,
    left_out: Mapping[str, str],
) -> list[StudyError]:
    """Problems of the contrasts: columns, levels, replicates, covariates.

    Parameters
    ----------
    left_out
        Why a column that a user may expect in the sheet is not there, by its name.
    """
    columns = list(next(iter(samples.values())))
    errors = []
    for name, contrast in contrasts.items():
        where = f"{source}: contrast '{name}'"
        covariates = [*contrast["covariates"], *contrast["numeric_covariates"]]
        named = [contrast["column"], *covariates]
        missing = [column for column in named if column not in columns]
        if missing:
            known = ", ".join(columns) or "none"
            why = left_out.get(missing[0])
            problem = f"column '{missing[0]}' is not in {sheet}" + (f" ({why})" if why else "")
            fix = f"Columns that describe samples: {known}."
            errors.append(StudyError(where, problem, fix, code="missing-column"))
            continue
        if contrast["case"] == contrast["control"]:
            problem, fix = "case and control are the same level", "Name two levels."
            errors.append(StudyError(where, problem, fix, code="same-level"))
            continue
        if contrast["column"] in covariates:
            problem = f"column '{contrast['column']}' is also a covariate"
            fix = "Remove it from the covariates."
            errors.append(StudyError(where, problem, fix, code="column-is-covariate"))
            continue
        if both := [c for c in contrast["covariates"] if c in contrast["numeric_covariates"]]:
            problem = f"column '{both[0]}' is a covariate twice, as categories and as a number"
            fix = "Keep it in `covariates` or in `numeric_covariates`."
            errors.append(StudyError(where, problem, fix, code="repeated-covariate"))
            continue
        levels = list(dict.fromkeys(row[contrast["column"]] for row in samples.values()))
        by_look = defaultdict(list)
        for level in levels:
            by_look[unicodedata.normalize("NFKC", level)].append(level)
        if twins := next((several for several in by_look.values() if len(several) > 1), None):
            problem = f"levels {ascii(twins[0])} and {ascii(twins[1])} look the same"
            fix = f"Write them the same way in {sheet}."
            errors.append(StudyError(where, problem, fix, code="similar-levels"))
            continue
        absent = [side for side in ("case", "control") if contrast[side] not in levels]
        if absent:
            errors.append(
                StudyError(
                    where,
                    f"{absent[0]} '{contrast[absent[0]]}' is not a level of column "
                    f"'{contrast['column']}' in {sheet}",
                    f"Levels: {', '.join(level for level in levels if level)}.",
                    code="unknown-level",
                )
            )
            continue
        names = sides(contrast, samples)
        few = [side for side in names if len(names[side]) < MIN_SAMPLES]
        if few:
            errors.append(
                StudyError(
                    where,
                    f"its {few[0]} '{contrast[few[0]]}' has {len(names[few[0]])} sample "
                    f"({', '.join(names[few[0]])})",
                    f"Samples are the replicates; a side needs at least {MIN_SAMPLES}.",
                    code="too-few-samples",
                )
            )
            continue
        used = names["case"] + names["control"]
        blank = [
            (sample, column)
            for sample in used
            for column in covariates
            if not samples[sample][column]
        ]
        if blank:
            problem = f"sample '{blank[0][0]}' has no value for covariate '{blank[0][1]}'"
            fix = f"Fill it in {sheet}, or remove the covariate."
            errors.append(StudyError(where, problem, fix, code="empty-value"))
            continue
        if odd := next(
            (
                (sample, column)
                for column in contrast["numeric_covariates"]
                for sample in used
                if not NUMBER.fullmatch(samples[sample][column])
            ),
            None,
        ):
            errors.append(_not_a_number(where, *odd, samples[odd[0]][odd[1]], sheet))
            continue
        values = {
            column: list(of.values())
            for column, of in covariates_of(contrast, samples, used).items()
        }
        case = [sample in names["case"] for sample in used]
        if reason := why_not_estimable(used, case, values):
            fix = "Remove a covariate, or choose samples that vary within it."
            if column := next((c for c in contrast["covariates"] if looks_numeric(values[c])), ""):
                fix += f" '{column}' is used as categories: a quantity belongs in "
                fix += "`numeric_covariates`."
            errors.append(StudyError(where, reason, fix, code="confounded-covariate"))
    return errors


def looks_numeric(values: Sequence[str]) -> bool:
    """Whether categories are rather a quantity: all are numbers, most of them distinct."""
    return len(set(values)) > len(values) / 2 and all(map(NUMBER.fullmatch, values))


def _not_a_number(where: str, sample: str, column: str, value: str, sheet: str) -> StudyError:
    """A value that a numeric covariate cannot have."""
    fix = f"Write a number without a unit in {sheet}, or move '{column}' to `covariates`."
    if COMMA.fullmatch(value):
        fix = f"Write it with a point in {sheet}: {value.replace(',', '.')}."
    problem = f"sample '{sample}' has {value!r} for '{column}', which is not a number"
    return StudyError(where, problem, fix, code="not-a-number")
