"""What jobs ask for, the site, SLURM (driver)."""
