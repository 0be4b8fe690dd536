# Branch: log-normalisation, PCA on variable genes, edgeR on pseudobulks.


rule variable_genes:
    input:
        "<results>/cells/cells.h5ad",
    output:
        "<results>/manual/variable_genes.parquet",
    log:
        "<logs>/variable_genes.log",
    benchmark:
        "<benchmarks>/variable_genes.tsv"
    conda:
        "../envs/scanpy.yaml"
    threads: 2
    resources:
        **ask("variable_genes"),
    params:
        n_highly_variable=config["manual"]["n_highly_variable"],
    script:
        "../scripts/variable_genes.py"


rule log_pca:
    input:
        cells="<results>/cells/cells.h5ad",
        genes="<results>/manual/variable_genes.parquet",
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
        sums="<results>/design/sums.h5ad",
        design="<results>/design/{design}.json",
    output:
        "<results>/manual/tests/{design}.parquet",
    log:
        "<logs>/edger_de/{design}.log",
    benchmark:
        "<benchmarks>/edger_de/{design}.tsv"
    conda:
        "../envs/edger.yaml"
    resources:
        **ask("edger_de"),
    params:
        min_log2fc=config["de"]["min_log2fc"],
    script:
        "../scripts/edger_de.py"
