"""The page: sections in their order, filled into one file that opens without a network."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from latere import figures
from latere.report import (
    cells,
    checks,
    comparison,
    genes,
    maps,
    methods,
    overview,
    provenance,
    reading,
    reads,
    state,
    study,
    telemetry,
    training,
    truth,
)
from latere.report.formats import FILTERS
from latere.report.inputs import Inputs

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    name
        Of its template, `<name>.html.j2`, of its script, `<name>.js`, if it draws, and its anchor.
    link
        In the navigation.
    title
        Its heading.
    collect
        Gives its facts; None where the study has none of them, and the section is left out. What
        its script draws is the fact `drawn`, where there is anything to draw.
    """

    name: str
    link: str
    title: str
    collect: Callable[[Inputs], dict | None]


SECTIONS = (
    Section("study", "Study", "Study", study.collect),
    Section("reads", "Reads", "Reads", reads.collect),
    Section("checks", "Checks", "Checks", checks.collect),
    Section("cells", "Cells", "Cells and genes", cells.collect),
    Section("maps", "Maps", "Maps of the cells", maps.collect),
    Section("reading", "How to read", "How to read the numbers", reading.collect),
    Section("comparison", "Comparison", "The branches side by side", comparison.collect),
    Section("state", "State", "Change at equal state", state.collect),
    Section("genes", "Genes", "Top genes", genes.collect),
    Section("truth", "Truth", "Comparison with the truth", truth.collect),
    Section("training", "Training", "Training of the model", training.collect),
    Section("telemetry", "Hardware", "Hardware in the training", telemetry.collect),
    Section("methods", "Methods", "Methods", methods.collect),
    Section("provenance", "Provenance", "Provenance", provenance.collect),
)
# What style and scripts take from the colours of all figures.
THEME = {
    "ink": figures.INK,
    "soft": figures.SOFT,
    "grey": figures.GREY,
    "pale": figures.PALE,
    "blue": figures.BLUE,
    "orange": figures.ORANGE,
    "vermilion": figures.VERMILION,
    "green": figures.GREEN,
}


def make_environment():
    """Jinja as all templates use it: values are escaped, and a missing one is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    environment.filters.update(FILTERS)
    return environment


def build_page(files, params, commit: str) -> str:
    """Read the tables and fill the templates.

    Parameters
    ----------
    files, params
        Inputs and parameters of the rule.
    commit
        Of the workflow.
    """
    import plotly.offline
    from markupsafe import Markup

    inputs, environment = Inputs(files, params, commit), make_environment()
    shared = ("config", "contrasts", "samples", "branches", "embedding", "testing")
    common = {name: getattr(inputs, name) for name in shared}
    parts, drawn = [], {}
    for section in SECTIONS:
        if (facts := section.collect(inputs)) is None:
            continue
        drawn[section.name] = facts.pop("drawn", None)
        template = environment.get_template(f"{section.name}.html.j2")
        parts.append((section, Markup(template.render(common | facts))))
    drawn = {name: data for name, data in drawn.items() if data}
    scripts = [TEMPLATES / f"{name}.js" for name in ("report", *drawn)]
    top = environment.get_template("overview.html.j2")
    return environment.get_template("page.html.j2").render(
        study=inputs.config["study"],
        overview=Markup(top.render(common | overview.collect(inputs), runs=inputs.runs)),
        parts=parts,
        theme=THEME,
        branches=inputs.branches,
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        plotly=Markup(plotly.offline.get_plotlyjs()),
        scripts=[Markup(path.read_text(encoding="utf-8")) for path in scripts],
        data={
            "colours": THEME | {"categories": figures.CATEGORIES},
            "branches": {branch.name: branch.colour for branch in inputs.branches},
            "drawn": drawn,
        },
    )
