"""Count matrices as people have them (jobs)."""
