"""The first version of a site file, from what the cluster reports: `make site`."""

import argparse
import getpass
import math
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from latere.cluster.site import SITE, minutes_of
from latere.errors import StudyError

TEXT = """\
# This site. Nothing else names a partition, an account or a GPU. `make site` writes a first version
# from the cluster it stands on; every key is described in config/schemas/site.schema.yaml.

# SLURM account; null where SLURM knows a default one.
account: {account}

# CPU partitions and their limits. A job goes to the partition that fits it closest, and none asks
# for more than the one with most time has, of those with memory enough. A limit left out is none.
#   max_mem_mb: memory of a node, in MB
#   max_runtime: minutes, or 12h, 7d, 7-00:00:00
#   max_threads: cores of a node
partitions:
{partitions}

# Where scVI is trained, and nothing else; null where there is no GPU.
#   request: gpus (--gpus=1) or gres (--gres=gpu:1)
#   model: a model to ask for, as SLURM names it
gpu: {gpu}

# Where downloads run: null for the submit host, or the name of a partition with a network.
downloads: null

# Most jobs in SLURM at a time, and most cores that one job asks for.
jobs: 100
cores: 8

# Most runs whose reads lie unpacked on the disk at a time: those that are counted, and those that
# FastQC is still at. The largest of GSE132509 takes 31 GB.
unpacked: 6

# Seconds to wait for the files of a job that has ended: a network file system may show them late.
latency: 60

# By rule, in place of what the workflow finds out by itself; after a run the efficiency table tells
# what to write here. Like this:
#   starsolo: {{mem_mb: attempt * 64000, runtime: attempt * 240, threads: 16}}
resources: {{}}
"""

# The site of a fresh clone: the names that a small cluster has.
AS_CLONED = {
    "account": None,
    "partitions": {"cpu": {}},
    "gpu": {"partition": "gpu", "request": "gpus"},
}


def parse_nodes(text: str) -> dict[str, list[dict]]:
    """Kinds of nodes by partition.

    Parameters
    ----------
    text
        Output of ``sinfo --noheader --exact --format '%R|%m|%c|%G'``.

    Returns
    -------
    dict
        By partition one entry per kind of node: `mem_mb` (MB), `threads`, `gpus` (models; '' for a
        GPU whose model SLURM does not name).
    """
    nodes = defaultdict(list)
    for line in text.splitlines():
        partition, memory, cores, gres = line.split("|")
        nodes[partition].append(
            {
                "mem_mb": int(memory),
                "threads": int(cores),
                "gpus": re.findall(r"\bgpu(?::([A-Za-z][^:,(]*))?(?=[:,(]|$)", gres),
            }
        )
    return dict(nodes)


def why_closed(partition: Mapping[str, str], account: str | None) -> str:
    """Why a partition rejects the jobs of the user; empty if it accepts them.

    Parameters
    ----------
    partition
        Its line of `scontrol show partition`, by key.
    account
        Account of the user, None if SLURM keeps none.
    """
    if partition["State"] != "UP":
        return f"State={partition['State']}"
    if partition["RootOnly"] == "YES":
        return "RootOnly=YES"
    allowed = partition.get("AllowAccounts", "ALL")
    if allowed != "ALL" and account not in allowed.split(","):
        return f"AllowAccounts={allowed}"
    if account and account in partition.get("DenyAccounts", "").split(","):
        return f"DenyAccounts={partition['DenyAccounts']}"
    return ""


def get_partition_limits(partition: Mapping[str, str], nodes: list[dict]) -> dict:
    """Limits of a partition, as the site file has them.

    The node with most memory counts: what fits it may not fit another, but SLURM knows.

    Parameters
    ----------
    partition
        Its line of `scontrol show partition`, by key.
    nodes
        Its kinds of nodes, as `parse_nodes` gives them.

    Returns
    -------
    dict
        `max_mem_mb` (MB), `max_threads`, and `max_runtime` (SLURM's format) if there is one.
    """
    node = max(nodes, key=lambda node: (node["mem_mb"], node["threads"]))

    def least(value: int, key: str) -> int:
        return min(value, int(partition[key])) if partition.get(key, "").isdecimal() else value

    limits = {"max_mem_mb": least(node["mem_mb"], "MaxMemPerNode")}
    if partition["MaxTime"] != "UNLIMITED":
        limits["max_runtime"] = partition["MaxTime"]
    return limits | {"max_threads": least(node["threads"], "MaxCPUsPerNode")}


def describe_site(
    partitions: Mapping[str, Mapping],
    nodes: Mapping[str, list[dict]],
    account: str | None,
    tres: bool,
) -> tuple[dict, list[str]]:
    """Describe the site of a cluster.

    Parameters
    ----------
    partitions
        Lines of `scontrol show partition`, by partition and key.
    nodes
        Kinds of nodes by partition, as `parse_nodes` gives them.
    account
        Account of the user, None if SLURM keeps none.
    tres
        Whether the cluster takes `--gpus` (its SelectType is `cons_tres`).

    Returns
    -------
    dict, list of str
        `account`, `partitions` and `gpu` of the site file; and notes for the user.

    Raises
    ------
    StudyError
        No partition accepts jobs.
    """
    closed = {name: why_closed(lines, account) for name, lines in partitions.items()}
    notes = [f"{name} is left out: {why}" for name, why in closed.items() if why]
    limits = {
        name: get_partition_limits(lines, nodes[name])
        for name, lines in partitions.items()
        if not closed[name] and name in nodes
    }
    if not limits:
        told = "; ".join(notes) or "there is none"
        raise StudyError(
            "scontrol show partition",
            f"no partition accepts your jobs: {told}",
            code="no-partition",
        )
    models = {
        name: sorted({model for node in nodes[name] for model in node["gpus"]}) for name in limits
    }
    with_gpu = [name for name in limits if models[name]]
    cpu = {name: limit for name, limit in limits.items() if name not in with_gpu}
    if not cpu:
        cpu = limits
        notes.append("every partition has GPUs, so CPU jobs run there too")
    gpu = None
    if with_gpu:
        chosen = max(with_gpu, key=lambda name: minutes_of(limits[name]))
        gpu = {"partition": chosen, "request": "gpus" if tres else "gres"}
        for name in with_gpu:
            named = ", ".join(filter(None, models[name])) or "of no named model"
            told = ", ".join(f"{key} {value}" for key, value in limits[name].items())
            notes.append(f"{name} has GPUs: {named}; {told}")
    return {"account": account, "partitions": cpu, "gpu": gpu}, notes


def render_site(site: Mapping, notes: Iterable[str] = ()) -> str:
    """The text of a site file.

    Parameters
    ----------
    site
        `account`, `partitions` and `gpu`.
    notes
        What stands above it.
    """

    def flow(value) -> str:
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
        return text.removesuffix("...\n").strip()

    partitions = [f"  {flow(name)}: {flow(limits)}" for name, limits in site["partitions"].items()]
    return "".join(f"# {note}\n" for note in notes) + TEXT.format(
        account=flow(site["account"]), partitions="\n".join(partitions), gpu=flow(site["gpu"])
    )


def ask_cluster() -> tuple[dict, list[str]]:
    """Ask the cluster at hand, with SLURM's own commands; see `describe_site`."""
    from snakemake_executor_plugin_slurm.partitions import (
        parse_scontrol_partition_output,
        query_scontrol_partitions,
    )
    from snakemake_interface_common.exceptions import WorkflowError

    if not shutil.which("sinfo"):
        fix = "Run this on a submit host, or edit profiles/slurm/site.yaml."
        raise StudyError(
            "sinfo", "SLURM's commands are not on the PATH", fix, code="missing-program"
        )
    nodes = _ask("sinfo", "--noheader", "--exact", "--format", "%R|%m|%c|%G")
    try:
        partitions = parse_scontrol_partition_output(query_scontrol_partitions())
    except WorkflowError as error:
        raise StudyError("scontrol show partition", str(error), code="failed-program") from None
    tres = re.search(r"^SelectType\s*= select/cons_tres$", _ask("scontrol", "show", "config"), re.M)
    return describe_site(partitions, parse_nodes(nodes), find_account(), bool(tres))


def find_account() -> str | None:
    """The user's default account, else the first; None where SLURM keeps none."""
    user = getpass.getuser()
    try:
        accounts = _ask("sacctmgr", "-nP", "show", "assoc", f"user={user}", "format=account")
        default = _ask("sacctmgr", "-nP", "show", "user", user, "format=defaultaccount").strip()
    except StudyError:
        return None
    accounts = accounts.split()
    return default if default in accounts else next(iter(accounts), None)


def _ask(*command: str) -> str:
    """Output of a command of SLURM."""
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError:
        raise StudyError(command[0], "is not on the PATH", code="missing-program") from None
    except subprocess.CalledProcessError as error:
        raise StudyError(
            " ".join(command), error.stderr.strip() or "failed", code="failed-program"
        ) from None


def main() -> None:
    """Write the site file; one with local edits is overwritten only with --force."""
    parser = argparse.ArgumentParser(prog="make site", description=main.__doc__)
    parser.add_argument("--force", action="store_true", help="overwrite a file with local edits")
    force = parser.parse_args().force
    file = Path(SITE)
    own = file.exists() and file.read_text(encoding="utf-8") != render_site(AS_CLONED)
    try:
        site, notes = ask_cluster()
        if own and not force:
            print(render_site(site, notes))
            raise StudyError(
                SITE,
                "has local edits and was not overwritten",
                "To overwrite it: make site FORCE=1",
                code="own-file",
            )
    except StudyError as error:
        sys.exit(str(error))
    file.write_text(render_site(site, notes), encoding="utf-8")
    print(f"{SITE} is written; read it before the first run.")


if __name__ == "__main__":
    main()
