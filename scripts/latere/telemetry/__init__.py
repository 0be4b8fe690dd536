"""What the hardware did while a model was trained. No Snakemake in it."""
