"""A SLURM site: its file, checked, and what the profile makes of it."""

import ast
import builtins
import difflib
import math
import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

from latere.cluster.requests import LEAST_MINUTES
from latere.errors import StudyError
from latere.files import read_text
from latere.study.check import MOST_BYTES, parse_yaml
from latere.study.config import check_config, load_schema

ROOT = Path(__file__).resolve().parents[3]
SITE = os.environ.get("LATERE_SITE", os.path.relpath(ROOT / "profiles/slurm/site.yaml"))
SCHEMA = ROOT / "config/schemas/site.schema.yaml"
DOWNLOADS = ("prefetch", "download")
# Small jobs in a group at most, and attempts at each job: the first, and the profile's retries.
MEMBERS, ATTEMPTS = 20, 3
# What STAR asks for a human run; with so much, time is what jobs lack.
ENOUGH_MEM_MB = 48_000
TIMES = "Write minutes, or 12h, 7d, 7-00:00:00."
# What a job asks for by number.
AMOUNTS = {"mem_mb", "runtime", "threads"}
# Names in SLURM. Snakemake would compute with one that looks like an expression (a100-40gb, max).
TEXTS = {"slurm_partition", "slurm_account", "qos", "constraint", "gres", "gpu_model"}
# Names of GPU types and of generic resources, as SLURM has them.
GPU_TYPE = re.compile(r"[A-Za-z0-9_.-]+")
GRES = re.compile(r"[A-Za-z0-9_]+(:[A-Za-z0-9_.-]+)?(:[0-9]+[KMGT]?)?")
# What Snakemake knows in an expression of a number.
NAMES = {"attempt", "input", "threads", "wildcards", *dir(builtins)}


def read_site(path: str) -> dict:
    """Read and check the file that describes a site.

    Parameters
    ----------
    path
        A YAML file that follows `config/schemas/site.schema.yaml`.

    Returns
    -------
    dict
        Its keys, with defaults filled in.

    Raises
    ------
    StudyError
        The file does not exist, is not YAML, or has unknown, missing or mistyped keys.
    """
    fix = "the path; `make site` writes a file for the cluster where it runs"
    text = read_text(path, fix, MOST_BYTES)
    site = parse_yaml(text, path)
    # YAML takes 12:00:00 for a number to the base 60: 43200 minutes.
    if odd := re.search(r"\b((max_)?runtime: *[1-9][0-9]*(:[0-5]?[0-9])+)\b", text):
        raise StudyError(
            path,
            f"YAML reads {odd[1]} as a number",
            "Write minutes, or 12h.",
            code="number-to-yaml",
        )
    schema = load_schema(SCHEMA)
    site = check_config(site, path, schema)
    for name, limits in site["partitions"].items():
        minutes_of(limits, f"{path}: key 'partitions.{name}.max_runtime'")
    _check_rules(site["resources"], f"{path}: key 'resources'")
    _check_gpus(site, path)
    described = schema["properties"]["resources"]["additionalProperties"]["properties"]
    for rule, asked in site["resources"].items():
        for name in asked.keys() & AMOUNTS:
            _check_amount(
                name, asked[name], f"{path}: key 'resources.{rule}.{name}'", described[name]
            )
    return site


def minutes_of(limits: Mapping, where: str = "") -> float:
    """Longest time of a partition in minutes; infinite if it has no limit."""
    # Imported here: the plugin is there where Snakemake runs, not in the environments of rules.
    from snakemake_executor_plugin_slurm.utils import parse_time_to_minutes
    from snakemake_interface_common.exceptions import WorkflowError

    try:
        return parse_time_to_minutes(limits["max_runtime"]) if "max_runtime" in limits else math.inf
    except WorkflowError:
        raise StudyError(
            where, f"{limits['max_runtime']!r} is not a time", TIMES, code="not-a-time"
        ) from None


def _check_rules(names: Iterable[str], where: str) -> None:
    """Reject a name that no rule has: Snakemake would ignore it silently."""
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "rules").glob("*.smk")]
    rules = [rule for text in texts for rule in re.findall(r"^rule (\w+):", text, re.MULTILINE)]
    for name in names:
        if name not in rules:
            close = difflib.get_close_matches(name, rules, n=1)
            fix = f"Did you mean '{close[0]}'?" if close else f"Rules: {', '.join(sorted(rules))}."
            raise StudyError(where, f"there is no rule '{name}'", fix, code="unknown-rule")


def _check_gpus(site: Mapping, path: str) -> None:
    """Reject a name that SLURM gives to no GPU type: the plugin would, after all the counting."""
    names = {"gpu.model": (GPU_TYPE, (site["gpu"] or {}).get("model"))}
    for rule, asked in site["resources"].items():
        names[f"resources.{rule}.gpu_model"] = GPU_TYPE, asked.get("gpu_model")
        names[f"resources.{rule}.gres"] = GRES, asked.get("gres")
    for key, (form, name) in names.items():
        # With quotes it may be any expression.
        name = re.sub(r"""^(['"])([^'"]*)\1$""", r"\2", name or "")
        if name and not re.search("['\"]", name) and not form.fullmatch(name):
            raise StudyError(
                f"{path}: key '{key}'",
                f"{name!r} is not a {'GPU type' if form is GPU_TYPE else 'generic resource'}",
                "Write it as `sinfo --format=%G` shows it, without the part in parentheses: model "
                "`nvidia_a100-sxm4-80gb`, gres `gpu:nvidia_a100-sxm4-80gb:1`.",
                code="not-a-gpu",
            )


def _check_amount(name: str, value: int | str, where: str, schema: Mapping) -> None:
    """Reject a value that is not a number: Snakemake would read it as text, and fail late."""
    if isinstance(value, int) or (name == "runtime" and re.fullmatch(r"[0-9.]+ *[smhdw]", value)):
        return
    try:
        parts = ast.walk(ast.parse(value.strip(), mode="eval"))
        good = {part.id for part in parts if isinstance(part, ast.Name)} <= NAMES
    except SyntaxError:
        good = False
    if not good:
        problem = f"{value!r} is neither a number nor an expression"
        raise StudyError(where, problem, schema["description"], code="not-a-number")


def open_site() -> dict:
    """The site of the profile; a problem in it ends Snakemake with its message."""
    try:
        return read_site(SITE)
    except StudyError as error:
        # Any other exception comes out behind two pages of Snakemake's usage.
        sys.exit(str(error))


def get_limits(site: Mapping) -> dict[str, int]:
    """What no job exceeds: the limits of the CPU partition with most time, of those that hold STAR.

    All of them are of one partition, so that a job at every limit still fits somewhere.

    Parameters
    ----------
    site
        As `read_site` gives it.

    Returns
    -------
    dict
        `threads`; `members`, the small jobs of a group whose last attempt still has time enough;
        and `mem_mb` (MB) and `runtime` (minutes, less those of a small job that goes in a group
        with a large one) where the partition has a limit.
    """
    small = ATTEMPTS * LEAST_MINUTES
    rooms = [
        {
            "mem_mb": limits.get("max_mem_mb", math.inf),
            "runtime": max(minutes_of(limits) - small, minutes_of(limits) / 2),
            "threads": min(site["cores"], limits.get("max_threads", math.inf)),
            "members": max(1, int(min(MEMBERS, minutes_of(limits) / small))),
        }
        for limits in site["partitions"].values()
    ]
    enough = min(ENOUGH_MEM_MB, max(room["mem_mb"] for room in rooms))
    roomy = [room for room in rooms if room["mem_mb"] >= enough]
    roomiest = max(roomy, key=lambda room: (room["runtime"], room["mem_mb"]))
    return {name: int(limit) for name, limit in roomiest.items() if limit < math.inf}


def get_resources(site: Mapping, grouped: Iterable[str]) -> dict[str, dict]:
    """What the site asks for by rule, in the words of `--set-resources`.

    Parameters
    ----------
    site
        As `read_site` gives it.
    grouped
        Rules whose jobs go to SLURM in groups.

    Returns
    -------
    dict
        Resources by rule: a turn in its group, the GPU of the training, the partition of downloads,
        overrides.
    """
    asked = defaultdict(dict, {rule: {"turns": 1} for rule in grouped})
    if site["gpu"]:
        asked["train_scvi"] |= _ask_gpu(site["gpu"])
    if site["downloads"]:
        for rule in DOWNLOADS:
            asked[rule] |= {"slurm_partition": repr(site["downloads"])}
    for rule, resources in site["resources"].items():
        for name in resources.keys() - {"threads"}:
            asked[rule][name] = _quote(resources[name]) if name in TEXTS else resources[name]
    return dict(asked)


def _quote(value: str) -> str:
    """A name as Snakemake's expressions have it; one with quotes is an expression already."""
    return value if re.search("['\"]", value) else repr(value)


def _ask_gpu(gpu: Mapping) -> dict:
    """Partition and one GPU, as `--gpus` or as `--gres`."""
    asked = {"slurm_partition": repr(gpu["partition"])}
    asked |= {name: repr(gpu[name]) for name in ("qos", "constraint") if gpu.get(name)}
    if gpu["request"] == "gres":
        return asked | {"gres": repr(":".join(filter(None, ["gpu", gpu["model"], "1"])))}
    return asked | {"gpu": 1} | ({"gpu_model": repr(gpu["model"])} if gpu["model"] else {})


def get_threads(site: Mapping) -> dict[str, int | str]:
    """Cores that the site sets by rule, in the words of `--set-threads`."""
    return {
        rule: resources["threads"]
        for rule, resources in site["resources"].items()
        if "threads" in resources
    }


def find_conda(environ: MutableMapping[str, str] = os.environ) -> str | None:
    """Whether environments can be built; if so, prepare for it.

    Parameters
    ----------
    environ
        Environment of this process and of what it starts. Changed where conda is found: the
        conda that `make setup` brings goes on its PATH, and the environment of scVI is a CUDA
        build, which conda refuses on a submit host without a GPU unless told the version.

    Returns
    -------
    str or None
        `conda`, or nothing where it is not found.
    """
    path = os.pathsep.join([environ.get("PATH", os.defpath), str(ROOT / ".conda/bin")])
    if not shutil.which("conda", path=path):
        return None
    environ["PATH"] = path
    cuda = re.search(
        r"cuda-version =([0-9.]+)", (ROOT / "envs/scvi.yaml").read_text(encoding="utf-8")
    )[1]
    environ.setdefault("CONDA_OVERRIDE_CUDA", cuda)
    return "conda"
