# latere: what does deep learning find in single cells that a careful manual analysis does not?
# The map: configuration, rules in the order data flows, the targets.
import sys

from snakemake.utils import min_version

min_version("9.14")  # path variables

# `--configfile` replaces the study as cloned; loading both would merge their contrasts.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


sys.path.insert(0, f"{workflow.basedir}/scripts")


include: "rules/common.smk"


pathvars:
    results=RESULTS,
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/benchmarks",


wildcard_constraints:
    run=NAME,
    contrast=NAME,
    branch="deep|manual",


include: "rules/demo.smk"
include: "rules/reference.smk"
include: "rules/reads.smk"
include: "rules/quantify.smk"
include: "rules/cells.smk"
include: "rules/deep.smk"
include: "rules/manual.smk"
include: "rules/explore.smk"
include: "rules/compare.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        targets(),
