"""Bad reads, from the sheet to the message: STAR is not started, and the reason is shown."""

import gzip
import json
import random
from itertools import islice

import pytest

from latere.reads.chemistry import find_whitelist

SPOTS = 600
# Runs and what is told of them, by the rule that tells it.
TOLD = {
    "swapped": (
        "assign_roles",
        "lane 2: its reads are cdna, barcode, those of lane 1 barcode, cdna",
    ),
    "dropped": ("assign_roles", "lane 1: no read with barcodes of any chemistry in the table"),
    "other_kit": (
        "assign_roles",
        "lane 1: less than 50% of the first reads have a barcode of 10xv3 (other_kit_L001_R1_"
        "001.fastq.gz (26 bp): ",
    ),
    "fewer": (
        "check_reads",
        "fewer_L001_R2_001.fastq.gz: the files of this lane differ in their number of reads (600 "
        "in fewer_L001_R1_001.fastq.gz, 599 in fewer_L001_R2_001.fastq.gz)",
    ),
}


@pytest.fixture(scope="module")
def project(copy_project, tmp_path_factory):
    """A study whose runs are each spoilt in one way."""
    folder = copy_project(tmp_path_factory.mktemp("bad_reads"))
    draw = random.Random(1)

    def bases(count):
        return "".join(draw.choices("ACGT", k=count))

    def write(name, reads):
        lines = (f"@M:{at}\n{read}\n+\n{'F' * len(read)}\n" for at, read in enumerate(reads))
        (folder / name).write_bytes(gzip.compress("".join(lines).encode()))

    with gzip.open(find_whitelist("10x_version2_whitelist.txt.gz"), "rt") as lines:
        codes = [line.strip() for line in islice(lines, 0, 700_000, 1000)]
    genome = bases(9000)
    barcode = [draw.choice(codes) + bases(10) for _ in range(SPOTS)]
    cdna = [genome[at : at + 80] for at in range(SPOTS)]
    index = ["TTTCATGA"] * SPOTS
    rows = []
    for run, (first, second) in {
        "swapped": ([barcode, cdna], [cdna, barcode]),
        "dropped": ([index], [cdna]),
        "other_kit": ([barcode], [cdna]),
        "fewer": ([barcode], [cdna[:-1]]),
    }.items():
        columns = []
        for mate, lanes in enumerate((first, second), start=1):
            files = [f"{run}_L00{lane}_R{mate}_001.fastq.gz" for lane in range(1, len(lanes) + 1)]
            for file, reads in zip(files, lanes, strict=True):
                write(file, reads)
            columns.append(",".join(files))
        rows.append([run, run, "10xv3" if run == "other_kit" else "", *columns])
    header = ["run", "sample", "chemistry", "fastq_1", "fastq_2"]
    (folder / "samples.tsv").write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))
    (folder / "genome.fa").write_text(f">1\n{genome}\n")
    (folder / "genes.gtf").write_text(
        '1\tx\texon\t1\t9000\t.\t+\t.\tgene_id "g"; gene_name "g"; transcript_id "t";\n'
    )
    config = {"study": "bad", "samples": "samples.tsv"}
    config["reference"] = {"fasta": "genome.fa", "gtf": "genes.gtf"}
    (folder / "study.yaml").write_text(json.dumps(config))
    return folder


@pytest.mark.tools("STAR")
def test_bad_reads_are_refused_before_star(project, snakemake):
    results = project / "results/bad"
    targets = [f"results/bad/counts/starsolo/{run}" for run in TOLD]
    words = ["--configfile", "study.yaml", "--cores", "2", "--keep-going", "--", *targets]
    done = snakemake(project, *words)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "Traceback" not in said
    for run, (rule, message) in TOLD.items():
        assert f"{rule}: run {run}, " in said and message in said
        log = (results / f"logs/{rule}/{run}.log").read_text()
        assert message in log and "Traceback" not in log
    for rule in ("starsolo", "detect_strand"):
        assert f"rule {rule}:" not in said and not (results / f"logs/{rule}").exists()
    assert not list(results.glob("counts/starsolo/*"))
