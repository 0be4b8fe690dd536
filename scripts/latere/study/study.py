"""The study: configuration and sheet, read and checked before the first job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from latere.errors import StudyError, raise_all
from latere.reads.chemistry import AUTO, Chemistry, read_chemistries
from latere.study.config import check_config, load_schema, locate_tables
from latere.study.contrasts import check_contrasts, covariates_of, sides
from latere.study.groups import check_branches, check_groups
from latere.study.limits import check_limits, limits_of
from latere.study.named_files import check_paths, fetched
from latere.study.references import read_releases, resolve
from latere.study.sheet import (
    Run,
    check_rows,
    check_source_names,
    collect_samples,
    expand_rows,
    read_sheet,
    to_runs,
)
from latere.study.sources import check_files, check_matrices, check_quotes, check_sources
from latere.study.warnings import find_warnings
from latere.urls import URL, conceal


@dataclass(frozen=True)
class Study:
    """A checked study.

    Attributes
    ----------
    name
        Name of the study.
    config
        The configuration with defaults filled in.
    runs
        Runs by name, in the order of the sheet.
    samples
        Columns that describe a sample, by its name.
    chemistries
        The table of chemistries, by name.
    left_out
        Why a column of an .h5ad that is split into runs does not describe its samples, by name.
    urls
        URLs of files to download, by the text that replaces them in `config` and `runs`.
    """

    name: str
    config: dict
    runs: dict[str, Run]
    samples: dict[str, dict[str, str]]
    chemistries: dict[str, Chemistry] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def contrasts(self) -> dict[str, dict]:
        """Contrasts by name."""
        return self.config["contrasts"]

    def sides(self, contrast: str) -> dict[str, list[str]]:
        """Names of the samples on the two sides of a contrast, as `case` and `control`."""
        return sides(self.contrasts[contrast], self.samples)

    def covariates(self, contrast: str, names: Sequence[str]) -> dict[str, dict[str, str | float]]:
        """Values of the covariates of a contrast, by covariate and sample, for these samples."""
        return covariates_of(self.contrasts[contrast], self.samples, names)

    @property
    def warnings(self) -> list[StudyError]:
        """What may be wrong with the design, to be shown."""
        return find_warnings(self.contrasts, self.samples, self.config["samples"])

    def limits(self, sample: str) -> dict[str, float | dict | None]:
        """Limits on the cells of a sample, as `limits_of` gives them."""
        return limits_of(self.config["cells"], sample)

    def chemistries_of(self, run: str) -> dict[str, Chemistry]:
        """The chemistries that a run may have: the one in the sheet, or all of the table."""
        name = self.runs[run].chemistry
        return self.chemistries if name == AUTO else {name: self.chemistries[name]}


def load_study(config: Mapping, source: str, tables: Path, submits: bool = False) -> Study:
    """Read the sheet and check it with the configuration.

    Parameters
    ----------
    config
        The configuration as written.
    source
        Name of its file, for messages.
    tables
        The folder with `schemas/` and `references.tsv`.
    submits
        Whether jobs go to SLURM, in command lines of Snakemake.

    Raises
    ------
    StudyError
        What is wrong: all problems of one stage at once.
    """
    schema = load_schema(tables / "schemas/config.schema.yaml")
    config = check_config(config, source, locate_tables(schema, tables.parent))
    if "reference" in config:
        releases = read_releases(tables / "references.tsv")
        config["reference"] = resolve(config["reference"], releases, source)
    # The embedded study makes its own input.
    made = f"results/{config['study']}/simulated/" if "simulation" in config else None
    sheet = config["samples"]
    rows = read_sheet(sheet)
    raise_all(check_source_names(rows, sheet))
    rows, left_out = expand_rows(rows, sheet)
    check_rows(rows, sheet, load_schema(tables / "schemas/samples.schema.yaml"))
    config, runs, urls = conceal_urls(config, to_runs(rows, sheet))
    lines = {run.name: line for run, (line, _) in zip(runs, rows, strict=True)}
    chemistries = read_chemistries(Path(config["chemistries"]))
    raise_all(
        check_sources(runs, lines, sheet, list(chemistries))
        or (submits and check_quotes(runs, lines, sheet))
        or check_files(runs, lines, sheet, made)
        or check_matrices(runs, lines, sheet, made)
    )
    samples = collect_samples(rows, sheet)
    raise_all(check_contrasts(config["contrasts"], samples, source, sheet, left_out))
    raise_all(check_limits(config["cells"], samples, source, sheet))
    raise_all(check_branches(config, source) or check_groups(config, samples, runs, source))
    raise_all(check_paths(config, runs, samples, source, made))
    by_name = {run.name: run for run in runs}
    return Study(config["study"], config, by_name, samples, chemistries, left_out, urls)


def conceal_urls(config: dict, runs: list[Run]) -> tuple[dict, list[Run], dict[str, str]]:
    """Configuration and runs without the secrets of URLs, so that no job records or shows one.

    Returns
    -------
    config, runs
        With each URL as `latere.urls.conceal` gives it.
    urls : dict
        The URLs themselves, by what replaces them.
    """
    files = fetched(config)
    paths = [*files.values(), *(path for run in runs for path in run.matrix)]
    for key, path in files.items():
        section, name = key.split(".")
        config = config | {section: config[section] | {name: conceal(path)}}
    runs = [replace(run, matrix=tuple(map(conceal, run.matrix))) for run in runs]
    return config, runs, {conceal(path): path for path in paths if URL.match(path)}
