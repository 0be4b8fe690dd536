"""Counting a run on a real STAR: against the truth, with and without a BAM, whole or not at all."""

import gzip
import json
import shutil
import subprocess
from collections import Counter
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import scanpy as sc
from scipy.io import mmread

import starsolo
from latere.errors import StudyError
from latere.job import JobError
from latere.reads.chemistry import Chemistry

pytestmark = pytest.mark.tools("STAR", "pigz", "samtools")

V2 = Chemistry("v2", [(1, 16)], (17, 26), "barcode", "Forward", ["list.txt"])
# As 10x v1: the UMI in a read of its own.
OWN = Chemistry("own", [(1, 16)], (1, 10), "own", "Forward", ["list.txt"])
# A barcode of two parts, each from a list.
PARTS = Chemistry("parts", [(1, 8), (9, 16)], (17, 26), "barcode", "Forward", ["a.txt", "b.txt"])
MATRICES = {
    "Gene": ["matrix"],
    "GeneFull": ["matrix"],
    "Velocyto": ["spliced", "unspliced", "ambiguous"],
}


@pytest.fixture
def count(library, tmp_path, monkeypatch):
    """Run the rule's script; gives the folder of the run."""
    monkeypatch.setattr(starsolo, "start", lambda _: None)

    def call(bam=False, chemistry=V2, tmpdir=tmp_path, **reads):
        files = {"cdna": [library.cdna], "barcode": [library.barcode]} | reads
        roles = {role: list(map(str, lanes)) for role, lanes in files.items()}
        roles["candidates"] = {chemistry.name: asdict(chemistry)}
        (tmp_path / "roles.json").write_text(json.dumps(roles))
        (tmp_path / "checked.json").write_text(json.dumps({"reads": 6040}))
        (tmp_path / "strand.json").write_text(json.dumps({"chemistry": chemistry.name}))
        barcodes = library.whitelist.read_text().split()
        parts = {"a": {code[:8] for code in barcodes}, "b": {code[8:] for code in barcodes}}
        for name, codes in ({"list": barcodes} | parts).items():
            (tmp_path / f"{name}.txt").write_text("\n".join(sorted(codes)) + "\n")
        folder = tmp_path / "counts" / (chemistry.name + "_bam" * bam)
        shutil.rmtree(folder, ignore_errors=True)  # as Snakemake does
        starsolo.main(
            SimpleNamespace(
                input=SimpleNamespace(
                    roles=tmp_path / "roles.json",
                    checked=tmp_path / "checked.json",
                    strand=tmp_path / "strand.json",
                    index=library.index,
                    # In no order, and more than the run's own.
                    whitelists=[tmp_path / f"{name}.txt" for name in ("b", "list", "a")],
                ),
                output=[folder],
                wildcards=SimpleNamespace(run="a"),
                params=SimpleNamespace(bam=bam),
                resources=SimpleNamespace(tmpdir=str(tmpdir), mem_mb=2000),
                threads=2,
            )
        )
        return folder

    return call


def tables(folder):
    """What the tables of counts hold, by their names."""
    files = folder.glob("a.Solo.out/*/*/*.gz")
    return {file.relative_to(folder): gzip.decompress(file.read_bytes()) for file in files}


def test_counts_equal_the_truth_with_and_without_a_bam(count, library):
    folder = count()
    solo = folder / "a.Solo.out"
    for feature, matrices in MATRICES.items():
        for kind in ("raw", "filtered"):
            names = {f"{name}.mtx.gz" for name in matrices} | {"barcodes.tsv.gz", "features.tsv.gz"}
            here = solo / feature / kind
            assert {file.name for file in here.iterdir()} == names
            with gzip.open(here / "features.tsv.gz", "rt") as lines:
                assert next(lines) == "G0\tNG0\tGene Expression\n"
            rows = gzip.decompress((here / "barcodes.tsv.gz").read_bytes()).count(b"\n")
            assert mmread(here / f"{matrices[0]}.mtx.gz").shape == (120, rows)
    # As a reader of CellRanger's folders reads it.
    raw = sc.read_10x_mtx(solo / "Gene/raw", var_names="gene_ids")
    filtered = sc.read_10x_mtx(solo / "GeneFull/filtered", var_names="gene_ids")
    assert (raw.n_obs, filtered.n_vars) == (60, 120)
    found = Counter(molecules(folder))
    lost = library.molecules - found
    assert not found - library.molecules
    # Two molecules of a cell and gene with UMIs one base apart count as one, as in CellRanger.
    assert sum(lost.values()) < 0.005 * sum(library.molecules.values())
    assert not list(folder.glob("*.bam"))

    with_bam = count(bam=True)
    assert tables(with_bam) == tables(folder)
    bam = with_bam / "a.Aligned.sortedByCoord.out.bam"
    view = ["samtools", "view", bam]
    # By the index: a place in the middle.
    reads = subprocess.run([*view, "chr1:30000-30400"], capture_output=True, text=True, check=True)
    places = [int(read.split("\t")[3]) for read in reads.stdout.splitlines()]
    assert places and places == sorted(places)
    everything = subprocess.run(view, capture_output=True, text=True, check=True).stdout
    assert len(everything.splitlines()) == 6040
    tagged = [read for read in everything.splitlines() if "\tCB:Z:" in read and "\tUB:Z:" in read]
    assert len(tagged) > 6000


def molecules(folder):
    """Counts of all barcodes, by barcode and gene."""
    raw = sc.read_10x_mtx(folder / "a.Solo.out/Gene/raw", var_names="gene_ids")
    counts = raw.X.tocoo()
    names = zip(raw.obs_names[counts.row], raw.var_names[counts.col], strict=True)
    return dict(zip(names, counts.data, strict=True))


def cut(source, target, first, last):
    """A part of each read, in a file of its own."""
    lines = source.read_text().splitlines()
    for at in range(1, len(lines), 2):
        lines[at] = lines[at][first - 1 : last]
    target.write_text("\n".join(lines) + "\n")
    return target


def test_counts_are_alike_wherever_barcode_and_umi_lie(count, library, tmp_path):
    expected = molecules(count())
    barcode = cut(library.barcode, tmp_path / "barcode.fastq", 1, 16)
    umi = cut(library.barcode, tmp_path / "umi.fastq", 17, 26)
    assert molecules(count(chemistry=OWN, barcode=[barcode], umi=[umi])) == expected
    in_parts = molecules(count(chemistry=PARTS))
    assert {(code.replace("_", ""), gene): n for (code, gene), n in in_parts.items()} == expected


@pytest.mark.parametrize("chemistry", [V2, OWN], ids=lambda chemistry: chemistry.name)
def test_no_file_name_reaches_a_shell(count, library, hostile, tmp_path, chemistry):
    """Each lane has a hostile name; so has the folder for temporary files."""
    sources = {"cdna": library.cdna, "barcode": library.barcode}
    if chemistry is OWN:
        sources["barcode"] = cut(library.barcode, tmp_path / "barcode.fastq", 1, 16)
        sources["umi"] = cut(library.barcode, tmp_path / "umi.fastq", 17, 26)
    reads = {role: hostile.split(source, role) for role, source in sources.items()}
    found = molecules(count(chemistry=chemistry, tmpdir=hostile.folder, **reads))
    assert sum(found.values()) == pytest.approx(sum(library.molecules.values()), rel=0.005)
    assert not hostile.mark.exists()


@pytest.mark.parametrize("failing", ["*", "*cdna*"])
def test_reads_that_gzip_does_not_give_are_missed(count, tmp_path, failing_gzip, failing):
    failing_gzip(failing, 2000)
    with pytest.raises(StudyError, match=r"run a: .* 2,000 .* 6,040 .*\[reads-not-counted\]"):
        count()


@pytest.mark.parametrize("failing", ["*barcode*", "*umi*"])
def test_umis_that_gzip_does_not_give_are_missed(count, library, tmp_path, failing_gzip, failing):
    barcode = cut(library.barcode, tmp_path / "barcode.fastq", 1, 16)
    umi = cut(library.barcode, tmp_path / "umi.fastq", 17, 26)
    failing_gzip(failing, 2000)
    # STAR itself refuses a cDNA read whose barcode read does not come.
    with pytest.raises(JobError, match="STAR ended with status"):
        count(chemistry=OWN, barcode=[barcode], umi=[umi])


def test_memory_for_sorting_is_what_the_job_has_beside_the_index(tmp_path):
    (tmp_path / "SA").write_bytes(bytes(3_000_000))
    limit = starsolo.bam_options(8000, tmp_path)["--limitBAMsortRAM"]
    assert limit == 8_000_000_000 - 3_000_000
    assert starsolo.bam_options(500, tmp_path)["--limitBAMsortRAM"] == 1_000_000_000
