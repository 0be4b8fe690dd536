"""A real SLURM for the tests of this folder, and projects that submit to it."""

import os
import shutil

import pandas as pd
import pytest
from cluster import Cluster, why_not
from project import Project


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster; tests are skipped where none can be started, but not in CI."""
    if reason := why_not():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no SLURM: {reason}")
    with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def make_project(copy_project, cluster, tmp_path_factory):
    """Make fresh clones that submit to the cluster."""
    made = []

    def make():
        folder = tmp_path_factory.mktemp("project") / "clone"
        folder.mkdir()
        made.append(Project(copy_project(folder), cluster))
        return made[-1]

    yield make
    for project in made:
        project.end()
        shutil.rmtree(project.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def make_executed(demo, make_project):
    """Make clones with the results of the executed demo, and Snakemake's records of them."""

    def make():
        project = make_project()
        for name in ("demo", ".snakemake"):
            results = project.folder / "results" / name
            shutil.copytree(demo.parent / name, results, symlinks=True)
        return project

    return make


@pytest.fixture
def executed(make_executed):
    """A clone of this test's own, executed."""
    project = make_executed()
    yield project
    project.end()


@pytest.fixture(scope="session")
def assert_same_tables(demo):
    """Hold tables of a project against those of the demo that was run on this machine."""

    def check(results, *files):
        for file in files:
            if file.endswith(".parquet"):
                ours, theirs = (pd.read_parquet(at / file) for at in (results, demo))
                pd.testing.assert_frame_equal(ours, theirs, check_exact=True, obj=file)
            else:
                assert (results / file).read_bytes() == (demo / file).read_bytes(), file

    return check
