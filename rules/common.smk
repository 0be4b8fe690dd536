# The study and look-ups for rules; no code of jobs.
import errno
import os
from dataclasses import asdict
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import yaml
from snakemake import __version__ as SNAKEMAKE

from latere.branches import REGISTRY, branches_of
from latere.cluster import machine, needs, requests
from latere.cluster.sizes import MOST_SPOTS, Sizes, Unknown
from latere.counts.parts import table_of
from latere.design import decoded_as
from latere.errors import StudyError
from latere.reads import chemistry
from latere.reads.chemistry import find_whitelist, whitelist_name
from latere.study import designs, groups
from latere.study.groups import LABEL_SOURCES
from latere.study.libraries import find_joined
from latere.study.study import load_study
from latere.urls import URL, SecretUrl, url_name

try:
    STUDY = load_study(
        config,
        source=os.path.relpath(CONFIGFILES[-1]),
        tables=Path(HERE) / "config",
        # Loaded by the profile for SLURM, in a dry run too.
        submits="latere.cluster.executor" in sys.modules,
    )
except StudyError as error:
    # A message for the user: no traceback, exit status 1.
    sys.exit(str(error))

if internals.is_main(workflow):
    joined = find_joined(STUDY.runs.values(), STUDY.config["samples"])
    for warning in (*joined, *STUDY.warnings):
        internals.logger.warning(f"WARN {warning}")

# As given, and with all defaults.
GIVEN, config = config, STUDY.config
RESULTS = f"results/{STUDY.name}"
RUNS = list(STUDY.runs)
SEQUENCED_RUNS = [run.name for run in STUDY.runs.values() if run.from_reads]
CONTRASTS = list(STUDY.contrasts)
BRANCHES = branches_of(config)
EMBEDDING = [branch.name for branch in BRANCHES if branch.embeds]
TESTING = [branch.name for branch in BRANCHES if branch.tests]
# The source of labels: the CellTypist model that the user named, else markers.
LABELS = "celltypist" if config["annotation"]["celltypist_model"] else "markers"
NAME = chemistry.NAME.pattern
# The reads of a run that FastQC looks at.
ROLES = ["barcode", "cdna"]
# Figures on the cells, in the order of the report.
CELL_FIGURES = ["knee", "ambient", "quality", "doublets", "waterfall"]


SIZES = Sizes(STUDY, RESULTS, config["resources"])


def ask(rule, names=("mem_mb", "runtime"), like=""):
    """The requests of the jobs of a rule, by their work and attempt, in the form of `resources`.

    `like` names a rule whose needs it shares, so that a branch has no entry of its own.
    """
    if like:
        needs.share(rule, like)

    def look_up(wildcards, input, threads):
        try:
            return needs.of_job(rule, wildcards, threads, SIZES)
        except Unknown as unknown:
            if not input:
                return needs.reads.prefetch(MOST_SPOTS)
            # For a missing input, Snakemake evaluates this again when the job is submitted.
            raise FileNotFoundError(errno.ENOENT, str(unknown), input[0]) from None

    def resource(name):
        return lambda wildcards, input, threads, attempt: requests.ask(
            look_up(wildcards, input, threads), threads, attempt
        )[name]

    return {name: resource(name) for name in names}


def training_threads(wildcards):
    """CPU threads of the training, by the study's genes; the maximum if their number is unknown."""
    try:
        return needs.branches.training_threads(SIZES.kept())
    except Unknown:
        return needs.branches.MOST_THREADS


def unpacked(wildcards):
    """The share of `unpacked` of a job that unpacks an archive, or reads the unpacked reads.

    Each of these jobs, or a run's group of them, takes 1, and later steps go first (`priority`).
    So a run whose reads are on disk takes at least 1 until they are removed.
    """
    return int(bool(STUDY.runs[wildcards.run].sra))


def archive_goes(wildcards):
    """The share of `unpacked` of a download: 1 if the archive is removed with the reads."""
    return int(not config["reads"]["keep_archives"])


def targets():
    """Every table and page of the study, by its final name."""
    files = [
        "<results>/cells/cells.h5ad",
        "<results>/comparison/summary.tsv",
        "<results>/report.html",
    ]
    files += expand(
        "<results>/{branch}/{table}.parquet",
        branch=EMBEDDING,
        table=["embedding", "umap", "clusters", "cell_types"],
    )
    files += expand(
        "<results>/{branch}/de/{contrast}.parquet",
        branch=TESTING,
        contrast=CONTRASTS,
    )
    if SEQUENCED_RUNS:
        files.append("<results>/read_qc/multiqc.html")
    if "simulation" in config:
        files.append("<results>/comparison/truth.tsv")
    return files


def get_sides(wildcards):
    """Samples on each side of a design."""
    try:
        return designs.sides_of(wildcards.design, STUDY)
    except StudyError as error:
        raise WorkflowError(str(error)) from None


def get_covariates(wildcards):
    """Values of the covariates of a design, by covariate and sample."""
    sides = get_sides(wildcards)
    return STUDY.covariates(
        designs.contrast_of(wildcards.design), [*sides["case"], *sides["control"]]
    )


ENVS = ["scanpy", "droplets", "celltypist", "edger", "report"]
if config["cells"]["remove_ambient"]:
    ENVS.append("soupx")
if SEQUENCED_RUNS:
    ENVS += ["sra", "reads", "fastqc", "multiqc", "star"]


def get_versions(wildcards):
    """Versions of the tools in each environment that the study uses."""
    written_in = {rule: path.stem for rule, path in internals.files_of_rules(workflow).items()}
    of_branches = [
        env
        for rule, env in internals.envs_of_rules(workflow).items()
        if written_in[rule] in config["branches"]
    ]
    envs = dict.fromkeys(ENVS + of_branches)
    return expand("<results>/versions/{env}_mqc_versions.yml", env=envs)


def get_packages(wildcards):
    """Names of the conda packages of an environment."""
    text = Path(HERE, "envs", f"{wildcards.env}.yaml").read_text(encoding="utf-8")
    lines = yaml.safe_load(text)["dependencies"]
    return [line.split()[0] for line in lines if isinstance(line, str)]


def local_copy(path):
    """The path of a file that the configuration names by path or by URL."""
    return f"<results>/downloads/{url_name(path)}" if URL.match(path) else path


def get_url(wildcards):
    """The URL of a file to download, by the name of its copy."""
    urls = {url_name(url): url for url in STUDY.urls.values()}
    return SecretUrl(urls[wildcards.name])


def get_checksums(wildcards):
    """The URL of the publisher's checksums of a file to download; empty where none is known."""
    url, reference = get_url(wildcards), config.get("reference", {})
    of_release = reference.get("checksums") and url in (reference["fasta"], reference["gtf"])
    return urljoin(url, reference["checksums"]) if of_release else ""


def get_reference(wildcards):
    """Genome and annotation, as they are published."""
    return {key: local_copy(config["reference"][key]) for key in ("fasta", "gtf")}


def get_genome(wildcards):
    """The genome."""
    return get_reference(wildcards)["fasta"]


def get_chemistries(wildcards):
    """The chemistries that a run may have, by name: positions of barcode and UMI, and barcodes."""
    return {name: asdict(one) for name, one in STUDY.chemistries_of(wildcards.run).items()}


def get_whitelists(wildcards):
    """The barcodes of all chemistries that a run may have."""
    chemistries = STUDY.chemistries_of(wildcards.run).values()
    names = {name: None for chemistry in chemistries for name in chemistry.whitelist_names}
    return [f"<results>/reference/whitelists/{name}.txt" for name in names]


@cache
def whitelists():
    """Source of each list of barcodes in the table of chemistries, and length of a barcode."""
    return {
        whitelist_name(whitelist): (whitelist, last - first + 1)
        for chemistry in STUDY.chemistries.values()
        for whitelist, (first, last) in zip(chemistry.whitelists, chemistry.barcode)
    }


def get_own_list(wildcards):
    """The file of a list of barcodes, if it is not one of ngs-tools."""
    whitelist, _ = whitelists()[wildcards.whitelist]
    return whitelist if find_whitelist(whitelist) == Path(whitelist) else []


def get_list(wildcards):
    """A list of barcodes as the table of chemistries names it."""
    return whitelists()[wildcards.whitelist][0]


def get_barcode_length(wildcards):
    """Bases of a barcode of a list."""
    return whitelists()[wildcards.whitelist][1]


def get_archive(wildcards):
    """The SRA archive of a run, given or downloaded."""
    run = STUDY.runs[wildcards.run]
    return f"<results>/sra/{run.accession}.sra" if run.accession else run.sra


def unless_kept(kind, output):
    """An output that is removed once nothing needs it, unless the configuration keeps its kind."""
    return output if config["reads"][f"keep_{kind}"] else temp(output)


def get_reads(wildcards):
    """The FASTQ files of a run, or the folder that its archive is unpacked to."""
    run = STUDY.runs[wildcards.run]
    return [file for lanes in run.fastq for file in lanes] or [f"<results>/reads/{run.name}"]


def count_lanes(wildcards):
    """Lanes of a run that are read in parallel: 1 for an archive, 4 at most."""
    return min(4, max([1, *map(len, STUDY.runs[wildcards.run].fastq)]))


def get_mates(wildcards):
    """The FASTQ files of a run by mate and lane; none if it comes from an archive."""
    return [list(lanes) for lanes in STUDY.runs[wildcards.run].fastq]


def get_counts(wildcards):
    """The count matrix of a run: counted here, or the files that the sheet gives, with the table
    that says which barcodes are of the run.
    """
    run = STUDY.runs[wildcards.run]
    files = [local_copy(file) for file in run.matrix] or [f"<results>/counts/starsolo/{run.name}"]
    return files + ([table] if (table := table_of(run.subset)) else [])


def get_corrected(wildcards):
    """Counts without ambient RNA, if the configuration asks for them."""
    return (
        expand("<results>/cells/corrected/{run}.h5ad", run=RUNS) * config["cells"]["remove_ambient"]
    )


def get_sample(wildcards):
    """The sample of a run."""
    return STUDY.runs[wildcards.run].sample


def get_layout(wildcards):
    """How to read the matrix of a run: its layer and subset, raw or filtered."""
    run = STUDY.runs[wildcards.run]
    return {"layer": run.layer, "subset": run.subset, "barcodes": run.barcodes}


def label_input(wildcards):
    """The files of a source of labels."""
    return source_files(wildcards.source)


def source_files(source):
    """The files of a source of labels, by its name."""
    annotation = config["annotation"]
    if source == "celltypist":
        return {"model": local_copy(annotation["celltypist_model"])}
    return {"markers": annotation["markers"]}


def get_label_sources(wildcards):
    """The files of all sources of labels that the study uses."""
    sources = {LABELS, config["groups"]["from"]} & set(LABEL_SOURCES)
    return {name: file for source in sorted(sources) for name, file in source_files(source).items()}


def groups_input(wildcards):
    """The files that define groups. The cells have the columns of the sheet already."""
    name, runs = config["groups"]["from"], list(STUDY.runs.values())
    place = groups.places_of(name, config, STUDY.samples, runs)[0]
    return {
        "branch": {"labels": f"<results>/{name}/cell_types.parquet"},
        "source": {"labels": f"<results>/annotation/{name}.parquet"},
        "obs": {"matrices": [local_copy(run.matrix[0]) for run in runs if run.matrix]},
    }.get(place, {})


def report_input(wildcards):
    """Optional files of the report (reads, truth), and the sources of the study."""
    sources = [config["samples"], *source_files(LABELS).values()]
    files = {"sources": sources}
    for branch in BRANCHES:
        for what, file in branch.files.items():
            path = f"<results>/{branch.name}/{file}"
            files[what] = expand(path, contrast=CONTRASTS) if "{contrast}" in file else path
    if SEQUENCED_RUNS:
        files["metrics"] = expand("<results>/counts/metrics/{run}.json", run=SEQUENCED_RUNS)
        files["multiqc"] = "<results>/read_qc/multiqc.html"
    if "simulation" in config:
        files["truth"] = "<results>/comparison/truth.tsv"
        files["truth_cells"] = "<results>/comparison/truth_cells.tsv"
        files["truth_labels"] = "<results>/comparison/truth_labels.tsv"
        files["truth_de"] = "<results>/comparison/truth_de.tsv"
    return files


def report_templates():
    """Templates, style and scripts of the report: an edit of one writes it anew."""
    folder = Path(HERE) / "scripts/latere/report/templates"
    return [os.path.relpath(file) for file in sorted(folder.rglob("*.*")) if file.is_file()]


def simulated_runs():
    """Sample of each run whose archive the embedded study makes."""
    made = f"{RESULTS}/simulated/"
    return {run.name: run.sample for run in STUDY.runs.values() if run.sra.startswith(made)}


def simulated_samples():
    """Their samples, with the columns that the simulation uses."""
    columns = ["subtype", *config.get("simulation", {}).get("effects", {})]
    return {
        name: {column: level for column, level in STUDY.samples[name].items() if column in columns}
        for name in simulated_runs().values()
    }


def describe_sources():
    """Sample and source of each run, for the table of the report."""
    return {run.name: {"sample": run.sample, "source": run.source} for run in STUDY.runs.values()}


def require_machine():
    """End a run on this machine that needs more than it has, unless the user insists."""
    if internals.submits(workflow) or os.environ.get(machine.INSIST):
        return
    disk = machine.free_disk([Path(RESULTS), Path(config["resources"])])
    room = internals.get_limit(workflow, "unpacked"), machine.memory(), disk
    try:
        machine.require_room(internals.jobs_to_run(workflow), SIZES, *room)
    except StudyError as error:
        sys.exit(str(error))
