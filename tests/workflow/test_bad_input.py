"""Bad input on the command line: one clear message, exit code 1 and no traceback.

The many are tried in one process, in tests/unit/test_bad_inputs.py; here is that Snakemake ends as
the functions do, and that what it reads before the workflow is checked before, too.
"""

import os
import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import yaml


def sheet(**changes):
    """Four valid runs, the first with changes, as a sheet."""
    header = ["run", "sample", "matrix", "split", "subset", "condition"]
    rows = [
        {"run": f"r{n}", "sample": f"s{n}", "matrix": f"m{n}.h5ad"}
        | {"condition": "case" if n < 3 else "control"}
        | (changes if n == 1 else {})
        for n in (1, 2, 3, 4)
    ]
    return "".join(
        "\t".join(cells) + "\n"
        for cells in [header, *([row.get(name, "") for name in header] for row in rows)]
    )


def base():
    """A valid configuration."""
    contrast = {"column": "condition", "case": "case", "control": "control"}
    return {"study": "bad", "samples": "samples.tsv", "contrasts": {"c": contrast}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, copy_project):
    project = copy_project(tmp_path_factory.mktemp("bad_input"))
    obs = pd.DataFrame({"part": list("0123")}, index=list("abcd"))
    var = pd.DataFrame(index=["GAPDH", "CD3E", "RPS6", "MT-CO1"])
    for number in range(1, 5):
        matrix = ad.AnnData(np.eye(4, dtype=np.float32), obs=obs, var=var)
        matrix.write_h5ad(project / f"m{number}.h5ad")
    return project


@pytest.fixture
def dry_run(folder, snakemake):
    def call(config, text, *words):
        (folder / "study.yaml").write_text(yaml.safe_dump(config))
        (folder / "samples.tsv").write_text(text)
        words = words or ("--configfile", "study.yaml")
        return snakemake(folder, "-n", "--quiet", "all", *words, timeout=120)

    return call


def said_by(result):
    """What a call said that had to fail, without Snakemake's line on its profiles."""
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "Traceback" not in said and "usage:" not in said
    lines = [line for line in said.splitlines() if not line.startswith("Using ")]
    assert len(lines) <= 2, said
    return said


# Options, what is written to `odd.yaml` (a function makes something else of it), and the message.
CONFIGURATIONS = {
    "missing": (["--configfile", "no.yaml"], None, "no.yaml: does not exist [missing-file]"),
    "folder": (["--configfile=config"], None, "config: is a folder, not a file [not-a-file]"),
    "pipe": (
        ["--configfile", "pipe"],
        os.mkfifo,
        "pipe: is a pipe (FIFO), not a file [not-a-file]",
    ),
    "key twice": (
        ["--configfiles", "odd.yaml"],
        b"seed: 1\ncontrasts:\n  c: {case: a, case: b}\n",
        "row 3: key 'contrasts.c.case': the key appears twice, first in row 3 [duplicated-key]",
    ),
    "second of two": (
        ["--configfile", "study.yaml", "odd.yaml"],
        b"seed: 1\nseed: 2\n",
        "odd.yaml, row 2: key 'seed'",
    ),
    "of SLURM": (
        ["--profile", "slurm", "--configfile", "odd.yaml"],
        b"study:\n\tx: 1\n",
        "odd.yaml, row 2: is indented with a tab [indented-with-tab]",
    ),
    "not UTF-8": (["--configfile", "odd.yaml"], b"a: \xe9\n", "odd.yaml, row 1: is not UTF-8"),
    "alias of itself": (["--configfile", "odd.yaml"], b"a: &a [*a]\n", "odd.yaml, row 1"),
    "code": (
        ["--configfile", "odd.yaml"],
        b"__use_yte__: true\nx: ?open('ran', 'w')\n",
        "odd.yaml, row 1: key '__use_yte__'",
    ),
    "without a profile": (
        ["--workflow-profile", "none", "--configfile", "odd.yaml"],
        b"seed: 1\nseed: 2\n",
        "odd.yaml, row 2: key 'seed'",
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_configuration_is_checked_before_snakemake_reads_it(case, folder, dry_run):
    words, content, message = CONFIGURATIONS[case]
    if callable(content):
        content(folder / words[-1])
    elif content:
        (folder / "odd.yaml").write_bytes(content)
    assert message in said_by(dry_run(base(), sheet(), *words))
    assert not (folder / "ran").exists()


def test_a_sheet_and_a_key_are_reported(dry_run):
    said = said_by(dry_run(base(), sheet(matrix="no.h5ad")))
    assert "samples.tsv, row 2 (run r1): 'no.h5ad' does not exist [missing-file]" in said
    assert "'seed'" in said_by(dry_run(base() | {"sed": 1}, sheet()))


def test_pipe_as_a_sheet_does_not_wait(folder, dry_run):
    os.mkfifo(folder / "sheet.pipe")
    said = said_by(dry_run(base() | {"samples": "sheet.pipe"}, ""))
    assert "sheet.pipe: is a pipe (FIFO), not a file [not-a-file]" in said


def test_valid_input_passes(dry_run):
    """The base of all cases is valid, so each case fails for its own reason."""
    for words in ((), ("--configfile", "study.yaml", "--config", "seed=5")):
        result = dry_run(base(), sheet(), *words)
        assert result.returncode == 0, result.stderr


def test_one_row_gives_the_runs_of_a_matrix(dry_run, folder, snakemake):
    conditions = pd.Categorical(["case", "case", "control", "control"])
    adata = ad.read_h5ad(folder / "m1.h5ad")
    adata.obs["condition"] = conditions
    adata.write_h5ad(folder / "atlas.h5ad")
    text = "run\tsample\tmatrix\tsplit\n\t\tatlas.h5ad\tpart\n"
    result = dry_run(base(), text)
    assert result.returncode == 0, result.stderr
    jobs = snakemake(folder, "-n", "--configfile", "study.yaml").stdout
    assert re.search(r"^load_counts +4$", jobs, re.MULTILINE)
