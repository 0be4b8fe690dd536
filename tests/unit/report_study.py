"""Tables of a small study as the workflow leaves them, for the report."""

import itertools
import json
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
from cell_tables import EMPTY, FEW, FILTERED, SOUND, write_cells
from scipy import sparse
from snakemake.iocontainers import InputFiles
from telemetry_study import make_kernels, make_samples, make_summary

from compare_branches import PAIRS, SKIPPED, SUMMARY, compare_contrast, compare_labels, join_calls
from latere.branches import AT_EQUAL_STATE, REGISTRY, TOTAL
from latere.quality import REASONS
from latere.truth.cells import EVERY_RUN
from latere.truth.tests import POOLED

HOSTILE = "<script>alert('x')</script> & co"
FIGURES = ["knee", "ambient", "quality", "doublets", "waterfall"]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="510.5pt" height="100pt"></svg>'
KINDS = [SOUND, EMPTY, FEW, FILTERED]
TYPES = np.array(["T cell", "B cell", "Monocyte", HOSTILE])
EMBEDDING, TESTING = ("deep", "manual", "harmony"), ("deep", "manual")
CONTRASTS = {
    "leukemia_vs_healthy": {
        "column": "disease",
        "case": "leukemia",
        "control": "healthy",
        "covariates": [],
        "numeric_covariates": [],
    }
}
CONFIG = {
    "study": "tiny",
    "samples": "samples.tsv",
    "seed": 1,
    "reference": {"fasta": "genome.fa", "gtf": "genes.gtf", "filter_biotypes": False},
    "cells": {
        "calling": {"fdr": 0.001, "max_empty_counts": 100},
        "remove_ambient": False,
        "doublets": "drop",
        "genes": "intersection",
        "min_counts": {"deviations": 5, "floor": 300, "ceiling": None},
        "min_genes": {"deviations": 5, "floor": 100, "ceiling": None},
        "max_counts": None,
        "max_genes": None,
        "max_percent_mt": {"deviations": 3, "floor": 8, "ceiling": 20},
        "max_percent_ribo": None,
        "max_percent_hb": 50,
        "samples": {},
    },
    "deep": {
        "n_latent": 10,
        "n_hidden": 64,
        "n_layers": 1,
        "max_epochs": None,
        "test": "state_adjusted",
        "delta": 0.25,
    },
    "manual": {"n_components": 20, "n_highly_variable": 2000},
    "explore": {"n_neighbors": 15, "resolution": 0.6},
    "annotation": {"celltypist_model": "model.pkl", "markers": "markers.tsv"},
    "groups": {"from": "manual"},
    "de": {"fdr": 0.05, "min_log2fc": 0, "min_cells": 10},
}


def differential_expression(rng, branch, contrast, group, genes, effect):
    """A test of one group by one branch; `effect` are the fold changes behind it."""
    log2fc = effect + rng.normal(0, 0.4, len(genes))
    fdr = np.clip(np.exp(-3 * np.abs(log2fc)) * rng.uniform(0.2, 2, len(genes)), 0, 1)
    own = {"deep": {"log2fc_composition": 0.1, "pvalue": fdr / 2}, "manual": {"pvalue": fdr / 2}}
    table = {
        "contrast": contrast,
        "group": group,
        "gene_id": genes,
        "gene_name": [gene.replace("SIMG", "GENE") for gene in genes],
        "log2fc": log2fc,
        "mean_case": rng.gamma(1, 5, len(genes)),
        "mean_control": rng.gamma(1, 5, len(genes)),
        "statistic": np.abs(log2fc),
        "fdr": fdr,
    }
    return pd.DataFrame(table | own.get(branch, {}) | {"significant": fdr <= 0.05})


class Study:
    """A study that is written table by table; `files` are the inputs of the rule."""

    def __init__(self, folder, rng):
        self.folder, self.rng, self.files = folder, rng, {}

    def path(self, key, name):
        """A path that is an input, or one of the inputs under a key that has a list."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(self.files.get(key), list):
            self.files[key].append(path)
        else:
            self.files[key] = path
        return path

    def tsv(self, key, table):
        """Write a table of ours."""
        table.to_csv(self.path(key, f"{key}.tsv"), sep="\t", index=False, na_rep="NA")

    def write_runs(self, runs, cells, genes, failing):
        """Counts, what the steps say of each run, figures and checks."""
        ad.AnnData(
            sparse.csr_matrix((len(cells), len(genes)), dtype=np.float32),
            obs=cells[["run", "sample"]],
            var=pd.DataFrame({"testable": np.arange(len(genes)) % 4 > 0}, index=genes),
        ).write_h5ad(self.path("cells", "cells.h5ad"))
        of_runs = {name: about["sample"] for name, about in runs.items()}
        kinds = dict(zip(runs, KINDS, strict=False))
        self.files |= vars(write_cells(self.folder, of_runs, kinds, 120, 300))
        self.files |= {"facts": [], "figures": []}
        for name in runs:
            facts = {
                "run": name,
                "form": "10x h5",
                "barcodes": {"kind": "raw", "decided_by": "data", "with_counts": 420},
                "genes": len(genes),
                "left_out": {"Antibody Capture": 17},
            }
            self.path("facts", f"facts/{name}.json").write_text(json.dumps(facts))
        for name, kind in itertools.product(FIGURES, ("svg", "pdf")):
            self.path("figures", f"{name}.{kind}").write_text(SVG)
        checks = pd.DataFrame(
            [
                ("healthy_1", "integers", "PASS", "", "All counts are whole numbers."),
                ("healthy_2", "cells", "WARN", "0", "No cell was called."),
                ("leukemia_2", "sex", "FAIL", "XIST 0", f"The sheet says female. {HOSTILE}"),
            ],
            columns=["run", "check", "verdict", "value", "detail"],
        )
        self.tsv("checks", checks if failing else checks[checks["verdict"] == "PASS"])

    def write_labels(self, cells, embedding):
        """Maps, clusters and cell types of each branch, groups, and how the branches agree."""
        self.files |= {"umaps": [], "clusters": [], "cell_types": []}
        kind = self.rng.choice(4, len(cells), p=[0.4, 0.3, 0.2, 0.1])
        labels = {}
        for number, branch in enumerate(embedding):
            cluster = kind * 3 % 11
            xy = self.rng.normal(0, 6, (11, 2))[cluster]
            xy += self.rng.normal(0, 1, (len(cells), 2))
            wrong = self.rng.random(len(cells)) < 0.05 * (number + 1)
            labels[branch] = pd.DataFrame(
                {
                    "cluster": cluster.astype(str),
                    "cell_type": np.where(wrong, "T cell", TYPES[kind]),
                },
                index=cells.index,
            )
            table = labels[branch].reset_index()
            umap = pd.DataFrame({"cell": cells.index, "umap_1": xy[:, 0], "umap_2": xy[:, 1]})
            umap.to_parquet(self.path("umaps", f"{branch}/umap.parquet"))
            clusters = self.path("clusters", f"{branch}/clusters.parquet")
            table[["cell", "cluster"]].to_parquet(clusters)
            types = table[["cell", "cell_type"]].assign(
                confidence=0.9, cluster_share=0.8, source="markers markers.tsv"
            )
            types.to_parquet(self.path("cell_types", f"{branch}/cell_types.parquet"))
        groups = pd.DataFrame({"cell": cells.index, "group": TYPES[kind], "source": "column kind"})
        groups.to_parquet(self.path("groups", "groups.parquet"))
        self.tsv("labels", compare_labels(labels))

    def write_tests(self, genes, contrasts, testing):
        """Differential expression of each branch that tests, and how the branches agree."""
        self.files["de"] = []
        effects = {c: self.rng.normal(0, 1, len(genes)) for c in contrasts}
        de = {
            (branch, contrast): pd.concat(
                differential_expression(
                    self.rng, branch, contrast, group, genes, effect * (np.abs(effect) > 1)
                )
                for group in ("all", *TYPES)
            )
            for branch in testing
            for contrast, effect in effects.items()
        }
        for (branch, contrast), table in de.items():
            table.to_parquet(self.path("de", f"{branch}/de/{contrast}.parquet"))
        summary, pairs = [], []
        for contrast in contrasts:
            of = {branch: de[branch, contrast] for branch in testing}
            rows, compared = compare_contrast(contrast, of)
            summary, pairs = summary + rows, pairs + compared
        self.tsv("summary", pd.DataFrame(summary, columns=SUMMARY))
        self.tsv("pairs", pd.DataFrame(pairs, columns=PAIRS))
        skipped = [(name, "NK cell", "fewer than 2 samples a side") for name in contrasts]
        self.tsv("skipped", pd.DataFrame(skipped, columns=SKIPPED))
        calls = join_calls([table.assign(branch=branch) for (branch, _), table in de.items()])
        calls.to_parquet(self.path("calls", "calls.parquet"), index=False)

    def write_of_branches(self, branches, cells, genes, n_samples, contrasts, on_gpu):
        """The further files of the branches."""
        chosen = [REGISTRY[name].configured({"contrasts": contrasts}) for name in branches]
        files = {key: file for branch in chosen for key, file in branch.files.items()}
        if "variable_genes" in files:
            chosen = pd.DataFrame({"gene_id": genes, "gene_name": genes})
            chosen["highly_variable"] = np.arange(len(genes)) % 8 == 1
            chosen.to_parquet(self.path("variable_genes", files["variable_genes"]))
        if "training" in files:
            epochs = np.arange(40)
            training = {
                "device": "cpu",
                "device_name": "CPU",
                "loop": "lean",
                "loop_reason": "",
                "kl_weight": 0.0975,
                "epochs": 40,
                "seconds": 12.3,
                "seed": 1,
                "n_cells": len(cells),
                "n_genes": len(genes),
                "n_samples": n_samples,
                "versions": {"scvi-tools": "1.4.2", "torch": "2.13.0"},
                "history": {
                    "elbo_train": (900 + 300 * np.exp(-epochs / 8)).tolist(),
                    "elbo_validation": (910 + 300 * np.exp(-epochs / 8)).tolist(),
                },
            }
            self.path("training", files["training"]).write_text(json.dumps(training))
            self.path("gpu", files["gpu"]).write_text(json.dumps(make_summary(on_gpu)))
            make_samples(on_gpu).to_parquet(self.path("gpu_samples", files["gpu_samples"]))
            self.tsv("kernels", make_kernels(on_gpu))
        if "diagnosis" in files:
            leak = pd.DataFrame({"sample": ["healthy_1", "leukemia_2"], "n_cells": 300})
            leak = leak.assign(leak=[0.01, 0.14])
            leak.to_csv(self.path("leak", files["leak"]), sep="\t", index=False)
            self.files["diagnosis"] = []
            for contrast in contrasts:
                groups = {"group": ["all", "T cell"], "composition": 0.2, "slope": [1.4, np.nan]}
                groups |= {"slope_within": [0.9, np.nan], "case_alone": [0.14, 0]}
                groups |= {"control_alone": 0.0, "alone": ["case: B cell (14%)", ""]}
                table = pd.DataFrame({"design": contrast} | groups)
                path = self.path("diagnosis", files["diagnosis"].format(contrast=contrast))
                table.to_csv(path, sep="\t", index=False, na_rep="NA")

    def write_truth(self, runs, embedding):
        """The tables of `compare_truth`."""
        by_run = {
            "run": [*runs, EVERY_RUN],
            "true_cells": 200,
            "called": 190,
            "called_empty": 1,
            "share_called_true": 0.995,
            "calling_depth": [400.0] * len(runs) + [np.nan],
            "share_above_depth_called": 0.97,
            "doublet_precision": 0.9,
            "doublet_recall": 0.8,
            "heterotypic_recall": 0.85,
            "ambient_share": 0.04,
            "ambient_share_estimated": 0.041,
            "correlation": 0.9991,
        }
        self.tsv("truth", pd.DataFrame(by_run))
        labels = itertools.product([*runs, EVERY_RUN], embedding)
        labels = pd.DataFrame(labels, columns=["run", "branch"]).assign(lineage_right=0.9375)
        self.tsv("truth_labels", labels)
        fates = {"kind": ["T cell", "damaged cell"], "cells": 200, "not_called": 1, "kept": 190}
        fates |= dict.fromkeys(REASONS, 1) | {"share_lost": 0.05}
        self.tsv("truth_cells", pd.DataFrame(fates))
        tests = (
            {
                "contrast": list(CONTRASTS)[0],
                "branch": branch,
                "question": question,
                "group": group,
                "tested": 600,
                "true_de": 60,
                "called": called,
                "false_discoveries": called // 10,
                "fdp": 0.1 if called else np.nan,
                "power": called / 100,
                "power_large": called / 80,
                "rmse": 0.4,
                "spearman": 0.8,
                "leak": 0.03 if branch == "deep" else np.nan,
                "one_sided": "",
            }
            for question in (TOTAL, AT_EQUAL_STATE)
            for branch, called in (("deep", 60), ("manual", 0))
            for group in ("all", "T cell", POOLED)
        )
        self.tsv("truth_de", pd.DataFrame(tests))


def write_study(
    folder,
    n_cells=240,
    n_genes=60,
    truth=True,
    contrasts=CONTRASTS,
    failing=True,
    embedding=EMBEDDING,
    testing=TESTING,
    on_gpu=True,
):
    """Write the tables of a small study; give inputs and parameters of the rule."""
    study = Study(folder, np.random.default_rng(0))
    samples = {
        f"{disease}_{i}": {"disease": disease, "batch": str(i % 2)}
        for disease in ("healthy", "leukemia")
        for i in (1, 2, 3)
    }
    runs = {name: {"sample": name, "source": f"{name}.sra"} for name in samples}
    run = study.rng.choice(list(runs), n_cells)
    names = pd.Index([f"{r}_{i:05d}" for i, r in enumerate(run)], name="cell")
    cells = pd.DataFrame({"run": run, "sample": run}, index=names)
    genes = [f"SIMG{i:04d}" for i in range(n_genes)]
    branches = list(dict.fromkeys([*embedding, *testing]))
    config = json.loads(json.dumps(CONFIG)) | {"branches": branches, "contrasts": contrasts}
    if truth:
        config["simulation"] = {}
        study.write_truth(runs, embedding)
    study.write_runs(runs, cells, genes, failing)
    study.write_labels(cells, embedding)
    study.write_tests(genes, contrasts, testing)
    study.write_of_branches(branches, cells, genes, len(samples), contrasts, on_gpu)
    versions = study.path("version", "scvi.yml")
    versions.write_text('scvi:\n  scvi-tools: "1.4.2"\n  PyTorch: "2.13.0"\n')
    study.path("source", "samples.tsv").write_text("run\tsample\n")
    files = study.files | {"versions": [versions], "sources": [study.files["source"]]}
    params = SimpleNamespace(
        config=config,
        runs=runs,
        samples=samples,
        snakemake="9.1",
        embedding=list(embedding),
        testing=list(testing),
    )
    return InputFiles(fromdict=files), params
