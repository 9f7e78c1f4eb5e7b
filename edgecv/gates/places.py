"""Where in a gates file a figure stands, so that a failure is shown beside its line."""

from __future__ import annotations

import re
from collections.abc import Sequence

_ENTRY = re.compile(r"^\s*\[\[\s*gate\s*\]\]")
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")


def entry_lines(text: str, entries: int) -> tuple[int, ...]:
    """Return the line of each `[[gate]]`, counted from 1; none when they are written another way than a line each."""
    found = tuple(number for number, line in enumerate(text.splitlines(), start=1) if _ENTRY.match(line))
    return found if len(found) == entries else ()


def figure_line(lines: Sequence[str], entry: int, figure: str) -> int:
    """Return the line of a figure within an entry; the entry's own when the figure is written another way.

    Args:
        lines: Of the file.
        entry: Line of its `[[gate]]`, counted from 1.
        figure: As messages spell it: "metric", "mapped_ops.edgetpu", "latency_ratio[0] on local, cpu, 1 threads".
    """
    path = re.split(r"[\[ ]", figure, maxsplit=1)[0].split(".")
    # A dotted key may be a table of its own, so what is looked for is as much of it as one line begins with.
    keys = [r"\s*\.\s*".join(map(_key, path[:depth])) for depth in range(len(path), 0, -1)]
    body = []
    for number, line in enumerate(lines[entry:], start=entry + 1):
        if _ENTRY.match(line):
            break
        body.append((number, line))
    for key in keys:
        for number, line in body:
            if re.match(rf"^\s*{key}\s*[.=]", line):
                return number
    return entry


def _key(name: str) -> str:
    escaped = re.escape(name)
    quoted = rf"\"{escaped}\"|'{escaped}'"
    return f"(?:{escaped}|{quoted})" if _BARE.match(name) else f"(?:{quoted})"
