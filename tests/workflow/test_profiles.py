"""A fresh clone takes `--profile slurm`, and what a site decides stands in one file only."""

import os
import re
import sys
from collections import Counter

import pytest
import yte

from latere.cluster import site as reader
from latere.cluster.executor import Executor, list_partitions
from latere.cluster.make_site import AS_CLONED
from latere.cluster.requests import LEAST_MINUTES

# What overrides a user's own profile must suit every site.
NEUTRAL = {
    "__use_yte__",
    "__definitions__",
    "rerun-triggers",
    "rerun-incomplete",
    "show-failed-logs",
}
# What a site decides; a rule that names it would hold on one site only.
SITE = ("slurm_", "partition", "gres", "gpu", "retries", "constraint", "qos")


@pytest.fixture
def profile(root, monkeypatch, tmp_path):
    """The profile of SLURM as Snakemake reads it, for a site file."""

    def render(site: str) -> dict:
        (tmp_path / "site.yaml").write_text(site)
        monkeypatch.setattr(reader, "SITE", str(tmp_path / "site.yaml"))
        monkeypatch.setenv("PATH", os.environ["PATH"])  # the profile adds to it
        monkeypatch.chdir(root)
        return yte.process_yaml((root / "slurm/config.yaml").open(), require_use_yte=True)

    return render


def rule_names(root):
    texts = [path.read_text() for path in root.glob("rules/*.smk")]
    return {name for text in texts for name in re.findall(r"^rule (\w+):", text, re.MULTILINE)}


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["-n"], set()),
        (["all"], set()),
        (["plan", "all"], set()),
        (["plan", "--cores", "3"], set()),
        (["plan"], {"cores"}),
    ],
    ids=str,
)
def test_default_profile_is_neutral(root, monkeypatch, words, more):
    monkeypatch.chdir(root)
    monkeypatch.setattr("sys.argv", ["snakemake", *words])
    monkeypatch.setattr("sys.path", sys.path[:])
    text = (root / "profiles/default/config.yaml").open()
    made = yte.process_yaml(text, require_use_yte=True)
    assert set(made) - more <= NEUTRAL and more <= set(made)


def test_slurm_profile_is_found_by_its_name(root):
    assert (root / "slurm").is_symlink()
    assert (root / "slurm/config.yaml").samefile(root / "profiles/slurm/config.yaml")


def test_only_the_site_file_names_a_site(root):
    """Neither its partitions nor how a GPU is asked for stand in the rest of the profile."""
    text = (root / "profiles/slurm/config.yaml").read_text()
    words = set(re.findall(r"\w+", re.sub("#.*", "", text)))
    assert not words & {*AS_CLONED["partitions"], "gpu", "gres", "slurm_partition"}


def test_rules_name_nothing_of_a_site(root):
    lines = [
        f"{path.name}: {line.strip()}"
        for path in root.glob("rules/*.smk")
        for line in path.read_text().splitlines()
        if line.strip().startswith(SITE) and "=" in line
    ]
    assert lines == []


def test_profile_names_rules_that_exist(root, profile):
    made = profile("partitions: {main: {}}\ngpu: {partition: g}\ndownloads: net\n")
    assert {*made["set-resources"], *made["groups"]} <= rule_names(root)
    assert made["group-components"].keys() <= set(made["groups"].values())


def test_no_job_exceeds_the_partition_with_most_time_that_holds_star(profile):
    made = profile(
        """
        partitions:
          fast: {max_mem_mb: 190000, max_runtime: 4h, max_threads: 48}
          slow: {max_mem_mb: 120000, max_runtime: 7-00:00:00, max_threads: 6}
          small: {max_mem_mb: 24000, max_runtime: 14d, max_threads: 48}
          huge: {max_mem_mb: 1500000, max_runtime: 12h, max_threads: 48}
        """
    )
    # Less the time of a small job that goes with a large one.
    runtime = 7 * 24 * 60 - 3 * LEAST_MINUTES
    limits = {"mem_mb": 120000, "runtime": runtime, "turns": 1}
    assert made["resources"] == {**limits, "downloads": 4, "unpacked": 6}
    assert made["cores"] == 6
    # They bound one submission, not all that wait in SLURM together; of downloads and of unpacked
    # runs all are bound.
    assert made["set-resource-scopes"] == dict.fromkeys(limits, "local")


def test_attempts_are_one_number(profile):
    made = profile("partitions: {main: {}}\n")
    assert made["retries"] + 1 == reader.ATTEMPTS


@pytest.mark.parametrize(
    "time, members", [("30", 1), ("8h", 480 // (3 * LEAST_MINUTES)), ("7d", 20)]
)
def test_small_jobs_share_a_group_as_far_as_time_allows(profile, time, members):
    made = profile(f"partitions: {{main: {{max_runtime: {time}}}}}\n")
    of_group = Counter(made["groups"].values())
    assert made["group-components"] == {
        name: max(1, members // of_group[name]) for name in ("load", "versions", "call")
    }
    # Of the jobs in a group one runs after the other; `turns` makes Snakemake add up their times.
    grouped = {rule for rule, asked in made["set-resources"].items() if asked == {"turns": 1}}
    assert grouped == made["groups"].keys()


def test_site_without_limits_gpu_or_account(profile):
    made = profile("partitions: {main: {}}\n")
    assert made["resources"] == {"turns": 1, "downloads": 4, "unpacked": 6}
    assert made["cores"] == 8
    assert "train_scvi" not in made["set-resources"]
    assert "slurm_account" not in made["default-resources"]


def test_site_decides_account_downloads_and_overrides(profile):
    made = profile(
        """
        account: lab
        partitions: {main: {}}
        downloads: net
        jobs: 7
        unpacked: 3
        resources:
          starsolo: {mem_mb: attempt * 64000, threads: 16}
          prefetch: {runtime: 60}
        """
    )
    assert (made["jobs"], made["resources"]["unpacked"]) == (7, 3)
    assert made["default-resources"]["slurm_account"] == "'lab'"
    # In a group a rule is no longer local: this is how downloads get to a partition.
    assert made["groups"]["prefetch"] == made["groups"]["download"] == "downloads"
    assert "downloads" not in made["group-components"]
    asked = made["set-resources"]
    assert asked["prefetch"] == {"turns": 1, "slurm_partition": "'net'", "runtime": 60}
    assert asked["download"] == {"turns": 1, "slurm_partition": "'net'"}
    assert asked["starsolo"] == {"turns": 1, "mem_mb": "attempt * 64000"}
    assert made["set-threads"] == {"starsolo": 16}


@pytest.mark.parametrize(
    "gpu, asked",
    [
        ("{partition: a}", {"gpu": 1}),
        ("{partition: a, model: a100}", {"gpu": 1, "gpu_model": "'a100'"}),
        ("{partition: a, request: gres}", {"gres": "'gpu:1'"}),
        ("{partition: a, request: gres, model: a100-40g}", {"gres": "'gpu:a100-40g:1'"}),
        ("{partition: a, qos: q, constraint: c}", {"gpu": 1, "qos": "'q'", "constraint": "'c'"}),
    ],
)
def test_only_scvi_takes_a_gpu(profile, gpu, asked):
    made = profile(f"partitions: {{main: {{}}}}\ngpu: {gpu}\n")
    takers = {r: wish for r, wish in made["set-resources"].items() if wish != {"turns": 1}}
    assert takers == {"train_scvi": {"slurm_partition": "'a'", **asked}}


def test_plugin_picks_from_the_cpu_partitions_only(profile):
    profile("partitions: {main: {max_runtime: 2h, qos: q}}\ngpu: {partition: g}\naccount: lab\n")
    [partition] = list_partitions(Executor.site)
    assert (partition.name, partition.limits.max_runtime) == ("main", 120)


def test_environments_are_built_where_conda_is(profile, monkeypatch, tmp_path):
    (tmp_path / "conda").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CONDA_OVERRIDE_CUDA", "12.9")
    made = profile("partitions: {main: {}}\n")
    assert made["software-deployment-method"] == "conda"


@pytest.mark.parametrize("config", ["config/config.yaml", "config/demo/config.yaml"])
def test_dry_run_with_the_slurm_profile(config, copy_project, snakemake, tmp_path):
    project = copy_project(tmp_path)
    done = snakemake(project, "--profile", "slurm", "-n", "--quiet", "all", "--configfile", config)
    assert done.returncode == 0, done.stderr


def test_odd_site_is_told_in_a_sentence(root, snakemake, tmp_path, monkeypatch):
    monkeypatch.setenv("LATERE_SITE", "nowhere.yaml")
    done = snakemake(root, "--profile", "slurm", "-n")
    assert done.returncode == 1
    assert "nowhere.yaml: does not exist" in done.stderr
    assert "Traceback" not in done.stderr and "usage:" not in done.stderr


def test_no_attempt_asks_for_more_than_the_site_has(root, snakemake, tmp_path, monkeypatch):
    limits = "{max_mem_mb: 3500, max_runtime: 45, max_threads: 3}"
    (tmp_path / "site.yaml").write_text(f"partitions: {{main: {limits}}}\ndownloads: net\n")
    monkeypatch.setenv("LATERE_SITE", str(tmp_path / "site.yaml"))
    done = snakemake(root, "--profile", "slurm", "-n", "--attempt", "3")
    assert done.returncode == 0, done.stderr
    output = done.stdout + done.stderr

    def most(name):
        return max(map(int, re.findall(rf"\b{name}[=:] ?(\d+)", output)))

    assert (most("mem_mb"), most("threads")) == (3500, 3)
    # Two jobs, one after the other: the longest group that a partition of so little time allows.
    assert 0 < 2 * most("runtime") <= 45
    # A download is a job of SLURM's here, one a submission.
    assert output.count("Group job downloads ") == output.count("    rule prefetch:") + 2
