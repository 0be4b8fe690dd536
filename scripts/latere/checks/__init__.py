"""Checks of runs against the sheet and the other runs (jobs)."""
