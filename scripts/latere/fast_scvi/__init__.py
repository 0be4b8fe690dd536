"""Train the models of scvi-tools faster: one Lightning step is one epoch. No Snakemake in it."""
