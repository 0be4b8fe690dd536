"""Snakemake's records lie with the results, and move with them."""

from multiprocessing import Pool
from pathlib import Path

import pytest

from latere.rerun.records import KINDS, keep_records_with

RESULTS = Path("results")
LINKS = [Path(".snakemake", kind) for kind in KINDS]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_dry_run_makes_nothing():
    keep_records_with(RESULTS, create=False)
    assert list(Path().iterdir()) == []


def test_records_are_kept_with_the_results():
    for link in LINKS:
        link.mkdir(parents=True)  # as Snakemake makes them before the first run
    keep_records_with(RESULTS, create=True)
    for link in LINKS:
        (link / "record").touch()
    RESULTS.rename("moved")
    # Without results nothing is known of them, and Snakemake can make its folders.
    keep_records_with(RESULTS, create=False)
    for link in LINKS:
        link.mkdir()
    Path("moved").rename(RESULTS)
    keep_records_with(RESULTS, create=False)
    assert all((link / "record").exists() for link in LINKS)


@pytest.mark.parametrize("others", [False, True])
def test_records_from_before_are_moved_unless_there_are_others(others):
    for kind, link in zip(KINDS, LINKS, strict=True):
        link.mkdir(parents=True)
        (link / "record").touch()
        if others:
            (RESULTS / ".snakemake" / kind).mkdir(parents=True)
            (RESULTS / ".snakemake" / kind / "other").touch()
    keep_records_with(RESULTS, create=False)
    assert not any(link.is_symlink() for link in LINKS)
    keep_records_with(RESULTS, create=True)
    assert all((link / "record").exists() for link in LINKS)
    assert [link.is_symlink() for link in LINKS] == 2 * [not others]


def call(folder):
    keep_records_with(RESULTS, create=True)
    return all(link.is_symlink() for link in LINKS)


def test_processes_at_once():
    with Pool(8) as pool:
        assert all(pool.map(call, range(64), chunksize=1))
