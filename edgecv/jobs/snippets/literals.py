"""Literals that JavaScript, Swift and Python write alike; a language of its own ways has them in its module."""

from __future__ import annotations

import json
from collections.abc import Sequence


def LIST(items: Sequence[str]) -> str:
    """Return a list of literals."""
    return f"[{', '.join(items)}]"


def number(value: float) -> str:
    """Return a number with all its digits."""
    return repr(float(value))


def text(value: str) -> str:
    """Return a string in quotes."""
    return json.dumps(value, ensure_ascii=False)
