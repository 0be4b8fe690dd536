# SRA archives or FASTQ -> reads whose roles are known; FastQC, MultiQC.


localrules:
    prefetch,


rule prefetch:
    output:
        "<resources>/sra/{accession}.sra",
    log:
        "<logs>/prefetch/{accession}.log",
    benchmark:
        "<benchmarks>/prefetch/{accession}.tsv"
    conda:
        "../envs/sra.yaml"
    resources:
        **ask("prefetch", ["runtime"]),
        downloads=1,
    script:
        "../scripts/prefetch.py"


rule fasterq_dump:
    input:
        get_archive,
    output:
        temp(directory("<results>/reads/{run}")),
    log:
        "<logs>/fasterq_dump/{run}.log",
    benchmark:
        "<benchmarks>/fasterq_dump/{run}.tsv"
    conda:
        "../envs/sra.yaml"
    threads: 6
    resources:
        **ask("fasterq_dump", ["mem_mb", "runtime", "disk_mb"]),
    script:
        "../scripts/fasterq_dump.py"


rule assign_roles:
    input:
        reads=get_reads,
        whitelist=get_whitelist,
    output:
        "<results>/roles/{run}.json",
    log:
        "<logs>/assign_roles/{run}.log",
    benchmark:
        "<benchmarks>/assign_roles/{run}.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        mates=get_mates,
        chemistry=get_chemistry,
    script:
        "../scripts/assign_roles.py"


rule fastqc:
    input:
        reads=get_reads,
        roles="<results>/roles/{run}.json",
    output:
        expand("<results>/read_qc/fastqc/{{run}}_{role}_fastqc.zip", role=ROLES),
        expand("<results>/read_qc/fastqc/{{run}}_{role}_fastqc.html", role=ROLES),
    log:
        "<logs>/fastqc/{run}.log",
    benchmark:
        "<benchmarks>/fastqc/{run}.tsv"
    conda:
        "../envs/fastqc.yaml"
    threads: 2
    resources:
        **ask("fastqc"),
    params:
        roles=ROLES,
    script:
        "../scripts/fastqc.py"


rule multiqc:
    input:
        config=os.path.relpath(f"{workflow.basedir}/config/multiqc.yaml"),
        fastqc=expand(
            "<results>/read_qc/fastqc/{run}_{role}_fastqc.zip",
            run=SEQUENCED_RUNS,
            role=ROLES,
        ),
        starsolo=expand("<results>/counts/starsolo/{run}", run=SEQUENCED_RUNS),
        versions=expand("<results>/versions/{env}_mqc_versions.yml", env=ENVS),
    output:
        "<results>/read_qc/multiqc.html",
    log:
        "<logs>/multiqc/multiqc.log",
    benchmark:
        "<benchmarks>/multiqc/multiqc.tsv"
    conda:
        "../envs/multiqc.yaml"
    params:
        study=STUDY.name,
        runs=SEQUENCED_RUNS,
    script:
        "../scripts/multiqc.py"
