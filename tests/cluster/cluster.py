"""A whole SLURM on this machine: munge, MariaDB, slurmdbd, slurmctld and three slurmd.

All of it lies in one folder, listens on free ports and is known by `SLURM_CONF` in the
environment; another SLURM on this machine is neither seen nor touched. Jobs that pass their memory
or their time are ended by SLURM itself.
"""

import getpass
import io
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pandas as pd
import psutil

# What the packages put on the PATH, and for what else a cluster can't be started here.
PROGRAMS = [
    "munged",
    "mariadbd",
    "mariadb-install-db",
    "my_print_defaults",
    "slurmdbd",
    "slurmctld",
    "slurmd",
    "sacct",
]
# What a job may take, so that it computes as it does without SLURM; a node has room for two.
CORES = len(os.sched_getaffinity(0))
# A GPU type as AutoDetect=nvml names it.
GPU = "nvidia_a100-sxm4-80gb"
NODES = {"cpu1": {}, "cpu2": {}, "gpu1": {"Gres": f"gpu:{GPU}:2"}}
# A controller that misses a node for so many seconds calls it dead.
NODE_TIMEOUT = 20

SLURM_CONF = """\
ClusterName=latere
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[slurmctld]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=5,batch_sched_delay=1,sched_interval=5
SlurmdParameters=config_overrides
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout={node_timeout}
KillWait=5
GresTypes=gpu
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={ports[slurmdbd]}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=limits,qos
EnforcePartLimits=ALL
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={ports[slurmdbd]}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser={user}
StorageLoc=latere
"""


def why_not() -> str:
    """Why no cluster can be started here; empty where it can."""
    if os.geteuid() != 0:
        return "SLURM's daemons need root"
    # Debian keeps daemons where the PATH of a plain user does not look.
    lost = [name for name in PROGRAMS if not shutil.which(name, path=_daemon_path())]
    return f"not installed: {', '.join(lost)} (`make test` on Debian brings them)" if lost else ""


def _daemon_path():
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_ports(number):
    """So many TCP ports that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_until(is_so, what, seconds=180, every=0.2):
    """Wait until `is_so()` gives something true, and return it.

    Raises
    ------
    TimeoutError
        It did not come about in time; says what.
    """
    end = time.monotonic() + seconds
    while not (found := is_so()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds} s")
        time.sleep(every)
    return found


class Cluster:
    """A SLURM cluster, up while its `with` lasts.

    Parameters
    ----------
    folder
        Where everything lies: configuration, keys, database, logs.
    partitions
        Nodes by partition.
    memory
        Memory of a node, in MiB, as SLURM believes it to be.
    account
        The account that the user of these tests has.
    accounting
        Whether the cluster keeps accounting.
    """

    def __init__(self, folder: Path, partitions=None, memory=64000, account="lab", accounting=True):
        self.folder, self.memory, self.account = folder, memory, account
        self.accounting = accounting
        self.partitions = partitions or {"cpu": ["cpu1", "cpu2"], "gpu": ["gpu1"]}
        self.conf = str(folder / "slurm.conf")
        self.daemons: dict[str, subprocess.Popen] = {}
        names = ["slurmctld", "slurmdbd", *NODES]
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))

    @property
    def env(self) -> dict[str, str]:
        """The environment in which SLURM's commands speak to this cluster."""
        tools = f"{self.folder}/bin:{Path(sys.executable).parent}:{_daemon_path()}"
        return os.environ | {"SLURM_CONF": self.conf, "PATH": tools}

    def __enter__(self):
        try:
            self._configure()
            self._start_services()
            self.start_controller()
            for node in NODES:
                self.start_node(node)
            wait_until(lambda: set(self.node_states().values()) == {"IDLE"}, "nodes are idle")
        except BaseException as error:
            error.add_note(self.last_words())
            self.stop()
            raise
        return self

    def __exit__(self, *error):
        self.stop()

    def stop(self):
        """End every process of the cluster by its id, those of its jobs too."""
        # Nodes first: what they say while they go needs the others.
        for name in [*NODES, "slurmctld", "slurmdbd", "mariadbd", "munged"]:
            self._end(name)
        _kill(self.processes())

    # Set-up

    def _configure(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in ("state", "database", "bin"):
            (self.folder / name).mkdir()
        # Snakemake's plugin calls srun without SLURM_CONF. On a site it lies in /etc.
        srun = shutil.which("srun")
        (self.folder / "bin/srun").write_text(
            f'#!/bin/sh\nSLURM_CONF={self.conf} exec {srun} "$@"\n'
        )
        (self.folder / "bin/srun").chmod(0o755)
        values = {
            "folder": self.folder,
            "host": socket.gethostname(),
            "user": getpass.getuser(),
            "ports": self.ports,
            "node_timeout": NODE_TIMEOUT,
        }
        conf = SLURM_CONF if self.accounting else re.sub("(?m)^Accounting.*\n", "", SLURM_CONF)
        lines = [conf.format(**values)]
        for node, more in NODES.items():
            settings = {
                "NodeName": node,
                "NodeHostname": values["host"],
                "NodeAddr": "127.0.0.1",
                "Port": self.ports[node],
                "CPUs": 2 * CORES,
                "RealMemory": self.memory,
                **more,
            }
            lines.append(" ".join(f"{key}={value}" for key, value in settings.items()))
        for number, (name, nodes) in enumerate(self.partitions.items()):
            default = "NO" if number else "YES"
            lines.append(f"PartitionName={name} Nodes={','.join(nodes)} Default={default}")
        self._write("slurm.conf", "\n".join(lines) + "\n")
        self._write("slurmdbd.conf", SLURMDBD_CONF.format(**values))
        # Two, so that a job could take more than one.
        self._write(
            "gres.conf",
            "".join(
                f"NodeName=gpu1 Name=gpu Type={GPU} File=/dev/{file}\n" for file in ("null", "zero")
            ),
        )
        (self.folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (self.folder / "munge.key").chmod(0o600)

    def _write(self, name, text):
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def _start(self, name, *command, **env):
        """Start a daemon in the foreground, as a child whose id is known."""
        with (self.folder / f"{name}.log").open("a") as log:
            self.daemons[name] = subprocess.Popen(
                [str(word) for word in command],
                env=self.env | env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # An interrupt from the keyboard is for pytest, which then ends them in order.
                start_new_session=True,
            )

    def _end(self, name, seconds=10):
        daemon = self.daemons.pop(name, None)
        if daemon is None:
            return
        daemon.terminate()
        try:
            daemon.wait(seconds)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait_for(self, name, *command):
        """Wait until a daemon answers a command."""

        def answers():
            assert self.daemons[name].poll() is None, f"{name} has ended"
            return self.call(*command).returncode == 0

        wait_until(answers, f"{name} answers")

    def _start_services(self):
        at = self.folder
        munge = ["--foreground", "--force", f"--socket={at}/munge.socket"]
        munge += [f"--key-file={at}/munge.key", f"--pid-file={at}/munged.pid"]
        munge += [f"--seed-file={at}/munge.seed", f"--log-file={at}/munged.log"]
        self._start("munged", "munged", *munge)
        if not self.accounting:
            wait_until((at / "munge.socket").exists, "munged answers")
            return
        data = ["--no-defaults", f"--datadir={at}/database", f"--user={getpass.getuser()}"]
        self._run("mariadb-install-db", *data, "--skip-test-db")
        database = [*data, f"--socket={at}/mariadb.socket", f"--pid-file={at}/mariadbd.pid"]
        # Only who may enter the folder reaches the socket.
        database += ["--skip-networking", "--skip-grant-tables"]
        database += ["--innodb-flush-log-at-trx-commit=0", "--innodb-lock-wait-timeout=900"]
        self._start("mariadbd", "mariadbd", *database)
        wait_until((at / "mariadb.socket").exists, "MariaDB answers")
        self.start_accounting()
        for words in (
            ["cluster", "latere"],
            ["account", self.account, "cluster=latere"],
            ["user", getpass.getuser(), f"account={self.account}"],
        ):
            self.ask("sacctmgr", "--immediate", "add", *words)

    def _run(self, *command):
        with (self.folder / "set-up.log").open("a") as log:
            subprocess.run(command, env=self.env, check=True, stdout=log, stderr=log)

    # Faults

    def start_controller(self):
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "slurmctld", "-D")
        self._wait_for("slurmctld", "scontrol", "ping")

    def stop_controller(self):
        """Stop slurmctld; jobs run on, and nobody can submit or ask for the queue."""
        self._end("slurmctld")

    def start_accounting(self):
        """Start slurmdbd and wait until it answers."""
        self._start("slurmdbd", "slurmdbd", "-D", MYSQL_UNIX_PORT=f"{self.folder}/mariadb.socket")
        self._wait_for("slurmdbd", "sacctmgr", "list", "cluster")

    def stop_accounting(self):
        """Stop slurmdbd; nobody can ask what became of a job."""
        self._end("slurmdbd")

    def start_node(self, node: str):
        """Start a node's slurmd."""
        self._start(node, "slurmd", "-D", "-N", node, SLURMD_NODENAME=node)

    def kill_node(self, node: str):
        """Let a node die: its slurmd and all processes of its jobs, with no word to anybody."""
        _kill(self.processes(node))
        self.daemons.pop(node).wait()

    def processes(self, node: str | None = None) -> list[psutil.Process]:
        """Processes of this cluster, or of one node of it, those that watch over others first."""
        steps, others = {}, {}
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                env = process.environ()
                lies_on = env.get("SLURMD_NODENAME")
                if env.get("SLURM_CONF") == self.conf and node in (None, lies_on):
                    # A step writes its title over its environment: it is known by what it started.
                    parents = process.parents() if lies_on in NODES else []
                    ours = [one for one in parents if one.name() == "slurmstepd"]
                    steps |= {one.pid: one for one in ours}
                    for root in (process, *ours):
                        others |= {one.pid: one for one in (root, *root.children(recursive=True))}
        others.pop(os.getpid(), None)
        return list((steps | others).values())

    # Questions

    def call(self, *command, **options) -> subprocess.CompletedProcess:
        """Run one of SLURM's commands; it fails no test by itself."""
        words = [str(word) for word in command]
        return subprocess.run(words, env=self.env, capture_output=True, text=True, **options)

    def ask(self, *command) -> str:
        """What one of SLURM's commands says; its failure is an error."""
        done = self.call(*command)
        assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr}"
        return done.stdout

    def node_states(self) -> dict[str, str]:
        """State of each node, without the marks that `sinfo` adds to it."""
        lines = self.ask("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return {name: state.upper().rstrip("*~#!%$@+^-") for name, state in map(str.split, lines)}

    def sacct(self, *fields: str, steps=False, duplicates=False) -> pd.DataFrame:
        """The accounting of all jobs so far.

        Parameters
        ----------
        fields
            Names of `sacct --format`.
        steps
            One row a step too (which alone tells the memory that was used), not just one a job.
        duplicates
            One row each time that a job was started anew by SLURM.

        Returns
        -------
        pandas.DataFrame
            Text, by field; rows in the order of the jobs.
        """
        words = ["--parsable2", "--starttime=now-1days", f"--format={','.join(fields)}"]
        words += [] if steps else ["--allocations"]
        words += ["--duplicates"] if duplicates else []
        return pd.read_csv(
            io.StringIO(self.ask("sacct", *words)), sep="|", dtype=str, keep_default_na=False
        )

    def last_words(self, lines=15) -> str:
        """The end of each daemon's log."""
        logs = sorted(self.folder.glob("*.log"))
        ends = ["\n".join(log.read_text(errors="replace").splitlines()[-lines:]) for log in logs]
        return "\n".join(f"--- {log.name}\n{end}" for log, end in zip(logs, ends, strict=True))


def _kill(processes):
    """End processes at once, and wait until they are gone."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)
