"""The registry of needs: what a job of a rule takes, by the size of its work.

One entry a rule. `plan` adds the needs up as they are; a rule asks for its own with a margin
(`latere.cluster.requests.ask`). Every number says where it comes from:

- measured: on two cores of a cloud machine, Debian 12. Reads: the demo's archive A_1 (416,037
  spots of 8 + 26 + 91 bases), counted once and eight times over. Cells: two studies of 6,000 and
  24,000 cells, drawn from 2,170 real PBMC with 33,694 genes, 1,230 entries a cell; and two of 3 and
  11 runs, 10,737 and 39,369 cells with 16.3 and 59.9 million entries, as tests/bench/cells.py makes
  them. Tables of genes: random ones, of the given sizes. CPU time is user plus system time, of GNU
  time or of Snakemake's benchmark tables.
- published: with its source.
"""

from latere.cluster.needs import branches, cells, reads
from latere.cluster.needs.registry import NEEDS, SMALL, of_job, share

__all__ = ["NEEDS", "SMALL", "branches", "cells", "of_job", "reads", "share"]
