"""The registry of branches: one entry each. Rules, comparison, truth and report use it.

A branch that embeds writes `{name}/embedding.parquet`; a branch that tests writes
`{name}/tests/{design}.parquet`. Its rules are in `rules/{name}.smk`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from latere.figures import BLUE, GREEN, VERMILION

# What a test asks: whether the mean over a sample's cells changes, composition included; or
# whether cells of the same state change.
TOTAL, AT_EQUAL_STATE = "total change", "change at equal state"


@dataclass(frozen=True)
class Test:
    """A test of designs.

    Attributes
    ----------
    name
        Its value of the key `test` of the branch, where the branch has several.
    fdr
        What its `fdr` means, in words.
    question
        `TOTAL` or `AT_EQUAL_STATE`.
    files
        As of a branch; `{contrast}` in a path stands for each of the contrasts.
    replicates
        What it treats as replicates.
    """

    __test__ = False  # for pytest

    name: str
    fdr: str
    question: str
    files: dict[str, str] = field(default_factory=dict)
    replicates: str = "samples"


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
    colour
        In all figures, as a hexadecimal code.
    tests
        Its tests, the default first; empty if it does not test.
    files
        Further files of the branch that the report shows, by what they hold.
    """

    name: str
    title: str
    embedding: str
    colour: str
    tests: tuple[Test, ...] = ()
    files: dict[str, str] = field(default_factory=dict)

    @property
    def embeds(self) -> bool:
        """Whether it writes an embedding."""
        return bool(self.embedding)

    @property
    def fdr(self) -> str:
        """What the `fdr` of its test means, in words; empty if it does not test."""
        return self.tests[0].fdr if self.tests else ""

    @property
    def question(self) -> str:
        """What its test asks; empty if it does not test."""
        return self.tests[0].question if self.tests else ""

    def configured(self, config: Mapping) -> "Branch":
        """The branch with the test that a configuration chooses, which has files for contrasts."""
        chosen = config.get(self.name, {}).get("test")
        tests = tuple(test for test in self.tests if chosen in (None, test.name))[:1]
        files = tests[0].files if tests and config["contrasts"] else {}
        return replace(self, tests=tests, files=self.files | files)


REGISTRY = {
    branch.name: branch
    for branch in (
        Branch(
            "deep",
            title="deep (scVI)",
            embedding="scVI's latent space",
            colour=BLUE,
            tests=(
                Test(
                    "state_adjusted",
                    "Benjamini-Hochberg FDR of edgeR's quasi-likelihood p-values of a group, given "
                    "the states of the cells that scVI fitted",
                    AT_EQUAL_STATE,
                    {"diagnosis": "diagnosis/{contrast}.tsv", "leak": "leak.tsv"},
                ),
                Test(
                    "posterior",
                    "posterior expected FDR: mean probability of no change over the genes called",
                    TOTAL,
                    replicates="cells",
                ),
            ),
            files={
                "training": "training.json",
                "gpu": "gpu.json",
                "gpu_samples": "gpu.parquet",
                "kernels": "kernels.tsv",
            },
        ),
        Branch(
            "manual",
            title="manual (edgeR)",
            embedding="principal components",
            colour=VERMILION,
            tests=(
                Test(
                    "edger",
                    "Benjamini-Hochberg FDR of edgeR's quasi-likelihood p-values of a group",
                    TOTAL,
                ),
            ),
            files={"variable_genes": "variable_genes.parquet"},
        ),
        Branch(
            "harmony",
            title="Harmony",
            embedding="principal components, integrated by Harmony",
            colour=GREEN,
        ),
    )
}


def branches_of(config: Mapping) -> list[Branch]:
    """The branches of a study, in its order, each with the test that the study chooses."""
    return [REGISTRY[name].configured(config) for name in config["branches"]]
