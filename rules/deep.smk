# The deep branch: scVI on raw counts, its latent space, its differential expression.


rule train_scvi:
    input:
        "<results>/cells/cells.h5ad",
    output:
        model=directory("<results>/deep/model"),
        embedding="<results>/deep/embedding.parquet",
        training="<results>/deep/training.json",
    log:
        "<logs>/train_scvi.log",
    benchmark:
        "<benchmarks>/train_scvi.tsv"
    conda:
        "../envs/scvi.yaml"
    threads: training_threads
    resources:
        **ask("train_scvi"),
    params:
        n_latent=config["deep"]["n_latent"],
        n_hidden=config["deep"]["n_hidden"],
        n_layers=config["deep"]["n_layers"],
        max_epochs=config["deep"]["max_epochs"],
        seed=config["seed"],
    script:
        "../scripts/train_scvi.py"


rule scvi_de:
    input:
        cells="<results>/cells/cells.h5ad",
        cell_types="<results>/manual/cell_types.parquet",
        pseudobulk="<results>/cells/pseudobulk/{contrast}.h5ad",
        skipped="<results>/cells/pseudobulk/{contrast}.skipped.tsv",
        model="<results>/deep/model",
    output:
        tests="<results>/deep/tests/{contrast}.parquet",
        skipped="<results>/deep/tests/{contrast}.skipped.tsv",
    log:
        "<logs>/scvi_de/{contrast}.log",
    benchmark:
        "<benchmarks>/scvi_de/{contrast}.tsv"
    conda:
        "../envs/scvi.yaml"
    resources:
        **ask("scvi_de"),
    params:
        delta=config["deep"]["delta"],
        seed=config["seed"],
    script:
        "../scripts/scvi_de.py"
