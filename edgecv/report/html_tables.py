"""Tables of report.html: sortable ones, and the mapping per target."""

from __future__ import annotations

from edgecv.report import figures as show
from edgecv.report.html_parts import badge, definitions, scrolling
from edgecv.report.markup import Markup, el, join
from edgecv.report.tables import Cell, Column, Table
from edgecv.values.inspection import MappingSummary
from edgecv.values.kind import Kind
from edgecv.values.report import ArtifactResult, Report


def table(content: Table, *, links: dict[str, str] | None = None) -> Markup:
    """Return a sortable table in a scrolling frame.

    Args:
        content: What it shows.
        links: Text of a first cell to the anchor that it leads to.
    """
    head = el("tr", *(_head(column) for column in content.columns))
    rows = [el("tr", *_row(row, content.columns, links or {})) for row in content.rows]
    body = el("table", el("caption", content.caption), el("thead", head), el("tbody", *rows), class_="sortable cards")
    return join([scrolling(body, content.caption), _column_help(content.columns)])


def _head(column: Column) -> Markup:
    return el("th", el("span", column.title, class_="title"), scope="col", class_="number" if column.numeric else None)


def _column_help(columns: tuple[Column, ...]) -> Markup:
    rows = [(column.title, column.help) for column in columns if column.help]
    if not rows:
        return Markup("")
    return el("details", el("summary", "What the columns mean"), definitions(rows), class_="aside")


def _row(row: tuple[Cell, ...], columns: tuple[Column, ...], links: dict[str, str]) -> list[Markup]:
    first, rest = row[0], row[1:]
    anchor = links.get(first.text)
    name = el("a", first.text, href=anchor) if anchor else first.text
    cells = [el("th", name, scope="row", data_sort=first.text)]
    for cell, column in zip(rest, columns[1:], strict=True):
        class_ = "number" if column.numeric else None
        note = el("small", cell.note) if cell.note else Markup("")
        cells.append(
            el(
                "td", cell.text, note, class_=_muted(cell, class_), data_sort=_sort_key(cell), data_label=column.title
            )
        )  # fmt: skip
    return cells


def _muted(cell: Cell, class_: str | None) -> str | None:
    return f"{class_ or ''} unknown".strip() if cell.text == show.UNKNOWN else class_


def _sort_key(cell: Cell) -> str | None:
    if cell.sort is None:
        return None
    return cell.sort if isinstance(cell.sort, str) else f"{cell.sort:.17g}"


def mapping(report: Report, target: str) -> Markup:
    """Return, per kind, a bar per artifact on a target and the operators left to the CPU with their reasons."""
    groups = [group for group in show.mapping_groups(report) if group[0] == target]
    if not groups:
        return el("p", "Mapping: unknown for every artifact; the warnings say why.", class_="note")
    return join(_target(report, *group) for group in groups)


def _target(report: Report, target: str, kind: Kind) -> Markup:
    found = [(a, m) for a in report.artifacts for m in show.mappings_of(a) if (m.target, m.kind) == (target, kind)]
    whole = [f"{a.name} ({m.n_ops})" for a, m in found if 0 < m.n_mapped == m.n_ops]
    partly = [(a, m) for a, m in found if 0 < m.n_mapped < m.n_ops]
    none = [a.name for a, m in found if not m.n_mapped]
    bars = el("ul", *(_bar(a, m) for a, m in partly), class_="bars-list") if partly else ""
    said = [
        el("p", f"Every operator of {', '.join(whole)} runs there.") if whole else "",
        bars,
        el("p", f"No operator of these files runs there: {', '.join(none)}.", class_="note") if none else "",
    ]
    return join([el("h4", "Operators that run on it ", badge(kind)), *said, _left_out(found)])


def _bar(artifact: ArtifactResult, found: MappingSummary) -> Markup:
    share = found.n_mapped / found.n_ops if found.n_ops else 0.0
    fill = el("span", class_="fill", style=f"width:{100 * share:.1f}%")
    count = f"{found.n_mapped} of {found.n_ops}"
    return el(
        "li",
        el("span", artifact.name, class_="name"),
        el("span", fill, class_="track", aria_hidden="true"),
        el("span", count, class_="count"),
    )


def _left_out(found: list[tuple[ArtifactResult, MappingSummary]]) -> Markup:
    rows = [
        el(
            "tr",
            el("th", a.name, scope="row"),
            el("td", str(u.index), class_="number", data_label="Op"),
            el("td", u.op, data_label="Operator"),
            el("td", u.layer or show.UNKNOWN, data_label="Layer"),
            el("td", u.reason, class_="prose", data_label="Reason"),
        )
        for a, m in found
        for u in m.unmapped
    ]
    if not rows:
        return Markup("")
    titles = ("Artifact", "Op", "Operator", "Layer", "Reason")
    head = el("tr", *(el("th", title, scope="col") for title in titles))
    body = el("table", el("thead", head), el("tbody", *rows), class_="cards")
    frame = scrolling(body, "Operators left to the CPU")
    return el("details", el("summary", f"{len(rows)} operators left to the CPU, and why"), frame, class_="aside")
