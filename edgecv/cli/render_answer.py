"""How what a model says of one image looks in a terminal, whatever its heads are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgecv.cli.console import emit, emit_table

FIRST = 8
"""Numbers of a list that are shown; --json has the rest."""
MOST_ROWS = 30


def answer(given: Mapping[str, Any]) -> None:
    """Print every head's prediction, image by image where there are several."""
    for one in given.get("answers", ()):
        emit(f"{one['image']}:")
        answer(one)
    if "answers" in given:
        return
    if "drawn" in given:
        emit(f"drawn: {given['drawn']}")
    for name, prediction in given["heads"].items():
        if len(given["heads"]) > 1:
            emit(f"{name}:")
        for key, value in prediction.items():
            _fact(key, value)


def _fact(key: str, value: Any) -> None:
    if _is_ranking(value):
        for row in value:
            emit(f"{row['score']:8.4f}  {row['label']}")
    elif _is_table(value):
        _rows(key, value)
    else:
        emit(f"{key.replace('_', ' ')}: {_text(value)}")


def _is_ranking(value: Any) -> bool:
    return _is_table(value) and all(set(row) == {"label", "score"} for row in value)


def _is_table(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _rows(key: str, found: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in found for name in row))
    rows = [[_text(row[name]) if name in row else "" for name in names] for row in found[:MOST_ROWS]]
    emit_table(key.replace("_", " "), names, rows)
    if len(found) > MOST_ROWS:
        emit(f"and {len(found) - MOST_ROWS} more: see --json")


def _text(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items()) or "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _list(value)
    return str(value)


def _list(values: Sequence[Any]) -> str:
    if not values:
        return "none"
    shown = ", ".join(f"({_text(item)})" if isinstance(item, (list, tuple)) else _text(item) for item in values[:FIRST])
    return shown if len(values) <= FIRST else f"{shown}, … ({len(values)} in all)"
