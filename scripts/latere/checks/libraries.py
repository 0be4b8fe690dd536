"""Whether the barcodes of a run show that its matrix joins several libraries."""

from latere.checks.runs import FAIL, PASS, WARN, Run, row
from latere.counts.parts import describe_libraries, find_libraries, value_of

# So many libraries are listed with their cells.
SHOWN = 8


def check_libraries(runs: list[Run]):
    """One library in each run.

    Several make doublets, ambient RNA, limits and sums wrong, so that a run that is a whole matrix
    fails. Where the sheet selects the cells of a run by `subset` or `split`, someone looked at what
    is in it: a warning.
    """
    for run in runs:
        by, libraries = find_libraries(run.barcodes["barcode"])
        if len(libraries) < 2:
            detail = "The barcodes show one library only."
            yield row(run.name, "libraries", PASS, 1, detail)
            continue
        named = [f"{text or 'nothing'}: {n:,} cells" for text, n in libraries.most_common(SHOWN)]
        more = ", ..." if len(libraries) > SHOWN else ""
        said = describe_libraries(by, libraries)
        detail = (
            f"{said[0].upper()}{said[1:]} in one run ({', '.join(named)}{more}). Give each library "
            f"its own row with `subset` ({by}={value_of(libraries.most_common(1)[0][0])} and so "
            f"on), or one row for all with `split` ({by})."
        )
        verdict = WARN if run.facts.get("subset") else FAIL
        yield row(run.name, "libraries", verdict, len(libraries), detail)
