"""Figures of the cells: a module for each step whose tables they show, as they change with it
(jobs)."""
