# latere: what does deep learning find in single cells that a careful manual analysis does not?
# The map: configuration, rules in the order data flows, the targets.
import atexit
import os
import sys

from snakemake.utils import min_version

min_version("9.14")  # path variables

# The folder of this file, which may be a module of another Snakefile.
HERE = str(workflow.current_basedir)
if not os.path.isdir(HERE):
    sys.exit(
        f"{HERE}: the workflow imports modules from its folder, which Snakemake does not fetch "
        "[remote-workflow]\n  -> Clone the repository, and name the Snakefile of the clone."
    )
sys.path.insert(0, f"{HERE}/scripts")

from latere import snakemake_internals as internals
from latere.cluster import efficiency
from latere.cluster.slurm import end_earlier_jobs, host_name, show_hidden_logs
from latere.disk import report_full
from latere.rerun.code import recorded_params
from latere.rerun.leftovers import forget_links, forget_records
from latere.rerun.lock import hold_study
from latere.rerun.records import keep_records_with
from latere.study.check import check_files
from latere.study.sheet import ACCESSION
from latere.urls import NAME as URL_NAME

CONFIGFILES = internals.given_configfiles(workflow) or ["config/config.yaml"]
# The default profile checks them before Snakemake reads them, unless a call leaves it out.
if internals.is_main(workflow):
    check_files(CONFIGFILES)

# `--configfile` replaces the study as cloned; loading both would merge their contrasts.
if not internals.given_configfiles(workflow):

    configfile: "config/config.yaml"


include: "rules/common.smk"


pathvars:
    results=RESULTS,
    resources=config["resources"],
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/benchmarks",


# Wildcards are part of command lines, one of which a shell reads (SLURM's plugin).
wildcard_constraints:
    run=NAME,
    contrast=NAME,
    branch="|".join(REGISTRY),
    source="|".join(LABEL_SOURCES),
    design=designs.PATTERN,
    accession=ACCESSION.pattern,
    name=URL_NAME,
    whitelist=NAME,
    env="[a-z][a-z0-9_-]*",


# Downloads at a time, and runs whose reads are unpacked on disk, unless a profile or
# `--resources downloads=N unpacked=N` sets other numbers.
internals.set_default_limits(workflow, {"downloads": 4, "unpacked": 6})


include: "rules/demo.smk"
include: "rules/reference.smk"
include: "rules/reads.smk"
include: "rules/quantify.smk"
include: "rules/cells.smk"


for branch in REGISTRY:

    include: f"rules/{branch}.smk"


include: "rules/explore.smk"
include: "rules/annotate.smk"
include: "rules/design.smk"
include: "rules/compare.smk"
include: "rules/report.smk"
include: "rules/plan.smk"


# A fingerprint of its code is a parameter of each rule, so that a rule reruns when the code changes.
# Files that studies share have no fingerprint: no edit of code downloads or indexes them again.
SHARED = {"prefetch", "download", "star_index"}
# A Snakemake that runs one job for another records nothing, and starts seconds sooner without them.
in_conda = internals.uses_conda(workflow)
if internals.is_main(workflow):
    for step in internals.scripted_rules(workflow):
        if step.name not in SHARED:
            internals.add_params(step, recorded_params(step, Path(HERE), in_conda))
    keep_records_with(Path("results"), create=False)
    forget_links(Path(RESULTS))


onstart:
    if internals.rules_to_run(workflow) - {"plan"}:
        require_machine()
        # In a global variable, because closing the file releases the lock.
        global study_lock
        study_lock = hold_study(Path(RESULTS), host_name())
    atexit.register(report_full, [Path(RESULTS), Path(".snakemake")])
    keep_records_with(Path("results"), create=True)
    end_earlier_jobs(submits=internals.submits(workflow))


onsuccess:
    forget_records(Path(RESULTS))
    efficiency.report(log, RESULTS)
    internals.name_report(workflow, Path(RESULTS, "report.html"))


onerror:
    show_hidden_logs(log)
    efficiency.report(log, RESULTS)


rule all:
    default_target: True
    input:
        targets(),
