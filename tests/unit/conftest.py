"""A small study of counts, a small library of reads, and small count matrices in every form."""

import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from count_matrices import BARCODES, COUNTS, GENE_TYPE, IDS, INTEGERS, NAMES, pack
from scipy.io import mmwrite

SAMPLES = ["h1", "h2", "h3", "l1", "l2", "l3"]
CELLS, GENES, CHANGED = 60, 120, 12


@pytest.fixture(scope="session")
def cells() -> ad.AnnData:
    """Six samples of 60 cells in two types; genes 0 to 11 are 4 times higher in l1 to l3.

    Genes 20 to 39 mark type x, genes 40 to 59 type y; gene 119 has no count.
    """
    random = np.random.default_rng(7)
    level = random.gamma(2, 1, GENES)
    level[-1] = 0
    counts, rows = [], []
    for sample in SAMPLES:
        for number in range(CELLS):
            mean = level * random.gamma(10, 0.1)
            if sample.startswith("l"):
                mean[:CHANGED] = 4 * mean[:CHANGED]
            kind = "x" if number % 2 else "y"
            marks = slice(20, 40) if kind == "x" else slice(40, 60)
            mean[marks] = 6 * mean[marks]
            counts.append(random.poisson(mean))
            rows.append((f"{sample}_{number}", f"r{sample}", sample, kind))
    obs = pd.DataFrame(rows, columns=["cell", "run", "sample", "kind"]).set_index("cell")
    names = [f"G{number}" for number in range(GENES)]
    study = ad.AnnData(sp.csr_matrix(np.array(counts, dtype=np.float32)), obs=obs)
    study.var_names = [f"ENSG{number:04d}" for number in range(GENES)]
    study.var["gene_name"] = names
    study.var["testable"] = [True] * (GENES - 1) + [False]
    return study


@pytest.fixture(scope="module")
def one_thread():
    """Train on one thread: small models are faster so, and the numbers are those of one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def counts() -> ad.AnnData:
    """Cells for small models of scvi-tools."""
    from scvi_models import simulate_counts

    return simulate_counts()


@pytest.fixture(scope="session")
def sides() -> dict:
    """Case l1 to l3 over control h1 to h3."""
    return {"case": SAMPLES[3:], "control": SAMPLES[:3]}


@pytest.fixture(scope="session")
def sum_all():
    """Sum the counts of cells by sample, in the group of all cells and those that are named."""

    def make(cells, groups=None):
        from sum_pseudobulks import sum_groups

        groups = pd.Series("unknown", cells.obs_names) if groups is None else groups
        sums, about = sum_groups([cells.X.tocsr()], groups, cells.obs["sample"], cells.n_vars)
        return ad.AnnData(sums, obs=about, var=cells.var[["gene_name"]])

    return make


@pytest.fixture(scope="session")
def group_design(sum_all, sides):
    """The design of the group of all cells."""

    def make(cells, sides=sides, covariates=None):
        from build_design import design_group

        about, reason = design_group(sum_all(cells), sides, covariates or {}, 10)
        assert not reason
        return about

    return make


@pytest.fixture(scope="session")
def report_page(tmp_path_factory) -> str:
    """The report of a small study of three branches, two of which test."""
    from report_study import write_study

    from latere.report.page import build_page

    return build_page(*write_study(tmp_path_factory.mktemp("report")), "0123abc")


def _reverse_complement(sequence: str) -> str:
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


@pytest.fixture(scope="session")
def library(tmp_path_factory) -> SimpleNamespace:
    """Reads of a 10x v2 library whose truth is known, for a real STAR.

    `index`, `whitelist`, `barcode` and `cdna` are files; `antisense` is the cDNA file as a 5' kit
    would give it. 20 cells have 300 molecules each of 120 genes of both strands; each molecule is
    read once. `molecules` are the counts, by barcode and gene. 40 droplets have one molecule.
    """
    folder, draw = tmp_path_factory.mktemp("library"), random.Random(3)
    genes = {f"G{at}": "".join(draw.choices("ACGT", k=400)) for at in range(120)}
    strands = {gene: draw.choice("+-") for gene in genes}
    sequence, exons = "", []
    for gene, bases in genes.items():
        sequence += "".join(draw.choices("ACGT", k=100))
        about = f'gene_id "{gene}"; transcript_id "{gene}.t"; gene_name "N{gene}";'
        place = ("chr1", "t", "exon", len(sequence) + 1, len(sequence) + 400, ".", strands[gene])
        exons.append("\t".join(map(str, [*place, ".", about])))
        sequence += bases if strands[gene] == "+" else _reverse_complement(bases)
    (folder / "genome.fa").write_text(f">chr1\n{sequence}\n")
    (folder / "genes.gtf").write_text("\n".join(exons) + "\n")
    words = ["--genomeFastaFiles", folder / "genome.fa", "--sjdbGTFfile", folder / "genes.gtf"]
    words += ["--genomeSAindexNbases", "6", "--sjdbOverhang", "59", "--genomeDir", folder / "index"]
    words += ["--outFileNamePrefix", f"{folder}/"]
    subprocess.run(["STAR", "--runMode", "genomeGenerate", *words], check=True, capture_output=True)
    barcodes = ["".join(draw.choices("ACGT", k=16)) for _ in range(60)]
    (folder / "list.txt").write_text("\n".join(barcodes) + "\n")
    molecules, lines = Counter(), {"barcode": [], "cdna": [], "antisense": []}
    for number, barcode in enumerate(300 * barcodes[:20] + barcodes[20:]):
        gene, start = draw.choice(list(genes)), draw.randrange(340)
        molecules[barcode, gene] += 1
        cdna = genes[gene][start : start + 60]
        reads = {"barcode": barcode + "".join(draw.choices("ACGT", k=10)), "cdna": cdna}
        for name, read in (reads | {"antisense": _reverse_complement(cdna)}).items():
            lines[name] += [f"@r{number}", read, "+", "I" * len(read)]
    files = {name: folder / f"{name}.fastq" for name in lines}
    for name, file in files.items():
        file.write_text("\n".join(lines[name]) + "\n")
    more = {"index": folder / "index", "whitelist": folder / "list.txt", "molecules": molecules}
    return SimpleNamespace(**files, **more)


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> SimpleNamespace:
    """Names that a shell would read as commands, and tools as options.

    `split` writes a file of reads as lanes with such names, relative to the working directory, and
    gives the names; `folder` is a folder of such a name. `mark` exists once one of the commands
    ran.
    """
    mark = tmp_path / "ran"
    monkeypatch.setenv("MARK", str(mark))
    monkeypatch.chdir(tmp_path)
    forms = ["-{}", "two  words {}", "$(touch $MARK){}", "`touch $MARK`{}", "a;touch $MARK;{}"]
    forms += ['it\'s "{}"', "{} > $MARK", "{}|touch $MARK", "*{}\n"]

    def split(source, role):
        lines = source.read_text().splitlines(keepends=True)
        size = 4 * -(-len(lines) // 4 // len(forms))
        names = [form.format(f"{role}.fastq") for form in forms]
        for at, name in enumerate(names):
            Path(name).write_text("".join(lines[at * size : (at + 1) * size]), encoding="utf-8")
        return names

    folder = tmp_path / "$(touch $MARK) `touch $MARK`; touch $MARK"
    folder.mkdir()
    return SimpleNamespace(split=split, folder=folder, mark=mark)


@pytest.fixture
def failing_gzip(tmp_path, monkeypatch):
    """Put a gzip on the PATH that ends with an error after some reads of some files."""

    def make(pattern, reads):
        script = tmp_path / "bin/gzip"
        script.parent.mkdir()
        script.write_text(
            f"""#!/bin/bash
case "${{@: -1}}" in
{pattern}) {shutil.which("gzip")} "$@" | head -n {4 * reads}; exit 1;;
*) exec {shutil.which("gzip")} "$@";;
esac
"""
        )
        script.chmod(0o755)
        monkeypatch.setenv("PATH", str(script.parent), prepend=os.pathsep)

    return make


@pytest.fixture(scope="session")
def real_index(real, tmp_path_factory):
    """An index of the real mini reference."""
    folder, genes = tmp_path_factory.mktemp("real_index"), real / "ref_chr21/chr21_genes"
    words = ["--genomeFastaFiles", f"{genes}.fa", "--sjdbGTFfile", f"{genes}.gtf"]
    words += ["--genomeSAindexNbases", "9", "--genomeChrBinNbits", "11", "--sjdbOverhang", "97"]
    words += ["--genomeDir", folder, "--outFileNamePrefix", f"{folder}/"]
    subprocess.run(["STAR", "--runMode", "genomeGenerate", *words], check=True, capture_output=True)
    return folder


@pytest.fixture
def touch(tmp_path):
    """Make files below a folder, which is returned."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.fixture
def write_cells(tmp_path):
    """Write an .h5ad of six cells and four genes."""

    def write(obs=None, var=None, x=None, **parts):
        if not isinstance(obs, pd.DataFrame):
            barcodes = [f"{code}AAACCTGAGAAACC-1" for code in ("AA", "AC", "AG", "AT", "CA", "CC")]
            obs = pd.DataFrame(obs or {}, index=barcodes)
        var = pd.DataFrame(index=["GAPDH", "CD3E", "RPS6", "MT-CO1"]) if var is None else var
        x = sp.csr_matrix(np.ones((len(obs), len(var)), np.float32)) if x is None else x
        path = tmp_path / "matrix.h5ad"
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return str(path)

    return write


@pytest.fixture
def write_10x(tmp_path):
    """Write a 10x folder, as CellRanger 3 and later do or, if old, as version 2."""

    def write(
        name, counts=COUNTS, barcodes=BARCODES, old=False, ids=IDS, types=GENE_TYPE, prefix=""
    ):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        mmwrite(folder / f"{prefix}matrix.mtx", sp.coo_matrix(counts.T.astype(int)))
        genes = pd.DataFrame({"id": ids, "name": NAMES})
        if not old:
            genes["type"] = types
        table = folder / f"{prefix}{'genes' if old else 'features'}.tsv"
        genes.to_csv(table, sep="\t", header=False, index=False)
        codes = "".join(f"{code}\n" for code in barcodes)
        (folder / f"{prefix}barcodes.tsv").write_text(codes)
        if not old:
            for file in list(folder.iterdir()):
                pack(file)
        return folder

    return write


@pytest.fixture
def write_h5(tmp_path):
    def write(counts=INTEGERS, types=(GENE_TYPE,) * 4, name="matrix", old=False):
        path = tmp_path / "matrix.h5"
        matrix = sp.csc_matrix(counts.T)
        with h5py.File(path, "w") as file:
            group = file.create_group(name)
            group["barcodes"] = np.array([f"{code}-1" for code in BARCODES], dtype="S")
            group["data"], group["indices"] = matrix.data, matrix.indices
            group["indptr"], group["shape"] = matrix.indptr, np.array(matrix.shape)
            table = group if old else group.create_group("features")
            table["genes" if old else "id"] = np.array(IDS, dtype="S")
            table["gene_names" if old else "name"] = np.array(NAMES, dtype="S")
            if not old:
                table["feature_type"] = np.array(types, dtype="S")
        return path

    return write


@pytest.fixture
def write_h5ad(tmp_path):
    def write(x=COUNTS, barcodes=BARCODES, var=None, **parts):
        var = pd.DataFrame(index=IDS) if var is None else var
        path = tmp_path / "matrix.h5ad"
        obs = pd.DataFrame({"patient": ["p1", "p2", "p1"]}, index=barcodes)
        ad.AnnData(x, obs=obs, var=var, **parts).write_h5ad(path)
        return path

    return write
