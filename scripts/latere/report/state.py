"""How far a change at equal state can be trusted, where a branch tests for one."""

import pandas as pd

from latere.report.formats import records
from latere.report.inputs import Inputs
from latere.tables import read_tsv

# The states take up part of the response: the slope over all samples is this steep, and exceeds
# that within the sides by this much.
STEEP, APART = 1.3, 0.3
# A leak that readers should know of.
LARGE_LEAK = 0.1


def collect(inputs: Inputs) -> dict | None:
    """Diagnosis by contrast and group, and the leak by sample; None where no branch gives them."""
    if not (paths := inputs.files.get("diagnosis")):
        return None
    tables = [read_tsv(path).rename(columns={"design": "contrast"}) for path in paths]
    diagnosis = pd.concat(tables, ignore_index=True)
    leak = read_tsv(inputs.files.leak)
    apart = diagnosis["slope"] - diagnosis["slope_within"] >= APART
    apart &= diagnosis["slope"] >= STEEP
    return {
        "branch": next(branch for branch in inputs.testing if "diagnosis" in branch.files),
        "rows": records(diagnosis),
        "apart": records(diagnosis[apart]),
        # The composition differs between the sides and hardly within them.
        "unknown": records(
            diagnosis[diagnosis["slope_within"].isna() & diagnosis["slope"].notna()]
        ),
        "alone": records(diagnosis[diagnosis["alone"].notna() & (diagnosis["alone"] != "")]),
        "leak": {"median": leak["leak"].median(), "most": leak["leak"].max()},
        "worst": leak.loc[leak["leak"].idxmax(), "sample"],
        "large_leak": LARGE_LEAK,
    }
