"""The limits on cells: the schema of the configuration and the gene sets know them all."""

import yaml

from latere.gene_sets import GENE_SETS
from latere.quality import LIMITS, METRICS, SHARES


def test_the_schema_has_the_same_limits_for_a_study_and_a_sample(root):
    schema = yaml.safe_load((root / "config/schemas/config.schema.yaml").read_text())
    cells = schema["properties"]["cells"]["properties"]
    of_study = [name for name, about in cells.items() if about.get("$ref") == "#/$defs/limit"]
    of_sample = cells["samples"]["additionalProperties"]["properties"]
    assert of_study == list(of_sample) == list(LIMITS)


def test_a_limit_is_on_a_metric_and_a_share_on_a_gene_set():
    assert {limit.metric for limit in LIMITS.values()} == set(METRICS)
    assert set(SHARES) <= set(GENE_SETS)
