"""Parts of the page on the reads in MultiQC's form: all text is escaped, but what is `Markup`."""

from markupsafe import Markup, escape


def content(name: str, title: str, description: str, plot: str, data, **more) -> dict:
    """A section of the page, in MultiQC's form.

    MultiQC treats all text as HTML. So all text is escaped here, that of the study and our own;
    text that is meant as HTML is `Markup`.
    """
    about = {"id": name, "section_name": title, "description": description, "plot_type": plot}
    return _escaped(about | {"data": data} | more)


def _escaped(value):
    """A value as JSON has it, its text and its keys escaped, but for `Markup`."""
    if isinstance(value, str):
        return str(escape(value))
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list | tuple) else value


def table(name: str, title: str, description: str, data: dict, headers: dict, first: str) -> dict:
    """A table of the page; rows in the given order."""
    look = {
        "id": f"{name}_table",
        "title": title,
        "col1_header": first,
        "sort_rows": False,
        "no_violin": True,
        "scale": False,
    }
    return content(name, title, description, "table", data, headers=headers, pconfig=look)


def rows_of(heads: tuple, rows: list[Markup], right: set[int]) -> Markup:
    """An HTML table; the columns at `right` hold numbers."""
    sides = [Markup(" class=text-end") if at in right else "" for at in range(len(heads))]
    head = Markup("<th scope='col'{}>{}</th>")
    cells = Markup("").join(map(head.format, sides, heads))
    return Markup(
        "<div class='table-responsive'><table class='table table-sm table-hover w-auto'>"
        "<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>"
    ).format(cells, Markup("").join(rows))


def fold(heads: tuple, rows: list[Markup], right: set[int]) -> Markup:
    """An HTML table that is unfolded on request."""
    page = Markup("<details><summary>{} rows</summary>{}</details>")
    return page.format(len(rows), rows_of(heads, rows, right))
