"""Ways to take ambient RNA out, on the demo's cells, whose own and ambient molecules are known.

Left is what is left of the error that ambient RNA makes in the sums over the cells of a type
(above 1: better remove nothing); foreign, what is left of the ambient molecules of genes that a
type has hardly any of its own; removed and lost, the shares of all ambient and own molecules that
went. DecontX, CellSweep and CellBender run where their packages are (decontx-scanpy or pydecontx,
cellsweep, cellbender): they are no requirement of latere.
Run it with PYTHONPATH=scripts.
"""

import copy
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
import yaml

from call_cells import call_cells, estimate_ambient
from latere import r
from latere.simulation import cells as simulated_cells
from latere.simulation.reads import EMPTY_SHAPE
from remove_ambient import group_cells, remove_ambient
from simulate_study import simulate_truth

ROOT = Path(__file__).resolve().parents[2]
RUNS = [("A_1", 1), ("B_1", 4)]  # run, and how many times the demo's ambient RNA
OWN = 2**16


def simulate(run, factor):
    """Own and ambient molecules of a run's cells, their types, and its empty droplets."""
    settings = yaml.safe_load((ROOT / "config/demo/config.yaml").read_text())["simulation"]
    settings["ambient"] *= factor
    sheet = pd.read_csv(ROOT / "config/demo/samples.tsv", sep="\t", dtype=str).fillna("")
    samples = {row["sample"]: row for row in sheet.to_dict("records")}
    barcodes = np.array([f"B{number}" for number in range(100_000)])
    simulate_run = simulated_cells.simulate_run

    def with_own(rates, composition, settings, rng):
        _, own, _ = simulate_run(rates, composition, settings | {"ambient": 0}, copy.deepcopy(rng))
        cells, counts, ambient = simulate_run(rates, composition, settings, rng)
        return cells, counts + OWN * own, ambient

    simulated_cells.simulate_run = with_own
    cells, counts, _ = simulate_truth(
        dict(zip(sheet["run"], sheet["sample"], strict=True)), samples, barcodes, settings, 1
    )
    simulated_cells.simulate_run = simulate_run
    of_run = (cells["run"] == run).to_numpy()
    own, total = counts.X[of_run], counts.X[of_run]
    own.data, total.data = own.data // OWN, total.data % OWN
    soup = np.asarray(total.sum(axis=0), dtype=float).ravel()
    rng = np.random.default_rng(0)
    n_empty, level = settings["empty_droplets"], counts.uns["ambient"][run]
    caught = rng.poisson(level * rng.gamma(EMPTY_SHAPE, 1 / EMPTY_SHAPE, n_empty))
    empty = np.array([rng.multinomial(size, soup / soup.sum()) for size in caught])
    own.eliminate_zeros()
    return own, total - own, cells["cell_type"][of_run].to_numpy(), sp.csr_matrix(empty)


def by_remove_ambience(counts, empty, profile, level, groups):
    robjects, utils = r.start_r(), r.package("DropletUtils")
    result = utils.removeAmbience(
        r.sparse_columns(counts),
        ambient=robjects.FloatVector(profile),
        groups=robjects.StrVector(groups),
    )
    return sp.csr_matrix(np.asarray(robjects.r["as.matrix"](result)).T)


def by_soupx_alone(counts, empty, profile, level, groups):
    from pysoupx import SoupChannel, adjust_counts, auto_est_cont, set_clusters

    genes, cells = (pd.RangeIndex(size).astype(str) for size in counts.shape[::-1])
    channel = SoupChannel(sp.hstack([counts.T, empty.T]), counts.T, genes, cells)
    set_clusters(channel, dict(zip(cells, groups, strict=True)))
    auto_est_cont(channel, verbose=False)
    return adjust_counts(channel, round_to_int=True, seed=1, verbose=0).T.tocsr()


def by_scar(counts, empty, profile, level, groups):
    import scvi

    scvi.settings.seed = 1
    cells = ad.AnnData(counts.astype(np.float32))
    scvi.external.SCAR.setup_anndata(cells)
    model = scvi.external.SCAR(cells, ambient_profile=profile)
    model.train(max_epochs=150, accelerator="cpu", enable_progress_bar=False)
    return sp.csr_matrix(model.get_denoised_counts())


def by_decontx(counts, empty, profile, level, groups):
    from pydecontx.core import decontx

    labels = np.unique(groups, return_inverse=True)[1] + 1
    result = decontx(counts.astype(float), z=labels, background=empty.astype(float), verbose=False)
    return sp.csr_matrix(result["decontX_counts"])


def stack(counts, empty):
    droplets = ad.AnnData(sp.vstack([counts, empty], format="csr").astype(np.int32))
    droplets.obs_names = [f"B{number}" for number in range(droplets.n_obs)]
    droplets.var_names = [f"G{number}" for number in range(droplets.n_vars)]
    return droplets


def by_cellsweep(counts, empty, profile, level, groups):
    from cellsweep.model import denoise

    droplets = stack(counts, empty)
    droplets.obs["is_empty"] = np.arange(droplets.n_obs) >= counts.shape[0]
    droplets.obs["celltype"] = [*groups, *["Empty Droplet"] * empty.shape[0]]
    return sp.csr_matrix(denoise(droplets, round_X=True, threads=1, quiet=True).X)


def by_cellbender(counts, empty, profile, level, groups):
    from cellbender.remove_background.downstream import anndata_from_h5

    droplets = stack(counts, empty)
    with tempfile.TemporaryDirectory() as folder:
        droplets[droplets.X.sum(axis=1) > 0].write_h5ad(f"{folder}/in.h5ad")
        sizes = [f"--expected-cells={counts.shape[0]}"]
        sizes += [f"--total-droplets-included={counts.shape[0] + 700}", "--cpu-threads=2"]
        command = ["-m", "cellbender.base_cli", "remove-background", "--input=in.h5ad"]
        subprocess.run(
            [sys.executable, *command, "--output=out.h5", *sizes],
            cwd=folder,
            check=True,
            capture_output=True,
        )
        result = anndata_from_h5(f"{folder}/out.h5", analyzed_barcodes_only=False)
    return sp.csr_matrix(result[droplets.obs_names[: counts.shape[0]], droplets.var_names].X)


WAYS = {
    "SoupX, told the share (latere)": lambda counts, empty, profile, level, groups: remove_ambient(
        counts, profile, level, groups, 1
    ),
    "SoupX, its own share": by_soupx_alone,
    "DropletUtils removeAmbience": by_remove_ambience,
    "scAR (scvi-tools)": by_scar,
    "DecontX": by_decontx,
    "CellSweep": by_cellsweep,
    "CellBender": by_cellbender,
}


def score(own, ambient, corrected, types):
    """How near corrected counts are to the own molecules."""
    of_type = sp.csr_matrix(np.array([types == name for name in np.unique(types)], dtype=float))
    sums = [(of_type @ part).toarray() for part in (own, ambient, corrected)]
    expected = np.outer(sums[1].sum(axis=1), sums[1].sum(axis=0) / sums[1].sum())
    foreign = (sums[0] < expected) & (expected > 3)
    gone = (own + ambient - corrected).maximum(0)
    right = gone.minimum(ambient).sum()
    return {
        "left": np.abs(sums[2] - sums[0]).sum() / sums[1].sum(),
        "foreign": np.maximum(sums[2] - sums[0], 0)[foreign].sum() / sums[1][foreign].sum(),
        "removed": right / ambient.sum(),
        "lost": (gone.sum() - right) / own.sum(),
        "whole": str((corrected.data == np.rint(corrected.data)).all()),
    }


def main():
    warnings.simplefilter("ignore")
    for run, factor in RUNS:
        own, ambient, types, empty = simulate(run, factor)
        counts = (own + ambient).tocsr().astype(np.int32)
        counts.sort_indices()
        has_cell = np.arange(counts.shape[0] + empty.shape[0]) < counts.shape[0]
        settings = {"max_empty_counts": 400, "fdr": 0.001}
        joined = sp.vstack([counts, empty], format="csr")
        droplets, _ = call_cells(joined, has_cell, "filtered", settings, 1)
        genes = pd.DataFrame({"gene_name": range(counts.shape[1])})
        told = estimate_ambient(joined, genes, droplets, settings["max_empty_counts"])
        profile = np.asarray(empty.sum(axis=0), dtype=float).ravel() / empty.sum()
        groups = group_cells(counts, 1)
        share = ambient.sum() / counts.sum()
        print(f"\n{run}: {share:.2%} ambient RNA, {told['share']:.2%} estimated")
        rows = {}
        for name, way in WAYS.items():
            started = time.monotonic()
            try:
                corrected = way(counts, empty, profile, told["molecules_per_droplet"], groups)
            except (ImportError, ValueError) as reason:
                print(f"{name}: {type(reason).__name__}: {reason}")
                continue
            rows[name] = score(own, ambient, corrected, types)
            rows[name]["s"] = time.monotonic() - started
        print(pd.DataFrame.from_dict(rows, orient="index").round(3).to_string())


if __name__ == "__main__":
    main()
