"""The study as cloned dry-runs whole, with no network and nothing downloaded."""

import re
import shutil
import subprocess
import sys
import warnings


def test_gse132509(tmp_path, copy_project):
    project = copy_project(tmp_path)
    words = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules"]
    # In a network namespace of its own the machine has no network at all.
    alone = ["unshare", "--net"]
    if not shutil.which("unshare") or subprocess.run([*alone, "true"]).returncode:
        warnings.warn("no network namespace here: dry run with the network", stacklevel=1)
        alone = []
    done = subprocess.run([*alone, *words], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.M))
    expected = {
        "prefetch": 12,
        "fasterq_dump": 12,
        "fastqc": 24,
        "starsolo": 12,
        "train_scvi": 1,
        "pseudobulk": 5,
        "edger_de": 5,
        "scvi_de": 5,
        "call_de": 10,
        "compare_branches": 1,
        "report": 1,
    }
    assert {name: int(jobs[name]) for name in expected} == expected
    assert not (project / "results").exists() and not (project / "resources").exists()
