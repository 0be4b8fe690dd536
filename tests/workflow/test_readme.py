"""What the README tells a new user to write and to call works as it is written there."""

import gzip
import re
import shlex

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.io import mmwrite
from scipy.sparse import csr_matrix

COUNTS = np.arange(1, 25, dtype=np.float32).reshape(6, 4)  # cells x genes


def blocks(root, language):
    """The README's code blocks of a language, without the indent of a list."""
    found = re.findall(
        rf"^( *)```{language}\n(.*?)^ *```", (root / "README.md").read_text(), re.M | re.S
    )
    return [re.sub(f"^{indent}", "", text, flags=re.M) for indent, text in found]


def rows(text):
    """Rows of a sheet by column."""
    header, *lines = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, line, strict=True)) for line in lines]


def calls(root, word):
    """The README's calls of Snakemake in the block of commands that holds a word."""
    (block,) = [block for block in blocks(root, "bash") if word in block]
    lines = [line.partition("#")[0] for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("snakemake")]


def dry(words):
    """The same call, but for jobs; `plan` runs none but itself."""
    return words if {"-n", "plan"} & set(words) else ["-n", *words]


def write_10x(folder):
    """A 10x folder as CellRanger writes it."""
    folder.mkdir(parents=True)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        mmwrite(file, csr_matrix(COUNTS.T.astype(int)))
    genes = [f"ENSG0000000000{n}\tGENE{n}\tGene Expression\n" for n in range(COUNTS.shape[1])]
    barcodes = [f"{'ACGT'[n % 4] * (16 - n)}{'A' * n}-1\n" for n in range(len(COUNTS))]
    for name, lines in (("features", genes), ("barcodes", barcodes)):
        with gzip.open(folder / f"{name}.tsv.gz", "wt") as file:
            file.writelines(lines)


@pytest.fixture(scope="module")
def project(root, copy_project, tmp_path_factory):
    """A clone with the README's configuration and the files that its sheets name."""
    folder = copy_project(tmp_path_factory.mktemp("readme"))
    (configuration,) = blocks(root, "yaml")
    (folder / "my.yaml").write_text(configuration)
    sheet, split = blocks(root, "tsv")
    for row in rows(sheet):
        write_10x(folder / row["matrix"])
    (row,) = rows(split)
    obs = pd.DataFrame({row["split"]: list("aabcdd"), row["sample"]: list("112344")})
    obs["condition"] = obs[row["sample"]].isin(["1", "2"]).map({True: "control", False: "treated"})
    obs.index = [f"cell{n}" for n in range(len(obs))]
    var = pd.DataFrame(index=[f"GENE{n}" for n in range(COUNTS.shape[1])])
    ad.AnnData(csr_matrix(COUNTS), obs=obs, var=var).write_h5ad(folder / row["matrix"])
    return folder


@pytest.fixture
def call(project, snakemake):
    """A call that has to work; its jobs by rule."""

    def run(words):
        done = snakemake(project, *words)
        assert done.returncode == 0, done.stderr[-3000:]
        return dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.M)), done.stdout

    return run


def test_own_study(root, project, call):
    (project / "my.tsv").write_text(blocks(root, "tsv")[0])
    first, *others = calls(root, "my.yaml")
    jobs, _ = call(dry(first))
    assert jobs["load_counts"] == "4" and jobs["edger_de"] == jobs["train_scvi"] == "1"
    for words in others:
        jobs, said = call(dry(words))
        assert jobs.get("load_counts") == "4" or "core-hours" in said


def test_split(root, project, call):
    """Four runs of four samples, whose condition comes from the file."""
    (project / "my.tsv").write_text(blocks(root, "tsv")[1])
    jobs, _ = call(dry(calls(root, "my.yaml")[0]))
    assert jobs["load_counts"] == "4" and jobs["edger_de"] == "1"


def test_calls_on_slurm(root, call):
    for words in calls(root, "--profile slurm"):
        jobs, said = call(dry(words))
        assert jobs.get("starsolo") == "12" or "core-hours" in said


def test_length(root):
    assert len((root / "README.md").read_text().split()) <= 700


def test_targets(root):
    named = set(re.findall(r"^make (\w+)", "".join(blocks(root, "bash")), re.M))
    known = re.findall(r"^(\w+):", (root / "Makefile").read_text(), re.M)
    assert {"demo", "test", "site"} <= named <= set(known)
