"""Downloads as Snakemake runs them: shared by studies, few at once, taken up by the next run."""

import os
import re
import subprocess
import sys
import threading
import time
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.tools("prefetch", "vdb-validate")
GENOME = {"fasta": "https://localhost/genome.fa", "gtf": "https://localhost/genes.gtf"}


@pytest.fixture
def project(tmp_path, copy_project):
    return copy_project(tmp_path)


@pytest.fixture
def words(project):
    """Snakemake's words for files of a new study of five runs from the SRA."""
    rows = [f"r{number}\ts{number}\t10xv2\tSRR{number}" for number in range(1, 6)]
    (project / "sheet.tsv").write_text("\n".join(["run\tsample\tchemistry\tsra", *rows]) + "\n")

    def tell(study, *files, **reads):
        config = {"study": study, "samples": "sheet.tsv", "reference": GENOME, "reads": reads}
        (project / f"{study}.yaml").write_text(yaml.safe_dump(config))
        made = [f"results/{study}/{file}" for file in files]
        return ["--configfile", f"{study}.yaml", "--cores", "8", *made]

    return tell


@pytest.fixture
def call(project, snakemake):
    """Run Snakemake and give what it tells."""

    def run(*words):
        done = snakemake(project, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def begin(project):
    """Start Snakemake and go on."""
    tools = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"

    def start(*words):
        command = [sys.executable, "-m", "snakemake", *words]
        return subprocess.Popen(command, cwd=project, env={**os.environ, "PATH": tools})

    return start


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def test_four_at_once_and_never_twice(project, sra, words, call, begin):
    accessions = [f"SRR{number}" for number in range(1, 6)]
    links = [f"sra/{accession}.sra" for accession in accessions]
    sra.gate.clear()
    with begin(*words("one", *links)) as running:
        wait_until(lambda: sra.most_at_once >= 4)
        time.sleep(2)  # for a fifth to begin
        sra.gate.set()
    assert running.returncode == 0 and sra.most_at_once == 4
    assert sorted(sra.asked) == [(accession, 0) for accession in accessions]
    for accession in accessions:
        shared = project / f"resources/sra/{accession}.sra"
        assert shared.read_bytes() == sra.content
        assert (project / f"results/one/sra/{accession}.sra").resolve() == shared

    # Other code, another study, another choice of what is kept: the archives are used as they are.
    with open(project / "scripts/prefetch.py", "a", encoding="utf-8") as script:
        script.write("\nprint('edited')\n")
    assert "Nothing to be done" in call("-n", *words("one", *links))
    call(*words("two", links[1], keep_archives=False))
    # An archive that somebody removed, which nothing needs any more.
    call(*words("one", "reads/r3", keep_fastq=True))
    (project / "resources/sra/SRR3.sra").unlink()
    assert "Nothing to be done" in call("-n", *words("one", "reads/r3", keep_fastq=True))
    assert len(sra.asked) == 5 and (project / "results/two/sra/SRR2.sra").is_symlink()


def test_snakemake_is_killed_and_the_next_run_downloads(project, sra, words, call, begin):
    """Its job ends with it, and so does the prefetch that holds the lock of the archive."""
    asked = words("one", "sra/SRR1.sra")
    sra.gate.clear()
    with begin(*asked) as killed:
        wait_until(lambda: sra.asked)
        killed.kill()
    call("--unlock", *asked[:2])
    with begin(*asked) as following:
        try:
            wait_until(lambda: len(sra.asked) == 2)
        finally:
            sra.gate.set()
    assert following.returncode == 0
    assert sra.asked == [("SRR1", 0), ("SRR1", 0)]
    assert (project / "results/one/sra/SRR1.sra").read_bytes() == sra.content


def test_what_is_kept_of_archives_and_reads(project, sra, words, call):
    """Never what another study may want, and never an archive of the user's own."""
    removed = re.compile(r"Would remove temporary output (\S+)")
    found = call("-n", *words("one", "roles/r1.json"))
    assert removed.findall(found) == ["results/one/reads/r1"]
    found = call("-n", *words("two", "roles/r1.json", keep_archives=False, keep_fastq=True))
    assert removed.findall(found) == ["results/two/sra/SRR1.sra"]
    (project / "own.sra").write_bytes(sra.content)
    (project / "sheet.tsv").write_text("run\tsample\tchemistry\tsra\nr1\ts1\t10xv2\town.sra\n")
    assert removed.findall(call("-n", *words("three", "reads/r1", keep_archives=False))) == []


def test_an_archive_that_is_not_kept_lies_with_its_study(project, sra, words, call):
    call(*words("one", "reads/r1", keep_archives=False))
    assert sra.asked == [("SRR1", 0)]
    assert list(project.glob("**/*.sra")) == []
    assert len(list(project.glob("results/one/reads/r1/*.fastq.gz"))) == 3


@pytest.fixture
def guarded(tmp_path):
    """A server that gives a matrix to who has the signature in the query, or the login.

    Returns
    -------
    tuple
        Its URL; and the permissions of each file of the project that held a secret at the time.
    """
    seen, file = [], tmp_path / "matrix.h5ad"
    genes = pd.DataFrame(index=["GAPDH", "CD3E", "RPS6", "MT-CO1"])
    ad.AnnData(np.arange(1, 13, dtype=np.float32).reshape(3, 4), var=genes).write_h5ad(file)
    login = f"Basic {b64encode(b'me:PASSWORD123').decode()}"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.extend(path.stat().st_mode & 0o777 for path in holding(tmp_path, "SECRET123"))
            if "SECRET123" not in self.path and self.headers["Authorization"] != login:
                self.send_error(401)
                return
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *words):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()


def holding(folder, secret):
    """Files that hold a secret or are named by it, but those in which the user wrote it."""
    own = {folder / "sheet.tsv", folder / "netrc"}
    return [
        path
        for path in folder.rglob("*")
        if secret in str(path)
        or (path.is_file() and path not in own and secret.encode() in path.read_bytes())
    ]


def test_signatures_and_passwords_are_left_nowhere(project, guarded, call, words, monkeypatch):
    url, seen = guarded
    (project / "netrc").write_text("machine 127.0.0.1 login me password PASSWORD123\n")
    monkeypatch.setenv("NETRC", str(project / "netrc"))
    asked = words("one", "counts/r1.h5ad", "counts/r2.h5ad")
    runs = [("r1", f"{url}/$(touch;id)/a.h5ad?X-Amz-Signature=SECRET123"), ("r2", f"{url}/b.h5ad")]
    rows = [f"{run}\ts_{run}\t{matrix}" for run, matrix in runs]
    (project / "sheet.tsv").write_text("\n".join(["run\tsample\tmatrix", *rows]) + "\n")
    told = call(*asked) + call("-n", "--forceall", *asked)
    # The record of the matrix says by what it would be made again.
    (project / "resources").rename(project / "gone")
    told += call("-n", *asked)
    assert "a.h5ad" in told and (project / "results/one/counts/r1.h5ad").is_file()
    for secret in ("SECRET123", "PASSWORD123", b64encode(b"me:PASSWORD123").decode()):
        assert secret not in told and holding(project, secret) == []
    # The job itself reads it from a file of its own, for this user alone, as long as it lasts.
    assert seen and set(seen) <= {0o600, 0o700}
