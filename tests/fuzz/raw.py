"""Damaging bytes, text and JSON: the part of the fuzzer that knows no model format."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

ODD_NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, -(2**31), 2**32, 2**63, 10**30)
ODD_VALUES: tuple[Any, ...] = (
    *ODD_NUMBERS, None, True, False, "", "x", "é☃\x00", [], {}, [[]], 0.5, -0.0, 1e308, 1e-320,
    float("nan"), float("inf"), "A" * 5000, [1, "a", None], {"a": {"b": []}},
)  # fmt: skip


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Return bytes after one to four of: flips, odd words, cuts, repeats, insertions and truncation."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        rng.choice(_BYTES)(found, rng)
    return bytes(found)


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 8)):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _word(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 8))
    at = _place(data, rng)
    data[at : at + size] = (rng.choice(ODD_NUMBERS) % (1 << 8 * size)).to_bytes(size, "little")


def _early(data: bytearray, rng: random.Random) -> None:
    """Change a byte near the start, where formats keep what matters."""
    if data:
        data[rng.randrange(min(len(data), 256))] = rng.randrange(256)


def _cut(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 4, 16, 400))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + rng.choice((1, 4, 64))]


def _insert(data: bytearray, rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 16))))


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _place(data: bytearray, rng: random.Random) -> int:
    return rng.randrange(len(data) + 1)


_BYTES: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _flip, _word, _word, _early, _cut, _repeat, _insert, _truncate,
)  # fmt: skip


def damaged_json(text: str, rng: random.Random) -> str:
    """Return JSON with one to three values replaced, removed, renamed or repeated; now and then no JSON at all."""
    if rng.random() < 0.15:
        return damaged(text.encode(), rng).decode("utf-8", "replace")
    document = copy.deepcopy(json.loads(text))
    for _ in range(rng.randint(1, 3)):
        places = list(_places(document))
        if places:
            _damage(*rng.choice(places), rng)
    return json.dumps(document)


def _places(node: Any) -> Any:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)


def _damage(node: Any, key: Any, rng: random.Random) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[rng.choice((f"{key}_", "", "x" * 300))] = node.pop(key)
    elif kind == 2 and isinstance(node, list):
        node.extend(copy.deepcopy(node[key]) for _ in range(rng.choice((1, 3, 50))))
    elif kind == 3 and isinstance(node[key], (int, float)):
        node[key] = rng.choice(ODD_NUMBERS)
    else:
        node[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def damaged_text(text: str, rng: random.Random) -> str:
    """Return TOML with lines removed, repeated or swapped, values replaced, and now and then plain damage."""
    if rng.random() < 0.2:
        return damaged(text.encode(), rng).decode("utf-8", "surrogateescape")
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        if not lines:
            break
        at = rng.randrange(len(lines))
        kind = rng.randrange(5)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif "=" in lines[at]:
            key = lines[at].partition("=")[0]
            lines[at] = f"{key}= {_toml(rng.choice(ODD_VALUES))}" if kind < 4 else f"{key.strip()}_ = 1"
        else:
            lines[at] = rng.choice(("[a]", "[[a]]", "[a.b.c]", "x = 1", "= 2", "[[", '"""'))
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (float, int)):
        return repr(value)
    if isinstance(value, dict):
        return "{a = 1}" if value else "{}"
    return json.dumps(value).replace("null", "[]")
