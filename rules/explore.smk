# What both branches do alike with their embedding.


rule cluster_cells:
    input:
        "<results>/{branch}/embedding.parquet",
    output:
        umap="<results>/{branch}/umap.parquet",
        clusters="<results>/{branch}/clusters.parquet",
    log:
        "<logs>/cluster_cells/{branch}.log",
    benchmark:
        "<benchmarks>/cluster_cells/{branch}.tsv"
    conda:
        "../envs/scanpy.yaml"
    threads: 2
    resources:
        **ask("cluster_cells"),
    params:
        n_neighbors=config["explore"]["n_neighbors"],
        resolution=config["explore"]["resolution"],
        seed=config["seed"],
    script:
        "../scripts/cluster_cells.py"


rule annotate_cells:
    input:
        unpack(annotation_input),
        cells="<results>/cells/cells.h5ad",
        clusters="<results>/{branch}/clusters.parquet",
    output:
        "<results>/{branch}/cell_types.parquet",
    log:
        "<logs>/annotate_cells/{branch}.log",
    benchmark:
        "<benchmarks>/annotate_cells/{branch}.tsv"
    conda:
        "../envs/celltypist.yaml"
    threads: 2
    resources:
        **ask("annotate_cells"),
    params:
        seed=config["seed"],
    script:
        "../scripts/annotate_cells.py"
