"""The frame of a page in the style of report.html: one file, offline, no JavaScript."""

from __future__ import annotations

from pathlib import Path

from edgecv.report.markup import Markup, el


def page(title: str, header: Markup, body: Markup, *, css: str = "", refresh_s: int | None = None) -> str:
    """Return a whole page.

    Args:
        title: Of the window.
        header: What stands above `body`.
        body: The content.
        css: Beside that of report.html.
        refresh_s: Seconds after which a browser loads it again; None: never.
    """
    again = [] if refresh_s is None else [el("meta", http_equiv="refresh", content=str(refresh_s))]
    head = el(
        "head", el("meta", charset="utf-8"), el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        *again, el("title", title), el("style", Markup(style() + css)),
    )  # fmt: skip
    return f"<!DOCTYPE html>\n{el('html', head, el('body', header, el('main', body)), lang='en')}\n"


def style() -> str:
    """Return the CSS of report.html."""
    text = Path(__file__).with_name("template.html").read_text(encoding="utf-8")
    return text.split("<style>", 1)[1].split("</style>", 1)[0]
