# The manual branch: log-normalisation, PCA, edgeR on pseudobulks.


rule log_pca:
    input:
        "<results>/cells/cells.h5ad",
    output:
        "<results>/manual/embedding.parquet",
    log:
        "<logs>/log_pca.log",
    benchmark:
        "<benchmarks>/log_pca.tsv"
    conda:
        "../envs/scanpy.yaml"
    threads: 2
    resources:
        **ask("log_pca"),
    params:
        n_components=config["manual"]["n_components"],
        seed=config["seed"],
    script:
        "../scripts/log_pca.py"


rule edger_de:
    input:
        pseudobulk="<results>/cells/pseudobulk/{contrast}.h5ad",
        skipped="<results>/cells/pseudobulk/{contrast}.skipped.tsv",
    output:
        tests="<results>/manual/tests/{contrast}.parquet",
        skipped="<results>/manual/tests/{contrast}.skipped.tsv",
    log:
        "<logs>/edger_de/{contrast}.log",
    benchmark:
        "<benchmarks>/edger_de/{contrast}.tsv"
    conda:
        "../envs/edger.yaml"
    script:
        "../scripts/edger_de.py"
