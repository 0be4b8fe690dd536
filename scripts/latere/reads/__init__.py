"""Reads: files, chemistry and roles, the reference, STAR, and the page on the reads (jobs)."""
