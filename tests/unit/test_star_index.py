"""Parameters of the STAR index, its key, and how studies share it."""

import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from latere.cache import exclusive, link, point, workshop
from star_index import build, index_key, index_parameters

SCRIPTS = str(Path(__file__).resolve().parents[2] / "scripts")


@pytest.mark.parametrize(
    ("length", "contigs", "bases", "bits"),
    [
        (3_100_000_000, 194, 14, 18),  # human: STAR's defaults
        (1_310_000, 691, 9, 11),
        (100_000, 5_000, 7, 7),  # contigs shorter than a read
    ],
)
def test_parameters_follow_the_genome(length, contigs, bases, bits):
    found = index_parameters(length, contigs)
    assert found["--genomeSAindexNbases"] == bases
    assert found["--genomeChrBinNbits"] == bits


def test_key_is_what_made_the_index():
    about = {"genome_sha256": "g", "annotation_sha256": "a", "genes": 1}
    made = [
        index_key(about, {"x": 1}, "2.7.10b"),
        index_key(about | {"genome_sha256": "h"}, {"x": 1}, "2.7.10b"),
        index_key(about | {"annotation_sha256": "b"}, {"x": 1}, "2.7.10b"),
        index_key(about, {"x": 2}, "2.7.10b"),
        index_key(about, {"x": 1}, "2.7.11b"),
    ]
    assert len(set(made)) == len(made)
    assert index_key(about | {"genes": 2}, {"x": 1}, "2.7.10b") == made[0]


@pytest.mark.tools("STAR")
def test_an_index_in_a_folder_of_any_name(hostile, tmp_path):
    folder = hostile.folder / 'of "us" two'
    folder.mkdir()
    draw = random.Random(1)
    sequence = "".join(draw.choices("ACGT", k=5000))
    Path("genome.fa").write_text(f">1\n{sequence}\n", encoding="utf-8")
    about = 'gene_id "g"; transcript_id "t";'
    Path("genes.gtf").write_text(f"1\tx\texon\t101\t900\t.\t+\t.\t{about}\n", encoding="utf-8")
    build("genome.fa", "genes.gtf", {"--genomeSAindexNbases": 5}, folder, 1, 2_000_000_000)
    assert (folder / "SA").stat().st_size > 5000
    # Nothing in it names a place of this machine.
    assert str(tmp_path) not in (folder / "genomeParameters.txt").read_text()
    assert not list(folder.glob("unpacked*")) and not hostile.mark.exists()


def test_an_index_is_made_by_one_job_at_a_time(tmp_path):
    entry = tmp_path / "star_index" / "key"
    script = "from latere.cache import exclusive\nfrom pathlib import Path\nimport sys\n"
    script += f"with exclusive(Path({str(entry)!r})):\n    print('mine', flush=True)"
    words = [sys.executable, "-c", script]
    options = {"stdout": subprocess.PIPE, "text": True, "env": os.environ | {"PYTHONPATH": SCRIPTS}}
    with exclusive(entry):
        other = subprocess.Popen(words, **options)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    assert other.communicate(timeout=20)[0] == "mine\n"


def test_what_is_there_takes_no_lock(tmp_path):
    """It may lie where we cannot write to."""
    (tmp_path / "SRR1.sra").touch()
    with exclusive(tmp_path / "SRR1.sra"):
        assert [path.name for path in tmp_path.iterdir()] == ["SRR1.sra"]


def test_what_a_killed_job_left_goes(tmp_path):
    entry = tmp_path / "genome.fa"
    with exclusive(entry):
        left = Path(workshop(entry).name)
        left.mkdir(exist_ok=True)
        (left / "half").touch()
    with exclusive(entry):
        assert not left.exists()


def test_a_shared_file_that_is_pointed_to_keeps_its_time(tmp_path):
    """Snakemake touches what a rule made, and other studies made theirs of the same file."""
    shared, path = tmp_path / "shared", tmp_path / "path"
    shared.touch()
    os.utime(shared, (1, 1))
    for _ in range(2):
        point(path, shared)
        os.utime(path, follow_symlinks=False)
    assert path.samefile(shared) and shared.stat().st_mtime == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_study_gets_links_to_the_shared_file(tmp_path, monkeypatch):
    shared, hard, soft = tmp_path / "shared", tmp_path / "a" / "hard", tmp_path / "a" / "soft"
    shared.write_text("index")
    link(shared, hard)

    def across(*_):
        raise OSError(errno.EXDEV, "")

    monkeypatch.setattr(os, "link", across)
    link(shared, soft)
    link(shared, soft)
    assert hard.samefile(shared) and not hard.is_symlink()
    assert soft.is_symlink() and soft.read_text() == "index"
