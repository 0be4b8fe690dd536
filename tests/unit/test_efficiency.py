"""The table of what SLURM jobs asked for and used, from what Snakemake and sacct print."""

# ruff: noqa: E501 (lines as Snakemake prints them)

import csv

import pytest

from latere.cluster import efficiency
from latere.cluster.accounting import read_sacct, to_mb, to_seconds
from latere.cluster.advice import Row, advise
from latere.cluster.efficiency import render, report, tabulate
from latere.snakemake_internals import read_groups, read_submissions

# Of a run with Snakemake 9.27 and its plugin 2.8 on SLURM 22.05; job 67 was made to pass its limit.
LOG = """\
SLURM run ID: 49543b61-ab05-4e3b-ad71-60145b705fe3
[Sun Nov 22 18:30:05 2026] Group job count (jobs in lexicogr. order):

    [Sun Nov 22 18:30:05 2026]
    rule assign_roles:
        input: results/s/reads/r0, results/s/reference/whitelists/10xv2.txt
        output: results/s/roles/r0.json
        jobid: 3
        benchmark: results/s/benchmarks/assign_roles/r0.tsv
        reason: Missing output files: results/s/roles/r0.json
        wildcards: run=r0
        resources: tmpdir=<TBD>, mem_mb=2000, mem=2 GB, mem_mib=1908, runtime=30
Shell command: None

    [Sun Nov 22 18:30:05 2026]
    rule starsolo:
        input: results/s/reads/r0, results/s/roles/r0.json
        output: results/s/counts/starsolo/r0
        jobid: 2
        benchmark: results/s/benchmarks/starsolo/r0.tsv
        wildcards: run=r0
        threads: 8
        resources: tmpdir=<TBD>, mem_mb=10500, mem=10.5 GB, mem_mib=10014, runtime=154
Shell command: None

Auto-selected partition 'long' for job count_assign_roles_starsolo with score 1.246
Job 6d9c has been submitted with SLURM jobid 57 (log: /a/.snakemake/slurm_logs/group_count_assign_roles_starsolo/57.log).
Job 40 has been submitted with SLURM jobid 31 (log: /a/.snakemake/slurm_logs/rule_fasterq_dump/r0/31.log).
Job 34 has been submitted with SLURM jobid 67 (log: /a/.snakemake/slurm_logs/rule_train_scvi/67.log).
[Sun Nov 22 18:32:05 2026]
rule train_scvi:
    input: results/s/cells/cells.h5ad
    jobid: 34
    threads: 4
    resources: tmpdir=<TBD>, mem_mb=12000, mem=12 GB, mem_mib=11445, runtime=60, gpu=1
Job 34 has been submitted with SLURM jobid 68 (log: /a/.snakemake/slurm_logs/rule_train_scvi/68.log).
"""
SACCT = """\
31|COMPLETED|23|120|00:04.533||billing=6,cpu=6,mem=8000M,node=1|billing=6,cpu=6,mem=8000M,node=1||2026-11-22T18:30:03
31.batch|COMPLETED|23||00:02.163|190232K||cpu=6,mem=8000M,node=1|cpu=00:00:01,mem=190232K|2026-11-22T18:30:22
31.0|COMPLETED|12||00:02.370|225628K||cpu=6,mem=8000M,node=1|cpu=00:00:02,mem=225628K|2026-11-22T18:30:30
57|COMPLETED|7200|184|08:00:00||billing=8,cpu=8,mem=10500M,node=1|billing=8,cpu=8,mem=10500M,node=1||2026-11-22T18:31:08
57.0|COMPLETED|7100||08:00:00|9.5G||cpu=8,mem=10500M,node=1|cpu=08:00:00,mem=9961472K|2026-11-22T18:32:51
67|OUT_OF_MEMORY|60|30|00:30.000||billing=4,cpu=4,gres/gpu=1,mem=6000M,node=1|billing=4,cpu=4,gres/gpu=1,mem=6000M,node=1||2026-11-22T18:32:00
67.0|OUT_OF_MEMORY|50||00:30.000|5900M||cpu=4,gres/gpu=1,mem=6000M,node=1|cpu=00:00:30,mem=5900M|2026-11-22T18:32:10
68|COMPLETED|120|60|02:00.000||billing=4,cpu=4,gres/gpu=1,mem=12000M,node=1|billing=4,cpu=4,gres/gpu=1,mem=12000M,node=1||2026-11-22T18:34:00
68.0|COMPLETED|100||02:00.000|7000M||cpu=4,gres/gpu=1,mem=12000M,node=1|cpu=00:02:00,gres/gpuutil=28,mem=7000M|2026-11-22T18:34:10
"""


@pytest.fixture
def results(tmp_path):
    for rule, line in [("assign_roles", "12.0\t300.5\t6.0"), ("starsolo", "7000.0\t9000.0\t28000")]:
        file = tmp_path / f"benchmarks/{rule}/r0.tsv"
        file.parent.mkdir(parents=True)
        file.write_text(f"s\tmax_rss\tcpu_time\n{line}\n")
    (tmp_path / "logs").mkdir()
    return tmp_path


@pytest.fixture
def rows(results):
    # Its jobs were submitted before the benchmarks of this test are written.
    return tabulate(LOG, SACCT.replace("2026-11-22", "2020-11-22"), results)


def test_rows_are_rules_and_groups_with_their_rules(rows):
    assert [(row.group, row.rule) for row in rows] == [
        ("assign_roles+starsolo", ""),
        ("assign_roles+starsolo", "assign_roles"),
        ("assign_roles+starsolo", "starsolo"),
        ("", "fasterq_dump"),
        ("", "train_scvi"),
    ]


def test_job_that_passed_its_memory_was_submitted_again(rows):
    row = rows[-1]
    assert (row.jobs, row.resubmitted) == (1, 1)
    assert row.ended == "COMPLETED 1, OUT_OF_MEMORY 1"
    # Asked: by the first attempt. Used: by the one that used most.
    assert (row.mem_mb_asked, row.mem_mb_used) == (6000, 7000)
    assert (row.minutes_asked, row.minutes_used) == (30, 2)
    assert (row.cores_asked, row.cores_used) == (4, 150 / 180)
    assert (row.gpus_asked, row.gpus_used) == (1, 0.28)


def test_rule_in_a_group_has_the_figures_of_snakemake(rows):
    star = rows[2]
    assert (star.jobs, star.mem_mb_asked, star.minutes_asked, star.cores_asked) == (
        1, 10500, 154, 8,
    )  # fmt: skip
    assert (star.mem_mb_used, star.minutes_used, star.cores_used) == (9000, 7000 / 60, 4)


def test_older_benchmarks_are_not_of_this_run(results):
    future = SACCT.replace("2026-11-22", "2126-11-22")
    star = tabulate(LOG, future, results)[2]
    assert (star.rule, star.jobs, star.mem_mb_used) == ("starsolo", 0, None)


def test_advice_is_more_where_a_limit_was_passed_and_less_where_half_is_enough(rows):
    assert advise(rows) == {
        "assign_roles": {"runtime": "attempt * 10"},
        "starsolo": {"threads": 4},
        "fasterq_dump": {"mem_mb": "attempt * 2000", "runtime": "attempt * 10"},
        "train_scvi": {"mem_mb": "attempt * 12000", "runtime": "attempt * 10"},
    }


def test_group_that_passed_its_time_is_put_to_the_rule_that_asks_for_most():
    asked = {"mem_mb_asked": 2000, "mem_mb_used": 1500, "group": "a+b"}
    group = Row("", ended="TIMEOUT 3", minutes_asked=130, minutes_used=130, **asked)
    short = Row("a", minutes_asked=30, minutes_used=6, **asked)
    # It never ended, so that its benchmark is not there.
    long = Row("b", minutes_asked=100, **asked)
    assert advise([group, short, long]) == {"b": {"runtime": "attempt * 200"}}


def test_fair_requests_bring_no_advice():
    row = Row("a", mem_mb_asked=9000, mem_mb_used=7000, minutes_asked=60, minutes_used=15)
    assert advise([row]) == {}


def test_table_is_told_with_lines_for_the_site_file(rows):
    text = render(rows, advise(rows))
    assert "train_scvi                     1     1      7000 / 6000" in text
    assert text.endswith("  train_scvi: {mem_mb: attempt * 12000, runtime: attempt * 10}")


def test_sizes_and_times_of_slurm():
    assert [to_mb(size) for size in ("2048K", "8000M", "1.5G", "0")] == [2, 8000, 1536, 0]
    assert to_seconds("00:04.285") == 4.285
    assert to_seconds("1-02:03:04") == 86400 + 2 * 3600 + 3 * 60 + 4


def test_log_of_a_local_run_has_no_slurm_jobs(results):
    (results / "log").write_text("Building DAG of jobs...\n")
    report([str(results / "log")], str(results))
    assert not list((results / "logs").iterdir())


def test_what_cannot_be_read_ends_no_run(results, monkeypatch, caplog):
    """A log without the blocks of groups, as `--quiet rules` leaves it, and an odd sacct."""
    bare = "".join(line for line in LOG.splitlines(True) if "has been submitted" in line)
    assert {row.rule for row in tabulate(bare, SACCT, results)} > {"count_assign_roles_starsolo"}
    (results / "log").write_text(bare)
    monkeypatch.setattr(efficiency, "ask_sacct", lambda ids: "31|RUNNING|x|||||||\n")
    report([str(results / "log")], str(results))
    assert "No table of what the jobs used" in caplog.text


def test_log_is_read_whole():
    assert [job.attempt for job in read_submissions(LOG).values()] == [1, 1, 1, 2]
    groups, asked = read_groups(LOG)
    assert groups == {"count_assign_roles_starsolo": ("assign_roles", "starsolo")}
    assert asked["starsolo"] == {"threads": 8, "mem_mb": 10500, "runtime": 154}
    assert read_sacct(SACCT)["31"]["mem_mb"] == 225628 / 1024


def test_without_accounting_that_is_said(results, monkeypatch, caplog):
    """SLURM's accounting is switched off on some sites; here a fake says what SLURM then says."""
    (results / "sacct").write_text(
        "#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2; exit 1\n"
    )
    (results / "sacct").chmod(0o755)
    (results / "log").write_text(LOG)
    monkeypatch.setenv("PATH", str(results), prepend=":")
    report([str(results / "log")], str(results))
    assert not (results / "logs/efficiency.tsv").exists()
    assert "Slurm accounting storage is disabled" in caplog.text


def test_table_is_written(results, monkeypatch):
    """The captured answer of sacct stands in for the cluster; tests/cluster has a real one."""
    (results / "answer").write_text(SACCT)
    (results / "sacct").write_text(f"#!/bin/sh\ncat {results}/answer\n")
    (results / "sacct").chmod(0o755)
    (results / "log").write_text(LOG)
    monkeypatch.setenv("PATH", str(results), prepend=":")
    report([str(results / "log")], str(results))
    with (results / "logs/efficiency.tsv").open() as handle:
        table = list(csv.DictReader(handle, delimiter="\t"))
    assert table[-1]["rule"] == "train_scvi"
    assert table[-1]["ended"] == "COMPLETED 1, OUT_OF_MEMORY 1"
