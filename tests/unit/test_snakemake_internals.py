"""What is used of Snakemake beside its documented API, asked of the Snakemake that is installed.

A test that fails here after an upgrade names what has changed.
"""

import json
import os
import subprocess
import sys

import pytest
from snakemake.cli import get_argument_parser

from latere import snakemake_internals as internals
from latere.rerun.records import KINDS

HEAD = """\
import json, sys
from pathlib import Path

sys.path.insert(0, {scripts!r})
from latere import snakemake_internals as internals


def tell(**facts):
    with open("told.jsonl", "a") as file:
        print(json.dumps(facts), file=file)


"""


@pytest.fixture
def call(root, tmp_path):
    """Run Snakemake on a Snakefile; what it prints, and what the Snakefile told by `tell`."""

    def call(text, *words, fails=False):
        told = tmp_path / "told.jsonl"
        told.unlink(missing_ok=True)
        (tmp_path / "Snakefile").write_text(HEAD.format(scripts=str(root / "scripts")) + text)
        command = [sys.executable, "-m", "snakemake", *words]
        if "--cores" not in words:
            command += ["--cores", "1"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        lines = told.read_text().splitlines() if told.exists() else []
        return done.stdout + done.stderr, [json.loads(line) for line in lines]

    return call


MAKES = """
rule make:
    output: "out/{name}.txt"
    threads: 3
    script: "make.py"
"""
TARGET = """
rule all:
    default_target: True
    input: "out/a.txt", "out/b.txt"
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "make.py"
    path.write_text("open(snakemake.output[0], 'w').close()\n")
    return path


def test_configurations_of_the_command_line(call, tmp_path):
    text = "tell(files=internals.given_configfiles(workflow))\n"
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text("x: 1\n")
    given = call(text, "--configfile", "a.yaml", "b.yaml")[1][0]["files"]
    assert [os.path.relpath(file, tmp_path) for file in given] == ["a.yaml", "b.yaml"]
    # One that the Snakefile itself loads is none of them.
    assert call('configfile: "a.yaml"\n' + text)[1] == [{"files": []}]


def test_process_of_a_job_is_not_the_main_one(call):
    text = """
tell(is_main=internals.is_main(workflow))
rule make:
    output: "a.txt"
    run:
        Path(output[0]).touch()
"""
    told = [each["is_main"] for each in call(text)[1]]
    assert told[0] and told[1:] and not any(told[1:])


def test_conda_is_known_when_it_is_asked_for(call):
    text = "tell(conda=internals.uses_conda(workflow))\n"
    assert call(text, "-n")[1] == [{"conda": False}]
    assert call(text, "-n", "--sdm", "conda")[1] == [{"conda": True}]


def test_limits_are_set_unless_a_call_sets_them(call):
    text = """
internals.set_default_limits(workflow, {"unpacked": 6, "downloads": 4})
tell(**{name: internals.get_limit(workflow, name) for name in ("unpacked", "downloads")})
"""
    assert call(text, "-n", "--resources", "unpacked=1")[1] == [{"unpacked": 1, "downloads": 4}]


def test_a_default_limit_holds_jobs_back(call, tmp_path):
    text = """
internals.set_default_limits(workflow, {"unpacked": 1})
rule make:
    output: "{name}.txt"
    resources: unpacked=1
    shell: "mkdir alone && sleep 1 && rmdir alone && touch {output}"
rule all:
    default_target: True
    input: "a.txt", "b.txt"
"""
    call(text, "--cores", "2")
    assert (tmp_path / "a.txt").exists() and (tmp_path / "b.txt").exists()


def test_added_parameters_make_a_rule_rerun(call, script):
    def text(value):
        return f"""{MAKES}
rule plain:
    output: "c.txt"
    shell: "touch {{output}}"
for rule in internals.scripted_rules(workflow):
    # As latere.rerun.code reads them.
    tell(name=rule.name, script=rule.script, conda=rule.conda_env, params=dict(rule.params.items()))
    internals.add_params(rule, {{"code": {value!r}}})
{TARGET}"""

    told = call(text("one"))[1]
    assert told[0] == {"name": "make", "script": "make.py", "conda": None, "params": {}}
    assert "Nothing to be done" in call(text("one"))[0]
    assert "Params have changed" in call(text("two"))[0]


MOVES = """
made = snakemake.output
other = type(made)(toclone=made, custom_map=lambda path: f"{path}.new")
assert (list(other), other.name) == (["out/a.txt.new"], "out/a.txt.new"), list(other)
open(made.name, "w").close()
"""


def test_a_job_can_put_its_outputs_elsewhere(call, script, tmp_path):
    """As latere.job does, which is no code of the driver."""
    script.write_text(MOVES)
    call(MAKES.replace("output:", "output: name="), "out/a.txt")
    # Where latere.rerun.records looks for what Snakemake knows of files.
    assert {folder.name for folder in (tmp_path / ".snakemake").iterdir()} >= set(KINDS)
    assert any((tmp_path / ".snakemake" / KINDS[0]).iterdir())


def test_rules_know_their_files(call, tmp_path):
    (tmp_path / "more.smk").write_text(
        'rule other:\n    output: "b.txt"\n    shell: "touch b.txt"\n'
    )
    text = """
rule first:
    output: "a.txt"
    shell: "touch a.txt"
include: "more.smk"
files = internals.files_of_rules(workflow)
tell(main=str(internals.main_snakefile(workflow)), **{name: str(at) for name, at in files.items()})
"""
    (told,) = call(text, "-n")[1]
    assert list(told) == ["main", "first", "other"]
    assert told["main"] == told["first"] == str(tmp_path / "Snakefile")
    assert told["other"] == str(tmp_path / "more.smk")


STARTS = """
onstart:
    rules = sorted(internals.rules_to_run(workflow))
    tell(rules=rules, submits=internals.submits(workflow))
"""


def test_rules_that_are_to_run_are_known_at_the_start(call, script, tmp_path):
    text = f'{MAKES}rule plan:\n    shell: "true"\n{TARGET}{STARTS}'
    told = call(text)[1]
    assert told == [{"rules": ["all", "make"], "submits": False}]
    (tmp_path / "out/a.txt").unlink()
    assert call(text, "out/a.txt")[1][0]["rules"] == ["make"]
    assert call(text, "plan")[1][0]["rules"] == ["plan"]


def test_jobs_that_are_to_run_are_those_of_a_dry_run(call, script):
    start = "onstart:\n    tell(jobs=internals.jobs_to_run(workflow))\n"
    (told,) = call(MAKES + TARGET + start, "--cores", "8")[1]
    assert sorted(told["jobs"], key=str) == [
        ["make", {"name": "a"}, 3],
        ["make", {"name": "b"}, 3],
    ]


def test_jobs_are_read_from_a_dry_run(call, script):
    printed, _ = call(MAKES + TARGET, "-n", "--cores", "8")
    jobs = sorted(internals.read_dry_run(printed), key=str)
    assert jobs == [("all", {}, 1), ("make", {"name": "a"}, 3), ("make", {"name": "b"}, 3)]
    with pytest.raises(ValueError, match="other numbers of jobs"):
        internals.read_dry_run(printed.replace("rule make:", "step make:", 1))


SLURM = {
    "sbatch": "cat >/dev/null; echo 57",
    "sacct": "echo '57|FAILED'",
    "squeue": "echo '57|FAILED'",
    "sacctmgr": "echo lab",
    "sinfo": "exit 0",
    "scontrol": "exit 0",
}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A SLURM on which every job fails, with a log that tells why."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in SLURM.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_log_tells_of_submissions_groups_and_logs_that_are_not_shown(call, script, slurm, tmp_path):
    text = f"""
rule other:
    input: "out/a.txt"
    output: "c.txt"
    log: "other.log"
    resources: mem_mb=3000, runtime=7
    shell: "touch c.txt"
{MAKES}{STARTS}"""
    words = ["c.txt", "--executor", "slurm", "--jobs", "2", "--groups", "make=g", "other=g"]
    words += ["--slurm-init-seconds-before-status-checks", "1", "--show-failed-logs"]
    words += ["--default-resources", "slurm_account=lab", "slurm_partition=cpu", "mem_mb=2000"]
    _, told = call(text, *words, "--cores", "8", "--retries", "1", fails=True)
    assert told[0] == {"rules": ["make", "other"], "submits": True}
    (log,) = (tmp_path / ".snakemake/log").glob("*.snakemake.log")
    log = log.read_text()
    submissions = internals.read_submissions(log)
    # One id for both attempts: this SLURM knows one job.
    assert submissions == {"57": internals.Submission("g_make_other", 2)}, log
    groups, asked = internals.read_groups(log)
    assert groups == {"g_make_other": ("make", "other")}
    assert asked["other"] == {"threads": 1, "mem_mb": 3000, "runtime": 7}
    assert asked["make"]["threads"] == 3
    # The log of SLURM is named, and behind an absent one of the rule not shown.
    (hidden,) = internals.hidden_logs(log)
    assert hidden.endswith("/57.log") and "/slurm_logs/group_g_make_other/" in hidden


def test_logger_writes_into_the_log(call, script, tmp_path):
    end = "onsuccess:\n    internals.logger.warning('a word of ours')\n"
    call(MAKES + TARGET + end)
    (log,) = (tmp_path / ".snakemake/log").glob("*.snakemake.log")
    assert "a word of ours" in log.read_text()


def test_the_report_is_named_where_it_was_a_target(call, script):
    text = """
rule report:
    output: "report.html"
    script: "make.py"

rule plan:
    output: "plan.txt"
    script: "make.py"

onsuccess:
    internals.name_report(workflow, Path("report.html"))
"""
    named = "Report: report.html\n"
    assert named not in call(text, "-n", "report")[0]
    assert named in call(text, "report")[0]
    assert named not in call(text, "plan")[0]


def test_command_line_is_read_as_the_default_profile_reads_it():
    words = ["--configfile", "a.yaml", "--directory", "d", "--snakefile", "s", "--", "plan"]
    options, _ = get_argument_parser().parse_known_args(words)
    assert [str(file) for file in options.configfile] == ["a.yaml"]
    assert (str(options.directory), str(options.snakefile)) == ("d", "s")
    assert (options.targets, options.cores) == (["plan"], None)


def test_environments_of_rules(call, script):
    (script.parent / "tools.yaml").write_text("dependencies: []\n")
    with_env = MAKES.replace("    threads: 3\n", '    threads: 3\n    conda: "tools.yaml"\n')
    _, told = call(with_env + TARGET + "tell(envs=internals.envs_of_rules(workflow))\n", "-n")
    assert told[0]["envs"] == {"make": "tools"}
