"""Small parts of report.html that its sections share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from edgecv.report.markup import Markup, el, join
from edgecv.report.scatter import NARROW, Chart, scatter


def definitions(rows: Sequence[tuple[str, str]]) -> Markup:
    """Return a list of terms and values."""
    return el("dl", *(el("div", el("dt", term), el("dd", value, class_=_hash(value))) for term, value in rows))


def _hash(value: str) -> str | None:
    return "hash" if re.fullmatch("[0-9a-f]{64}", value) else None


def badge(kind: str) -> Markup:
    """Return the mark that says whether a figure was measured, simulated or predicted."""
    return el("span", kind, class_=f"badge {kind}")


def scrolling(content: Markup, label: str) -> Markup:
    """Return content in a frame that scrolls where the page is narrow, and that the keyboard reaches."""
    return el("div", content, class_="scroll", tabindex=0, role="group", aria_label=label)


def for_both(chart: Chart) -> Markup:
    """Return a chart twice: with names for a screen that has room, with numbers and their key for a phone."""
    named = sorted(chart.points, key=lambda point: not point.label)  # numbers count what has a name
    key = el("ol", *(el("li", point.label) for point in named if point.label), class_="key")
    small = el("div", scatter(replace(chart, points=tuple(named)), NARROW), key, class_="narrow")
    return join((el("div", scatter(chart), class_="wide"), small))
