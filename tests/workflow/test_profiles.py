"""A fresh clone takes `--profile slurm`, and what a site decides stands in that profile only."""

import pytest
import yaml

# What overrides a user's own profile must suit every site.
NEUTRAL = {"rerun-triggers", "rerun-incomplete", "printshellcmds", "show-failed-logs"}
# What a site decides; a rule that names it would hold on one site only.
SITE = ("slurm_", "partition", "gres", "gpu", "mem_mb", "runtime", "retries")


@pytest.fixture(scope="module")
def slurm(root):
    return yaml.safe_load((root / "profiles/slurm/config.yaml").read_text())


def test_default_profile_is_neutral(root):
    assert set(yaml.safe_load((root / "profiles/default/config.yaml").read_text())) <= NEUTRAL


def test_slurm_profile_is_found_by_its_name(root):
    assert (root / "slurm").is_symlink()
    assert (root / "slurm/config.yaml").samefile(root / "profiles/slurm/config.yaml")


def test_slurm_profile_names_no_account(slurm):
    assert "slurm_account" not in str(slurm)


def test_slurm_profile_names_rules_that_exist(root, slurm):
    rules = "".join(path.read_text() for path in root.glob("rules/*.smk"))
    named = set(slurm["set-resources"]) | set(slurm["set-threads"])
    assert [name for name in named if f"rule {name}:" not in rules] == []


def test_only_scvi_takes_a_gpu(slurm):
    takers = [name for name, wish in slurm["set-resources"].items() if "gpu" in wish]
    assert takers == ["train_scvi"]


def test_rules_name_nothing_of_a_site(root):
    lines = [
        f"{path.name}: {line.strip()}"
        for path in root.glob("rules/*.smk")
        for line in path.read_text().splitlines()
        if line.strip().startswith(SITE) and "=" in line
    ]
    assert lines == []


@pytest.mark.parametrize("config", ["config/config.yaml", "config/demo/config.yaml"])
def test_dry_run_with_the_slurm_profile(config, root, snakemake):
    done = snakemake(root, "--profile", "slurm", "-n", "--quiet", "all", "--configfile", config)
    assert done.returncode == 0, done.stderr
