"""What the commands print: progress and remarks on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edgecv.cli.screen import for_screen, screen_width
from edgecv.cli.tables import Column, Layout, layout
from edgecv.core import codec
from edgecv.core.progress import Advance

BETWEEN_LINES_S = 10.0
"""Where there is no bar, a line says how far long work is, this far apart."""
UNBOUNDED = 10_000
"""Columns of a console that never folds a line by itself: tables know their own width."""
KINDS = ("kind", "latency is", "times are")
"""Columns that say whether figures are measured, simulated or predicted."""

printed: list[bool] = []
"""One entry for each JSON document that this command has printed."""


class ConsoleReporter:
    """A Reporter that draws bars on a terminal and prints plain lines elsewhere, always to stderr."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._said = clock, set[str]()
        self._console = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        if not self._console.is_terminal:
            with self._plain(label, total) as advance:
                yield advance
            return
        columns = (TextColumn("{task.description}"), BarColumn(10), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console, transient=True) as progress:
            task = progress.add_task(label, total=total, note="")

            def advance(steps: int = 1, note: str = "") -> None:
                if note:
                    progress.update(task, note=note)
                progress.update(task, advance=steps)

            yield advance

    @contextlib.contextmanager
    def _plain(self, label: str, total: int) -> Iterator[Advance]:
        last, done, printed = "", 0, self._clock()

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal last, done, printed
            last, done = note or last, done + steps
            if note and self._clock() - printed >= BETWEEN_LINES_S:
                printed = self._clock()
                self._line(f"{label}: {done} of {total}, {note}")

        self._line(f"{label} …")
        yield advance
        if last:
            self._line(f"{label}: {last}")

    def info(self, message: str) -> None:
        """Print a remark, unless it was made already."""
        if self._is_new(message):
            self._line(message)

    def warn(self, message: str) -> None:
        """Print a warning, unless it was given already."""
        if self._is_new(f"warning: {message}"):
            self._console.print(f"warning: {message}", style="yellow", markup=False)

    def _is_new(self, message: str) -> bool:
        known = message in self._said
        self._said.add(message)
        return not known

    def _line(self, message: str) -> None:
        self._console.print(message, markup=False)


def emit_json(value: Any) -> None:
    """Print one JSON document, the only thing on stdout: a result dataclass, or JSON data."""
    printed.append(True)
    sys.stdout.write(json.dumps(codec.encode(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def emit_table(
    title: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Sequence[int] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print a table to stdout, as wide as the screen at most.

    The columns in `right` are figures. Those named in `spare` give way first, in that order, where all have no room.
    """
    cells = list(zip(*rows, strict=True)) or [()] * len(header)
    columns = [
        Column(
            name=name,
            cells=tuple(cells[i]),
            number=i in right,
            rank=spare.index(name) if name in spare else None,
            kind=name in KINDS,
        )
        for i, name in enumerate(header)
    ]
    fitted = layout(columns, screen_width())
    if title:
        emit(title)
    Console(highlight=False, markup=False, width=UNBOUNDED).print(_drawn(fitted))
    for remark in fitted.remarks:
        emit(remark)


def _drawn(fitted: Layout) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    for column, width in zip(fitted.columns, fitted.widths, strict=True):
        table.add_column(
            column.header(width), justify="right" if column.number else "left", width=width, overflow="fold"
        )
    for row in zip(*(column.cells for column in fitted.columns), strict=True):
        table.add_row(*row)
    return table


def emit(text: str) -> None:
    """Print a line of result to stdout; a terminal gets it folded between words, a pipe whole."""
    sys.stdout.write(for_screen(text, sys.stdout) + "\n")
