"""Times as the command line takes them: 10ms, 30m."""

from __future__ import annotations

import re

from edgecv.core.errors import ConfigError

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_FORM = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*")


def milliseconds(text: str | None) -> float | None:
    """Return a latency in milliseconds, the unit of a bare number; None for None. Raises ConfigError."""
    found = _read(text, "--latency", "ms", "10ms")
    return None if found is None else 1e3 * found


def seconds(text: str | None) -> float | None:
    """Return a time in seconds, the unit of a bare number; None for None. Raises ConfigError."""
    return _read(text, "--time", "s", "30m")


def _read(text: str | None, option: str, bare: str, example: str) -> float | None:
    if text is None:
        return None
    found = _FORM.fullmatch(text)
    if found is None or (found[2] or bare) not in _UNITS:
        raise ConfigError(f"{option} {text} is no time", hint=f"write {option} {example}; units: {', '.join(_UNITS)}")
    return float(found[1]) * _UNITS[found[2] or bare]
