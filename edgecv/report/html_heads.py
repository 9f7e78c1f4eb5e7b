"""The heads of one artifact in report.html: figures, figures per label, and the task's own tables."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.report import figures as show
from edgecv.report import head_tables, html_tables, tables
from edgecv.report.html_parts import definitions, scrolling
from edgecv.report.markup import Markup, el, join
from edgecv.values.report import ArtifactResult, HeadResult
from edgecv.values.scores import Table

LARGEST_MATRIX = 30
"""A matrix of more names is no longer readable; the list of its largest cells says the same."""
_PAIRS = 8


def section(result: ArtifactResult) -> Markup:
    """Return every head of an artifact."""
    if not result.heads:
        return el("p", "Heads: nothing was evaluated.", class_="note")
    return join(_head(head, result.name) for head in result.heads)


def _head(head: HeadResult, name: str) -> Markup:
    figures = [(key, show.figure(value)) for key, value in head.figures.items() if key != head.metric.name]
    unit = "" if head.metric.is_share else f" (unit: {head.metric.unit})"
    rows = [
        (head.metric.name, f"{show.decimal(head.value)}{unit}"),
        ("Drop, with 95 % interval", tables.drop(head).line),
        *figures,
    ]
    shown = [_table(table, f"{table.title} of {head.head}, {name}") for table in head.tables]
    return el(
        "div", el("h4", f"Head {head.head}: {head.task}"), definitions(rows), _meaning(head), _per_label(head), *shown
    )


def _meaning(head: HeadResult) -> Markup:
    """What its figures are, folded; nothing where its task does not say."""
    words = head_tables.meanings(head.task)
    rows = [(name, words[name]) for name in (head.metric.name, *head.figures) if name in words]
    if not rows:
        return Markup("")
    return el("details", el("summary", "What the figures mean"), definitions(rows), class_="aside")


def _per_label(head: HeadResult) -> Markup:
    table = head_tables.per_label(head)
    if table is None:
        return Markup("")
    drawn = html_tables.table(table)
    if len(table.rows) <= LARGEST_MATRIX:
        return drawn
    return el("details", el("summary", f"Figures of {len(table.rows)} labels"), drawn, class_="aside")


def _table(table: Table, label: str) -> Markup:
    if head_tables.is_matrix(table):
        drawn = _matrix(table, label) if len(table.rows) <= LARGEST_MATRIX else Markup("")
        return el("div", el("h4", table.title.capitalize()), drawn, _largest(table))
    drawn = html_tables.table(head_tables.grid(table))
    if len(table.rows) <= LARGEST_MATRIX:
        return drawn
    return el("details", el("summary", f"{table.title}: {len(table.rows)} rows"), drawn, class_="aside")


def _matrix(table: Table, label: str) -> Markup:
    head = el("tr", el("td", table.corner, class_="corner"), *(el("th", name, scope="col") for name in table.columns))
    rows = [
        el("tr", el("th", name, scope="row"), *_matrix_cells(row, i))
        for i, (name, row) in enumerate(zip(table.rows, table.cells, strict=True))
    ]
    content = el("table", el("thead", head), el("tbody", *rows), class_="matrix")
    return scrolling(content, label)


def _matrix_cells(row: Sequence[float | None], index: int) -> list[Markup]:
    counts = [value or 0.0 for value in row]
    return [_matrix_cell(n, sum(counts), index == j) for j, n in enumerate(counts)]


def _matrix_cell(count: float, total: float, right: bool) -> Markup:
    if not count:
        return el("td", "·", class_="zero")
    share = min(1.0, abs(count / total)) if total else 0.0
    class_ = "right" if right else "wrong"
    # What lies off the diagonal is little: a square root keeps a single one visible.
    strength = share if right else max(0.18, share**0.5)
    return el(
        "td", f"{count:.0f}", class_=f"{class_} strong" if strength > 0.5 else class_, style=f"--a:{strength:.2f}"
    )


def _largest(table: Table) -> Markup:
    names = table.rows
    pairs = [(n, names[i], names[j]) for i, row in enumerate(table.cells) for j, n in enumerate(row) if i != j and n]
    if not pairs:
        return el("p", "Nothing lies off the diagonal.", class_="note")
    pairs.sort(key=lambda pair: -pair[0])
    of_row, _, of_column = (part.strip() for part in table.corner.partition("\\"))
    listed = "; ".join(
        f"{_place(of_row, row)}, {_place(of_column, column)}: {n:.0f}" for n, row, column in pairs[:_PAIRS]
    )
    more = f"; {len(pairs) - _PAIRS} more cells" if len(pairs) > _PAIRS else ""
    return el("p", f"Largest off the diagonal: {listed}{more}.", class_="note")


def _place(what: str, name: str) -> str:
    return f"{what} {name}".strip()
