# Count matrices -> one AnnData of called, clean cells, and the question put to both branches.


rule merge_cells:
    input:
        expand("<results>/counts/{run}.h5ad", run=RUNS),
    output:
        cells="<results>/cells/cells.h5ad",
        qc="<results>/cells/qc.tsv",
    log:
        "<logs>/merge_cells.log",
    benchmark:
        "<benchmarks>/merge_cells.tsv"
    conda:
        "../envs/scanpy.yaml"
    threads: 2
    resources:
        **ask("merge_cells"),
    params:
        limits=config["cells"],
        samples=STUDY.samples,
        runs={run.name: run.sample for run in STUDY.runs.values()},
    script:
        "../scripts/merge_cells.py"


rule pseudobulk:
    input:
        cells="<results>/cells/cells.h5ad",
        cell_types="<results>/manual/cell_types.parquet",
    output:
        pseudobulk="<results>/cells/pseudobulk/{contrast}.h5ad",
        skipped="<results>/cells/pseudobulk/{contrast}.skipped.tsv",
    log:
        "<logs>/pseudobulk/{contrast}.log",
    benchmark:
        "<benchmarks>/pseudobulk/{contrast}.tsv"
    conda:
        "../envs/edger.yaml"
    resources:
        **ask("pseudobulk"),
    params:
        design=contrast_design,
        min_cells=config["de"]["min_cells"],
    script:
        "../scripts/pseudobulk.py"
