"""From a release or files to a STAR index that studies share, with STAR itself."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.tools("STAR")]

SHEET = "run\tsample\tchemistry\tsra\nr\ts\t10xv2\tSRR1\n"


@pytest.fixture(scope="module")
def project(copy_project, tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("references"))
    (folder / "samples.tsv").write_text(SHEET)
    return folder


@pytest.fixture(scope="module")
def make(project, snakemake):
    """Make files of a study of its own name and reference; give its folder and what was said."""

    def call(study, reference, *targets):
        config = {"study": study, "samples": "samples.tsv", "reference": reference}
        (project / f"{study}.yaml").write_text(json.dumps(config))
        files = [f"results/{study}/{target}" for target in targets]
        done = snakemake(project, "--configfile", f"{study}.yaml", "--cores", "2", "--", *files)
        return project / "results" / study, done

    return call


@pytest.fixture(scope="module")
def local(real):
    genes = real / "ref_chr21/chr21_genes"
    return {"fasta": f"{genes}.fa", "gtf": f"{genes}.gtf"}


@pytest.fixture(scope="module")
def first(make, local):
    results, done = make("first", local, "reference/star_index")
    assert done.returncode == 0, done.stdout + done.stderr
    return results


def index_log(results):
    return (results / "logs/star_index/star_index.log").read_text()


def test_a_second_study_builds_no_index(first, make, project, local, tmp_path):
    packed = {key: str(tmp_path / f"{key}.gz") for key in local}
    for key, path in packed.items():
        with open(local[key], "rb") as source, gzip.open(path, "wb") as target:
            shutil.copyfileobj(source, target)
    second, done = make("second", packed, "reference/star_index")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "STAR --runMode genomeGenerate" in index_log(first)
    assert "STAR --runMode" not in index_log(second) and "built before" in index_log(second)
    names = {path.name for path in (first / "reference/star_index").iterdir()}
    assert names >= {"Genome", "SA", "SAindex", "geneInfo.tab", "genomeParameters.txt"}
    entry = [path for path in (project / "resources/star_index").iterdir() if path.is_dir()]
    assert len(entry) == 1
    for name in names - {".snakemake_timestamp"}:
        assert (second / "reference/star_index" / name).samefile(entry[0] / name)


def test_an_index_outlives_the_cache(first, project):
    size = (first / "reference/star_index/SA").stat().st_size
    os.rename(project / "resources", project / "gone")
    assert (first / "reference/star_index/SA").stat().st_size == size
    os.rename(project / "gone", project / "resources")


def test_other_genes_are_another_index(first, make, project, local):
    results, done = make("genes", local | {"filter_biotypes": True}, "reference/star_index")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "STAR --runMode genomeGenerate" in index_log(results)
    genes = (results / "reference/star_index/geneInfo.tab").read_text().splitlines()
    kept = [
        line
        for line in Path(local["gtf"]).read_text(encoding="utf-8").splitlines()
        if "\tgene\t" in line
    ]
    kept = [line for line in kept if 'gene_biotype "protein_coding"' in line or '"lncRNA"' in line]
    about = json.loads((results / "reference/reference.json").read_text())
    assert int(genes[0]) == len(genes) - 1 == about["genes"] == len(kept) < 691
    rows = (results / "reference/biotypes.tsv").read_text().splitlines()[1:]
    assert sum(int(row.split("\t")[2]) for row in rows) == 691


def test_an_index_that_was_cut_off_is_built_anew(first, make, project, local):
    """A job that was killed leaves a part, which nobody takes for an index."""
    entry = next(path for path in (project / "resources/star_index").iterdir() if path.is_dir())
    part = entry.with_name(f"{entry.name}.part-x")
    entry.rename(part)
    (part / "SA").unlink()
    shutil.rmtree(first / "reference/star_index")
    results, done = make("first", local, "reference/star_index")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "STAR --runMode genomeGenerate" in index_log(results)
    assert entry.is_dir() and not part.exists()


@pytest.fixture(scope="module")
def publisher(local, project, tmp_path_factory):
    """A server on this machine that publishes the mini reference, as two named releases."""
    folder = tmp_path_factory.mktemp("publisher")
    listings = {"MD5SUMS": [], "CHECKSUMS": []}
    for key, path in local.items():
        packed = folder / f"{key}.gz"
        with open(path, "rb") as source, gzip.open(packed, "wb") as target:
            shutil.copyfileobj(source, target)
        listings["MD5SUMS"].append(f"{hashlib.md5(packed.read_bytes()).hexdigest()}  {key}.gz")
        summed = subprocess.run(["sum", packed], capture_output=True, text=True, check=True)
        listings["CHECKSUMS"].append(" ".join([*summed.stdout.split()[:2], f"{key}.gz"]))
    for name, lines in listings.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with open(project / "config/references.tsv", "a", encoding="utf-8") as table:
            for name in listings:
                row = [name, "", "", f"{url}/fasta.gz", f"{url}/gtf.gz", name, "", ""]
                table.write("\t".join(row) + "\n")
        yield folder
        server.shutdown()


def test_a_release_is_fetched_checked_and_filtered(publisher, make, project, first):
    results, done = make("release", {"release": "MD5SUMS"}, "reference/genes.gtf.gz")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds = {"release": "md5"}
    # What is there is used by the next study, and by the same one when its results are gone.
    (publisher / "fasta.gz").rename(publisher / "away.gz")
    shared = list((project / "resources/downloads").rglob("*.gz"))
    times = [path.stat().st_mtime_ns for path in shared]
    again, done = make("again", {"release": "CHECKSUMS"}, "reference/genes.gtf.gz")
    # Else the first study would begin anew.
    assert len(times) == 2 and times == [path.stat().st_mtime_ns for path in shared]
    assert done.returncode == 0, done.stdout + done.stderr
    (publisher / "away.gz").rename(publisher / "fasta.gz")
    shutil.rmtree(project / "resources/downloads")
    other, done = make("other", {"release": "CHECKSUMS"}, "reference/genes.gtf.gz")
    assert done.returncode == 0, done.stdout + done.stderr
    kinds["other"] = "sum"
    for study, kind in kinds.items():
        logs = sorted((project / "results" / study / "logs/download").rglob("*.log"))
        assert [log.stem for log in logs] == ["fasta.gz", "gtf.gz"]
        assert all(f"INFO {kind} " in log.read_text() for log in logs)
    for study in (again, other):
        made, expected = study / "reference/genes.gtf.gz", results / "reference/genes.gtf.gz"
        assert made.read_bytes() == expected.read_bytes()


def test_a_damaged_download_is_refused(publisher, make, project):
    """As long as published, with a byte exchanged."""
    shutil.rmtree(project / "resources/downloads", ignore_errors=True)
    content = bytearray((publisher / "gtf.gz").read_bytes())
    content[-10] ^= 1
    (publisher / "gtf.gz").write_bytes(content)
    script = project / "scripts/download.py"
    script.write_text(script.read_text().replace("PAUSE = 10", "PAUSE = 0"))
    results, done = make("damaged", {"release": "MD5SUMS"}, "reference/genes.gtf.gz")
    log = next((results / "logs/download").rglob("gtf.gz.log")).read_text()
    assert done.returncode == 1 and "md5 checksum" in log and "Traceback" not in log
    assert not list((project / "resources/downloads").rglob("gtf.gz"))
    assert not (results / "reference").exists()


def test_an_annotation_of_another_genome_is_refused(make, local, tmp_path):
    gtf = tmp_path / "genes.gtf"
    gtf.write_text(
        Path(local["gtf"])
        .read_text(encoding="utf-8")
        .replace("ENST", "chrENST")
        .replace('"chr', '"')
    )
    results, done = make("unlike", local | {"gtf": str(gtf)}, "reference/star_index")
    log = (results / "logs/filter_annotation/filter_annotation.log").read_text()
    told = "691 of its 691 exons lie on contigs (chrENST00000442448, "
    assert done.returncode == 1 and told in log and "do not match" in log
    assert "Traceback" not in log and told in done.stdout + done.stderr
    assert not (results / "reference/star_index").exists()
