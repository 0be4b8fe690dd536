"""The registry of branches: one entry each. Rules, comparison, truth and report use it.

A branch that embeds writes `{name}/embedding.parquet`; a branch that tests writes
`{name}/tests/{design}.parquet`. Its rules are in `rules/{name}.smk`.
"""

from dataclasses import dataclass, field

from latere.figures import BLUE, GREEN, VERMILION


@dataclass(frozen=True)
class Branch:
    """A way of analysis.

    Attributes
    ----------
    name
        Its folder in the results and its key in the configuration.
    title
        Title of the branch: its method.
    embedding
        What its embedding is, in words; empty if it does not embed.
    fdr
        What its `fdr` means, in words; empty if it does not test.
    colour
        In all figures, as a hexadecimal code.
    files
        Further files of the branch that the report shows, by what they hold.
    """

    name: str
    title: str
    embedding: str
    fdr: str
    colour: str
    files: dict[str, str] = field(default_factory=dict)

    @property
    def embeds(self) -> bool:
        """Whether it writes an embedding."""
        return bool(self.embedding)

    @property
    def tests(self) -> bool:
        """Whether it tests designs."""
        return bool(self.fdr)


REGISTRY = {
    branch.name: branch
    for branch in (
        Branch(
            "deep",
            title="deep (scVI)",
            embedding="scVI's latent space",
            fdr="posterior expected FDR: mean probability of no change over the genes called",
            colour=BLUE,
            files={"training": "training.json"},
        ),
        Branch(
            "manual",
            title="manual (edgeR)",
            embedding="principal components",
            fdr="Benjamini-Hochberg FDR of the quasi-likelihood p-values of a group",
            colour=VERMILION,
            files={"variable_genes": "variable_genes.parquet"},
        ),
        Branch(
            "harmony",
            title="Harmony",
            embedding="principal components, integrated by Harmony",
            fdr="",
            colour=GREEN,
        ),
    )
}
