"""Results that print well: what a terminal shows of a value is also its text, and its picture in a notebook."""

from __future__ import annotations

import contextlib
import html
import io
from typing import Any, Callable, Dict, Optional, Type

_RENDERERS: Dict[Type[Any], Callable[[Any], None]] = {}


def show_by(kind: Type[Any], render: Callable[[Any], None]) -> None:
    """Let values of a class be shown by a function that prints one to stdout."""
    _RENDERERS[kind] = render


def text_of(value: Any) -> Optional[str]:
    """Return what a value's renderer prints; None when it has none."""
    render = next((_RENDERERS[kind] for kind in type(value).__mro__ if kind in _RENDERERS), None)
    if render is None:
        return None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        render(value)
    return printed.getvalue().rstrip("\n")


class Shown:
    """A value whose `str` is what the command line prints of it, once `edgecv.api` was imported; else its `repr`."""

    __slots__ = ()

    def __str__(self) -> str:
        text = text_of(self)
        return repr(self) if text is None else text

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        return f'<pre style="line-height: 1.3; overflow-x: auto">{html.escape(str(self))}</pre>'
