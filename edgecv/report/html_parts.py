"""Small parts of report.html that its sections share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from edgecv.report.markup import Markup, el


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
