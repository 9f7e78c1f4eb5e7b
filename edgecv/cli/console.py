"""What the commands print: progress and remarks on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from edgecv.core import codec
from edgecv.core.progress import Advance


class ConsoleReporter:
    """A Reporter that draws bars on a terminal and prints plain lines elsewhere, always to stderr."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        if not self._console.is_terminal:
            with self._plain(label, total) as advance:
                yield advance
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TextColumn("{task.fields[note]}"), console=self._console, transient=True) as progress:
            task = progress.add_task(label, total=total, note="")

            def advance(steps: int = 1, note: str = "") -> None:
                if note:
                    progress.update(task, note=note)
                progress.update(task, advance=steps)

            yield advance

    @contextlib.contextmanager
    def _plain(self, label: str, total: int) -> Iterator[Advance]:
        last = ""

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal last
            last = note or last

        self.info(f"{label} …")
        yield advance
        if last:
            self.info(f"{label}: {last}")

    def info(self, message: str) -> None:
        self._console.print(message, markup=False)

    def warn(self, message: str) -> None:
        self._console.print(f"warning: {message}", style="yellow", markup=False)


def emit_json(value: Any) -> None:
    """Print one JSON document, the only thing on stdout: a result dataclass, or JSON data."""
    sys.stdout.write(json.dumps(codec.encode(value), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def emit_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table to stdout; the columns in `right` are aligned right."""
    table = Table(title=title or None, title_justify="left", title_style="bold", show_edge=False, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index in right else "left", no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    # A pipe has no width: never cut what a script reads.
    console.width = console.width if console.is_terminal else 200
    console.print(table)


def emit(text: str) -> None:
    """Print a line of result to stdout."""
    sys.stdout.write(text + "\n")
