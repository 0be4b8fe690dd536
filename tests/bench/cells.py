"""From count matrices to cells.h5ad: time and memory of studies of 10 to 400 thousand cells.

The sizes are the arguments: a number of cells, as 39375, of filtered matrices, with `raw` after it,
as 39375raw, of raw ones. Runs are of one size, that of GSE132509 (39,375 cells in 11 samples, of
33,538 genes), and a larger study has more of them. They are made in the form of GEO: 10x folders
with a prefix, gzipped. Snakemake runs the stage on two cores.

Cells are drawn as PBMC are (2,170 of 10x's pbmc4k: 4,349 molecules and 1,321 genes in the mean, the
first 100 genes with 54 % of the molecules, the first 1,000 with 79 %): the levels of genes are
log-normal with a standard deviation of 2.9 (50 and 83 %), the molecules of cells with one of 0.42.
Eight types differ in a tenth of the genes. Droplets without a cell have 25 molecules in the mean.
"""

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import scipy.sparse as sp
import yaml
from scipy.io import mmwrite

ROOT = Path(__file__).resolve().parents[2]
SIZES = ["10000", "39375", "39375raw", "100000", "400000"]
CELLS_PER_RUN, GENES, MOLECULES = 39_375 // 11, 33_538, 4_900
TYPES, EMPTY = 8, 100_000
# Runs beyond these are the same ones again, under other names.
DISTINCT = 11
CORES = 2


def name_genes() -> pd.DataFrame:
    """Ids and names of the genes; the first have the names that the workflow knows."""
    sets = pd.read_csv(ROOT / "config/gene_sets.tsv", sep="\t", comment="#", dtype=str)
    known = sets.loc[sets["species"] == "human", "gene_name"].dropna().drop_duplicates()
    names = known[~known.str.endswith("*")].tolist()
    names += [f"GENE{number}" for number in range(GENES - len(names))]
    return pd.DataFrame({"id": [f"ENSG{n:011d}" for n in range(GENES)], "name": names})


def draw(molecules: np.ndarray, level: np.ndarray, random) -> sp.csr_matrix:
    """Counts of barcodes with so many molecules, of genes at such levels."""
    ends = np.cumsum(level) / level.sum()
    genes = np.searchsorted(ends, random.random(molecules.sum(), dtype=np.float32))
    rows = np.repeat(np.arange(len(molecules)), molecules)
    ones = np.ones(len(rows), dtype=np.int32)
    return sp.csr_matrix((ones, (rows, np.minimum(genes, GENES - 1))), (len(molecules), GENES))


def simulate(folder: Path, number: int, raw: bool) -> None:
    """Write the matrix of a run."""
    shared, random = np.random.default_rng(0), np.random.default_rng(number)
    level = shared.lognormal(0, 2.9, GENES)
    changed = np.exp(shared.normal(0, 1, (TYPES, GENES)) * (shared.random((TYPES, GENES)) < 0.1))
    parts, left = [], CELLS_PER_RUN
    for at in range(TYPES):
        n_cells = left if at == TYPES - 1 else random.binomial(left, 1 / (TYPES - at))
        molecules = random.lognormal(np.log(MOLECULES), 0.42, n_cells).astype(int)
        parts.append(draw(molecules, level * changed[at], random))
        left -= n_cells
    if raw:
        parts.append(draw(random.geometric(1 / 25, EMPTY), level, random))
    counts = sp.vstack(parts, format="csr")
    prefix = f"{folder}/run_{number}."
    mmwrite(f"{prefix}matrix.mtx", counts.T.tocoo(), field="integer")
    genes = name_genes().assign(type="Gene Expression")
    genes.to_csv(f"{prefix}features.tsv", sep="\t", header=False, index=False)
    words = ["".join("ACGT"[at // 4**n % 4] for n in range(16)) for at in range(counts.shape[0])]
    Path(f"{prefix}barcodes.tsv").write_text("\n".join(words) + "\n", encoding="utf-8")
    subprocess.run(["gzip", "-1", *folder.glob(f"run_{number}.*.[mt][ts][xv]")], check=True)


def write_study(folder: Path, matrices: Path, runs: int) -> None:
    """Sheet and configuration of a study; it runs the workflow of this project."""
    for name in ("Snakefile", "rules", "scripts", "envs", "config", "profiles"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "matrices").mkdir()
    for number in range(runs):
        for path in matrices.glob(f"run_{number % DISTINCT}.*"):
            name = f"run_{number}.{path.name.partition('.')[2]}"
            (folder / "matrices" / name).hardlink_to(path)
    names = [f"run_{number}" for number in range(runs)]
    sheet = pd.DataFrame({"run": names, "sample": names})
    sheet["matrix"] = [f"matrices/{name}." for name in names]
    sheet.to_csv(folder / "samples.tsv", sep="\t", index=False)
    config = {"study": "bench", "samples": "samples.tsv", "contrasts": {}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config))


class Memory:
    """MiB at the peak while a `with` lasts: of the largest process, and of all together."""

    def __init__(self):
        self.largest = self.together = 0
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._look)

    def _look(self):
        while not self._end.wait(0.2):
            together = 0
            for process in psutil.Process().children(recursive=True):
                try:
                    memory = process.memory_full_info()
                except psutil.Error:
                    continue
                self.largest = max(self.largest, memory.rss / 2**20)
                # What processes share counts once.
                together += memory.pss / 2**20
            self.together = max(self.together, together)

    def __enter__(self):
        self._watch.start()
        return self

    def __exit__(self, *error):
        self._end.set()
        self._watch.join()


def measure(folder: Path) -> dict:
    """Run the stage; seconds and memory, then what its jobs took by rule."""
    words = [sys.executable, "-m", "snakemake", "--cores", CORES, "--configfile", "study.yaml"]
    words += ["--until", "merge_cells", "check_runs"]
    with Memory() as memory:
        started = time.monotonic()
        done = subprocess.run(map(str, words), cwd=folder, capture_output=True, text=True)
        seconds = time.monotonic() - started
    if done.returncode:
        sys.exit(f"the stage failed:\n{(done.stdout + done.stderr)[-3000:]}")
    row = {"s": seconds, "job MiB": memory.largest, "all MiB": memory.together}
    results = folder / "results/bench"
    for table in sorted(results.glob("benchmarks/**/*.tsv")):
        rule = table.relative_to(results / "benchmarks").parts[0].removesuffix(".tsv")
        job = pd.read_csv(table, sep="\t").iloc[0]
        row[f"{rule} s"] = row.get(f"{rule} s", 0) + job["s"]
        row[f"{rule} MiB"] = max(row.get(f"{rule} MiB", 0), job["max_rss"])
    return row | describe(results / "cells/cells.h5ad")


def describe(path: Path) -> dict:
    """Cells and entries of the joined matrix, and MiB of its file."""
    import h5py

    with h5py.File(path) as file:
        facts = {"cells kept": file["X"].attrs["shape"][0], "entries": len(file["X/data"])}
    return facts | {"file MiB": path.stat().st_size / 2**20}


def main() -> None:
    sizes, rows = sys.argv[1:] or SIZES, {}
    with tempfile.TemporaryDirectory(prefix="latere-bench-") as scratch:
        scratch = Path(scratch)
        for size in sizes:
            raw, folder = size.endswith("raw"), scratch / size
            runs = max(1, round(int(size.removesuffix("raw")) / CELLS_PER_RUN))
            matrices = scratch / ("matrices_raw" if raw else "matrices")
            matrices.mkdir(exist_ok=True)
            for number in range(min(runs, DISTINCT)):
                if not list(matrices.glob(f"run_{number}.*")):
                    simulate(matrices, number, raw)
            folder.mkdir()
            write_study(folder, matrices, runs)
            rows[size] = {"runs": runs} | measure(folder)
            table = pd.DataFrame(rows)
            for unit in ("s", "job MiB", "all MiB"):
                per_cell = f"{unit} per 1,000 cells"
                table.loc[per_cell] = 1000 * table.loc[unit] / (table.loc["runs"] * CELLS_PER_RUN)
            print(table.round(1).to_string(na_rep=""), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
