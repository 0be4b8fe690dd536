"""What may be wrong with the design of a study: shown by the dry run, `plan` and the report."""

import re
from collections import defaultdict
from collections.abc import Mapping

from latere.errors import StudyError
from latere.study.contrasts import looks_numeric

# Words for a missing value that are a level to the workflow.
MISSING = {"", "na", "n/a", "nan", "none", "null", "missing", "unknown", "-", "?"}
# Columns that name the person or animal of a sample. A column `mouse` may hold the strain.
SUBJECT = re.compile(
    r"((donor|patient|subject|individual|participant|person|proband|animal)s?|mouse(?=.))"
    r"([._-]?(id|no|nr|number|name|code))?",
    re.IGNORECASE,
)


def find_warnings(
    contrasts: Mapping[str, Mapping], samples: Mapping[str, Mapping[str, str]], sheet: str
) -> list[StudyError]:
    """Warnings of the design, to be shown and not raised.

    Parameters
    ----------
    contrasts
        By name, checked, with their defaults.
    samples
        Columns of the sheet by sample.
    sheet
        Its name, for messages.

    Returns
    -------
    list of StudyError
        In the order of the contrasts.
    """
    return [
        warning
        for name, contrast in contrasts.items()
        for warning in [
            *_without_level(f"contrast '{name}'", contrast, samples, sheet),
            *_of_subjects(f"contrast '{name}'", contrast, samples),
            *_numbers_as_categories(f"contrast '{name}'", contrast, samples),
        ]
    ]


def _side_of(contrast: Mapping, samples: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Side by sample, of the samples in a contrast."""
    sides = {contrast[side]: side for side in ("case", "control")}
    levels = {name: row[contrast["column"]] for name, row in samples.items()}
    return {name: sides[level] for name, level in levels.items() if level in sides}


def _without_level(where: str, contrast: Mapping, samples: Mapping, sheet: str):
    """Samples that are on no side for a missing value, or for another way to write the level."""
    column = contrast["column"]
    others = {name: samples[name][column] for name in samples}
    for side in ("case", "control"):
        others = {name: level for name, level in others.items() if level != contrast[side]}
    missing = [name for name, level in others.items() if level.lower() in MISSING]
    if missing:
        problem = f"leaves out {', '.join(missing)}, without a level in column '{column}'"
        fix = f"Fill it in {sheet} if the sample belongs to a side."
        yield StudyError(where, problem, fix, code="sample-without-level")
    for side in ("case", "control"):
        if similar := {n: of for n, of in others.items() if _plain(of) == _plain(contrast[side])}:
            names = ", ".join(similar)
            levels = ", ".join(f"'{level}'" for level in dict.fromkeys(similar.values()))
            problem = f"leaves out {names}, with {levels} in column '{column}', not the {side} "
            problem += f"'{contrast[side]}'"
            fix = f"Write the level the same way in {sheet} if it is the same."
            yield StudyError(where, problem, fix, code="level-left-out")


def _plain(level: str) -> str:
    """A level without case, blanks and signs; as it is where nothing else would be left."""
    return re.sub(r"[\W_]", "", level.casefold()) or level


def _of_subjects(where: str, contrast: Mapping, samples: Mapping):
    """Subjects with several samples that the design does not distinguish."""
    side_of = _side_of(contrast, samples)
    columns = [c for c in next(iter(samples.values()), {}) if c != contrast["column"]]
    seen = []
    for column in filter(SUBJECT.fullmatch, columns):
        by_subject = defaultdict(list)
        for name in side_of:
            if samples[name][column].lower() not in MISSING:
                by_subject[samples[name][column]].append(name)
        # Two columns may name the same subjects.
        groups = sorted(by_subject.values())
        if groups in seen or _blocked(by_subject, contrast, samples):
            continue
        seen.append(groups)
        several = {subject: names for subject, names in by_subject.items() if len(names) > 1}
        across = {s: n for s, n in several.items() if len({side_of[name] for name in n}) > 1}
        if across:
            problem = f"{_shown(column, across)} on both sides, and the test does not pair them"
            fix = f"Add `covariates: [{column}]` to the contrast."
            yield StudyError(where, problem, fix, code="unused-pairs")
        within = {
            subject: [name for name in names if side_of[name] == side]
            for subject, names in several.items()
            for side in ("case", "control")
            if sum(side_of[name] == side for name in names) > 1
        }
        if within:
            problem = f"{_shown(column, within)} on one side, and each counts as a replicate"
            fix = "Give the runs of one subject and condition one name in the column 'sample'."
            yield StudyError(where, problem, fix, code="repeated-subject")


def _blocked(by_subject: Mapping[str, list[str]], contrast: Mapping, samples: Mapping) -> bool:
    """Whether a covariate distinguishes the subjects: no value of it is that of two of them."""
    subject_of = {name: subject for subject, names in by_subject.items() for name in names}
    return any(
        len({(samples[n][column], subject) for n, subject in subject_of.items()})
        == len({samples[n][column] for n in subject_of})
        for column in contrast["covariates"]
    )


def _shown(column: str, several: Mapping[str, list[str]]) -> str:
    """Subjects and their samples, the first three."""
    parts = [f"'{subject}' ({', '.join(names)})" for subject, names in several.items()]
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    verb = "has" if len(parts) == 1 else "have"
    return f"{column} {', '.join(parts[:3])}{more} {verb} several samples"


def _numbers_as_categories(where: str, contrast: Mapping, samples: Mapping):
    """Covariates whose categories are rather a quantity."""
    used = _side_of(contrast, samples)
    for column in contrast["covariates"]:
        values = [samples[name][column] for name in used]
        # Patients may have numbers for names.
        if looks_numeric(values) and not SUBJECT.fullmatch(column):
            problem = (
                f"the covariate '{column}' has {len(set(values))} numbers in {len(values)} "
                "samples, and each is a category of its own"
            )
            fix = f"For a quantity, write `numeric_covariates: [{column}]`."
            yield StudyError(where, problem, fix, code="numbers-as-categories")
