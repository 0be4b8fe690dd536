# Reads -> count matrices (STARsolo); given count matrices are loaded here, too.


rule detect_strand:
    input:
        reads=get_reads,
        roles="<results>/roles/{run}.json",
        checked="<results>/checked/{run}.json",
        index="<results>/reference/star_index",
    output:
        "<results>/strand/{run}.json",
    log:
        "<logs>/detect_strand/{run}.log",
    benchmark:
        "<benchmarks>/detect_strand/{run}.tsv"
    priority: 2
    conda:
        "../envs/star.yaml"
    threads: 8
    resources:
        **ask("detect_strand"),
        unpacked=unpacked,
    script:
        "../scripts/detect_strand.py"


rule starsolo:
    input:
        reads=get_reads,
        roles="<results>/roles/{run}.json",
        checked="<results>/checked/{run}.json",
        strand="<results>/strand/{run}.json",
        index="<results>/reference/star_index",
        whitelists=get_whitelists,
    output:
        directory("<results>/counts/starsolo/{run}"),
    log:
        "<logs>/starsolo/{run}.log",
    benchmark:
        "<benchmarks>/starsolo/{run}.tsv"
    priority: 2
    conda:
        "../envs/star.yaml"
    threads: 8
    resources:
        **ask("starsolo"),
        unpacked=unpacked,
    params:
        bam=config["reads"]["bam"],
    script:
        "../scripts/starsolo.py"


# The metrics can change without counting again.
rule run_metrics:
    input:
        starsolo="<results>/counts/starsolo/{run}",
        strand="<results>/strand/{run}.json",
    output:
        "<results>/counts/metrics/{run}.json",
    log:
        "<logs>/run_metrics/{run}.log",
    benchmark:
        "<benchmarks>/run_metrics/{run}.tsv"
    conda:
        "../envs/star.yaml"
    params:
        sample=get_sample,
    script:
        "../scripts/run_metrics.py"


rule load_counts:
    input:
        get_counts,
    output:
        counts="<results>/counts/{run}.h5ad",
        facts="<results>/counts/{run}.json",
    log:
        "<logs>/load_counts/{run}.log",
    benchmark:
        "<benchmarks>/load_counts/{run}.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("load_counts"),
    params:
        layout=get_layout,
    script:
        "../scripts/load_counts.py"
