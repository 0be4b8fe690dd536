# The two branches side by side, against truth and null.


# Apart from the tests, so that another threshold refits none of them.
rule call_de:
    input:
        tests="<results>/{branch}/tests/{contrast}.parquet",
        skipped="<results>/{branch}/tests/{contrast}.skipped.tsv",
    output:
        de="<results>/{branch}/de/{contrast}.parquet",
        skipped="<results>/{branch}/de/{contrast}.skipped.tsv",
    log:
        "<logs>/call_de/{branch}_{contrast}.log",
    benchmark:
        "<benchmarks>/call_de/{branch}_{contrast}.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        fdr=config["de"]["fdr"],
        min_log2fc=config["de"]["min_log2fc"],
    script:
        "../scripts/call_de.py"


rule compare_branches:
    input:
        deep_de=expand("<results>/deep/de/{contrast}.parquet", contrast=CONTRASTS),
        deep_skipped=expand("<results>/deep/de/{contrast}.skipped.tsv", contrast=CONTRASTS),
        deep_clusters="<results>/deep/clusters.parquet",
        deep_cell_types="<results>/deep/cell_types.parquet",
        manual_de=expand("<results>/manual/de/{contrast}.parquet", contrast=CONTRASTS),
        manual_skipped=expand("<results>/manual/de/{contrast}.skipped.tsv", contrast=CONTRASTS),
        manual_clusters="<results>/manual/clusters.parquet",
        manual_cell_types="<results>/manual/cell_types.parquet",
    output:
        summary="<results>/comparison/summary.tsv",
        skipped="<results>/comparison/skipped.tsv",
        labels="<results>/comparison/labels.tsv",
        genes=expand("<results>/comparison/genes/{contrast}.parquet", contrast=CONTRASTS),
    log:
        "<logs>/compare_branches/compare_branches.log",
    benchmark:
        "<benchmarks>/compare_branches/compare_branches.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        contrasts=CONTRASTS,
    script:
        "../scripts/compare_branches.py"


rule compare_truth:
    input:
        true_cells="<results>/simulated/truth/cells.parquet",
        true_counts="<results>/simulated/truth/counts.h5ad",
        expected="<results>/simulated/truth/expected.h5ad",
        markers=config["annotation"]["markers"],
        counts=expand("<results>/counts/{run}.h5ad", run=RUNS),
        ambient=expand("<results>/cells/ambient/{run}.json", run=RUNS),
        selection="<results>/cells/selection.parquet",
        deep_de=expand("<results>/deep/de/{contrast}.parquet", contrast=CONTRASTS),
        deep_cell_types="<results>/deep/cell_types.parquet",
        manual_de=expand("<results>/manual/de/{contrast}.parquet", contrast=CONTRASTS),
        manual_cell_types="<results>/manual/cell_types.parquet",
    output:
        truth="<results>/comparison/truth.tsv",
        cells="<results>/comparison/truth_cells.tsv",
        de="<results>/comparison/truth_de.tsv",
    log:
        "<logs>/compare_truth/compare_truth.log",
    benchmark:
        "<benchmarks>/compare_truth/compare_truth.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        runs=RUNS,
        contrasts={contrast: STUDY.sides(contrast) for contrast in CONTRASTS},
        fdr=config["de"]["fdr"],
    script:
        "../scripts/compare_truth.py"
