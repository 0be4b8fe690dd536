# What all runs stand on: genome, annotation, barcode lists, STAR index, versions of the tools.


localrules:
    download,


rule download:
    output:
        "<resources>/downloads/{name}",
    log:
        "<logs>/download/{name}.log",
    benchmark:
        "<benchmarks>/download/{name}.tsv"
    conda:
        # The environment of the other download; this one needs no more than Python.
        "../envs/sra.yaml"
    resources:
        downloads=1,
    params:
        url=get_url,
    script:
        "../scripts/download.py"


rule extract_whitelist:
    output:
        "<results>/reference/whitelists/{chemistry}.txt",
    log:
        "<logs>/extract_whitelist/{chemistry}.log",
    benchmark:
        "<benchmarks>/extract_whitelist/{chemistry}.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        chemistry=get_chemistry,
    script:
        "../scripts/extract_whitelist.py"


rule star_index:
    input:
        unpack(get_reference),
    output:
        directory("<results>/reference/star_index"),
    log:
        "<logs>/star_index/star_index.log",
    benchmark:
        "<benchmarks>/star_index/star_index.tsv"
    conda:
        "../envs/star.yaml"
    threads: 8
    resources:
        **ask("star_index"),
    script:
        "../scripts/star_index.py"


# One job an environment, run inside it: what is told is what the other jobs used.
rule tool_versions:
    output:
        "<results>/versions/{env}_mqc_versions.yml",
    log:
        "<logs>/tool_versions/{env}.log",
    benchmark:
        "<benchmarks>/tool_versions/{env}.tsv"
    conda:
        "../envs/{env}.yaml"
    script:
        "../scripts/tool_versions.py"
