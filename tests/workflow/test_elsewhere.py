"""The workflow in another folder than its own: called there, sent there, and as a module."""

import shutil
import subprocess

import pytest
import yaml

MODULE = """
configfile: "config/config.yaml"

module latere:
    snakefile:
        {}
    config:
        config

use rule * from latere
"""
ROLES = "results/away/roles/r1.json"


@pytest.fixture
def study(tmp_path):
    """The folder of a study of two small files of reads, named relative to it."""
    folder = tmp_path / "my study"
    (folder / "config").mkdir(parents=True)
    bases = {"R1": "AAACCTGAGAAACCAT" + 10 * "A", "R2": 60 * "ACGT"}
    for mate, read in bases.items():
        record = f"@r\n{read}\n+\n{'F' * len(read)}\n"
        (folder / f"{mate}.fastq").write_text(record)
    genome = {"fasta": "genome.fa", "gtf": "genes.gtf"}
    (folder / "genome.fa").write_text(">chr1\nACGT\n")
    exon = 'chr1\tt\texon\t1\t4\t.\t+\t.\tgene_id "G1"; transcript_id "T1";\n'
    (folder / "genes.gtf").write_text(exon)
    (folder / "samples.tsv").write_text(
        "run\tsample\tchemistry\tfastq_1\tfastq_2\nr1\ts1\t10xv2\tR1.fastq\tR2.fastq\n"
    )
    config = {"study": "away", "samples": "samples.tsv", "contrasts": {}, "reference": genome}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_called_in_the_folder_of_a_study(study, root, snakemake):
    words = ["--snakefile", f"{root}/Snakefile"]
    for dry in ([], ["--configfile", "config/config.yaml"]):
        done = snakemake(study, *words, "-n", *dry)
        assert done.returncode == 0, done.stderr
    done = snakemake(study, *words, "--cores", "1", ROLES)
    assert done.returncode == 0, done.stderr
    assert (study / ROLES).exists()
    again = snakemake(study, *words, "--cores", "1", ROLES)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_sent_to_the_folder_of_a_study(study, root, snakemake, tmp_path):
    """From a third folder: only `--configfile` starts there."""
    words = ["--snakefile", f"{root}/Snakefile", "--directory", study.name]
    words += ["--configfile", f"{study.name}/config/config.yaml", "--cores", "1"]
    done = snakemake(tmp_path, *words, "--", ROLES)
    assert done.returncode == 0, done.stderr
    assert (study / ROLES).exists() and not (tmp_path / "results").exists()
    # A table that the user names is the user's.
    config = yaml.safe_load((study / "config/config.yaml").read_text())
    config["chemistries"] = "config/chemistries.tsv"
    (study / "config/config.yaml").write_text(yaml.safe_dump(config))
    done = snakemake(tmp_path, *words, "-n")
    assert "config/chemistries.tsv: does not exist [missing-file]" in done.stdout + done.stderr
    shutil.copy(root / "config/chemistries.tsv", study / "config")
    assert snakemake(tmp_path, *words, "-n").returncode == 0


def test_as_a_module_of_another_snakefile(study, root, snakemake):
    (study / "workflow").mkdir()
    (study / "workflow/Snakefile").write_text(MODULE.format(repr(f"{root}/Snakefile")))
    done = snakemake(study, "-n")
    assert done.returncode == 0, done.stderr
    done = snakemake(study, "--cores", "1", ROLES)
    assert done.returncode == 0, done.stderr
    assert (study / ROLES).exists()


def test_a_workflow_that_is_fetched_file_by_file_is_refused(study, root, snakemake):
    (study / "workflow").mkdir()
    repository = study / "repository"
    repository.mkdir()
    shutil.copy(root / "Snakefile", repository)
    git = ["git", "-C", repository, "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    remote = f"git+file://{repository}/Snakefile@HEAD"
    (study / "workflow/Snakefile").write_text(MODULE.format(repr(remote)))
    done = snakemake(study, "-n")
    assert done.returncode == 1 and "[remote-workflow]\n  -> Clone" in done.stderr, done.stderr
