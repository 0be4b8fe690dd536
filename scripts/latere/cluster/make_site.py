"""The first version of a site file, from what the cluster reports: `make site`."""

import argparse
import getpass
import math
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import yaml

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

# A line of sinfo. A number with a plus is the least of several.
NODE = re.compile(r"^([^|\n]+)\|(\d+)\+?\|(\d+)\+?\|([^|\n]*)$", re.MULTILINE)
PATIENCE = 120  # seconds for an answer
EDIT = (
    "Run the command by itself. If it works, write profiles/slurm/site.yaml by hand: "
    "config/schemas/site.schema.yaml describes every key."
)
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
        Output of ``sinfo --noheader --exact --format '%R|%m|%c|%G'``. Other lines are skipped:
        sites and federations print headers.

    Returns
    -------
    dict
        By partition one entry per kind of node: `mem_mb` (MB), `threads`, `gpus` (models; '' for a
        GPU whose model SLURM does not name).

    Raises
    ------
    StudyError
        No line has this form, or the lines are of several clusters.
    """
    clusters = re.findall(r"^CLUSTER: *(\S+)", text, re.MULTILINE)
    if len(set(clusters)) > 1:
        raise StudyError(
            "sinfo",
            f"lists several clusters: {', '.join(clusters)}",
            "Choose one: SLURM_CLUSTERS=name make site. Set it too when you start Snakemake.",
            code="several-clusters",
        )
    nodes = defaultdict(list)
    for partition, memory, cores, gres in NODE.findall(text):
        nodes[partition].append(
            {"mem_mb": int(memory), "threads": int(cores), "gpus": _gpu_models(gres)}
        )
    if not nodes:
        raise StudyError(
            "sinfo --noheader --exact --format '%R|%m|%c|%G'",
            f"no line reads `partition|memory|cores|gres`; it printed {text[:300]!r}",
            EDIT,
            code="unread-output",
        )
    return dict(nodes)


def _gpu_models(gres: str) -> list[str]:
    """Models of a node's GPUs, from its generic resources: `gpu:2`, `gpu:a100:2(S:0-1),shard:8`."""
    items = (item.split(":") for item in re.sub(r"\([^)]*\)", "", gres).split(","))
    gpus = (parts[1:] for parts in items if parts[0] == "gpu")
    # One part after the name is a number or a model, of two the first is the model.
    return [rest[0] if len(rest) > 1 or (rest and not rest[0].isdecimal()) else "" for rest in gpus]


def parse_partitions(text: str) -> dict[str, dict[str, str]]:
    """Partitions by name, each with its values by key.

    Parameters
    ----------
    text
        Output of ``scontrol show partition``, with one line or several per partition.

    Raises
    ------
    StudyError
        It names no partition.
    """
    partitions = {}
    for key, value in re.findall(r"(?:^|(?<=\s))(\w+)=(\S*)", text):
        if key == "PartitionName":
            values = partitions.setdefault(value, {})
        elif partitions:
            values[key] = value
    if not partitions:
        raise StudyError(
            "scontrol show partition",
            f"names no partition; it printed {text[:300]!r}",
            EDIT,
            code="unread-output",
        )
    return partitions


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
    """Describe the cluster where this runs, by SLURM's own commands; see `describe_site`."""
    if not shutil.which("sinfo"):
        fix = "Run this on a submit host, or edit profiles/slurm/site.yaml."
        raise StudyError(
            "sinfo", "SLURM's commands are not on the PATH", fix, code="missing-program"
        )
    nodes = parse_nodes(_ask("sinfo", "--noheader", "--exact", "--format", "%R|%m|%c|%G"))
    partitions = parse_partitions(_ask("scontrol", "show", "partition"))
    tres = re.search(r"^SelectType\s*= select/cons_tres$", _ask("scontrol", "show", "config"), re.M)
    account, qos = find_account()
    return describe_site(partitions, nodes, account, bool(tres), qos)


def find_account() -> tuple[str | None, list[str]]:
    """The user's account and its QOS, defaults first; None and nothing where SLURM keeps none."""
    try:
        user = getpass.getuser()
        command = ["sacctmgr", "-nP", "show", "assoc", f"user={user}"]
        lines = _ask(*command, "format=account,defaultqos,qos").splitlines()
        default = _ask("sacctmgr", "-nP", "show", "user", user, "format=defaultaccount").strip()
    except (StudyError, OSError, KeyError):
        return None, []
    found = {}
    for account, first, every in (line.split("|") for line in lines if line.count("|") == 2):
        every = every.split(",")
        # Without a default of their own users have SLURM's.
        first = first or ("normal" if "normal" in every else "")
        named = [name for name in (first, *every) if name]
        found.setdefault(account, list(dict.fromkeys(named)))
    account = default if default in found else next(iter(found), None)
    return account, found.get(account, [])


def _ask(*command: str) -> str:
    """Output of a command of SLURM."""
    words = " ".join(command)
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, errors="replace", timeout=PATIENCE
        )
    except FileNotFoundError:
        raise StudyError(command[0], "is not on the PATH", code="missing-program") from None
    except OSError as error:
        raise StudyError(
            words, f"cannot be started: {error.strerror}", EDIT, code="failed-program"
        ) from None
    except subprocess.TimeoutExpired:
        fix = "Try again when SLURM answers."
        raise StudyError(
            words, f"gave no answer within {PATIENCE} s", fix, code="failed-program"
        ) from None
    except subprocess.CalledProcessError as error:
        problem = error.stderr.strip() or f"failed with exit code {error.returncode}"
        raise StudyError(words, problem, EDIT, code="failed-program") from None
    return done.stdout


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
