# Jobs of seconds under the profile of the project, for what SLURM does to jobs.
rule wait_for:
    output:
        "out/{what}.txt",
    resources:
        mem_mb=lambda wildcards, attempt: 100 * attempt,
        slurm_partition=lambda wildcards: "gpu" if wildcards.what == "cancel" else "cpu",
    shell:
        # To the place that the test opens; at most half a minute.
        "for i in $(seq 150); do test -e go/{wildcards.what} && break; sleep 0.2; done;"
        " echo {wildcards.what} >{output}"
