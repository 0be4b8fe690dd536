# The sample sheet and look-ups; nothing that a job runs.
import errno
import os
from functools import cache
from pathlib import Path

from latere.chemistry import read_chemistry
from latere.errors import StudyError
from snakemake import __version__ as SNAKEMAKE

from latere import requests, study

try:
    STUDY = study.load_study(
        config,
        source=os.path.relpath((workflow.overwrite_configfiles or ["config/config.yaml"])[-1]),
        tables=Path(workflow.basedir) / "config",
    )
except StudyError as error:
    # A message for the person at the keyboard: no traceback, exit code 1.
    sys.exit(str(error))

config = STUDY.config
RESULTS = f"results/{STUDY.name}"
RUNS = list(STUDY.runs)
SEQUENCED_RUNS = [run.name for run in STUDY.runs.values() if run.from_reads]
CONTRASTS = list(STUDY.contrasts)
BRANCHES = ["deep", "manual"]
NAME = study.NAME.pattern
# The reads of a run that FastQC looks at.
ROLES = ["barcode", "cdna"]


SIZES = requests.Sizes(STUDY, RESULTS)


def ask(rule, names=("mem_mb", "runtime")):
    """What the jobs of a rule ask for, by their work and attempt, in the form of `resources`."""

    def look_up(wildcards, input, threads):
        try:
            return requests.of_job(rule, wildcards, threads, SIZES)
        except requests.Unknown as unknown:
            if not input:
                return requests.prefetch(requests.MOST_SPOTS)
            # A missing input is what makes Snakemake put this off until the job is submitted.
            raise FileNotFoundError(errno.ENOENT, str(unknown), input[0]) from None

    def resource(name):
        return lambda wildcards, input, threads, attempt: requests.ask(
            look_up(wildcards, input, threads), threads, attempt
        )[name]

    return {name: resource(name) for name in names}


def targets():
    """Every table and page of the study, by its final name."""
    files = [
        "<results>/cells/cells.h5ad",
        "<results>/deep/model",
        "<results>/comparison/summary.tsv",
        "<results>/report.html",
    ]
    files += expand(
        "<results>/{branch}/{table}.parquet",
        branch=BRANCHES,
        table=["embedding", "umap", "clusters", "cell_types"],
    )
    files += expand(
        "<results>/{branch}/de/{contrast}.parquet",
        branch=BRANCHES,
        contrast=CONTRASTS,
    )
    if SEQUENCED_RUNS:
        files.append("<results>/read_qc/multiqc.html")
    if "simulation" in config:
        files.append("<results>/comparison/truth.tsv")
    return files


def contrast_design(wildcards):
    """Samples on each side of a contrast, and their covariates."""
    covariates = STUDY.contrasts[wildcards.contrast]["covariates"]
    return {
        side: {name: [STUDY.samples[name][column] for column in covariates] for name in names}
        for side, names in STUDY.sides(wildcards.contrast).items()
    }


ENVS = ["scanpy", "scvi", "celltypist", "edger", "report"]
if SEQUENCED_RUNS:
    ENVS += ["sra", "fastqc", "multiqc", "star"]
CHEMISTRIES = Path(workflow.basedir) / "config" / "chemistries.tsv"


def local_copy(path):
    """Where a file lies that the configuration names by path or by URL."""
    return f"<resources>/downloads/{study.url_name(path)}" if study.URL.match(path) else path


def get_url(wildcards):
    """The URL of a file to download, by its last part."""
    paths = [
        *config.get("reference", {}).values(),
        config["annotation"]["celltypist_model"],
    ]
    urls = {study.url_name(path): path for path in paths if path and study.URL.match(path)}
    return urls[wildcards.name]


def get_reference(wildcards):
    """Genome and annotation."""
    return {key: local_copy(config["reference"][key]) for key in ("fasta", "gtf")}


@cache
def chemistry(name):
    """A row of the table of chemistries, read once for all runs."""
    return read_chemistry(CHEMISTRIES, name)


def get_chemistry(wildcards):
    """Where barcode and UMI of a run, or of a chemistry, lie."""
    return chemistry(wildcards.get("chemistry") or STUDY.runs[wildcards.run].chemistry)


def get_whitelist(wildcards):
    """The barcodes of a run's chemistry."""
    return f"<results>/reference/whitelists/{STUDY.runs[wildcards.run].chemistry}.txt"


def get_archive(wildcards):
    """The SRA archive of a run, as it lies or as it is downloaded."""
    run = STUDY.runs[wildcards.run]
    return f"<resources>/sra/{run.accession}.sra" if run.accession else run.sra


def get_reads(wildcards):
    """The FASTQ files of a run, or the folder that its archive is unpacked to."""
    run = STUDY.runs[wildcards.run]
    return [file for lanes in run.fastq for file in lanes] or [f"<results>/reads/{run.name}"]


def get_mates(wildcards):
    """The FASTQ files of a run by mate and lane; none if it comes from an archive."""
    return [list(lanes) for lanes in STUDY.runs[wildcards.run].fastq]


def get_counts(wildcards):
    """The count matrix of a run: counted here, or given in the sheet."""
    run = STUDY.runs[wildcards.run]
    return run.matrix or f"<results>/counts/starsolo/{run.name}"


def get_sample(wildcards):
    """The sample of a run."""
    return STUDY.runs[wildcards.run].sample


def get_subset(wildcards):
    """Which cells of a matrix are a run's: `column=value`, or nothing."""
    return STUDY.runs[wildcards.run].subset


def annotation_input(wildcards):
    """What names the cell types: the CellTypist model that the user named, else markers."""
    model = config["annotation"]["celltypist_model"]
    return {"model": local_copy(model)} if model else {"markers": config["annotation"]["markers"]}


def report_input(wildcards):
    """What the report shows where the study has it: reads, truth; and what it is made from."""
    sources = [config["samples"], *annotation_input(wildcards).values()]
    files = {"sources": sources}
    if SEQUENCED_RUNS:
        files["starsolo"] = expand("<results>/counts/starsolo/{run}", run=SEQUENCED_RUNS)
        files["multiqc"] = "<results>/read_qc/multiqc.html"
    if "simulation" in config:
        files["truth"] = "<results>/comparison/truth.tsv"
        files["truth_de"] = "<results>/comparison/truth_de.tsv"
    return files


def simulated_runs():
    """Sample of each run whose archive the embedded study makes."""
    made = f"{RESULTS}/simulated/"
    return {run.name: run.sample for run in STUDY.runs.values() if run.sra.startswith(made)}


def simulated_samples():
    """Their samples, with the columns that the simulation looks at."""
    columns = ["subtype", *config.get("simulation", {}).get("effects", {})]
    return {
        name: {column: level for column, level in STUDY.samples[name].items() if column in columns}
        for name in simulated_runs().values()
    }


def describe_sources():
    """Sample and source of each run, for the table of the report."""
    return {
        run.name: {
            "sample": run.sample,
            "source": run.sra or run.matrix or ", ".join(run.files),
        }
        for run in STUDY.runs.values()
    }
