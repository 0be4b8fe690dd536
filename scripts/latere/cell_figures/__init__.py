"""Figures of the cells (jobs). One module per step whose tables they show: when a step changes its
tables, only the figures of that step change."""
