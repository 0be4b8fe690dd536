"""Snakemake's internals: everything used here that is not its documented API.

One place to look at after an upgrade. Each function has a test that runs the Snakemake which is
installed, tests/unit/test_snakemake_internals.py; what is adapted of the SLURM plugin is in
`latere.cluster.executor`. The default profile alone reads Snakemake's command line by itself, as it
has to find this package first.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# For others to import: the logger that writes what a person sees, and Snakemake's log.
from snakemake.logging import logger as logger
from snakemake.settings.types import DeploymentMethod

GROUP = re.compile(r"Group job (\S+) \(jobs in lexicogr. order\):$")
# As the plugin for SLURM prints it.
SUBMITTED = re.compile(
    r"^Job (\S+) has been submitted with SLURM jobid (\d+) "
    r"\(log: .*?/slurm_logs/(?:rule|group)_([^/]+)/.*\)\.$",
    re.MULTILINE,
)


# SLURM's log of a job that failed.
FAILED_LOG = re.compile(r"(/[^,\n]*/slurm_logs/[^,\n]*\.log) \(check log")
# A job of a dry run, and its fields.
RULE = re.compile(r"^(?:local)?rule (\w+):\n((?: {4}.*\n)*)", re.MULTILINE)
FIELD = re.compile(r"^ {4}(\w+): (.*)$", re.MULTILINE)


# What a Snakefile may ask of its `workflow`


def given_configfiles(workflow) -> list[str]:
    """Configurations of the command line (`--configfile`), in its order."""
    return list(map(str, workflow.overwrite_configfiles))


def is_main(workflow) -> bool:
    """Whether this is the Snakemake that a person called, not one that runs a job."""
    return workflow.is_main_process


def uses_conda(workflow) -> bool:
    """Whether rules run in conda environments."""
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def set_default_limits(workflow, limits: Mapping[str, int]) -> None:
    """Limit resources of all jobs together, where neither profile nor `--resources` does."""
    for name, number in limits.items():
        workflow.global_resources.setdefault(name, number)


def get_limit(workflow, name: str) -> int:
    """How much of a resource all jobs together may take."""
    return workflow.global_resources[name].value


def scripted_rules(workflow) -> Iterator:
    """The rules so far that run a script."""
    return (rule for rule in workflow.rules if rule.script)


def add_params(rule, params: Mapping) -> None:
    """Give a rule further parameters, by which it reruns when they change."""
    rule.set_params(**params)


def files_of_rules(workflow) -> dict[str, Path]:
    """The file that each rule is written in, by the rule's name, in the order of the rules."""
    return {rule.name: Path(rule.snakefile) for rule in workflow.rules}


def envs_of_rules(workflow) -> dict[str, str]:
    """Name of the conda environment of each rule that has one, by the rule's name."""
    return {rule.name: Path(str(rule.conda_env)).stem for rule in workflow.rules if rule.conda_env}


def main_snakefile(workflow) -> Path:
    """The Snakefile."""
    return Path(workflow.main_snakefile)


def rules_to_run(workflow) -> set[str]:
    """Rules of the jobs that this run will do; known when it starts."""
    return {job.rule.name for job in workflow.dag.needrun_jobs()}


def jobs_to_run(workflow) -> list[tuple[str, dict[str, str], int]]:
    """Jobs that this run will do, as `read_dry_run` gives them; known when it starts."""
    return [
        (job.rule.name, dict(job.wildcards_dict), job.threads)
        for job in workflow.dag.needrun_jobs()
        if not job.is_norun
    ]


def name_report(workflow, report: Path) -> None:
    """Name the report at the end of a run that was to make it."""
    if any(job.rule.name == "report" for job in workflow.dag.jobs) and report.exists():
        logger.info(f"Report: {report}")


def submits(workflow) -> bool:
    """Whether a job of this run goes to a cluster; known when it starts."""
    return not all(job.is_local for job in workflow.dag.needrun_jobs())


# What Snakemake prints


def read_dry_run(text: str) -> list[tuple[str, dict[str, str], int]]:
    """Jobs in the printout of a dry run: rule, wildcards, threads.

    Raises
    ------
    ValueError
        The numbers of jobs differ from Snakemake's own table: its printout has changed.
    """
    jobs = []
    for rule, block in RULE.findall(text):
        fields = dict(FIELD.findall(block))
        pairs = fields["wildcards"].split(", ") if "wildcards" in fields else []
        wildcards = dict(pair.split("=", 1) for pair in pairs)
        jobs.append((rule, wildcards, int(fields.get("threads", 1))))
    counted = re.search(r"^total +(\d+)$", text, re.MULTILINE)
    if len(jobs) != (int(counted[1]) if counted else 0):
        raise ValueError("the dry run's table counts other numbers of jobs than its text")
    return jobs


def hidden_logs(text: str) -> list[str]:
    """SLURM's logs of failed jobs that Snakemake names in its log, but does not show there."""
    named = dict.fromkeys(FAILED_LOG.findall(text))
    return [name for name in named if f"Logfile {name}:" not in text]


@dataclass(frozen=True)
class Submission:
    """One SLURM job of a run.

    Attributes
    ----------
    name
        Its rule; of a group the group and its rules, joined by `_`.
    attempt
        1 for the first submission of the Snakemake job, 2 for the next.
    """

    name: str
    attempt: int


def read_submissions(log: str) -> dict[str, Submission]:
    """SLURM jobs of a run, by their id.

    Parameters
    ----------
    log
        Text of Snakemake's log.
    """
    attempts = Counter()
    submissions = {}
    for job, slurm_id, name in SUBMITTED.findall(log):
        attempts[job] += 1
        submissions[slurm_id] = Submission(name, attempts[job])
    return submissions


def read_groups(log: str) -> tuple[dict[str, tuple[str, ...]], dict[str, dict[str, int]]]:
    """Rules inside each group, and what first attempts at such a rule asked for at most.

    Parameters
    ----------
    log
        Text of Snakemake's log.

    Returns
    -------
    dict, dict
        Rules by group, whose name is the one that the plugin gives it (that of the group and of its
        rules, joined by `_`); and by rule `mem_mb` (MB), `runtime` (minutes), `threads`.
    """
    rules, asked, seen = defaultdict(set), defaultdict(Counter), set()
    group = rule = None
    first = True
    for line in log.splitlines():
        if opened := GROUP.search(line):
            group = opened[1]
        elif line and not line.startswith((" ", "Shell command")):
            group = None
        elif group and (named := re.match(r" +rule (\w+):$", line)):
            rule = named[1]
            rules[group].add(rule)
            asked[rule]["threads"] = max(asked[rule]["threads"], 1)
        elif group and (numbered := re.match(r" +jobid: (\d+)$", line)):
            first = numbered[1] not in seen
            seen.add(numbered[1])
        elif group and first and re.match(r" +(threads|resources): ", line):
            for name, value in re.findall(r"\b(threads|mem_mb|runtime)[:=] ?(\d+)\b", line):
                asked[rule][name] = max(asked[rule][name], int(value))
    named = {
        "_".join([group, *sorted(names)]): tuple(sorted(names)) for group, names in rules.items()
    }
    return named, {rule: dict(most) for rule, most in asked.items()}
