"""Real 10x reads through the workflow's own rules, against direct calls of the tools."""

import gzip
import json
import random
import shlex
import shutil
import subprocess

import anndata as ad
import pytest

from simulate_sra import pack

pytestmark = [pytest.mark.real, pytest.mark.tools("STAR", "sharq", "general-loader", "kar")]

COLUMNS = ["run", "sample", "chemistry", "sra", "fastq_1", "fastq_2", "fastq_3"]
CHEMISTRY = {"v3": "10xv3", "v2": "10xv2", "v2_sra": "10xv2", "no_cells": "10xv2"}
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


def write_study(folder, real, rows):
    """Configuration and sheet of a study of runs; each row is a dict of the sheet's columns."""
    lines = [COLUMNS, *([row.get(column, "") for column in COLUMNS] for row in rows)]
    (folder / "samples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    genes = real / "ref_chr21" / "chr21_genes"
    reference = {"fasta": f"{genes}.fa", "gtf": f"{genes}.gtf"}
    config = {"study": "real", "samples": "samples.tsv", "reference": reference}
    (folder / "study.yaml").write_text(json.dumps(config))


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
    """The v2 reads with sequences of chance as cDNA: not one molecule can be counted."""
    draw = random.Random(1)
    path = tmp_path_factory.mktemp("unmappable") / "cdna.fastq.gz"
    with gzip.open(files["v2"][1][0], "rt") as source, gzip.open(path, "wt") as target:
        for at, line in enumerate(source):
            if at % 4 == 0:
                read = "".join(draw.choices("ACGT", k=80))
                target.write(f"{line}{read}\n+\n{'F' * 80}\n")
    barcodes = shutil.copy(files["v2"][1][0], path.parent)
    return {"fastq_1": str(barcodes), "fastq_2": str(path)}


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
    done = snakemake(folder, "--configfile", "study.yaml", "--cores", "2", "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / "real"


def roles(results, run):
    return json.loads((results / "roles" / f"{run}.json").read_text())


def summary(results, run):
    path = results / "counts/starsolo" / run / f"{run}.Solo.out/Gene/Summary.csv"
    return dict(line.split(",") for line in path.read_text().splitlines())


def test_roles(results, files):
    v3, v2, sra = (roles(results, run) for run in ("v3", "v2", "v2_sra"))
    assert [v3["barcode"], v3["cdna"], v3["index"]] == [*files["v3"], []]
    assert [v2["index"], v2["barcode"], v2["cdna"]] == files["v2"]
    assert v3["lengths"] == {"barcode": 28, "cdna": 90}
    assert v2["lengths"] == sra["lengths"] == {"index": 8, "barcode": 26, "cdna": 80}
    assert v2["valid_barcodes"] == sra["valid_barcodes"]
    ends = [sra[role][0].rsplit("_", 1)[1] for role in ("index", "barcode", "cdna")]
    assert ends == ["1.fastq.gz", "2.fastq.gz", "3.fastq.gz"]


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
    whitelist = results / "reference/whitelists" / f"{CHEMISTRY[run]}.txt"
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
    barcodes = (direct / "Gene/filtered/barcodes.tsv").read_text().split()
    assert [counts.n_vars, counts.n_obs, counts.X.nnz] == [int(size) for size in matrix]
    assert list(counts.obs_names) == barcodes
    assert counts.X.sum() == int(summary(results, run)["UMIs in Cells"])
    assert counts.var.loc["ENST00000442448", "gene_name"] == "ERG"


def test_no_called_cell_is_a_valid_result(results):
    counts = ad.read_h5ad(results / "counts/no_cells.h5ad")
    assert counts.shape == (0, 691)
    log = (results / "logs/load_counts/no_cells.log").read_text()
    assert "WARNING" in log and "no cell was called" in log


def test_read_qc_page(results):
    for run in CHEMISTRY:
        for role in ("barcode", "cdna"):
            assert (results / "read_qc/fastqc" / f"{run}_{role}_fastqc.html").is_file()
    page = (results / "read_qc/multiqc.html").read_text()
    words = ["STARsolo", "Valid barcodes", "FastQC", "Alignment Scores", "v2_sra_cdna"]
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
    words = ["--configfile", "study.yaml", "--cores", "2", "--keep-going", "--", *targets]
    assert snakemake(folder, *words).returncode == 1
    for log, words in {
        "fasterq_dump/cut": "run cut, cut.sra: the archive is damaged",
        "fasterq_dump/page": "run page, page.sra: is not an SRA archive",
        "assign_roles/dropped": "run dropped, lane 1: no read with barcodes of 10xv2",
    }.items():
        text = (folder / f"results/real/logs/{log}.log").read_text()
        assert words in text and "Traceback" not in text
    assert not any((folder / target).exists() for target in targets)
