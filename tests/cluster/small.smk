# Jobs of seconds under the profile of the project, for what SLURM does to jobs.
rule wait_for:
    output:
        "out/{what}.txt",
    resources:
        # Snakemake in the job holds 180 MB, which SLURM counts twice while it starts a process.
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        slurm_partition=lambda wildcards: "gpu" if wildcards.what == "cancel" else "cpu",
    shell:
        # To the place that the test opens; at most half a minute.
        "for i in $(seq 150); do test -e go/{wildcards.what} && break; sleep 0.2; done;"
        " echo {wildcards.what} >{output}"


# Files that a sheet could name.
rule copy:
    input:
        "in/a $(touch READ);`touch READ`.txt",
    output:
        "copied.tsv",
    resources:
        mem_mb=1000,
    shell:
        "cp {input:q} {output}"


rule copy_quoted:
    input:
        "in/it's $(touch READ).txt",
    output:
        "quoted.tsv",
    shell:
        "cp {input:q} {output}"
