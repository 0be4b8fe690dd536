"""The first version of a site file, from what the cluster reports: `make site`."""

import argparse
import math
import re
import shutil
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import yaml

from latere.cluster.describe import ask, find_account, parse_nodes, parse_partitions
from latere.cluster.site import SITE, minutes_of
from latere.errors import StudyError

TEXT = """\
# This site. No other file names a partition, an account or a GPU. `make site` writes a first
# version on the cluster where it runs; config/schemas/site.schema.yaml describes every key.

# SLURM account; null where SLURM knows a default one.
account: {account}

# Quality of service (--qos) and node features (--constraint) of all jobs; null for SLURM's default.
# A partition below, and `gpu`, may have its own.
qos: null
constraint: null

# CPU partitions and their limits. A job goes to the partition that fits it most closely. No job
# requests more than the limits of one partition: of those with enough memory, the one with the
# longest time. Leave out a key for no limit.
#   max_mem_mb: memory of a node, in MB
#   max_runtime: minutes, or 12h, 7d, 7-00:00:00
#   max_threads: cores of a node
#   qos, constraint: for its jobs, in place of those above
partitions:
{partitions}

# The partition where scVI is trained, and nothing else runs; null where there is no GPU.
#   request: gpus (--gpus=1) or gres (--gres=gpu:1)
#   model: a model to request, as SLURM names it, such as a100 or nvidia_a100-sxm4-80gb
#   qos, constraint: for the training
gpu: {gpu}

# Where downloads run: null for the submit host, or the name of a partition with a network.
downloads: null

# Maximum number of jobs in SLURM at a time, and of cores that one job requests.
jobs: 100
cores: 8

# Maximum number of runs whose reads are unpacked on disk at a time, for counting or for FastQC. The
# largest run of GSE132509 takes 31 GB.
unpacked: 6

# Seconds to wait for the files of a finished job: a network file system may show them late.
latency: 60

# Requests by rule, in place of those of the workflow. After a run, the efficiency table shows what
# to write here. For example:
#   starsolo: {{mem_mb: attempt * 64000, runtime: attempt * 240, threads: 16}}
resources: {{}}
"""

# The site of a fresh clone: the names that a small cluster has.
AS_CLONED = {
    "account": None,
    "partitions": {"cpu": {}},
    "gpu": {"partition": "gpu", "request": "gpus"},
}


def why_closed(partition: Mapping[str, str], account: str | None, qos: Collection[str] = ()) -> str:
    """Why a partition rejects the jobs of the user; empty if it accepts them.

    Parameters
    ----------
    partition
        Its values in `scontrol show partition`, by key.
    account
        Account of the user, None if SLURM keeps none.
    qos
        QOS of the user, the default first; empty if not known.
    """
    if partition.get("State", "UP") != "UP":
        return f"State={partition['State']}"
    if partition.get("RootOnly") == "YES":
        return "RootOnly=YES"
    allowed = partition.get("AllowAccounts", "ALL")
    if allowed != "ALL" and account not in allowed.split(","):
        return f"AllowAccounts={allowed}"
    if account and account in partition.get("DenyAccounts", "").split(","):
        return f"DenyAccounts={partition['DenyAccounts']}"
    if qos and not usable_qos(partition, qos):
        key = "AllowQos" if partition.get("AllowQos", "ALL") != "ALL" else "DenyQos"
        return f"{key}={partition[key]}; your QOS: {', '.join(qos)}"
    return ""


def usable_qos(partition: Mapping[str, str], qos: Collection[str]) -> list[str]:
    """QOS with which a partition accepts jobs: the user's, else all that it names; may be empty."""
    allowed = partition.get("AllowQos", "ALL")
    denied = partition.get("DenyQos", "").split(",")
    named = [] if allowed == "ALL" else allowed.split(",")
    return [name for name in qos or named if name not in denied and name in (named or qos)]


def get_partition_limits(partition: Mapping[str, str], nodes: list[dict]) -> dict:
    """Limits of a partition, as the site file has them.

    The node with most memory counts: what fits it may not fit another, but SLURM knows.

    Parameters
    ----------
    partition
        Its values in `scontrol show partition`, by key.
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
    time = partition.get("MaxTime", "UNLIMITED")
    if time not in {"UNLIMITED", "INFINITE", "NONE", "N/A"}:
        limits["max_runtime"] = time
        minutes_of(limits, "scontrol show partition: MaxTime")
    return limits | {"max_threads": least(node["threads"], "MaxCPUsPerNode")}


def describe_site(
    partitions: Mapping[str, Mapping],
    nodes: Mapping[str, list[dict]],
    account: str | None,
    tres: bool,
    qos: Collection[str] = (),
) -> tuple[dict, list[str]]:
    """Describe the site of a cluster.

    Parameters
    ----------
    partitions
        Values of `scontrol show partition`, by partition and key.
    nodes
        Kinds of nodes by partition, as `parse_nodes` gives them.
    account
        Account of the user, None if SLURM keeps none.
    tres
        Whether the cluster takes `--gpus` (its SelectType is `cons_tres`).
    qos
        QOS of the user, the default first; empty if not known.

    Returns
    -------
    dict, list of str
        `account`, `partitions` and `gpu` of the site file; and notes for the user.

    Raises
    ------
    StudyError
        No partition accepts jobs.
    """
    closed = {name: why_closed(lines, account, qos) for name, lines in partitions.items()}
    notes = [f"{name} is left out: {why}" for name, why in closed.items() if why]
    notes += [
        f"{name} is left out: sinfo lists no node of it"
        for name in partitions
        if not closed[name] and name not in nodes
    ]
    limits = {
        name: get_partition_limits(lines, nodes[name])
        for name, lines in partitions.items()
        if not closed[name] and name in nodes
    }
    if not limits:
        raise StudyError(
            "scontrol show partition",
            f"no partition accepts your jobs: {'; '.join(notes) or 'there is none'}",
            "Ask the administrators which partition, account and QOS are yours.",
            code="no-partition",
        )
    for name in limits:
        usable = usable_qos(partitions[name], qos)
        # SLURM uses the user's default, which is named `normal` if nobody changed it.
        if usable and (qos[0] if qos else "normal") not in usable:
            limits[name]["qos"] = usable[0]
            notes.append(f"{name} accepts jobs with these QOS: {', '.join(usable)}")
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
        gpu |= {"qos": limits[chosen]["qos"]} if "qos" in limits[chosen] else {}
        for name in with_gpu:
            named = ", ".join(filter(None, models[name])) or "of no named model"
            facts = ", ".join(f"{key} {value}" for key, value in limits[name].items())
            notes.append(f"{name} has GPUs: {named}; {facts}")
    return {"account": account, "partitions": cpu, "gpu": gpu}, notes


def render_site(site: Mapping, notes: Iterable[str] = ()) -> str:
    """The text of a site file.

    Parameters
    ----------
    site
        `account`, `partitions` and `gpu`.
    notes
        The lines above it.
    """

    def flow(value) -> str:
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
        return text.removesuffix("...\n").strip()

    partitions = [f"  {flow(name)}: {flow(limits)}" for name, limits in site["partitions"].items()]
    return "".join(f"# {note}\n" for note in notes) + TEXT.format(
        account=flow(site["account"]), partitions="\n".join(partitions), gpu=flow(site["gpu"])
    )


def ask_cluster() -> tuple[dict, list[str]]:
    """Describe the cluster where this runs, by SLURM's own commands; see `describe_site`."""
    if not shutil.which("sinfo"):
        fix = "Run this on a submit host, or edit profiles/slurm/site.yaml."
        raise StudyError(
            "sinfo", "SLURM's commands are not on the PATH", fix, code="missing-program"
        )
    nodes = parse_nodes(ask("sinfo", "--noheader", "--exact", "--format", "%R|%m|%c|%G"))
    partitions = parse_partitions(ask("scontrol", "show", "partition"))
    tres = re.search(r"^SelectType\s*= select/cons_tres$", ask("scontrol", "show", "config"), re.M)
    account, qos = find_account()
    return describe_site(partitions, nodes, account, bool(tres), qos)


def main() -> None:
    """Write the site file; one with local edits is overwritten only with --force."""
    parser = argparse.ArgumentParser(prog="make site", description=main.__doc__)
    parser.add_argument("--force", action="store_true", help="overwrite a file with local edits")
    force = parser.parse_args().force
    file = Path(SITE)
    try:
        own = file.exists() and file.read_bytes() != render_site(AS_CLONED).encode()
        site, notes = ask_cluster()
        if own and not force:
            print(render_site(site, notes))
            raise StudyError(
                SITE,
                "has local edits and was not overwritten",
                "To overwrite it: make site FORCE=1",
                code="own-file",
            )
        file.write_text(render_site(site, notes), encoding="utf-8")
    except StudyError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{SITE}: cannot be written: {error.strerror} [unwritable]")
    print(f"{SITE} is written; read it before the first run.")


if __name__ == "__main__":
    main()
