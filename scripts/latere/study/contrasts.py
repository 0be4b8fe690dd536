"""Contrasts: the samples on their two sides, and whether their effect can be estimated."""

import unicodedata
from collections import defaultdict
from collections.abc import Mapping

from latere.design import MIN_SAMPLES, is_estimable
from latere.errors import StudyError


def sides(contrast: Mapping, samples: Mapping[str, Mapping[str, str]]) -> dict[str, list[str]]:
    """Names of the samples on each side of a contrast."""
    return {
        side: [name for name, row in samples.items() if row[contrast["column"]] == contrast[side]]
        for side in ("case", "control")
    }


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
        named = [contrast["column"], *contrast["covariates"]]
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
        if contrast["column"] in contrast["covariates"]:
            problem = f"column '{contrast['column']}' is also a covariate"
            fix = "Remove it from the covariates."
            errors.append(StudyError(where, problem, fix, code="column-is-covariate"))
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
            for column in contrast["covariates"]
            if not samples[sample][column]
        ]
        if blank:
            problem = f"sample '{blank[0][0]}' has no value for covariate '{blank[0][1]}'"
            errors.append(StudyError(where, problem, f"Fill it in {sheet}.", code="empty-value"))
            continue
        covariates = [
            [samples[sample][column] for sample in used] for column in contrast["covariates"]
        ]
        if not is_estimable(
            [True] * len(names["case"]) + [False] * len(names["control"]), covariates
        ):
            errors.append(
                StudyError(
                    where,
                    "cannot be separated from its covariates "
                    f"({', '.join(contrast['covariates'])}), or they leave no replicate",
                    "Remove a covariate, or choose samples that vary within it.",
                    code="confounded-covariate",
                )
            )
    return errors
