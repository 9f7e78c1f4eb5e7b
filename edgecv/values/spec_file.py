"""A contract in a TOML file of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.values.profiles import read_toml
from edgecv.values.specs import ModelSpec, upgraded


def read_spec(path: Path) -> ModelSpec:
    """Read a ModelSpec from TOML, of today's form or of schema 1. Raises ConfigError for a wrong key or value."""
    return spec_of(read_toml(path, what="spec"), where=str(path))


def spec_of(document: Mapping[str, Any], *, where: str) -> ModelSpec:
    """Return the ModelSpec of parsed TOML. Raises ConfigError for a wrong key or value, naming `where`."""
    return codec.decode(ModelSpec, upgraded(document), where=where)
