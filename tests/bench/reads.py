"""From an SRA archive to counts: as the workflow does it, and as dump, gzip and STAR one by one.

Reads of the demo in one archive, the demo's genome, the same number of threads on both sides, in
turns; the middle of the rounds is told. Snakemake runs the workflow's jobs and measures them; its
own start is left out, and so is FastQC, which runs beside. `make demo` has to have been run before.

On the demo's genome STAR takes 35e-6 CPU s a spot, on the human one more than twice that: what
stands around STAR is a smaller share there, and so is what both sides gain by it.
"""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "results/demo"
THREADS, ROUNDS, ARCHIVES = 2, 3, 4
# What the workflow does with the reads of a run, one after the other.
JOBS = ["fasterq_dump", "assign_roles", "check_reads", "detect_strand", "starsolo"]
RUN = "bench"
GENOME = {"fasta": "genome.fa", "gtf": "genes.gtf"}


def call(*words, **options) -> None:
    """Run a command without a word from it; end with its last words where it fails."""
    words = [str(word) for word in words]
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"failed: {shlex.join(words)}\n{(done.stdout + done.stderr)[-3000:]}")


def measure(*words) -> dict:
    """Seconds and peak memory (MiB) of a command."""
    words, started = [str(word) for word in words], os.times().elapsed
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, **silent)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {shlex.join(words)}")
    return {"s": os.times().elapsed - started, "memory": usage.ru_maxrss / 1024}


class Disk:
    """MiB of folders at their peak while a `with` lasts, looked at ten times a second."""

    def __init__(self, *folders: Path):
        self.folders, self.peak, self._end = folders, 0, threading.Event()
        self._watch = threading.Thread(target=self._look)

    def _look(self):
        while not self._end.wait(0.1):
            size = 0
            for path, _, names in (step for folder in self.folders for step in os.walk(folder)):
                for name in names:
                    try:
                        size += os.stat(f"{path}/{name}", follow_symlinks=False).st_blocks * 512
                    except FileNotFoundError:
                        continue
            self.peak = max(self.peak, size / 2**20)

    def __enter__(self):
        self._watch.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._watch.join()


def dump(archive: Path, folder: Path) -> list:
    """As pipelines call fasterq-dump for 10x archives."""
    words = ["fasterq-dump", "--split-files", "--include-technical", "--threads", THREADS]
    return [*words, "--temp", folder, "--outdir", folder, archive]


def pack_archive(folder: Path) -> tuple[Path, int]:
    """Some archives of the demo as one, and its number of spots."""
    reads = [folder / f"{read}.fastq" for read in (1, 2, 3)]
    archives = sorted((DEMO / "simulated/sra").glob("*.sra"))[:ARCHIVES]
    for number, archive in enumerate(archives, start=1):
        # The loader takes names of a sequencer only.
        call(*dump(archive, folder), "--seq-defline", f"@SIM:1:LATERE:{number}:$si $ri:N:0")
        for read, whole in enumerate(reads, start=1):
            part = folder / f"{archive.stem}_{read}.fastq"
            with whole.open("ab") as target, part.open("rb") as source:
                shutil.copyfileobj(source, target)
            part.unlink()
    with reads[0].open("rb") as lines:
        spots = sum(1 for _ in lines) // 4
    code = "import sys; from simulate_sra import pack; pack(*sys.argv[1:])"
    archive = folder / f"{RUN}.sra"
    call(sys.executable, "-c", code, *reads, archive, env=environment(folder))
    for file in reads:
        file.unlink()
    return archive, spots


def environment(work: Path) -> dict[str, str]:
    """Where temporary files go, and where the project's modules are."""
    return os.environ | {"TMPDIR": str(work), "PYTHONPATH": str(ROOT / "scripts")}


class Workflow:
    """A copy of the workflow, and a study of one run on the demo's genome."""

    def __init__(self, folder: Path, archive: Path):
        self.folder, self.work = folder, folder / "work"
        self.results = folder / "results/bench"
        self.work.mkdir(parents=True)
        for name in ("Snakefile", "rules", "scripts", "envs", "config", "profiles"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, folder / name)
        reference = {key: str(DEMO / "simulated/reference" / name) for key, name in GENOME.items()}
        config = {"study": "bench", "samples": "samples.tsv", "reference": reference}
        config |= {"contrasts": {}, "reads": {"keep_fastq": True}}
        (folder / "study.yaml").write_text(yaml.safe_dump(config))
        row = [RUN, "s", "10xv2", str(archive)]
        (folder / "samples.tsv").write_text("run\tsample\tchemistry\tsra\n" + "\t".join(row) + "\n")

    def make(self, *targets: str) -> None:
        """Let Snakemake make files of the study."""
        words = [sys.executable, "-m", "snakemake", "--cores", THREADS, "--configfile"]
        files = [f"results/bench/{target}" for target in targets]
        call(*words, "study.yaml", "--", *files, cwd=self.folder, env=environment(self.work))

    def job(self, name: str) -> dict:
        """What Snakemake measured of a job."""
        with (self.results / f"benchmarks/{name}/{RUN}.tsv").open() as table:
            row = next(csv.DictReader(table, delimiter="\t"))
        return {"s": float(row["s"]), "memory": float(row["max_rss"])}

    def count(self) -> tuple[dict[str, dict], float, float]:
        """From the archive to counts: what its jobs took; disk at the peak, with and without the
        temporary folder of the node.
        """
        made = [self.results / name for name in ("reads", "roles", "checked", "strand", "counts")]
        for folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        with Disk(self.work, *made) as disk, Disk(*made) as own:
            self.make(f"counts/starsolo/{RUN}")
        return {name: self.job(name) for name in JOBS}, disk.peak, own.peak

    def star(self) -> list[str]:
        """The call of STAR in the log, with the files that its links stood for."""
        text = (self.results / f"logs/starsolo/{RUN}.log").read_text()
        files = {
            link: [str(self.folder / file)]
            for link, file in re.findall(r" INFO (\S+) is (results/.*)", text)
        }
        call = shlex.split(re.search(r"\$ (STAR .*)", text)[1])
        whitelist = call[call.index("--soloCBwhitelist") + 1]
        return replace(
            call,
            genomeDir=files["index"],
            readFilesIn=files["cdna_1"] + files["barcode_1"],
            soloCBwhitelist=files[whitelist],
            outTmpDir=None,
        )


def replace(star: list[str], **options: list[str] | None) -> list[str]:
    """A call of STAR with other values of some options; None: without the option."""
    kept, name = [], ""
    for word in star:
        name = word[2:] if word.startswith("--") else name
        if name not in options:
            kept.append(word)
    for name, values in options.items():
        if values:
            kept += [f"--{name}", *values]
    return kept


def one_by_one(archive: Path, star: list[str], folder: Path) -> tuple[dict[str, dict], float]:
    """Dump to plain files, gzip them, then STAR with its default output."""
    folder.mkdir()
    cdna, barcode = (folder / f"{RUN}_{read}.fastq.gz" for read in (3, 2))
    files = [folder / f"{RUN}_{read}.fastq" for read in (1, 2, 3)]
    reads, prefix = [cdna, barcode], [f"{folder}/"]
    words = replace(star, readFilesIn=reads, outSAMtype=None, outFileNamePrefix=prefix)
    with Disk(folder) as disk:
        rows = {
            "fasterq-dump": measure(*dump(archive, folder)),
            "gzip": measure("gzip", *files),
            "STAR, SAM": measure(*words),
        }
    shutil.rmtree(folder)
    return rows, disk.peak


def align(star: list[str], folder: Path, *output: str) -> dict:
    """STAR alone, with another kind of output."""
    folder.mkdir()
    words = replace(star, outSAMtype=output, outFileNamePrefix=[f"{folder}/"])
    with Disk(folder) as disk:
        row = measure(*words)
    shutil.rmtree(folder)
    return row | {"disk": disk.peak}


def one_round(workflow: Workflow, archive: Path, scratch: Path) -> pd.DataFrame:
    """Everything once: seconds, memory and disk (MiB) by step."""
    steps, disk, own = workflow.count()
    rows = {f"latere: {name}": step for name, step in steps.items()}
    rows["latere"] = add(steps, disk)
    rows["latere without $TMPDIR"] = {"disk": own}
    workflow.make(f"read_qc/fastqc/{RUN}_cdna_fastqc.zip")
    rows["latere beside: fastqc"] = workflow.job("fastqc")
    star = workflow.star()
    steps, disk = one_by_one(archive, star, scratch / "theirs")
    rows |= {f"one by one: {name}": step for name, step in steps.items()}
    rows["one by one"] = add(steps, disk)
    rows["STAR alone, no BAM"] = align(star, scratch / "star", "None")
    rows["STAR alone, sorted BAM"] = align(star, scratch / "star", "BAM", "SortedByCoordinate")
    return pd.DataFrame(rows).T


def add(steps: dict[str, dict], disk: float) -> dict:
    """One after the other: times add up."""
    memory = max(step["memory"] for step in steps.values())
    return {"s": sum(step["s"] for step in steps.values()), "memory": memory, "disk": disk}


def main() -> None:
    if not (DEMO / "simulated/sra").is_dir():
        sys.exit("The demo's archives are not there: `make demo` makes them.")
    with tempfile.TemporaryDirectory(prefix="latere-bench-") as scratch:
        scratch = Path(scratch)
        archive, spots = pack_archive(scratch)
        workflow = Workflow(scratch / "project", archive)
        # What studies share is there before the clock runs.
        workflow.make("reference/star_index", "reference/whitelists/10x_version2_whitelist.txt")
        rounds = [one_round(workflow, archive, scratch) for _ in range(ROUNDS)]
    table = pd.concat(rounds).groupby(level=0, sort=False).median()
    table["spots/s"] = spots / table["s"]
    shown = table.rename(columns={"memory": "memory MiB", "disk": "disk MiB"}).round(1)
    print(f"{spots:,} spots, {THREADS} threads, the middle of {ROUNDS} rounds:")
    print(shown.to_string(na_rep=""))
    ours, theirs = table.loc["latere"], table.loc["one by one"]
    print(
        f"latere is {theirs['s'] / ours['s']:.2f} times as fast as one by one, with "
        f"{ours['disk'] / theirs['disk']:.2f} of the disk and "
        f"{ours['memory'] / theirs['memory']:.2f} of the memory"
    )
    none, bam = table.loc["STAR alone, no BAM"], table.loc["STAR alone, sorted BAM"]
    print(
        f"STARsolo without BAM is {bam['s'] / none['s']:.2f} times as fast as with a sorted one, "
        f"with {none['disk'] / bam['disk']:.2f} of the disk and "
        f"{none['memory'] / bam['memory']:.2f} of the memory"
    )
    around = ours["s"] - none["s"]
    beside = table.loc["latere beside: fastqc", "s"]
    print(
        f"around STAR: {around / ours['s']:.0%} of the time; FastQC beside it takes "
        f"{beside / none['s']:.2f} of STAR's"
    )


if __name__ == "__main__":
    main()
