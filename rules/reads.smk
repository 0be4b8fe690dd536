# SRA archives or FASTQ -> reads whose roles are known; FastQC, MultiQC.


localrules:
    prefetch,


rule prefetch:
    output:
        unless_kept("archives", "<results>/sra/{accession}.sra"),
    log:
        "<logs>/prefetch/{accession}.log",
    benchmark:
        "<benchmarks>/prefetch/{accession}.tsv"
    conda:
        "../envs/sra.yaml"
    resources:
        **ask("prefetch", ["runtime"]),
        downloads=1,
        unpacked=archive_goes,
    script:
        "../scripts/prefetch.py"


rule fasterq_dump:
    input:
        get_archive,
    output:
        unless_kept("fastq", directory("<results>/reads/{run}")),
    log:
        "<logs>/fasterq_dump/{run}.log",
    benchmark:
        "<benchmarks>/fasterq_dump/{run}.tsv"
    priority: 1
    conda:
        "../envs/sra.yaml"
    threads: 8
    resources:
        **ask("fasterq_dump"),
        unpacked=unpacked,
    script:
        "../scripts/fasterq_dump.py"


rule assign_roles:
    input:
        reads=get_reads,
    output:
        "<results>/roles/{run}.json",
    log:
        "<logs>/assign_roles/{run}.log",
    benchmark:
        "<benchmarks>/assign_roles/{run}.tsv"
    priority: 2
    conda:
        "../envs/reads.yaml"
    resources:
        unpacked=unpacked,
    params:
        mates=get_mates,
        # Only the chemistries that decide: a new row of the table reruns no run with a named chemistry.
        asked=get_chemistries,
        table=config["chemistries"],
    script:
        "../scripts/assign_roles.py"


rule check_reads:
    input:
        reads=get_reads,
        roles="<results>/roles/{run}.json",
    output:
        "<results>/checked/{run}.json",
    log:
        "<logs>/check_reads/{run}.log",
    benchmark:
        "<benchmarks>/check_reads/{run}.tsv"
    priority: 2
    conda:
        "../envs/reads.yaml"
    threads: count_lanes
    resources:
        **ask("check_reads"),
        unpacked=unpacked,
    script:
        "../scripts/check_reads.py"


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
    priority: 3
    conda:
        "../envs/fastqc.yaml"
    threads: 2
    resources:
        **ask("fastqc"),
        unpacked=unpacked,
    params:
        roles=ROLES,
    script:
        "../scripts/fastqc.py"


rule multiqc:
    input:
        config=os.path.relpath(f"{HERE}/config/multiqc.yaml"),
        css=os.path.relpath(f"{HERE}/config/multiqc.css"),
        fastqc=expand(
            "<results>/read_qc/fastqc/{run}_{role}_fastqc.zip",
            run=SEQUENCED_RUNS,
            role=ROLES,
        ),
        roles=expand("<results>/roles/{run}.json", run=SEQUENCED_RUNS),
        checked=expand("<results>/checked/{run}.json", run=SEQUENCED_RUNS),
        strand=expand("<results>/strand/{run}.json", run=SEQUENCED_RUNS),
        starsolo=expand("<results>/counts/starsolo/{run}", run=SEQUENCED_RUNS),
        metrics=expand("<results>/counts/metrics/{run}.json", run=SEQUENCED_RUNS),
        published=config["published_cells"] or [],
        versions=get_versions,
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
        limits=config["qc"],
    script:
        "../scripts/multiqc.py"
