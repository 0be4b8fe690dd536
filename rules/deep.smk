# Branch: scVI on raw counts, its latent space, and the test that `deep.test` names.


rule train_scvi:
    input:
        "<results>/cells/cells.h5ad",
    output:
        model=directory("<results>/deep/model"),
        embedding="<results>/deep/embedding.parquet",
        training="<results>/deep/training.json",
        telemetry="<results>/deep/gpu.json",
        samples="<results>/deep/gpu.parquet",
        kernels="<results>/deep/kernels.tsv",
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
        precision=config["deep"]["precision"],
        kl_warmup=config["deep"]["kl_warmup"],
        seed=config["seed"],
    script:
        "../scripts/train_scvi.py"


rule decode_states:
    input:
        cells="<results>/cells/cells.h5ad",
        groups="<results>/groups.parquet",
        model="<results>/deep/model",
        embedding="<results>/deep/embedding.parquet",
    output:
        decoded="<results>/deep/decoded.h5ad",
        states="<results>/deep/states.parquet",
        leak="<results>/deep/leak.tsv",
    log:
        "<logs>/decode_states.log",
    benchmark:
        "<benchmarks>/decode_states.tsv"
    conda:
        "../envs/scvi.yaml"
    threads: 2
    resources:
        **ask("decode_states"),
    params:
        decoded_as=decoded_as({contrast: STUDY.sides(contrast) for contrast in CONTRASTS}),
        seed=config["seed"],
    script:
        "../scripts/decode_states.py"


# Both tests write the same file.
if config["deep"]["test"] == "posterior":

    ruleorder: scvi_de > state_adjusted_de

else:

    ruleorder: state_adjusted_de > scvi_de


rule state_adjusted_de:
    input:
        sums="<results>/design/sums.h5ad",
        design="<results>/design/{design}.json",
        decoded="<results>/deep/decoded.h5ad",
        states="<results>/deep/states.parquet",
    output:
        tests="<results>/deep/tests/{design}.parquet",
        diagnosis="<results>/deep/diagnosis/{design}.tsv",
    log:
        "<logs>/state_adjusted_de/{design}.log",
    benchmark:
        "<benchmarks>/state_adjusted_de/{design}.tsv"
    conda:
        "../envs/edger.yaml"
    resources:
        **ask("state_adjusted_de"),
    params:
        sides=get_sides,
        min_log2fc=config["de"]["min_log2fc"],
    script:
        "../scripts/state_adjusted_de.py"


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
        delta=max(config["deep"]["delta"], config["de"]["min_log2fc"]),
        seed=config["seed"],
    script:
        "../scripts/scvi_de.py"
