"""The registry: by rule, the function that gives its need from the size of its work."""

from collections.abc import Callable, Mapping

from latere.cluster.jobs import Job
from latere.cluster.requests import Need
from latere.cluster.sizes import Sizes

# Rules whose jobs take what a rule is given by default (a minute and 500 MB, so the least that is
# asked for), whatever the study.
SMALL = {
    # Asks each tool for its version.
    "tool_versions",
    # Unpacks one list of barcodes: 45 MB and 1 s for the longest that ngs-tools ships (measured).
    "extract_whitelist",
    # Waits for the network, for a file whose size nobody knows before; the next attempt, which has
    # more time, goes on where the last one ended.
    "download",
    # Hardly grows: 164 and 167 MB, 5 s for 2 and 8 runs (measured).
    "multiqc",
    # The cells of one run: 105 MB, 6 s for 5 million entries (measured), 30 s for a full library.
    "run_metrics",
    # Genes and groups are not many more anywhere: 302 MB, 1.7 s for 15 groups of 20,000 (measured).
    "call_de",
    # Looks at the first reads of a run: 155 MB and 4 s with all chemistries (measured).
    "assign_roles",
    # The embedded study has one size.
    "simulate_study",
    "simulate_reads",
    "simulate_sra",
    "train_demo_model",
    "compare_truth",
    "plan",  # submits nothing, and runs where Snakemake does
}


# By rule: the function that gives its need, and the properties of a `Job` that it depends on.
NEEDS: dict[str, tuple[Callable[..., Need], tuple[str, ...]]] = {}


def needs(*words: str) -> Callable:
    """Enter a function into the registry, as the need of the rule of its name.

    Parameters
    ----------
    words
        Properties of `Job`, in the order of the function's arguments.
    """

    def enter(function: Callable[..., Need]) -> Callable[..., Need]:
        NEEDS[function.__name__] = function, words
        return function

    return enter


def share(rule: str, other: str) -> None:
    """Give a rule the need of another one, so that it has no entry of its own."""
    if other in SMALL:
        SMALL.add(rule)
    elif other in NEEDS:
        function, words = NEEDS[other]

        def shared(*values):
            return function(*values)

        shared.__doc__ = f"As {other}."
        NEEDS[rule] = shared, words
    else:
        raise LookupError(f"rule {rule}: there is no need of a rule {other} that it could share")


def of_job(rule: str, wildcards: Mapping[str, str], threads: int, sizes: Sizes) -> Need:
    """What a job is expected to take; the least where its rule is small.

    Raises
    ------
    Unknown
        A size that it depends on is not known yet.
    """
    if rule in SMALL:
        return Need()
    function, words = NEEDS[rule]
    job = Job(wildcards, threads, sizes)
    return function(*(getattr(job, word) for word in words))
