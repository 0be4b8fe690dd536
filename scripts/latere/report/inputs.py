"""The inputs of the rule. Each table is read once, however many sections show it."""

import json
from functools import cached_property
from pathlib import Path

import pandas as pd

from latere.branches import Branch, branches_of
from latere.tables import read_by_cell, read_tsv


def read_json(path) -> dict:
    """What a step reports about its work."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


class Inputs:
    """Inputs and parameters of the rule.

    Attributes
    ----------
    files, params
        As Snakemake gives them.
    config
        The configuration, with all defaults filled in.
    samples
        Of each sample: its columns in the sheet.
    runs
        Of each run: sample and source.
    branches, embedding, testing
        The branches of the study; those that embed cells, and those that test genes.
    commit
        Commit of the workflow.
    """

    def __init__(self, files, params, commit: str):
        self.commit = commit
        self.files, self.params = files, params
        self.config, self.samples, self.runs = params.config, params.samples, params.runs
        self.branches = branches_of(self.config)
        by_name = {branch.name: branch for branch in self.branches}
        self.embedding: list[Branch] = [by_name[name] for name in params.embedding]
        self.testing: list[Branch] = [by_name[name] for name in params.testing]

    @property
    def contrasts(self) -> dict:
        """The contrasts by name."""
        return self.config["contrasts"]

    @cached_property
    def cells(self) -> pd.DataFrame:
        """The kept cells: sample, run and the columns of the sheet."""
        obs = self._merged[0][["sample", "run"]].astype(str)
        described = pd.DataFrame.from_dict(self.samples, orient="index").reindex(obs["sample"])
        return obs.join(described.set_index(obs.index))

    @property
    def genes(self) -> pd.DataFrame:
        """The genes of the study."""
        return self._merged[1]

    @cached_property
    def _merged(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        import h5py
        from anndata.io import read_elem

        with h5py.File(self.files.cells) as file:
            return read_elem(file["obs"]), read_elem(file["var"])

    @cached_property
    def labels(self) -> dict[str, pd.DataFrame]:
        """Of each branch that embeds: cell_type, cluster, source and more, by cell."""
        paths = zip(self.embedding, self.files.cell_types, self.files.clusters, strict=True)
        return {
            branch.name: read_by_cell(cell_types, self.cells.index).join(
                read_by_cell(clusters, self.cells.index)
            )
            for branch, cell_types, clusters in paths
        }

    @cached_property
    def umaps(self) -> dict[str, pd.DataFrame]:
        """Of each branch that embeds: umap_1, umap_2 by cell."""
        return {
            branch.name: read_by_cell(path, self.cells.index)
            for branch, path in zip(self.embedding, self.files.umaps, strict=True)
        }

    @cached_property
    def label_pairs(self) -> pd.DataFrame:
        """Agreement of clusters and cell types, by pairs of branches."""
        return read_tsv(self.files.labels)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Genes tested and called: contrast, group, branch, tested, significant."""
        return read_tsv(self.files.summary)

    @cached_property
    def qc(self) -> pd.DataFrame:
        """Cells called, removed and kept, by run."""
        return read_tsv(self.files.qc)

    @cached_property
    def selection(self) -> pd.DataFrame:
        """The called cells: sample, phase, kept."""
        return pd.read_parquet(self.files.selection, columns=["sample", "phase", "kept"])

    @cached_property
    def checks(self) -> pd.DataFrame:
        """run, check, verdict, value, detail."""
        return read_tsv(self.files.checks)

    @cached_property
    def facts(self) -> list[dict]:
        """What `load_counts` reports for each run."""
        return [read_json(path) for path in self.files.facts]

    @cached_property
    def ambient(self) -> list[dict]:
        """What `call_cells` reports for each run: calling, ambient."""
        return [read_json(path) for path in self.files.ambient]

    @cached_property
    def doublets(self) -> list[dict]:
        """What `score_cells` reports about the doublets of each run."""
        return [read_json(path) for path in self.files.doublets]

    @cached_property
    def metrics(self) -> list[dict]:
        """Metrics of the runs that start from reads."""
        return [read_json(path) for path in self.files.get("metrics", [])]

    @property
    def corrected(self) -> int:
        """Runs whose ambient RNA is known, so that it can be removed."""
        return sum(run["ambient"]["share"] is not None for run in self.ambient)

    def called_by(self, method: str) -> int:
        """Runs whose cells were called by a method of `call_cells`."""
        return sum(run["calling"]["method"] == method for run in self.ambient)
