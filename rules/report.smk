# One page for people.


rule report:
    input:
        unpack(report_input),
        templates=report_templates(),
        cells="<results>/cells/cells.h5ad",
        facts=expand("<results>/counts/{run}.json", run=RUNS),
        ambient=expand("<results>/cells/ambient/{run}.json", run=RUNS),
        doublets=expand("<results>/cells/doublets/{run}.json", run=RUNS),
        selection="<results>/cells/selection.parquet",
        limits="<results>/cells/limits.tsv",
        qc="<results>/cells/qc.tsv",
        checks="<results>/cells/checks.tsv",
        figures=expand(
            "<results>/cells/figures/{name}.{kind}", name=CELL_FIGURES, kind=["svg", "pdf"]
        ),
        groups="<results>/groups.parquet",
        umaps=expand("<results>/{branch}/umap.parquet", branch=EMBEDDING),
        clusters=expand("<results>/{branch}/clusters.parquet", branch=EMBEDDING),
        cell_types=expand("<results>/{branch}/cell_types.parquet", branch=EMBEDDING),
        de=expand("<results>/{branch}/de/{contrast}.parquet", branch=TESTING, contrast=CONTRASTS),
        summary="<results>/comparison/summary.tsv",
        skipped="<results>/comparison/skipped.tsv",
        labels="<results>/comparison/labels.tsv",
        pairs="<results>/comparison/pairs.tsv",
        calls="<results>/comparison/calls.parquet",
        versions=get_versions,
    output:
        "<results>/report.html",
    log:
        "<logs>/report/report.log",
    benchmark:
        "<benchmarks>/report/report.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        **ask("report"),
    params:
        config=config,
        embedding=EMBEDDING,
        testing=TESTING,
        runs=describe_sources(),
        samples=STUDY.samples,
        snakemake=SNAKEMAKE,
    script:
        "../scripts/report.py"
