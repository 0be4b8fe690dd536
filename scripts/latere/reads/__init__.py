"""Reads and their chemistry: FASTQ, STAR (jobs)."""
