"""Results of a simulated study against its truth."""

from latere.report.cells import used_reasons
from latere.report.formats import records
from latere.report.inputs import Inputs
from latere.tables import read_tsv
from latere.truth.cells import EVERY_RUN, EVERY_TYPE
from latere.truth.tests import LARGE, MOSTLY_NULL, POOLED


def collect(inputs: Inputs) -> dict | None:
    """Cells, labels and tests against the truth; None where the truth is not known."""
    files = inputs.files
    if not files.get("truth"):
        return None
    labels = read_tsv(files.truth_labels).pivot(
        index="run", columns="branch", values="lineage_right"
    )
    runs = read_tsv(files.truth).set_index("run").join(labels)
    tests = records(read_tsv(files.truth_de))
    by_name = {branch.name: branch for branch in inputs.testing}
    for row in tests:
        row["title"] = by_name[row["branch"]].title
    # Each branch by the question that its test asks.
    own = [row for row in tests if row["question"] == by_name[row["branch"]].question]
    testing = [{"name": branch.name, "title": branch.title} for branch in inputs.testing]
    return {
        "runs": records(runs.reset_index()),
        "label_columns": [(branch.name, branch.title, "share") for branch in inputs.embedding],
        "every_run": EVERY_RUN,
        "every_type": EVERY_TYPE,
        "fates": records(read_tsv(files.truth_cells)),
        "reasons": used_reasons(inputs.qc),
        "tests": tests,
        "pooled": [row for row in own if row["group"] == POOLED],
        "mostly_null": MOSTLY_NULL,
        "large": LARGE,
        "drawn": {"branches": testing, "fdr": inputs.config["de"]["fdr"], "rows": own}
        if tests
        else None,
    }
