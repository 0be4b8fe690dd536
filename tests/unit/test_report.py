import base64
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from cell_tables import EMPTY, FEW, FILTERED, SOUND, write_cells
from scipy import sparse
from snakemake.iocontainers import InputFiles

import compare_truth
import report
from compare_branches import SKIPPED, SUMMARY, compare_contrast, compare_labels
from latere.quality import REASONS
from report import (
    READ_FIGURES,
    build_page,
    count_phases,
    describe_limits,
    encode,
    git_commit,
    natural_order,
    read_metrics,
    read_versions,
    thin,
    top_genes,
)

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert('x')</script> & co"
FIGURES = ["knee", "ambient", "quality", "doublets", "waterfall"]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="510.5pt" height="100pt"></svg>'
KINDS = [SOUND, EMPTY, FEW, FILTERED]
CONTRASTS = {
    "leukemia_vs_healthy": {
        "column": "disease",
        "case": "leukemia",
        "control": "healthy",
        "covariates": [],
    }
}


def differential_expression(rng, group, genes, effect):
    """A test of one group; `effect` are the fold changes behind it."""
    log2fc = effect + rng.normal(0, 0.4, len(genes))
    fdr = np.clip(np.exp(-3 * np.abs(log2fc)) * rng.uniform(0.2, 2, len(genes)), 0, 1)
    return pd.DataFrame(
        {
            "contrast": "leukemia_vs_healthy",
            "group": group,
            "gene_id": genes,
            "gene_name": [gene.replace("SIMG", "GENE") for gene in genes],
            "log2fc": log2fc,
            "mean_case": rng.gamma(1, 5, len(genes)),
            "mean_control": rng.gamma(1, 5, len(genes)),
            "score": 1 - fdr,
            "fdr": fdr,
            "significant": fdr <= 0.05,
        }
    )


def write_study(folder, n_cells=240, n_genes=60, truth=True, contrasts=CONTRASTS, failing=True):
    """Tables of a small study as the workflow leaves them; inputs and parameters of the rule."""
    rng = np.random.default_rng(0)
    config = {
        "study": "tiny",
        "samples": "samples.tsv",
        "seed": 1,
        "reference": {"fasta": "genome.fa", "gtf": "genes.gtf"},
        "cells": {
            "calling": {"fdr": 0.001, "max_empty_counts": 100},
            "remove_ambient": False,
            "doublets": "drop",
            "genes": "intersection",
            "n_highly_variable": 2000,
        },
        "deep": {
            "n_latent": 10,
            "n_hidden": 64,
            "n_layers": 1,
            "max_epochs": None,
            "delta": 0.25,
        },
        "manual": {"n_components": 20},
        "explore": {"n_neighbors": 15, "resolution": 0.6},
        "annotation": {"celltypist_model": "model.pkl", "markers": "markers.tsv"},
        "de": {"fdr": 0.05, "min_log2fc": 0, "min_cells": 10},
        "contrasts": contrasts,
    }
    samples = {
        f"{disease}_{i}": {"disease": disease, "batch": str(i % 2)}
        for disease in ("healthy", "leukemia")
        for i in (1, 2, 3)
    }
    runs = {name: {"sample": name, "source": f"{name}.sra"} for name in samples}
    files = {"template": ROOT / "scripts" / "report.html.j2"}

    def path(key, name):
        files[key] = folder / name
        return files[key]

    def tsv(key, table):
        table.to_csv(path(key, f"{key}.tsv"), sep="\t", index=False, na_rep="NA")

    run = rng.choice(list(runs), n_cells)
    cells = pd.Index([f"{r}_{i:05d}" for i, r in enumerate(run)], name="cell")
    genes = [f"SIMG{i:04d}" for i in range(n_genes)]
    ad.AnnData(
        sparse.csr_matrix((n_cells, n_genes), dtype=np.float32),
        obs=pd.DataFrame({"run": run, "sample": run}, index=cells),
        var=pd.DataFrame(
            {"tested": np.arange(n_genes) % 4 > 0, "highly_variable": np.arange(n_genes) % 8 == 1},
            index=genes,
        ),
    ).write_h5ad(path("cells", "cells.h5ad"))
    of_runs = {name: about["sample"] for name, about in runs.items()}
    files |= vars(write_cells(folder, of_runs, dict(zip(runs, KINDS, strict=False)), 120, 300))
    files["facts"] = [folder / f"{name}.json" for name in runs]
    for name, file in zip(runs, files["facts"], strict=True):
        facts = {
            "run": name,
            "form": "10x h5",
            "barcodes": {"kind": "raw", "decided_by": "data", "with_counts": 420},
            "genes": n_genes,
            "left_out": {"Antibody Capture": 17},
        }
        file.write_text(json.dumps(facts))
    files["figures"] = []
    for name, kind in itertools.product(FIGURES, ("svg", "pdf")):
        files["figures"].append(folder / f"{name}.{kind}")
        files["figures"][-1].write_text(SVG)
    checks = pd.DataFrame(
        [
            ("healthy_1", "integers", "PASS", "", "All counts are whole numbers."),
            ("healthy_2", "cells", "WARN", "0", "No cell was called."),
            ("leukemia_2", "sex", "FAIL", "XIST 0", f"The sheet says female. {HOSTILE}"),
        ],
        columns=["run", "check", "verdict", "figure", "detail"],
    )
    tsv("checks", checks if failing else checks[checks["verdict"] == "PASS"])
    types = np.array(["T cell", "B cell", "Monocyte", HOSTILE])
    kind = rng.choice(4, n_cells, p=[0.4, 0.3, 0.2, 0.1])
    labels = {}
    for branch, wrong in (("deep", 0.05), ("manual", 0.1)):
        centre = rng.normal(0, 6, (11, 2))
        cluster = kind * 3 % 11
        xy = centre[cluster] + rng.normal(0, 1, (n_cells, 2))
        pd.DataFrame({"cell": cells, "umap_1": xy[:, 0], "umap_2": xy[:, 1]}).to_parquet(
            path(f"{branch}_umap", f"{branch}_umap.parquet")
        )
        named = np.where(rng.random(n_cells) < wrong, "T cell", types[kind])
        labels[branch] = pd.DataFrame(
            {"cluster": cluster.astype(str), "cell_type": named}, index=cells
        )
        table = labels[branch].reset_index()
        table[["cell", "cluster"]].to_parquet(
            path(f"{branch}_clusters", f"{branch}_clusters.parquet")
        )
        table[["cell", "cell_type"]].assign(
            confidence=0.9, source="markers markers.tsv"
        ).to_parquet(path(f"{branch}_cell_types", f"{branch}_cell_types.parquet"))
    files["genes"], files["deep_de"], files["manual_de"] = [], [], []
    skipped = pd.DataFrame({"group": ["NK cell"], "reason": ["fewer than 2 samples a side"]})
    summary, skips = [], []
    for contrast in contrasts:
        effect = rng.normal(0, 1, n_genes) * (rng.random(n_genes) < 0.3)
        de = {
            branch: pd.concat(
                differential_expression(rng, group, genes, effect) for group in ("all", *types)
            )
            for branch in ("deep", "manual")
        }
        joined, rows = compare_contrast(contrast, de, {"deep": skipped, "manual": skipped})
        summary += rows
        skips += [skipped.assign(contrast=contrast, branch=branch)[SKIPPED] for branch in de]
        for key, table in (("genes", joined), *((f"{b}_de", de[b]) for b in de)):
            files[key].append(folder / f"{key}_{contrast}.parquet")
            table.to_parquet(files[key][-1])
    tsv("summary", pd.DataFrame(summary, columns=SUMMARY))
    tsv("skipped", pd.concat([pd.DataFrame(columns=SKIPPED), *skips]))
    tsv(
        "labels",
        compare_labels(
            {branch: table["cluster"] for branch, table in labels.items()},
            {branch: table["cell_type"] for branch, table in labels.items()},
        ),
    )
    epochs = np.arange(40)
    training = {
        "device": "cpu",
        "device_name": "CPU",
        "epochs": 40,
        "seconds": 12.3,
        "seed": 1,
        "n_cells": n_cells,
        "n_genes": n_genes,
        "n_samples": len(samples),
        "versions": {"scvi-tools": "1.4.2", "torch": "2.13.0"},
        "history": {
            "elbo_train": (900 + 300 * np.exp(-epochs / 8)).tolist(),
            "elbo_validation": (910 + 300 * np.exp(-epochs / 8)).tolist(),
        },
    }
    path("training", "training.json").write_text(json.dumps(training))
    (folder / "scvi.yml").write_text('scvi:\n  scvi-tools: "1.4.2"\n  PyTorch: "2.13.0"\n')
    files["versions"] = [folder / "scvi.yml"]
    (folder / "samples.tsv").write_text("run\tsample\n")
    files["sources"] = [folder / "samples.tsv"]
    if truth:
        tsv(
            "truth",
            pd.DataFrame(
                {
                    "run": [*runs, report.EVERY_RUN],
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
                    "lineage_right_deep": 0.95,
                    "lineage_right_manual": 0.94,
                }
            ),
        )
        fates = {"kind": ["T cell", "damaged cell"], "cells": 200, "not_called": 1, "kept": 190}
        fates |= dict.fromkeys(REASONS, 1) | {"share_lost": 0.05}
        tsv("truth_cells", pd.DataFrame(fates))
        tsv(
            "truth_de",
            pd.DataFrame(
                {
                    "contrast": list(CONTRASTS)[0],
                    "branch": branch,
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
                }
                for branch, called in (("deep", 60), ("manual", 0))
                for group in ("all", "T cell", report.POOLED)
            ),
        )
    params = SimpleNamespace(config=config, runs=runs, samples=samples, snakemake="9.1")
    return InputFiles(fromdict=files), params


def test_summary_rows_have_the_names_that_compare_truth_gives():
    assert (report.EVERY_RUN, report.POOLED) == (compare_truth.EVERY_RUN, compare_truth.POOLED)


def test_natural_order_counts():
    assert natural_order(["10", "9", "1", "T 2", "T 10"]) == ["1", "9", "10", "T 2", "T 10"]
    assert encode(pd.Series(["10", "9", "10"])) == {"levels": ["9", "10"], "codes": [1, 0, 1]}


def test_thinning_keeps_every_called_gene():
    genes = pd.DataFrame({"category": ["neither"] * 100 + ["both"] * 7 + ["neither"] * 100})
    shown = thin(genes, 10)
    assert shown["category"].value_counts().to_dict() == {"neither": 10, "both": 7}
    assert shown.index[0] == 0 and shown.index[-1] == 206
    assert thin(genes, 200) is genes


def test_top_genes_rank_by_score_then_by_change():
    de = differential_expression(np.random.default_rng(0), "all", ["A", "B", "C"], np.zeros(3))
    de = de.assign(score=[1.0, 1.0, 0.5], log2fc=[0.5, -2.0, 9.0], fdr=[0.0, 0.0, np.nan])
    rows = top_genes(de, 2)
    assert [row[3] for row in rows] == ["B", "A"]
    assert top_genes(de, 3)[2][8] is None


def test_versions_of_two_environments(tmp_path):
    (tmp_path / "a.yml").write_text('star:\n  pigz: "2.8"\n  STAR: "2.7.10b"\n')
    (tmp_path / "b.yml").write_text('sra:\n  pigz: "2.8"\n')
    found = [tuple(row.values()) for row in read_versions(tmp_path.glob("*.yml"))]
    assert found == [("pigz", "2.8"), ("STAR", "2.7.10b")]


def test_commit_is_unknown_outside_a_checkout(tmp_path):
    assert git_commit(str(tmp_path)) == "not known (no git checkout)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return build_page(*write_study(tmp_path_factory.mktemp("study")), "0123abc")


def test_page_is_self_contained_and_escaped(page):
    own = re.sub(r"<script>/\*!?\*.*?</script>", "", page, count=1, flags=re.S)
    assert len(own) < 0.1 * len(page)  # the library is gone
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["'](?!#|read_qc/|cells/figures/|data:image/svg)""", own
    )
    assert "http" not in own
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in own


def test_page_is_the_same_for_the_same_tables(page, tmp_path):
    again = build_page(*write_study(tmp_path), "0123abc")
    # The one place where a path is told.
    place = r"<td>[^<]*samples\.tsv</td>"
    assert re.sub(place, "", again) == re.sub(place, "", page)


def test_page_tells_what_was_found(page):
    assert "fewer than 2 samples a side" in page
    assert "0123abc" in page
    assert "markers markers.tsv" in page
    assert "trained on those same cells" in page
    assert "60 genes called, 10.0 % of them falsely" in page
    assert "NaN" not in re.search(r'type="application/json">(.*?)</script>', page, re.S)[1]


def section(page, first, last):
    """The page between two headings, by their text."""
    return page.split(f">{first}</h3>")[1].split(f">{last}<")[0]


def test_what_failed_stands_on_top(page, tmp_path):
    assert page.index('class="alarm"') < page.index("</header>")
    assert "1 check failed." in page and "leukemia_2" in page.split("</header>")[0]
    checks = section(page, "Checks", "Called, lost and kept")
    words = re.findall('<td class="([A-Z]+)">', checks)
    assert words == ["FAIL", "WARN", "PASS"]
    assert checks.index("<details>") > checks.index("No cell was called.")
    sound = build_page(*write_study(tmp_path, failing=False), "0123abc")
    assert 'class="alarm"' not in sound
    assert "Nothing failed, and nothing warns." in sound


def test_page_shows_the_cells(page):
    uris = re.findall(
        r'<img src="data:image/svg\+xml;base64,([^"]+)" width="970" alt="[^"]+">', page
    )
    assert [base64.b64decode(uri).decode() for uri in uris] == [SVG] * 5
    for name in FIGURES:
        assert f'href="cells/figures/{name}.pdf"' in page
    waterfall = section(page, "Called, lost and kept", "Limits by sample")
    assert '<th class="n">mitochondrial</th>' in waterfall and "haemoglobin" not in waterfall
    assert "20.0 (" not in waterfall
    limits = section(page, "Limits by sample", "How cells were called")
    assert "300 (floor)" in limits and "50.0 (fixed)" in limits
    assert "17 of Antibody Capture" in section(page, "How cells were called", "Ambient RNA")
    assert "300 empty droplets, which" in section(page, "Ambient RNA", "Doublets")
    assert "5 cells: at least 100" in section(page, "Doublets", "Cell cycle")
    assert "(the runs have 60 to 60)" in page


def test_methods_name_what_was_done(page):
    methods = page.split('id="methods"')[1].split('id="provenance"')[0]
    told = ["In 5 runs cells were called by EmptyDrops (Lun", "matrices of 1 run hold cells only"]
    told += ["Scrublet (scanpy 1.11.5) (Wolock", "McCarthy et al. 2017", "Tirosh et al. 2016"]
    assert [words for words in told if words not in methods] == []
    assert "SoupX" not in methods


def test_a_limit_says_what_set_it():
    limits = pd.DataFrame(
        {
            "sample": ["s", "s", "t", "t"],
            "limit": ["min_counts", "max_counts"] * 2,
            "value": [523.4, np.nan, np.nan, np.nan],
            "set_by": ["deviations", "none", "none", "none"],
        }
    )
    rows, columns = describe_limits(limits)
    assert rows == [
        {"sample": "s", "min_counts": "523 (MAD)"},
        {"sample": "t", "min_counts": "none"},
    ]
    assert [key for key, _, _ in columns] == ["sample", "min_counts"]


def test_phases_are_those_of_kept_cells():
    selection = pd.DataFrame(
        {
            "sample": ["s", "s", "s", "t"],
            "phase": pd.Series(["S", "G1", None, "S"], dtype="string"),
            "kept": [True, True, True, False],
        }
    )
    s, t = count_phases(selection, ["s", "t"])
    assert s["cells"] == 3 and s["S"] == s["G1"] == s["not known"] == pytest.approx(1 / 3)
    assert t["cells"] == 0 and t["S"] is None


def test_read_figures_are_those_of_the_metrics(tmp_path):
    own = dict.fromkeys(["reads", "valid_barcodes", "mapped_unique"], 1)
    gene = dict.fromkeys(set(READ_FIGURES) - set(own), 2) | {"median_umis": None}
    metrics = {"run": "r", **own, "counts": {"Gene": gene, "GeneFull": {}}}
    (tmp_path / "r.json").write_text(json.dumps(metrics))
    figures = read_metrics(tmp_path / "r.json")
    assert list(figures) == ["run", *READ_FIGURES]
    assert figures["saturation"] == 2 and figures["median_umis"] is None


def test_a_study_without_truth_or_contrasts(tmp_path):
    page = build_page(*write_study(tmp_path, truth=False, contrasts={}), "0123abc")
    assert "Against the truth" not in page
    assert "simulated study" not in page
    assert "names no contrast" in page


OWN_NAMES = ["source", "cluster", "cell_type", "n_cells", "kind", "reads", "contrast", "group"]


def test_columns_of_the_sheet_replace_none_of_ours(tmp_path):
    files, params = write_study(tmp_path)
    for name, sample in params.samples.items():
        sample |= {column: f"{column}_{name[:3]}" for column in OWN_NAMES}
    page = build_page(files, params, "0123abc")
    table = page.split(">Samples</h3>")[1].split("</table>")[0]
    heads = re.findall("<th[^>]*>([^<]+)</th>", table)
    assert heads[:4] == ["run", "sample", "source", "disease"]
    assert set(heads[4:]) == {"batch", "source (sheet)", *OWN_NAMES[1:]}
    assert "<td>healthy_1.sra</td>" in table and "<td>source_hea</td>" in table
    data = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.S)[1])
    colours = {colour["name"]: colour["deep"]["levels"] for colour in data["map"]["colours"]}
    assert len(colours) == len(data["map"]["colours"])
    assert "T cell" in colours["cell type"] and "0" in colours["cluster"]
    assert colours["cluster (sheet)"] == ["cluster_hea", "cluster_leu"]
    assert colours["cell_type (sheet)"] == ["cell_type_hea", "cell_type_leu"]
    assert colours["n_cells"] == ["n_cells_hea", "n_cells_leu"]


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_every_figure_is_drawn(page, tmp_path):
    (tmp_path / "page.html").write_text(page)
    dom = subprocess.run(
        [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            (tmp_path / "page.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
    for figure in ("map", "fc", "truth-figure", "elbo"):
        part = dom.split(f'id="{figure}"')[1][:20000]
        assert "main-svg" in part, figure
    assert dom.count("<tr") > 40 + page.count("<tr")  # the gene tables are filled
