# Branch: Harmony on the principal components of the manual branch. It embeds and does not test.


rule harmony:
    input:
        embedding="<results>/manual/embedding.parquet",
        cells="<results>/cells/cells.h5ad",
    output:
        "<results>/harmony/embedding.parquet",
    log:
        "<logs>/harmony.log",
    benchmark:
        "<benchmarks>/harmony.tsv"
    conda:
        "../envs/harmony.yaml"
    threads: 2
    resources:
        **ask("harmony", like="cluster_cells"),
    params:
        seed=config["seed"],
    script:
        "../scripts/harmony.py"
