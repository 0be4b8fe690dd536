"""Results of a simulated study against its truth (jobs)."""
