# Labels of cells by source, cell types by branch, and the groups that are tested.


# Once for all branches.
rule label_cells:
    input:
        unpack(label_input),
        cells="<results>/cells/cells.h5ad",
    output:
        labels="<results>/annotation/{source}.parquet",
        evidence="<results>/annotation/evidence/{source}.parquet",
    log:
        "<logs>/label_cells/{source}.log",
    benchmark:
        "<benchmarks>/label_cells/{source}.tsv"
    conda:
        "../envs/celltypist.yaml"
    threads: 2
    resources:
        **ask("label_cells"),
    params:
        seed=config["seed"],
    script:
        "../scripts/label_cells.py"


rule vote_types:
    input:
        labels=f"<results>/annotation/{LABELS}.parquet",
        evidence=f"<results>/annotation/evidence/{LABELS}.parquet",
        clusters="<results>/{branch}/clusters.parquet",
    output:
        "<results>/{branch}/cell_types.parquet",
    log:
        "<logs>/vote_types/{branch}.log",
    benchmark:
        "<benchmarks>/vote_types/{branch}.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("vote_types"),
    script:
        "../scripts/vote_types.py"


rule define_groups:
    input:
        unpack(groups_input),
        cells="<results>/cells/cells.h5ad",
    output:
        "<results>/groups.parquet",
    log:
        "<logs>/define_groups.log",
    benchmark:
        "<benchmarks>/define_groups.tsv"
    conda:
        "../envs/scanpy.yaml"
    resources:
        **ask("define_groups"),
    params:
        name=config["groups"]["from"],
        subsets=[(run.name, run.subset) for run in STUDY.runs.values()],
    script:
        "../scripts/define_groups.py"
