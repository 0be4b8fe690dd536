"""The embedded study: what is planted, its cells, its genome and its reads (jobs)."""
