"""HTML built as values that cannot forget to escape."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """Text that is HTML already; any other string is escaped where it meets one."""

    __slots__ = ()


_VOID = frozenset({"br", "hr", "img", "input", "meta"})


def escape(text: str) -> Markup:
    """Return `text` with `& < > " '` escaped; Markup as it is. Characters that HTML forbids become U+FFFD."""
    if isinstance(text, Markup):
        return text
    clean = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in text)
    return Markup(html.escape(clean, quote=True))


def join(parts: Iterable[str], separator: str = "") -> Markup:
    """Return the escaped parts, joined."""
    return Markup(escape(separator).join(escape(part) for part in parts))


def el(tag: str, *children: str, **attributes: str | int | float | bool | None) -> Markup:
    """Return one element.

    Args:
        tag: HTML or SVG name.
        children: Escaped unless Markup.
        attributes: None and False leave it out, True writes it bare. A trailing underscore is dropped and the others
            become hyphens: `class_`, `data_sort`, `aria_label`.
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    spelled = name if name == "viewBox" else name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {spelled}"
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f' {spelled}="{escape(text)}"'
