# The embedded study: simulated SRA archives whose truth is known.


rule simulate_study:
    input:
        whitelist="<results>/reference/whitelists/10x_version2_whitelist.txt",
    output:
        fasta="<results>/simulated/reference/genome.fa",
        gtf="<results>/simulated/reference/genes.gtf",
        cells="<results>/simulated/truth/cells.parquet",
        counts="<results>/simulated/truth/counts.h5ad",
        expected="<results>/simulated/truth/expected.h5ad",
    log:
        "<logs>/simulate_study.log",
    benchmark:
        "<benchmarks>/simulate_study.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        simulation=config.get("simulation"),
        runs=simulated_runs(),
        samples=simulated_samples(),
        seed=config["seed"],
    script:
        "../scripts/simulate_study.py"


rule simulate_reads:
    input:
        whitelist="<results>/reference/whitelists/10x_version2_whitelist.txt",
        fasta="<results>/simulated/reference/genome.fa",
        gtf="<results>/simulated/reference/genes.gtf",
        counts="<results>/simulated/truth/counts.h5ad",
    output:
        index=temp("<results>/simulated/reads/{run}_I1.fastq"),
        barcode=temp("<results>/simulated/reads/{run}_R1.fastq"),
        cdna=temp("<results>/simulated/reads/{run}_R2.fastq"),
    log:
        "<logs>/simulate_reads/{run}.log",
    benchmark:
        "<benchmarks>/simulate_reads/{run}.tsv"
    conda:
        "../envs/scanpy.yaml"
    params:
        simulation=config.get("simulation"),
        seed=config["seed"],
    script:
        "../scripts/simulate_reads.py"


rule simulate_sra:
    input:
        index="<results>/simulated/reads/{run}_I1.fastq",
        barcode="<results>/simulated/reads/{run}_R1.fastq",
        cdna="<results>/simulated/reads/{run}_R2.fastq",
    output:
        "<results>/simulated/sra/{run}.sra",
    log:
        "<logs>/simulate_sra/{run}.log",
    benchmark:
        "<benchmarks>/simulate_sra/{run}.tsv"
    conda:
        "../envs/sra.yaml"
    script:
        "../scripts/simulate_sra.py"


rule train_demo_model:
    input:
        counts="<results>/simulated/truth/counts.h5ad",
    output:
        "<results>/simulated/celltypist_model.pkl",
    log:
        "<logs>/train_demo_model/celltypist_model.log",
    benchmark:
        "<benchmarks>/train_demo_model/celltypist_model.tsv"
    conda:
        "../envs/celltypist.yaml"
    params:
        seed=config["seed"],
    script:
        "../scripts/train_demo_model.py"
