"""Compare the results of a simulated study with its truth: cells, counts, labels, tests."""

import json
from pathlib import Path

import anndata as ad
import pandas as pd

from latere.contract import write_table
from latere.job import run_script, start
from latere.truth.cells import compare_runs, count_fates
from latere.truth.labels import compare_labels, read_lineages
from latere.truth.tests import compare_contrasts


def main(snakemake):
    """Read results and truth, compare, write."""
    log = start(snakemake)
    given, params, output = snakemake.input, snakemake.params, snakemake.output
    true_cells, selection = map(pd.read_parquet, (given.true_cells, given.selection))
    if strange := sorted(set(params.runs) - set(true_cells["run"])):
        log.warning("runs without a truth, left out: %s", ", ".join(strange))
    of_run = dict(zip(params.runs, zip(given.counts, given.ambient, strict=True), strict=True))
    of_run = {run: paths for run, paths in of_run.items() if run not in strange}
    true_cells, selection = (table[table["run"].isin(of_run)] for table in (true_cells, selection))
    by_run = compare_runs(
        {run: ad.read_h5ad(counts) for run, (counts, _) in of_run.items()},
        selection,
        {
            run: json.loads(Path(about).read_text(encoding="utf-8"))["ambient"]
            for run, (_, about) in of_run.items()
        },
        true_cells,
        ad.read_h5ad(given.true_counts),
    )
    cell_types = {
        branch: pd.read_parquet(path).set_index("cell")["cell_type"]
        for branch, path in zip(params.embedding, given.cell_types, strict=True)
    }
    labels = compare_labels(cell_types, true_cells, read_lineages(given.markers, true_cells))
    paths = iter(given.de)
    de = {branch: {c: next(paths) for c in params.contrasts} for branch in params.testing}
    tests = compare_contrasts(params.contrasts, de, ad.read_h5ad(given.expected), params.fdr)
    for path, name, table in (
        (output.truth, "truth", by_run),
        (output.cells, "truth_cells", count_fates(selection, true_cells)),
        (output.labels, "truth_labels", labels),
        (output.de, "truth_de", tests),
    ):
        log.info("\n%s", table.to_string())
        write_table(table, path, f"comparison/{name}.tsv", digits=6)


if __name__ == "__main__":
    run_script(main, snakemake)  # noqa: F821
