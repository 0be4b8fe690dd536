# One page for people.


rule report:
    input:
        unpack(report_input),
        template=os.path.relpath(f"{workflow.basedir}/scripts/report.html.j2"),
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
        deep_umap="<results>/deep/umap.parquet",
        deep_clusters="<results>/deep/clusters.parquet",
        deep_cell_types="<results>/deep/cell_types.parquet",
        deep_de=expand("<results>/deep/de/{contrast}.parquet", contrast=CONTRASTS),
        manual_umap="<results>/manual/umap.parquet",
        manual_clusters="<results>/manual/clusters.parquet",
        manual_cell_types="<results>/manual/cell_types.parquet",
        manual_de=expand("<results>/manual/de/{contrast}.parquet", contrast=CONTRASTS),
        summary="<results>/comparison/summary.tsv",
        skipped="<results>/comparison/skipped.tsv",
        labels="<results>/comparison/labels.tsv",
        genes=expand("<results>/comparison/genes/{contrast}.parquet", contrast=CONTRASTS),
        training="<results>/deep/training.json",
        versions=expand("<results>/versions/{env}_mqc_versions.yml", env=ENVS),
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
        runs=describe_sources(),
        samples=STUDY.samples,
        snakemake=SNAKEMAKE,
    script:
        "../scripts/report.py"
