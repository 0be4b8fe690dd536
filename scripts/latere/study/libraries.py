"""Runs whose matrix joins several libraries, as far as a dry run sees it."""

from collections.abc import Iterable

from latere.counts.columns import some_barcodes
from latere.counts.parts import describe_libraries, find_libraries
from latere.errors import StudyError
from latere.study.sheet import Run
from latere.urls import URL


def find_joined(runs: Iterable[Run], sheet: str) -> list[StudyError]:
    """Warnings of runs whose barcodes show several libraries, to be shown and not raised.

    Some barcodes of each whole matrix are read; the check `libraries` looks at all cells.
    """
    warnings = []
    for run in runs:
        if not run.matrix or run.subset or any(map(URL.match, run.matrix)):
            continue
        try:
            by, libraries = find_libraries(some_barcodes(run.matrix))
        except (OSError, StudyError):
            continue  # not made yet, or the job that reads it says what is wrong
        if len(libraries) > 1:
            problem = describe_libraries(by, libraries)
            fix = f"Split them: a row per library with `subset` ({by}=...), or `split` ({by})."
            where = f"{sheet}, run {run.name}, {run.matrix[0]}"
            warnings.append(StudyError(where, problem, fix, code="joined-libraries"))
    return warnings
