# Count matrices -> one AnnData of called, clean cells.


# Cells are called, and ambient RNA is estimated, if a run has its empty droplets.
rule call_cells:
    input:
        counts="<results>/counts/{run}.h5ad",
        facts="<results>/counts/{run}.json",
    output:
        droplets="<results>/cells/droplets/{run}.parquet",
        ambient="<results>/cells/ambient/{run}.json",
    log:
        "<logs>/call_cells/{run}.log",
    benchmark:
        "<benchmarks>/call_cells/{run}.tsv"
    conda:
        "../envs/droplets.yaml"
    resources:
        **ask("call_cells"),
    params:
        calling=config["cells"]["calling"],
        seed=config["seed"],
    script:
        "../scripts/call_cells.py"


rule score_cells:
    input:
        counts="<results>/counts/{run}.h5ad",
        droplets="<results>/cells/droplets/{run}.parquet",
        gene_sets=config["cells"]["gene_sets"],
    output:
        scores="<results>/cells/scores/{run}.parquet",
        doublets="<results>/cells/doublets/{run}.json",
    log:
        "<logs>/score_cells/{run}.log",
    benchmark:
        "<benchmarks>/score_cells/{run}.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("score_cells"),
    params:
        seed=config["seed"],
    script:
        "../scripts/score_cells.py"


# Counts without ambient RNA, if the configuration asks for them.
rule remove_ambient:
    input:
        counts="<results>/counts/{run}.h5ad",
        droplets="<results>/cells/droplets/{run}.parquet",
        ambient="<results>/cells/ambient/{run}.json",
    output:
        "<results>/cells/corrected/{run}.h5ad",
    log:
        "<logs>/remove_ambient/{run}.log",
    benchmark:
        "<benchmarks>/remove_ambient/{run}.tsv"
    conda:
        "../envs/soupx.yaml"
    resources:
        **ask("remove_ambient"),
    params:
        seed=config["seed"],
    script:
        "../scripts/remove_ambient.py"


# Limits need all cells of a sample, and no counts.
rule select_cells:
    input:
        expand("<results>/cells/scores/{run}.parquet", run=RUNS),
    output:
        selection="<results>/cells/selection.parquet",
        limits="<results>/cells/limits.tsv",
        qc="<results>/cells/qc.tsv",
    log:
        "<logs>/select_cells.log",
    benchmark:
        "<benchmarks>/select_cells.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("select_cells"),
    params:
        limits={sample: STUDY.limits(sample) for sample in STUDY.samples},
        doublets=config["cells"]["doublets"],
        runs={run.name: run.sample for run in STUDY.runs.values()},
    script:
        "../scripts/select_cells.py"


rule check_runs:
    input:
        unpack(get_label_sources),
        counts=expand("<results>/counts/{run}.h5ad", run=RUNS),
        facts=expand("<results>/counts/{run}.json", run=RUNS),
        ambient=expand("<results>/cells/ambient/{run}.json", run=RUNS),
        selection="<results>/cells/selection.parquet",
        gene_sets=config["cells"]["gene_sets"],
    output:
        "<results>/cells/checks.tsv",
    log:
        "<logs>/check_runs.log",
    benchmark:
        "<benchmarks>/check_runs.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("check_runs"),
    params:
        samples=STUDY.samples,
        runs={run.name: run.sample for run in STUDY.runs.values()},
        sides={contrast: STUDY.sides(contrast) for contrast in CONTRASTS},
        warnings=[
            f"{warning.where}: {warning.problem}. {warning.fix}" for warning in STUDY.warnings
        ],
        genes=config["cells"]["genes"],
        min_cells=config["de"]["min_cells"],
        remove_ambient=config["cells"]["remove_ambient"],
        seed=config["seed"],
    script:
        "../scripts/check_runs.py"


rule merge_cells:
    input:
        counts=expand("<results>/counts/{run}.h5ad", run=RUNS),
        corrected=get_corrected,
        selection="<results>/cells/selection.parquet",
        qc="<results>/cells/qc.tsv",
    output:
        "<results>/cells/cells.h5ad",
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
        samples=STUDY.samples,
        runs={run.name: run.sample for run in STUDY.runs.values()},
        genes=config["cells"]["genes"],
    script:
        "../scripts/merge_cells.py"


rule plot_cells:
    input:
        droplets=expand("<results>/cells/droplets/{run}.parquet", run=RUNS),
        ambient=expand("<results>/cells/ambient/{run}.json", run=RUNS),
        doublets=expand("<results>/cells/doublets/{run}.json", run=RUNS),
        selection="<results>/cells/selection.parquet",
        limits="<results>/cells/limits.tsv",
        qc="<results>/cells/qc.tsv",
    output:
        multiext(
            "<results>/cells/figures/",
            *[f"{name}.{kind}" for name in CELL_FIGURES for kind in ("svg", "pdf")],
        ),
    log:
        "<logs>/plot_cells.log",
    benchmark:
        "<benchmarks>/plot_cells.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("plot_cells"),
    params:
        runs={run.name: run.sample for run in STUDY.runs.values()},
    script:
        "../scripts/plot_cells.py"
