"""Tables about the heads of models: artifacts side by side, and what one head's task shows of itself.

They come from the results alone: no task and no metric is known here by name. What figures mean, their task says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgecv.report import figures as show
from edgecv.report.tables import Cell, Column, Table, drop
from edgecv.tasks.registry import TASKS
from edgecv.values import scores
from edgecv.values.report import ArtifactResult, HeadResult, Report

MOST_FIGURES = 8
"""Further figures of a head in the table of all artifacts: more of them have no room. Each artifact has all."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Heads that share a table: of one name, task and metric, and with figures of one kind."""

    head: str
    task: str
    judged: show.Judged

    @property
    def caption(self) -> str:
        """The group in words."""
        return f"Head {self.head} ({self.task}): {self.judged.how}."


def heads(report: Report) -> tuple[Table, ...]:
    """Return one table per head: every artifact with its metric, drop and further figures."""
    grouped: dict[_Group, list[tuple[ArtifactResult, HeadResult]]] = {}
    for artifact in report.artifacts:
        for head in artifact.heads:
            key = _Group(head.head, head.task, show.Judged(head.metric, artifact.metric_kind))
            grouped.setdefault(key, []).append((artifact, head))
    return tuple(_head_table(group, found) for group, found in grouped.items())


def _head_table(group: _Group, found: list[tuple[ArtifactResult, HeadResult]]) -> Table:
    known = _ordered(name for _, head in found for name in head.figures if name != head.metric.name)
    names = _fitting(known, [head for _, head in found])
    more = f" {len(known) - len(names)} further figures stand with each artifact." if len(known) > len(names) else ""
    unit = "" if group.judged.metric.is_share else f"unit: {group.judged.metric.unit}"
    columns = (
        Column("Artifact", False),
        Column(group.judged.name, True, unit),
        Column("Drop", True, group.judged.drop_help),
        *_columns(group.task, names),
    )
    rows = tuple((Cell(a.name, a.name), *_head_cells(head, names)) for a, head in found)
    return Table(group.caption + more, columns, rows)


def _fitting(names: tuple[str, ...], heads: Sequence[HeadResult]) -> tuple[str, ...]:
    """The figures that have room; where not all have, those that no artifact has give way first."""
    if len(names) <= MOST_FIGURES:
        return names
    had = [name for name in names if any(head.figures.get(name) is not None for head in heads)]
    return tuple(had[:MOST_FIGURES])


def meanings(task: str) -> Mapping[str, str]:
    """Return what a task's figures are, in words by name; nothing of a task that is not known here."""
    return TASKS.get(task).figure_help if task in TASKS else {}


def _columns(task: str, names: tuple[str, ...]) -> tuple[Column, ...]:
    meaning = meanings(task)
    return tuple(Column(name, True, meaning.get(name, "")) for name in names)


def _head_cells(head: HeadResult, names: tuple[str, ...]) -> tuple[Cell, ...]:
    further = (_figure(head.figures[name]) if name in head.figures else Cell("") for name in names)
    return (Cell(show.decimal(head.value), head.value), drop(head), *further)


def _figure(value: float | None) -> Cell:
    return Cell(show.figure(value), value)


def _ordered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def per_label(head: HeadResult) -> Table | None:
    """Return the figures of each label, None when there are none."""
    if not head.per_label:
        return None
    names = _ordered(name for found in head.per_label.values() for name in found)
    rows = tuple(
        (Cell(label, label), *(_figure(found[name]) if name in found else Cell("") for name in names))
        for label, found in head.per_label.items()
    )
    return Table("Per label", (Column("Label", False), *_columns(head.task, names)), rows)


def grid(table: scores.Table) -> Table:
    """Return a task's own table; cells that are all whole numbers are counts."""
    counts = is_counts(table)
    columns = (Column(table.corner, False), *(Column(name, True) for name in table.columns))
    rows = tuple(
        (Cell(name, name), *(Cell(f"{value:.0f}" if counts and value is not None else show.figure(value), value)
                             for value in row))
        for name, row in zip(table.rows, table.cells, strict=True)
    )  # fmt: skip
    return Table(table.title, columns, rows)


def is_counts(table: scores.Table) -> bool:
    """Say whether every cell is a whole number."""
    return all(value is not None and float(value).is_integer() for row in table.cells for value in row)


def is_matrix(table: scores.Table) -> bool:
    """Say whether rows and columns are the same names and cells are counts, as in a confusion matrix."""
    return table.rows == table.columns and is_counts(table) and len(table.rows) > 0
