"""A copy of the workflow that submits to the test cluster."""

import re
import subprocess
from contextlib import suppress

import psutil
import yaml
from cluster import CORES, wait_until

CONFIG = "config/demo/config.yaml"
# A command that is not at an end by then never will be.
LONGEST = 1800


class Run:
    """A running `snakemake`, and what it says."""

    def __init__(self, words, folder, env, name):
        self.file = folder.parent / f"{name}.out"
        with self.file.open("w") as out:
            self.process = subprocess.Popen(words, cwd=folder, env=env, stdout=out, stderr=out)

    @property
    def output(self):
        return self.file.read_text()

    @property
    def submitted(self):
        """Ids of the SLURM jobs so far."""
        return re.findall(r"has been submitted with SLURM jobid (\d+)", self.output)

    def wait(self):
        """Its exit code."""
        return self.process.wait(LONGEST)

    def succeed(self):
        assert self.wait() == 0, self.output[-8000:]
        return self

    def fail(self):
        assert self.wait() != 0, self.output[-8000:]
        return self


class Project:
    """A copy of the workflow that submits to the cluster."""

    def __init__(self, folder, cluster):
        self.folder, self.cluster, self.runs = folder, cluster, []
        self.results = folder / "results/demo"
        # What `snakemake` is started with, and programs that stand before SLURM's.
        self.within, self.programs = [], folder.parent / "bin"
        # For a cluster that answers at once, and jobs of seconds.
        self.latency = 5
        file = folder / "profiles/slurm/config.yaml"
        profile = yaml.safe_load(file.read_text())
        profile["slurm-init-seconds-before-status-checks"] = 1
        profile["__definitions__"].append("executor.Executor.longest_pause = 2")
        file.write_text(yaml.safe_dump(profile, sort_keys=False))

    def describe_site(self, resources):
        """Set the site file: what rules ask for, and no more cores a job than the machine has."""
        path = self.folder / "profiles/slurm/site.yaml"
        site = yaml.safe_load(path.read_text())
        site |= {"cores": CORES, "latency": self.latency, "resources": resources}
        path.write_text(yaml.safe_dump(site))

    def start(self, *words, **site):
        """Start `snakemake --profile slurm`; `site` tells what rules ask for."""
        self.describe_site(site)
        command = [
            *self.within,
            "snakemake",
            *map(str, words),
            "--profile",
            "slurm",
            "--configfile",
            CONFIG,
        ]
        name = f"snakemake-{len(self.runs)}"
        # The nodes lend more processors than there are: threads that wait must not hold one.
        env = self.cluster.env | {"OMP_WAIT_POLICY": "PASSIVE"}
        env["PATH"] = f"{self.programs}:{env['PATH']}"
        self.runs.append(Run(command, self.folder, env, name))
        return self.runs[-1]

    def forget(self, *files):
        """Remove results, so that they are made again."""
        for file in files:
            (self.results / file).unlink()

    def targets(self, *files):
        return [f"results/demo/{file}" for file in files]

    def hold(self, *rules) -> list[psutil.Process]:
        """Wait until the scripts of rules run, and stop each there until it is resumed or killed.

        All at once: the script of one may end while another one is waited for.
        """
        held = {}

        def find():
            assert self.runs[-1].process.poll() is None, "Snakemake has ended"
            for process in psutil.process_iter(["cmdline"]):
                script = " ".join((process.info["cmdline"] or [])[1:2])
                for rule in rules:
                    ours = script.startswith(f"{self.folder}/")
                    if rule not in held and ours and script.endswith(f".{rule}.py"):
                        with suppress(psutil.Error):
                            process.suspend()
                            held[rule] = process
            return len(held) == len(rules)

        try:
            wait_until(find, f"{', '.join(rules)} run", every=0.02)
        except (AssertionError, TimeoutError) as error:
            error.add_note(self.runs[-1].output[-8000:])
            raise
        return [held[rule] for rule in rules]

    def jobs(self, run, *fields):
        """What `sacct` tells of the jobs of a run, by rule (or group)."""
        table = self.cluster.sacct("JobID", "JobName", "State", "Comment", *fields)
        table = table[table["JobID"].isin(run.submitted)]
        return table.set_index(
            table["Comment"].str.extract(
                r"^(?:rule|group)_(.*?)(?:_wildcards.*)?(?: submission=\w+)?$"
            )[0]
        )

    def end(self):
        """End what still runs, here and in the queue."""
        for run in self.runs:
            if run.process.poll() is None:
                run.process.kill()
                run.process.wait()
        ours = {job for run in self.runs for job in run.submitted}

        def left():
            return ours & set(self.cluster.ask("squeue", "--noheader", "--format=%A").split())

        if jobs := left():
            # Twice: a process that is held takes no other signal.
            self.cluster.call("scancel", "--signal=KILL", *jobs)
            self.cluster.call("scancel", *jobs)
            wait_until(lambda: not left(), "the queue is empty")
