"""What SLURM's commands print about a cluster and its user, for `make site`."""

import getpass
import re
import subprocess
from collections import defaultdict

from latere.errors import StudyError

# A line of sinfo. A number with a plus is the least of several.
NODE = re.compile(r"^([^|\n]+)\|(\d+)\+?\|(\d+)\+?\|([^|\n]*)$", re.MULTILINE)
PATIENCE = 120  # seconds for an answer
EDIT = (
    "Run the command by itself. If it works, write profiles/slurm/site.yaml by hand: "
    "config/schemas/site.schema.yaml describes every key."
)


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


def find_account() -> tuple[str | None, list[str]]:
    """The user's account and its QOS, defaults first; None and nothing where SLURM keeps none."""
    try:
        user = getpass.getuser()
        command = ["sacctmgr", "-nP", "show", "assoc", f"user={user}"]
        lines = ask(*command, "format=account,defaultqos,qos").splitlines()
        default = ask("sacctmgr", "-nP", "show", "user", user, "format=defaultaccount").strip()
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


def ask(*command: str) -> str:
    """Output of a command of SLURM.

    Raises
    ------
    StudyError
        It is not there, fails, or gives no answer.
    """
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
