# Summed counts of each group and sample, and the design of each test.


rule sum_pseudobulks:
    input:
        cells="<results>/cells/cells.h5ad",
        groups="<results>/groups.parquet",
    output:
        "<results>/design/sums.h5ad",
    log:
        "<logs>/sum_pseudobulks.log",
    benchmark:
        "<benchmarks>/sum_pseudobulks.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("sum_pseudobulks"),
    script:
        "../scripts/sum_pseudobulks.py"


# A contrast, a null split of one side of it (`<contrast>+null-case-1`), or a contrast without one
# sample (`<contrast>+without-<sample>`).
rule build_design:
    input:
        "<results>/design/sums.h5ad",
    output:
        "<results>/design/{design}.json",
    log:
        "<logs>/build_design/{design}.log",
    benchmark:
        "<benchmarks>/build_design/{design}.tsv"
    conda:
        "../envs/edger.yaml"
    resources:
        **ask("build_design"),
    params:
        sides=get_sides,
        covariates=get_covariates,
        min_cells=config["de"]["min_cells"],
    script:
        "../scripts/build_design.py"
