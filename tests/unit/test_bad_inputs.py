"""Hundreds of bad inputs, each ends in one message that names the place and says what to do."""

import json
import os
import re
import resource
import select
import shutil
import signal
import tempfile
import traceback
from collections import Counter
from functools import cache
from pathlib import Path

import anndata  # noqa: F401  children share what is loaded
import bad_inputs
import h5py  # noqa: F401
import pandas  # noqa: F401
import pytest
import scipy.io  # noqa: F401
import scipy.sparse.csgraph  # noqa: F401
import threadpoolctl  # noqa: F401
from snakemake.common.configfile import load_configfile

import load_counts
from latere.cluster.sizes import Sizes
from latere.errors import StudyError
from latere.study.check import read_yaml
from latere.study.config import load_schema
from latere.study.study import load_study

SECONDS, BYTES = 20, 1 << 30
# Words of a program, not of a message for people.
INTERNAL = re.compile(r"\b\w+Error\b|Errno|object at 0x|Traceback|<class|<built-in")


def dry_run(tables: Path) -> None:
    """What `snakemake -n` does with a study before it plans jobs."""
    source = bad_inputs.CONFIG
    read_yaml(source)
    study = load_study(load_configfile(source), source, tables)
    sizes = Sizes(study, "results/bad")
    for run in study.runs:
        sizes.source(run)


def judge(text: str, parts: tuple[str, ...]) -> str:
    """Whether a message is clear: place, problem, and what to do, for each of its errors."""
    lines = text.splitlines()
    errors = [at for at, line in enumerate(lines) if not line.startswith(("  -> ", "... and"))]
    clear = (
        all(part in text for part in parts)
        and all(lines[at + 1 : at + 2] and lines[at + 1].startswith("  -> ") for at in errors)
        and not INTERNAL.search(text)
        and len(text) < 20_000
        and all(line.isprintable() for line in lines)
    )
    return "clear" if clear else "unclear"


def limit_memory() -> None:
    used = (
        int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
        * resource.getpagesize()
    )
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))


def try_case(case: bad_inputs.Case, tables: Path) -> tuple[str, str]:
    """What becomes of a bad input, in this process."""
    case.change()
    signal.alarm(SECONDS)
    try:
        if case.job is None:
            dry_run(tables)
        else:
            layout = {"layer": "", "subset": "", "barcodes": ""}
            load_counts.load_counts(list(case.job), layout, f"run r1, {case.job[0]}", 1)
    except StudyError as error:
        return judge(str(error), case.parts), str(error)
    except BaseException:  # noqa: BLE001 (the fault that is looked for)
        return "traceback", traceback.format_exc()
    finally:
        signal.alarm(0)
    return "silently wrong", ""


def try_in_turn(cases: list[bad_inputs.Case], study: Path, tables: Path, results: int) -> None:
    """Try cases one after the other, each on a copy of the study; write a line of JSON for each."""
    os.dup2(os.open("/dev/null", os.O_WRONLY), 2)
    limit_memory()
    for case in cases:
        folder = tempfile.mkdtemp(dir=study.parent)
        shutil.copytree(study, folder, dirs_exist_ok=True)
        os.chdir(folder)
        became, text = try_case(case, tables)
        os.write(results, json.dumps([became, text[-3000:]]).encode() + b"\n")
        shutil.rmtree(folder)


def outcomes(cases: list[bad_inputs.Case], study: Path, tables: Path) -> list[tuple[str, str]]:
    """What becomes of each bad input, in a child that shares what is loaded here.

    A child, so that an input that hangs or fills the memory is an outcome and not the end; the
    next child goes on behind it.
    """
    found = []
    while len(found) < len(cases):
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                try_in_turn(cases[len(found) :], study, tables, writer)
            finally:
                os._exit(0)
        os.close(writer)
        data = b""
        # `alarm` ends the child; it does not end what waits in the system.
        while select.select([reader], [], [], SECONDS + 5)[0] and (
            more := os.read(reader, 1 << 16)
        ):
            data += more
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        found += [tuple(json.loads(line)) for line in data.splitlines()]
        if len(found) < len(cases):
            found.append(("hang", ""))
    return found


@pytest.fixture(scope="module", autouse=True)
def schemas_once():
    """The schemas are ours and take longer to read than all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("latere.study.study.load_schema", cache(load_schema))
        yield


@pytest.fixture(scope="module")
def study(tmp_path_factory, root):
    folder = tmp_path_factory.mktemp("bad") / "study"
    folder.mkdir()
    bad_inputs.write_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        dry_run(Path("config"))  # loads what else the children share
    return folder


@pytest.mark.parametrize("kind", bad_inputs.KINDS)
def test_message(kind, study):
    cases, unclear = list(bad_inputs.KINDS[kind]()), []
    results = outcomes(cases, study, Path("config"))
    counts = Counter(became for became, _ in results)
    for case, (became, text) in zip(cases, results, strict=True):
        if became != "clear":
            unclear.append(f"{became}: {case.name}: wanted {case.parts}\n{text[-1500:]}")
    print(f"{kind}: {dict(counts)}")
    assert set(counts) == {"clear"}, f"{dict(counts)}\n" + "\n".join(unclear)


def test_valid_study_passes(study, root, monkeypatch):
    """Each case fails for its own reason: what it changes is valid."""
    monkeypatch.chdir(study)
    dry_run(Path("config"))
    layout = {"layer": "", "subset": "", "barcodes": ""}
    for files in (["m1.h5ad"], ["dense.h5ad"], ["10x.h5"]):
        counts, _ = load_counts.load_counts(files, layout, "r", 1)
        assert counts.X.sum() == 9
    config = bad_inputs.base() | {"reference": {"fasta": "genome.fa", "gtf": "genes.gtf"}}
    load_study(config | {"published_cells": "published.tsv"}, "study.yaml", root / "config")
    for changes in (
        {"matrix": "10x"},
        {"matrix": "10x.h5"},
        {"matrix": "", "sra": "reads.sra"},
        {"matrix": "", "fastq_1": "reads_1.fastq", "fastq_2": "reads_2.fastq"},
        {"run": "", "sample": "", "split": "part"},
    ):
        Path("samples.tsv").write_text(
            bad_inputs.sheet(bad_inputs.rows(**changes)), encoding="utf-8"
        )
        assert len(load_study(config, "study.yaml", root / "config").runs) >= 4


def test_several_problems_are_reported_at_once(study, root, monkeypatch):
    monkeypatch.chdir(study)
    for config, changes, parts in (
        ({"sed": 1, "xyz": 2}, {}, ("'sed' [unknown-key]", "'xyz' [unknown-key]")),
        (
            {"cells": {"n_highly_variable": 9}},
            {},
            ("'cells.n_highly_variable' [unknown-key]", "now 'manual.n_highly_variable'"),
        ),
        (
            {},
            {"run": "", "sample": ""},
            ("'run' is empty [empty-value]", "'sample' is empty [empty-value]"),
        ),
    ):
        Path("samples.tsv").write_text(
            bad_inputs.sheet(bad_inputs.rows(**changes)), encoding="utf-8"
        )
        with pytest.raises(StudyError) as error:
            load_study(bad_inputs.base() | config, "study.yaml", root / "config")
        assert all(part in str(error.value) for part in parts)


def test_parts_of_one_matrix_are_runs(study, root, monkeypatch):
    monkeypatch.chdir(study)
    rows = bad_inputs.rows()
    parts = [row | {"matrix": "m1.h5ad", "subset": f"part={n}"} for n, row in enumerate(rows)]
    Path("samples.tsv").write_text(bad_inputs.sheet(parts), encoding="utf-8")
    assert len(load_study(bad_inputs.base(), "study.yaml", root / "config").runs) == 4
