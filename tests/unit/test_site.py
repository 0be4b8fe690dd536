"""A SLURM site: what its file may say, and how a cluster is described."""

import os
import subprocess
import sys

import pytest

from latere.cluster import site as reader
from latere.cluster.describe import parse_nodes, parse_partitions
from latere.cluster.make_site import AS_CLONED, describe_site, render_site
from latere.cluster.requests import LEAST_MINUTES
from latere.cluster.site import find_conda, get_limits, get_resources, read_site
from latere.errors import StudyError

# Printed by SLURM 22.05: `scontrol show partition`, and
# `sinfo --noheader --exact --format '%R|%m|%c|%G'`.
SCONTROL = """\
PartitionName=short
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=YES QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO
   MaxNodes=UNLIMITED MaxTime=02:00:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED
   Nodes=cpu[1-2]
   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO
   OverTimeLimit=NONE PreemptMode=OFF
   State=UP TotalCPUs=32 TotalNodes=2 SelectTypeParameters=NONE
   JobDefaults=(null)
   DefMemPerCPU=1000 MaxMemPerNode=UNLIMITED
   TRES=cpu=32,mem=125G,node=2,billing=32

PartitionName=long
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO
   MaxNodes=UNLIMITED MaxTime=7-00:00:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED
   Nodes=cpu1
   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO
   OverTimeLimit=NONE PreemptMode=OFF
   State=UP TotalCPUs=16 TotalNodes=1 SelectTypeParameters=NONE
   JobDefaults=(null)
   DefMemPerNode=UNLIMITED MaxMemPerNode=48000
   TRES=cpu=16,mem=62.50G,node=1,billing=16

PartitionName=gpu
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO
   MaxNodes=UNLIMITED MaxTime=1-00:00:00 MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED
   Nodes=gpu1
   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO
   OverTimeLimit=NONE PreemptMode=OFF
   State=UP TotalCPUs=8 TotalNodes=1 SelectTypeParameters=NONE
   JobDefaults=(null)
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
   TRES=cpu=8,mem=32000M,node=1,billing=8,gres/gpu=2

PartitionName=all
   AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL
   AllocNodes=ALL Default=NO QoS=N/A
   DefaultTime=NONE DisableRootJobs=NO ExclusiveUser=NO GraceTime=0 Hidden=NO
   MaxNodes=UNLIMITED MaxTime=UNLIMITED MinNodes=0 LLN=NO MaxCPUsPerNode=UNLIMITED
   Nodes=cpu[1-2],gpu1
   PriorityJobFactor=1 PriorityTier=1 RootOnly=NO ReqResv=NO OverSubscribe=NO
   OverTimeLimit=NONE PreemptMode=OFF
   State=DOWN TotalCPUs=40 TotalNodes=3 SelectTypeParameters=NONE
   JobDefaults=(null)
   DefMemPerNode=UNLIMITED MaxMemPerNode=UNLIMITED
   TRES=cpu=40,mem=160000M,node=3,billing=40,gres/gpu=2
"""
SINFO = """\
short|64000|16|(null)
long|64000|16|(null)
gpu|32000|8|gpu:a100:2
all|64000|16|(null)
all|32000|8|gpu:a100:2
"""


@pytest.fixture
def partitions():
    return parse_partitions(SCONTROL)


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "site.yaml").write_text(text)
        return str(tmp_path / "site.yaml")

    return write


def test_cluster_is_described(partitions):
    site, notes = describe_site(partitions, parse_nodes(SINFO), "lab", tres=True)
    assert site == {
        "account": "lab",
        "partitions": {
            "short": {"max_mem_mb": 64000, "max_runtime": "02:00:00", "max_threads": 16},
            "long": {"max_mem_mb": 48000, "max_runtime": "7-00:00:00", "max_threads": 16},
        },
        "gpu": {"partition": "gpu", "request": "gpus"},
    }
    assert notes == [
        "all is left out: State=DOWN",
        "gpu has GPUs: a100; max_mem_mb 32000, max_runtime 1-00:00:00, max_threads 8",
    ]


def test_description_is_a_site(partitions, write):
    site, notes = describe_site(partitions, parse_nodes(SINFO), None, tres=False)
    read = read_site(write(render_site(site, notes)))
    assert read["gpu"] == {"partition": "gpu", "request": "gres"} | dict.fromkeys(
        ["model", "qos", "constraint"]
    )
    assert read["account"] is None
    assert read["latency"] == read_site(write("partitions: {main: {}}"))["latency"] == 60
    runtime = 7 * 24 * 60 - 3 * LEAST_MINUTES
    limits = {"mem_mb": 48000, "runtime": runtime, "threads": 8, "members": 20}
    assert get_limits(read) == limits


def test_site_as_cloned_is_such_a_text(root):
    """`make site` may write over it. The one in the folder may be a user's own."""
    command = ["git", "-C", str(root), "show", "HEAD:profiles/slurm/site.yaml"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"nothing is committed here: {done.stderr.strip()}")
    assert done.stdout == render_site(AS_CLONED)


def test_partitions_of_others_are_left_out(partitions):
    partitions["short"]["AllowAccounts"] = "theirs,others"
    partitions["long"]["DenyAccounts"] = "lab"
    site, notes = describe_site(partitions, parse_nodes(SINFO), "lab", tres=True)
    # What remains has GPUs, so that CPU jobs go there too, and that is told.
    assert list(site["partitions"]) == ["gpu"]
    assert "short is left out: AllowAccounts=theirs,others" in notes
    assert "long is left out: DenyAccounts=lab" in notes
    assert "every partition has GPUs, so CPU jobs run there too" in notes


def test_cluster_that_takes_no_jobs(partitions):
    with pytest.raises(StudyError, match=r"all is left out.*\[no-partition\]"):
        describe_site({"all": partitions["all"]}, parse_nodes(SINFO), None, tres=True)


@pytest.mark.parametrize(
    "gres, models",
    [
        ("(null)", []),
        ("gpu:2", [""]),
        ("gpu", [""]),
        ("gpu:a100:2(S:0-1)", ["a100"]),
        ("gpu:nvidia_a100-sxm4-80gb:4(S:0,3)", ["nvidia_a100-sxm4-80gb"]),
        # Named by a number.
        ("gpu:3090:4,gpu:1g.5gb:7", ["3090", "1g.5gb"]),
        ("gpu:a100_3g.20gb:2,gpu:h100:1(S:1),shard:8", ["a100_3g.20gb", "h100"]),
    ],
)
def test_gpus_of_a_node(gres, models):
    assert parse_nodes(f"p|1000|4|{gres}\n")["p"][0]["gpus"] == models


@pytest.mark.parametrize(
    "text, told",
    [
        ("", "is empty"),
        ("partitions: {", "row 1: is not YAML"),
        ("jobs: 5\njobs: 6", "row 2: key 'jobs': the key appears twice, first in row 1"),
        ("account: lab", "the key 'partitions' is missing"),
        ("partitions: {}", "partitions"),
        ("partitions: {main: }", "is empty"),
        ("partitions: {main: {max_mem: 1}}", "Did you mean 'partitions.main.max_mem_mb'?"),
        ("partitions: {main: {max_mem_mb: 64GB}}", "'64GB' is of type str, not integer"),
        ("partitions: {main: {max_runtime: soon}}", "[not-a-time]"),
        ("partitions: {main: {max_runtime: 12:00:00}}", "[number-to-yaml]"),
        ("resources: {report: {runtime: 2:00:00}}", "[number-to-yaml]"),
        ("partitions: {main: {}}\nlatency: 1m", "'1m' is of type str, not integer"),
        ("partitions: {main: {}}\nlatency: -1", "key 'latency'"),
        ("partitions: {main: {}}\ngpu: {request: gres}", "the key 'partition' is missing"),
        ("partitions: {main: {}}\ngpu: {partition: g, request: x}", "key 'gpu.request'"),
        ("partitions: {main: {}}\nresources: {starsol: {mem_mb: 1}}", "Did you mean 'starsolo'?"),
        (
            "partitions: {main: {}}\nresources: {starsolo: {memmb: 1}}",
            "Did you mean 'resources.starsolo.mem_mb'?",
        ),
    ],
)
def test_what_is_wrong_with_a_site_is_told(write, text, told):
    with pytest.raises(StudyError) as error:
        read_site(write(text))
    assert told in str(error.value)
    assert str(error.value).startswith(write(text))


@pytest.mark.parametrize(
    "asked, wrong",
    [
        ("mem_mb: 64000", False),
        ("mem_mb: attempt * 64000", False),
        ("mem_mb: 200 if attempt == 1 else 4000", False),
        ("mem_mb: 'max(2 * input.size_mb, 4000)'", False),
        ("mem_mb: 64GB", True),
        ("mem_mb: plenty", True),
        ("mem_mb: attempts * 64000", True),
        ("runtime: 'min(attempt * 120, 240)'", False),
        ("runtime: 2h", False),
        ("runtime: 1.5 d", False),
        ("runtime: 7-00:00:00", True),
        ("runtime: 2 hours", True),
        ("threads: 4 * attempt", False),
        ("threads: '16'", False),
        ("threads: all of them", True),
        ("slurm_partition: long", False),
    ],
)
def test_what_a_rule_asks_for_comes_to_a_number(write, asked, wrong):
    name, value = asked.replace("'", "").split(": ", 1)
    file = write(f"partitions: {{main: {{}}}}\nresources:\n  starsolo:\n    {asked}\n")
    if not wrong:
        assert str(read_site(file)["resources"]["starsolo"][name]) == value
        return
    with pytest.raises(StudyError) as error:
        read_site(file)
    told = f"{file}: key 'resources.starsolo.{name}': '{value}'"
    assert str(error.value).startswith(told) and error.value.code == "not-a-number"
    # How to write it.
    assert "attempt" in error.value.fix


def test_times_may_be_written_as_slurm_does(write):
    for text, minutes in [("90", 90), ("12h", 720), ("'12:00:00'", 720), ("7-00:00:00", 10080)]:
        site = read_site(write(f"partitions: {{main: {{max_runtime: {text}}}}}"))
        assert get_limits({**site, "cores": 1})["runtime"] == minutes - 3 * LEAST_MINUTES


def test_conda_of_the_set_up_is_found_too(root, monkeypatch, tmp_path):
    (tmp_path / "envs").symlink_to(root / "envs")
    monkeypatch.setattr(reader, "ROOT", tmp_path)
    environ = {"PATH": "/nowhere"}
    assert find_conda(environ) is None
    assert environ == {"PATH": "/nowhere"}
    (tmp_path / ".conda/bin").mkdir(parents=True)
    (tmp_path / ".conda/bin/conda").touch(mode=0o755)
    assert find_conda(environ) == "conda"
    assert environ["PATH"] == f"/nowhere:{tmp_path}/.conda/bin"
    # As the Makefile has it.
    assert (
        f"CONDA_OVERRIDE_CUDA ?= {environ['CONDA_OVERRIDE_CUDA']}\n"
        in (root / "Makefile").read_text()
    )


def test_noise_of_sinfo_is_skipped():
    text = f"""CLUSTER: alpha
sinfo: note: the partition table is cached
PARTITION|MEMORY|CPUS|GRES

{SINFO}mixed|64000+|16+|gpu:nvidia_a100-sxm4-80gb:4(S:0,3),shard:8
"""
    nodes = parse_nodes(text)
    gpus = ["nvidia_a100-sxm4-80gb"]
    assert nodes.pop("mixed") == [{"mem_mb": 64000, "threads": 16, "gpus": gpus}]
    assert nodes == parse_nodes(SINFO)


@pytest.mark.parametrize(
    "parse, text, code",
    [
        (parse_nodes, "", "unread-output"),
        (parse_nodes, "CLUSTER: alpha\n", "unread-output"),
        (parse_nodes, "main|64G|16|(null)\n", "unread-output"),
        (parse_nodes, f"CLUSTER: a\n{SINFO}CLUSTER: b\n{SINFO}", "several-clusters"),
        (parse_partitions, "", "unread-output"),
        (parse_partitions, "No partitions in the system\n", "unread-output"),
        (parse_partitions, "State=UP MaxTime=1\n", "unread-output"),
    ],
)
def test_output_that_is_not_understood_is_quoted(parse, text, code):
    with pytest.raises(StudyError) as error:
        parse(text)
    assert error.value.code == code and error.value.fix


def test_partitions_on_a_line_each(partitions):
    lines = [" ".join(block.split()) for block in SCONTROL.split("\n\n")]
    assert parse_partitions("CLUSTER: a\n" + "\n".join(lines)) == partitions


def test_values_that_slurm_leaves_out(partitions):
    site, _ = describe_site({"main": {}}, {"main": parse_nodes(SINFO)["short"]}, None, True)
    assert site["partitions"] == {"main": {"max_mem_mb": 64000, "max_threads": 16}}
    partitions["short"]["MaxTime"] = "a while"
    with pytest.raises(StudyError, match="not-a-time"):
        describe_site(partitions, parse_nodes(SINFO), None, True)


@pytest.mark.parametrize(
    "line, mine, qos",
    [
        ({"AllowQos": "ALL"}, ["normal"], None),
        ({"AllowQos": "normal,gold"}, ["normal", "gold"], None),
        ({"AllowQos": "gold,silver"}, ["normal", "silver"], "silver"),
        ({"AllowQos": "gold,silver"}, [], "gold"),
        ({"AllowQos": "normal,gold"}, [], None),
        ({"DenyQos": "normal"}, ["normal", "silver"], "silver"),
        ({"DenyQos": "normal"}, [], None),
        ({"AllowQos": "gold"}, ["normal", "silver"], "closed"),
        ({"DenyQos": "normal"}, ["normal"], "closed"),
    ],
)
def test_qos_that_a_partition_accepts(partitions, line, mine, qos, write):
    partitions["long"] |= line
    site, notes = describe_site(partitions, parse_nodes(SINFO), "lab", True, mine)
    if qos == "closed":
        assert "long" not in site["partitions"]
        assert any(note.startswith("long is left out") and mine[-1] in note for note in notes)
        return
    assert site["partitions"]["long"].get("qos") == qos
    assert bool(qos) == any(note.startswith("long accepts") for note in notes)
    assert read_site(write(render_site(site, notes)))["partitions"] == site["partitions"]


COMMANDS = {
    "sinfo": f"cat <<'END'\n{SINFO}END",
    "scontrol": f"cat <<'END'\n{SCONTROL}END",
    "sacctmgr": "echo 'lab||normal,gold'",
}


@pytest.mark.parametrize(
    "command, script, told",
    [
        ("sinfo", "printf 'CLUSTER: a\\n'; " + COMMANDS["sinfo"], None),
        ("sinfo", "printf '\\377\\376'", "[unread-output]"),
        ("sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact"),
        ("sinfo", "exit 3", "exit code 3"),
        ("scontrol", "echo hello", "'hello\\n'"),
        ("scontrol", "kill -9 $$", "[failed-program]"),
        (
            "sacctmgr",
            "echo 'You are not running a supported accounting_storage plugin'; exit 1",
            None,
        ),
        ("sacctmgr", "printf '\\377|\\n||||\\n'", None),
    ],
)
def test_make_site_ends_in_a_sentence(root, tmp_path, command, script, told):
    for name, text in (COMMANDS | {command: script}).items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    env = os.environ | {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": "scripts",
        "LATERE_SITE": str(tmp_path / "site.yaml"),
    }
    words = [sys.executable, "-m", "latere.cluster.make_site"]
    done = subprocess.run(words, cwd=root, env=env, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    if told:
        assert done.returncode == 1 and told in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert read_site(str(tmp_path / "site.yaml"))["gpu"]["partition"] == "gpu"


@pytest.mark.parametrize(
    "text, wrong",
    [
        ("gpu: {partition: g, model: nvidia_a100-sxm4-80gb}", False),
        ("gpu: {partition: g, model: nvidia_h100_80gb_hbm3_1g.10gb}", False),
        ("gpu: {partition: g, model: 'NVIDIA A100'}", True),
        ("gpu: {partition: g, model: 'gpu:a100'}", True),
        ("resources: {train_scvi: {gres: 'gpu:tesla-v100:1'}}", False),
        ("resources: {train_scvi: {gres: '\"gpu:1\"'}}", False),
        ("resources: {train_scvi: {gres: \"'gpu:1' if attempt == 1 else 'gpu:2'\"}}", False),
        ("resources: {train_scvi: {gres: 'gpu:a100:4(S:0-1)'}}", True),
        ("resources: {train_scvi: {gpu_model: 'a100;id'}}", True),
    ],
)
def test_gpu_types_are_checked(write, text, wrong):
    file = write(f"partitions: {{main: {{}}}}\n{text}\n")
    if wrong:
        with pytest.raises(StudyError, match="not-a-gpu"):
            read_site(file)
    else:
        read_site(file)


def test_names_are_not_computed_with(write):
    """Snakemake evaluates what a rule asks for: `max` is a function, `a-b` a difference."""
    asked = "{qos: max, gpu_model: a-b, slurm_partition: \"'p' if attempt > 1 else 'q'\"}"
    site = read_site(write(f"partitions: {{main: {{}}}}\nresources: {{train_scvi: {asked}}}\n"))
    assert get_resources(site, [])["train_scvi"] == {
        "qos": "'max'",
        "gpu_model": "'a-b'",
        "slurm_partition": "'p' if attempt > 1 else 'q'",
    }
