# Reads -> count matrices (STARsolo); count matrices come in here too.


rule starsolo:
    input:
        reads=get_reads,
        roles="<results>/roles/{run}.json",
        index="<results>/reference/star_index",
        whitelist=get_whitelist,
    output:
        directory("<results>/counts/starsolo/{run}"),
    log:
        "<logs>/starsolo/{run}.log",
    benchmark:
        "<benchmarks>/starsolo/{run}.tsv"
    conda:
        "../envs/star.yaml"
    threads: 8
    resources:
        **ask("starsolo"),
    params:
        chemistry=get_chemistry,
    script:
        "../scripts/starsolo.py"


rule load_counts:
    input:
        get_counts,
    output:
        "<results>/counts/{run}.h5ad",
    log:
        "<logs>/load_counts/{run}.log",
    benchmark:
        "<benchmarks>/load_counts/{run}.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("load_counts"),
    params:
        sample=get_sample,
        subset=get_subset,
    script:
        "../scripts/load_counts.py"
