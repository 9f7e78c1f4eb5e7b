"""Tables that fit the screen: text folds, whole columns give way, and a number is never broken."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

RULE = 3
"""Columns of the screen between two columns of a table."""
COMFORTABLE, NARROWEST = 26, 16
"""Widths of folded text: what other columns give way for, and below which it is no longer read but spelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table.

    Attributes:
        name: Its header.
        cells: One a row.
        number: Whether it holds figures: aligned right, and never broken.
        rank: How early it gives way, 0 the earliest; None stays to the last.
        kind: Whether it says how figures came about: it gives way only when all rows have the same, said below.
    """

    name: str
    cells: tuple[str, ...]
    number: bool = False
    rank: int | None = None
    kind: bool = False

    @property
    def stays(self) -> bool:
        return self.kind and len(self.values) > 1

    @property
    def values(self) -> set[str]:
        """Its different cells; a row without figures has no kind."""
        return {cell for cell in self.cells if cell or not self.kind}

    @property
    def natural(self) -> int:
        """Width at which nothing folds; the header of figures folds between words."""
        return max(self.header_width, *(cell_len(cell) for cell in self.cells), 0)

    @property
    def header_width(self) -> int:
        words = self.name.split() if self.number else [self.name]
        return max((cell_len(word) for word in words), default=0)

    def least(self, text: int) -> int:
        """Width that it needs at least, where text may fold to `text` characters."""
        return self.natural if self.number else min(self.natural, text)

    def header(self, width: int) -> str:
        return "\n".join(textwrap.wrap(self.name, width)) if self.number and self.name else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The columns that a width has room for, how wide each is, and those that gave way."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]
    dropped: tuple[Column, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Say what the dropped columns held: a value that all rows share, or that it is found elsewhere."""
        values = [(column.name, column.values) for column in self.dropped]
        shared = [f"{name}: {''.join(held)}" for name, held in values if len(held) == 1 and any(held)]
        told = [name for name, held in values if len(held) > 1 and name]
        lines = ["; ".join(shared)] if shared else []
        return (*lines, f"no room for: {', '.join(told)} (widen the window, or --json)") if told else tuple(lines)


def layout(columns: Sequence[Column], width: int | None) -> Layout:
    """Fit columns into `width` characters; None is as wide as they like.

    Columns with a rank give way first, in its order, then the others from the right. The first one stays.
    """
    left, dropped = [c for i, c in enumerate(columns) if not i or c.name or any(c.cells)], list[Column]()
    while width is not None and _least(left, width, COMFORTABLE) > width and _ranked(left):
        dropped.append(left.pop(_ranked(left)[0]))
    while width is not None and _least(left, width, NARROWEST) > width and _loose(left):
        dropped.append(left.pop(_loose(left)[-1]))
    order = {id(column): index for index, column in enumerate(columns)}
    return Layout(
        columns=tuple(left),
        widths=tuple(_shrunk(left, width)),
        dropped=tuple(sorted(dropped, key=lambda column: order[id(column)])),
    )


def _least(columns: Sequence[Column], width: int, text: int) -> int:
    return sum(_least_widths(columns, width, text)) + RULE * (len(columns) - 1)


def _least_widths(columns: Sequence[Column], width: int, text: int) -> list[int]:
    # The first column names the row: it folds on a narrow screen only.
    return [column.least(text if index else max(text, width * 2 // 5)) for index, column in enumerate(columns)]


def _ranked(columns: Sequence[Column]) -> list[int]:
    """Return where the columns stand that give way, the next one first: empty ones, then by rank."""
    empty = [index for index, column in enumerate(columns) if index and column.cells and not any(column.cells)]
    ranked = [index for index, column in enumerate(columns) if index and column.rank is not None and not column.stays]
    return empty or sorted(ranked, key=lambda index: columns[index].rank or 0)


def _loose(columns: Sequence[Column]) -> list[int]:
    return [index for index, column in enumerate(columns) if index and not column.stays]


def _shrunk(columns: Sequence[Column], width: int | None) -> list[int]:
    """Take what is too much from the widest text, a character at a time."""
    widths = [column.natural for column in columns]
    if width is None:
        return widths
    least = _least_widths(columns, width, NARROWEST)
    room = width - RULE * (len(columns) - 1)
    while sum(widths) > room:
        loose = [index for index in range(len(widths)) if widths[index] > least[index]]
        if not loose:
            break
        widths[max(loose, key=lambda index: widths[index])] -= 1
    return widths
