# Branch: scVI on raw counts, its latent space, its differential expression.


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
        groups="<results>/groups.parquet",
        design="<results>/design/{design}.json",
        model="<results>/deep/model",
    output:
        "<results>/deep/tests/{design}.parquet",
    log:
        "<logs>/scvi_de/{design}.log",
    benchmark:
        "<benchmarks>/scvi_de/{design}.tsv"
    conda:
        "../envs/scvi.yaml"
    resources:
        **ask("scvi_de"),
    params:
        delta=config["deep"]["delta"],
        seed=config["seed"],
    script:
        "../scripts/scvi_de.py"
