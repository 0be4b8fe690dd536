"""Real 10x reads through the workflow's own rules, against direct calls of the tools."""

import gzip
import json
import random
import shlex
import subprocess
from pathlib import Path

import anndata as ad
import pytest

from simulate_sra import pack

pytestmark = [pytest.mark.real, pytest.mark.tools("STAR", "sharq", "general-loader", "kar")]

COLUMNS = ["run", "sample", "chemistry", "sra", "fastq_1", "fastq_2", "fastq_3"]
# As the sheet has it: one that is not named is found out.
CHEMISTRY = {"v3": "auto", "v2": "10xv2", "v2_sra": "10xv2", "no_cells": "10xv2"}
WHITELIST = {"v3": "10x_version3_whitelist", "v2": "10x_version2_whitelist"}
# Measured by calling STAR alone; see the README of the real data.
VALID_BARCODES = {"v3": 94.6, "v2": 98.3, "v2_sra": 98.3}
GENES = {"v3": 257}
# Written out here on purpose: what the workflow calls is compared with it.
CELLRANGER_SET = shlex.split("""
    --soloType CB_UMI_Simple --soloCBmatchWLtype 1MM_multi_Nbase_pseudocounts
    --soloUMIfiltering MultiGeneUMI_CR --soloUMIdedup 1MM_CR --clipAdapterType CellRanger4
    --outFilterScoreMin 30 --soloCellFilter EmptyDrops_CR --soloFeatures Gene GeneFull Velocyto
    --soloBarcodeReadLength 0 --soloStrand Forward --outSAMtype None --readFilesCommand zcat
    --soloCBstart 1 --soloCBlen 16 --soloUMIstart 17
""")


def write_study(folder, real, rows, study="real"):
    """Configuration and sheet of a study of runs; each row is a dict of the sheet's columns."""
    lines = [COLUMNS, *([row.get(column, "") for column in COLUMNS] for row in rows)]
    (folder / f"{study}.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    genes = real / "ref_chr21" / "chr21_genes"
    reference = {"fasta": f"{genes}.fa", "gtf": f"{genes}.gtf"}
    config = {"study": study, "samples": f"{study}.tsv", "reference": reference}
    (folder / f"{study}.yaml").write_text(json.dumps(config))


def read_records(lanes):
    """Records of gzipped FASTQ files, as lists of four lines."""
    texts = [gzip.decompress(Path(lane).read_bytes()).decode() for lane in lanes]
    lines = [line for text in texts for line in text.splitlines()]
    return [lines[at : at + 4] for at in range(0, len(lines), 4)]


def write_records(path, records):
    """Write records as plain FASTQ."""
    path.write_text("".join("\n".join(record) + "\n" for record in records))


@pytest.fixture(scope="module")
def files(real):
    """FASTQ files of the runs: mate, then lanes."""
    v3, v2 = (
        real / "fastq_10x_v3_pbmc5k_chr21/pbmc5k_v3.1_chr21_S1",
        real / "fastq_10x_v2_tiny_chr21/tiny_S1",
    )
    return {
        "v3": [[f"{v3}_L00{lane}_{mate}_001.fastq.gz" for lane in (1, 2)] for mate in ("R1", "R2")],
        "v2": [[f"{v2}_L001_{mate}_001.fastq.gz"] for mate in ("I1", "R1", "R2")],
    }


@pytest.fixture(scope="module")
def unmappable(files, tmp_path_factory):
    """Some v2 reads with sequences of chance as cDNA: not one molecule can be counted.

    So few that no share of them is held against the reference.
    """
    draw = random.Random(1)
    folder = tmp_path_factory.mktemp("unmappable")
    barcodes, cdna = folder / "barcodes.fastq", folder / "cdna.fastq"
    records = read_records(files["v2"][1])[:900]
    write_records(barcodes, records)
    chance = [[name, "".join(draw.choices("ACGT", k=80)), "+", "F" * 80] for name, *_ in records]
    write_records(cdna, chance)
    return {"fastq_1": str(barcodes), "fastq_2": str(cdna)}


@pytest.fixture(scope="module")
def results(real, files, unmappable, copy_project, snakemake, tmp_path_factory):
    """The study's results, made by the rules of the workflow."""
    folder = copy_project(tmp_path_factory.mktemp("study"))
    pack(*(lanes[0] for lanes in files["v2"]), str(folder / "v2.sra"))
    # The order of the columns must not matter: the cDNA of v3 comes first.
    v3 = {f"fastq_{at}": ",".join(lanes) for at, lanes in enumerate(files["v3"][::-1], 1)}
    v2 = {f"fastq_{at}": ",".join(lanes) for at, lanes in enumerate(files["v2"], 1)}
    sources = {"v3": v3, "v2": v2, "v2_sra": {"sra": "v2.sra"}, "no_cells": unmappable}
    rows = [
        {"run": run, "sample": run, "chemistry": CHEMISTRY[run], **source}
        for run, source in sources.items()
    ]
    write_study(folder, real, rows)
    counts = [f"results/real/counts/{run}.h5ad" for run in sources]
    targets = ["results/real/read_qc/multiqc.html", *counts]
    targets.append("results/real/cells/ambient/no_cells.json")
    done = snakemake(folder, "--configfile", "real.yaml", "--cores", "2", "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / "real"


@pytest.fixture(scope="module")
def forms(results, real, files, snakemake):
    """The same reads in other forms, counted by the rules of the workflow.

    turned: both lanes of v3 as one archive, whose spots hold R2, I1, R1 in that order and lie in
    an order of chance; split: v2 as two plain lanes; auto: v2, whose chemistry is not named.
    """
    folder = results.parents[1]
    spots = list(zip(*map(read_records, files["v3"]), strict=True))
    random.Random(1).shuffle(spots)
    turned = {"R2": [], "I1": [], "R1": []}
    for at, (barcode, cdna) in enumerate(spots):
        # Two spots of one name, as the lanes have them, would not go into an archive.
        name = f"@A00836:523:HJH22DSXY:1:1101:1000:{at} 1:N:0:ATGGAGGG"
        turned["R2"].append([name, *cdna[1:]])
        turned["I1"].append([name, "ATGGAGGG", "+", "FFFFFFFF"])
        turned["R1"].append([name, *barcode[1:]])
    paths = [folder / f"turned_{mate}.fastq" for mate in turned]
    for path, records in zip(paths, turned.values(), strict=True):
        write_records(path, records)
    pack(*map(str, paths), str(folder / "turned.sra"))
    split = {}
    for column, lanes in zip(("fastq_1", "fastq_2", "fastq_3"), files["v2"], strict=True):
        records = read_records(lanes)
        halves = [folder / f"{column}_{half}.fastq" for half in (1, 2)]
        write_records(halves[0], records[:3000])
        write_records(halves[1], records[3000:])
        split[column] = ",".join(map(str, halves))
    rows = [
        {"run": "turned", "chemistry": "auto", "sra": "turned.sra"},
        {"run": "split", "chemistry": "10xv2", **split},
        {"run": "auto", **{f"fastq_{at}": lanes[0] for at, lanes in enumerate(files["v2"], 1)}},
    ]
    write_study(folder, real, [row | {"sample": row["run"]} for row in rows], "forms")
    targets = [f"results/forms/counts/starsolo/{run}" for run in ("turned", "split")]
    targets.append("results/forms/roles/auto.json")
    done = snakemake(folder, "--configfile", "forms.yaml", "--cores", "2", "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results/forms"


def differ(file, other):
    """Whether two files, gzipped or plain, hold other bytes."""
    texts = (path.read_bytes() for path in (file, other))
    first, second = (gzip.decompress(text) if file.suffix == ".gz" else text for text in texts)
    return first != second


def roles(results, run):
    return json.loads((results / "roles" / f"{run}.json").read_text())


def summary(results, run):
    path = results / "counts/starsolo" / run / f"{run}.Solo.out/Gene/Summary.csv"
    return dict(line.split(",") for line in path.read_text().splitlines())


def test_roles(results, files):
    v3, v2, sra = (roles(results, run) for run in ("v3", "v2", "v2_sra"))
    assert [v3["barcode"], v3["cdna"], v3["index"]] == [*files["v3"], []]
    assert [v2["index"], v2["barcode"], v2["cdna"]] == files["v2"]
    assert v3["lengths"] == {"barcode": [28, 28], "cdna": [90, 90]}
    lengths = {"index": [8, 8], "barcode": [26, 26], "cdna": [80, 80]}
    assert v2["lengths"] == sra["lengths"] == lengths
    assert v2["valid_barcodes"] == sra["valid_barcodes"]
    ends = [sra[role][0].rsplit("_", 1)[1] for role in ("index", "barcode", "cdna")]
    assert ends == ["1.fastq.gz", "2.fastq.gz", "3.fastq.gz"]


def test_chemistry_is_found_out(results, forms):
    """Of v2 the reads on chr21 are too few to tell 3' from 5': 16 genes sense, 9 antisense."""

    def strand(folder, run):
        return json.loads((folder / f"strand/{run}.json").read_text())

    for folder, run in ((results, "v3"), (forms, "turned")):
        assert list(roles(folder, run)["candidates"]) == ["10xv3"]
        assert [strand(folder, run)[key] for key in ("chemistry", "verdict")] == ["10xv3", "sense"]
    assert set(roles(forms, "auto")["candidates"]) == {"10xv2", "10x5pv2"}
    assert roles(forms, "auto")["valid_barcodes"] == roles(results, "v2")["valid_barcodes"]
    assert [strand(results, "v2")[key] for key in ("chemistry", "verdict")] == [
        "10xv2",
        "undecided",
    ]


@pytest.mark.parametrize(("form", "run"), [("turned", "v3"), ("split", "v2")])
def test_the_form_of_the_reads_changes_no_count(results, forms, form, run):
    """Every table is the same to the byte, the cells that were called among them."""
    made, other = (
        folder / "counts/starsolo" / run / f"{run}.Solo.out"
        for folder, run in ((results, run), (forms, form))
    )
    tables = sorted(file.relative_to(made) for file in made.rglob("*.*") if file.is_file())
    assert len(tables) == 31
    assert tables == sorted(file.relative_to(other) for file in other.rglob("*.*"))
    assert [table for table in tables if differ(made / table, other / table)] == []


def test_roles_of_a_spot_come_from_its_reads(forms):
    turned = roles(forms, "turned")
    ends = [turned[role][0].rsplit("_", 1)[1] for role in ("cdna", "index", "barcode")]
    assert ends == ["1.fastq.gz", "2.fastq.gz", "3.fastq.gz"]
    assert turned["lengths"] == {"barcode": [28, 28], "cdna": [90, 90], "index": [8, 8]}


def test_the_archive_gives_the_reads_it_was_made_of(results):
    assert summary(results, "v2")["Number of Reads"] == "5000"
    assert summary(results, "v2_sra") == summary(results, "v2")
    v2, sra = (ad.read_h5ad(results / "counts" / f"{run}.h5ad") for run in ("v2", "v2_sra"))
    assert (v2.obs_names == sra.obs_names).all() and (v2.X != sra.X).nnz == 0
    assert not (results / "reads" / "v2_sra").exists()


@pytest.mark.parametrize("run", VALID_BARCODES)
def test_valid_barcodes(results, run):
    found = 100 * float(summary(results, run)["Reads With Valid Barcodes"])
    assert found == pytest.approx(VALID_BARCODES[run], abs=0.5)
    if run in GENES:
        assert int(summary(results, run)["Total Gene Detected"]) == GENES[run]


@pytest.fixture(scope="module")
def index(real, tmp_path_factory):
    """An index built without the workflow."""
    folder = tmp_path_factory.mktemp("index")
    reference = real / "ref_chr21"
    words = ["--genomeFastaFiles", reference / "chr21_genes.fa"]
    words += ["--sjdbGTFfile", reference / "chr21_genes.gtf", "--sjdbOverhang", "97"]
    words += ["--genomeSAindexNbases", "9", "--genomeChrBinNbits", "11", "--genomeDir", folder]
    words += ["--outFileNamePrefix", f"{folder}/"]
    subprocess.run(["STAR", "--runMode", "genomeGenerate", *words], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(("run", "mates", "umi"), [("v3", (1, 0), 12), ("v2", (2, 1), 10)])
def test_counts_equal_a_direct_call(results, files, index, tmp_path, run, mates, umi):
    reads = [",".join(files[run][mate]) for mate in mates]
    whitelist = results / "reference/whitelists" / f"{WHITELIST[run]}.txt"
    words = ["--genomeDir", index, "--readFilesIn", *reads, "--soloCBwhitelist", whitelist]
    words += ["--soloUMIlen", str(umi), "--outFileNamePrefix", f"{tmp_path}/", "--runThreadN", "2"]
    subprocess.run(["STAR", *CELLRANGER_SET, *words], check=True, capture_output=True)
    direct = tmp_path / "Solo.out"
    made = results / "counts/starsolo" / run / f"{run}.Solo.out"
    tables = sorted(file.relative_to(direct) for file in direct.glob("*/*/*.*"))
    assert len(tables) == 22
    for table in tables:
        with gzip.open(made / f"{table}.gz") as packed:
            assert packed.read() == (direct / table).read_bytes(), table
    matrix = (direct / "Gene/filtered/matrix.mtx").read_text().split("\n", 3)[2].split()
    counts = ad.read_h5ad(results / "counts" / f"{run}.h5ad")
    counts = counts[counts.obs["given"]]
    barcodes = (direct / "Gene/filtered/barcodes.tsv").read_text().split()
    assert [counts.n_vars, counts.n_obs, counts.X.nnz] == [int(size) for size in matrix]
    assert list(counts.obs_names) == barcodes
    assert counts.X.sum() == int(summary(results, run)["UMIs in Cells"])
    assert counts.var.loc["ENST00000442448", "gene_name"] == "ERG"


def test_no_called_cell_is_a_valid_result(results):
    counts = ad.read_h5ad(results / "counts/no_cells.h5ad")
    assert counts.n_vars == 691 and counts.n_obs == 0
    told = json.loads((results / "cells/ambient/no_cells.json").read_text())
    assert told["calling"]["called"] == 0
    assert told["ambient"]["share"] is None and told["ambient"]["reason"]


def test_read_qc_page(results):
    for run in CHEMISTRY:
        for role in ("barcode", "cdna"):
            assert (results / "read_qc/fastqc" / f"{run}_{role}_fastqc.html").is_file()
    page = (results / "read_qc/multiqc.html").read_text()
    words = [
        "Knee plots",
        "Valid barcodes",
        "Runs that stand out",
        "Chemistries that were tried",
        "FastQC",
        "Alignment Scores",
        "v2_sra_cdna",
    ]
    words += ["scvi-tools", "edgeR", "sra-tools", "CellTypist"]
    assert [word for word in words if word not in page] == []
    # The page opens without a network and tells nothing of the machine.
    assert 'script src="http' not in page and 'stylesheet" href="http' not in page
    assert str(results.parents[1]) not in page


def test_bad_reads_are_refused_by_name(real, files, copy_project, snakemake, tmp_path):
    folder = copy_project(tmp_path)
    pack(*(lanes[0] for lanes in files["v2"]), str(folder / "whole.sra"))
    whole = (folder / "whole.sra").read_bytes()
    (folder / "cut.sra").write_bytes(whole[: len(whole) // 2])
    (folder / "page.sra").write_text("<html>not found</html>")
    index, _, cdna = (lanes[0] for lanes in files["v2"])
    sources = {
        "cut": {"sra": "cut.sra"},
        "page": {"sra": "page.sra"},
        "dropped": {"fastq_1": index, "fastq_2": cdna},
    }
    rows = [{"run": run, "sample": run, "chemistry": "10xv2", **sources[run]} for run in sources]
    write_study(folder, real, rows)
    targets = [f"results/real/roles/{run}.json" for run in sources]
    words = ["--configfile", "real.yaml", "--cores", "2", "--keep-going", "--", *targets]
    assert snakemake(folder, *words).returncode == 1
    for log, words in {
        "fasterq_dump/cut": "run cut, cut.sra: the archive is damaged",
        "fasterq_dump/page": "run page, page.sra: is not an SRA archive",
        "assign_roles/dropped": "run dropped, lane 1: no read with barcodes of 10xv2",
    }.items():
        text = (folder / f"results/real/logs/{log}.log").read_text()
        assert words in text and "Traceback" not in text
    assert not any((folder / target).exists() for target in targets)
