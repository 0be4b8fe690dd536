# The branches compared with each other, and with the truth where it is known.


# Separate from the tests, so that another threshold does not refit them.
rule call_de:
    input:
        "<results>/{branch}/tests/{contrast}.parquet",
    output:
        "<results>/{branch}/de/{contrast}.parquet",
    log:
        "<logs>/call_de/{branch}_{contrast}.log",
    benchmark:
        "<benchmarks>/call_de/{branch}_{contrast}.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        fdr=config["de"]["fdr"],
    script:
        "../scripts/call_de.py"


rule compare_branches:
    input:
        clusters=expand("<results>/{branch}/clusters.parquet", branch=EMBEDDING),
        cell_types=expand("<results>/{branch}/cell_types.parquet", branch=EMBEDDING),
        de=expand("<results>/{branch}/de/{contrast}.parquet", branch=TESTING, contrast=CONTRASTS),
        designs=expand("<results>/design/{contrast}.json", contrast=CONTRASTS),
    output:
        summary="<results>/comparison/summary.tsv",
        skipped="<results>/comparison/skipped.tsv",
        pairs="<results>/comparison/pairs.tsv",
        labels="<results>/comparison/labels.tsv",
        calls="<results>/comparison/calls.parquet",
    log:
        "<logs>/compare_branches/compare_branches.log",
    benchmark:
        "<benchmarks>/compare_branches/compare_branches.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("compare_branches"),
    params:
        embedding=EMBEDDING,
        testing=TESTING,
        contrasts=CONTRASTS,
    script:
        "../scripts/compare_branches.py"


rule compare_truth:
    input:
        cell_types=expand("<results>/{branch}/cell_types.parquet", branch=EMBEDDING),
        de=expand("<results>/{branch}/de/{contrast}.parquet", branch=TESTING, contrast=CONTRASTS),
        true_cells="<results>/simulated/truth/cells.parquet",
        true_counts="<results>/simulated/truth/counts.h5ad",
        expected="<results>/simulated/truth/expected.h5ad",
        markers=config["annotation"]["markers"],
        counts=expand("<results>/counts/{run}.h5ad", run=RUNS),
        ambient=expand("<results>/cells/ambient/{run}.json", run=RUNS),
        selection="<results>/cells/selection.parquet",
    output:
        truth="<results>/comparison/truth.tsv",
        cells="<results>/comparison/truth_cells.tsv",
        labels="<results>/comparison/truth_labels.tsv",
        de="<results>/comparison/truth_de.tsv",
    log:
        "<logs>/compare_truth/compare_truth.log",
    benchmark:
        "<benchmarks>/compare_truth/compare_truth.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        runs=RUNS,
        embedding=EMBEDDING,
        testing=TESTING,
        contrasts={contrast: STUDY.sides(contrast) for contrast in CONTRASTS},
        fdr=config["de"]["fdr"],
    script:
        "../scripts/compare_truth.py"
