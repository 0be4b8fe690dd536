# Files that all runs use: genome, annotation, barcode lists, STAR index, versions of the tools.


localrules:
    download,


rule download:
    output:
        "<results>/downloads/{name}",
    log:
        "<logs>/download/{name}.log",
    benchmark:
        "<benchmarks>/download/{name}.tsv"
    conda:
        # The environment of the other download; this rule needs only Python.
        "../envs/sra.yaml"
    resources:
        downloads=1,
    params:
        url=get_url,
        checksums=get_checksums,
    script:
        "../scripts/download.py"


rule extract_whitelist:
    input:
        get_own_list,
    output:
        "<results>/reference/whitelists/{whitelist}.txt",
    log:
        "<logs>/extract_whitelist/{whitelist}.log",
    benchmark:
        "<benchmarks>/extract_whitelist/{whitelist}.tsv"
    conda:
        "../envs/reads.yaml"
    params:
        whitelist=get_list,
        length=get_barcode_length,
    script:
        "../scripts/extract_whitelist.py"


rule filter_annotation:
    input:
        unpack(get_reference),
    output:
        gtf="<results>/reference/genes.gtf.gz",
        biotypes="<results>/reference/biotypes.tsv",
        about="<results>/reference/reference.json",
    log:
        "<logs>/filter_annotation/filter_annotation.log",
    benchmark:
        "<benchmarks>/filter_annotation/filter_annotation.tsv"
    conda:
        "../envs/star.yaml"
    resources:
        **ask("filter_annotation"),
    params:
        filter_biotypes=config.get("reference", {}).get("filter_biotypes"),
        y_genes=config.get("reference", {}).get("y_genes"),
    script:
        "../scripts/filter_annotation.py"


rule star_index:
    input:
        fasta=get_genome,
        gtf="<results>/reference/genes.gtf.gz",
        about="<results>/reference/reference.json",
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


# One job per environment, run inside it: it reports the versions that the other jobs used.
rule tool_versions:
    output:
        "<results>/versions/{env}_mqc_versions.yml",
    log:
        "<logs>/tool_versions/{env}.log",
    benchmark:
        "<benchmarks>/tool_versions/{env}.tsv"
    conda:
        "../envs/{env}.yaml"
    params:
        packages=get_packages,
    script:
        "../scripts/tool_versions.py"
