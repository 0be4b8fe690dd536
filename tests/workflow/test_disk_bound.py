"""No more runs lie unpacked at a time than `unpacked` tells, here and in groups of SLURM."""

import re

import pytest
import yaml

RUNS = [f"SRR900000{number}" for number in range(4)]
CHAIN = ["fasterq_dump", "assign_roles", "check_reads", "detect_strand", "starsolo", "run_metrics"]
# Makes what a rule is there for, and fails where it brings a run to the disk beside another one.
STUB = """
from pathlib import Path

made = [Path(file) for file in snakemake.output]
if snakemake.rule in ("prefetch", "fasterq_dump"):
    there = [*Path("results/s/sra").glob("*"), *Path("results/s/reads").glob("*")]
    others = {file.stem for file in there} - {made[0].stem}
    assert not others, others
for file in made:
    if file.suffix or file.name.endswith("_mqc_versions.yml"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    else:
        (file / "part").mkdir(parents=True)
"""


@pytest.fixture
def project(copy_project, tmp_path):
    """A study of four archives that are not kept, and whose jobs only make their files."""
    folder = copy_project(tmp_path)
    for script in (folder / "scripts").glob("*.py"):
        if script.name != "plan.py":
            script.write_text(STUB)
    rows = [f"{run}\t{run}\t10xv2\t{run}\t9" for run in RUNS]
    (folder / "samples.tsv").write_text("\n".join(["run\tsample\tchemistry\tsra\tspots", *rows]))
    (folder / "genome.fa").write_text(">chr1\nACGT\n")
    gene = 'chr1\tx\texon\t1\t4\t.\t+\t.\tgene_id "g"; transcript_id "t";\n'
    (folder / "genes.gtf").write_text(gene)
    config = {"study": "s", "samples": "samples.tsv", "contrasts": {}}
    config["reads"] = {"keep_archives": False}
    config["reference"] = {"fasta": "genome.fa", "gtf": "genes.gtf"}
    (folder / "my.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_one_run_at_a_time_where_there_is_room_for_one(project, snakemake):
    targets = [f"results/s/counts/starsolo/{run}" for run in RUNS]
    targets += [f"results/s/read_qc/fastqc/{run}_cdna_fastqc.zip" for run in RUNS]
    words = ["--configfile", "my.yaml", "--cores", "32", "--resources", "unpacked=1"]
    done = snakemake(project, *words, "--", *targets)
    assert done.returncode == 0, done.stderr
    assert all((project / target).exists() for target in targets)
    left = [*project.glob("results/s/sra/*"), *project.glob("results/s/reads/*")]
    assert left == []


def test_on_slurm_a_run_is_one_job_and_fastqc_another(project, snakemake):
    words = ["-n", "--profile", "slurm", "--configfile", "my.yaml"]
    done = snakemake(project, *words)
    assert done.returncode == 0, done.stderr
    # What stands outside of a group begins at the left margin, with its time.
    groups = re.findall(
        r"Group job (\w+) [^\n]*\n(.*?)(?=^\[|\Z)", done.stdout, re.MULTILINE | re.DOTALL
    )
    counting = [text for name, text in groups if name == "count"]
    assert len(counting) == len(RUNS)
    for text in counting:
        assert sorted(re.findall(r"^ +rule (\w+):", text, re.MULTILINE)) == sorted(CHAIN)
        assert text.count("unpacked=1") == len(CHAIN) - 1
    fastqc = re.findall(r"^rule fastqc:\n((?: .*\n)*)", done.stdout, re.MULTILINE)
    assert len(fastqc) == len(RUNS) and all("unpacked=1" in text for text in fastqc)
