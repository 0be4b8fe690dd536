# For every branch with an embedding: neighbours, UMAP, clusters.


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
