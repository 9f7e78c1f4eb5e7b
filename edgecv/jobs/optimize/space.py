"""The space of a search, as data: knobs and the values that each may take, from TOML or derived from a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.jobs.optimize.knobs import KNOBS, Value
from edgecv.values.profiles import read_toml

MOST = 200_000
"""Combinations that are counted out one by one; beyond it a space has to be cut, or sampled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One knob of a space.

    Attributes:
        name: "slim.macs".
        values: That it may take, at least one, none twice.
    """

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Knobs, in the order in which a recipe takes its steps; knobs that are not there are neutral."""

    knobs: tuple[Knob, ...]

    @property
    def size(self) -> int:
        """Number of combinations, before any rule."""
        product = 1
        for knob in self.knobs:
            product *= len(knob.values)
        return product

    @property
    def document(self) -> dict[str, dict[str, list[Any]]]:
        """As TOML tables have it: {"slim": {"macs": [1.0, 0.5]}}."""
        tables: dict[str, dict[str, list[Any]]] = {}
        for knob in self.knobs:
            table, key = knob.name.split(".")
            values = [list(value) if isinstance(value, tuple) else value for value in knob.values]
            tables.setdefault(table, {})[key] = values
        return tables


def space(given: Mapping[str, Any], *, where: str = "space") -> Space:
    """Return a space from names to lists of values: {"slim.macs": [1.0, 0.5]}.

    Raises:
        ConfigError: A knob or a value is unknown, of the wrong type, or there twice; or a list is empty.
    """
    for name in given:
        if name not in KNOBS:
            raise unknown_name("knob", name, KNOBS)
    knobs = tuple(Knob(name=name, values=_values(name, given[name], where)) for name in KNOBS if name in given)
    if not knobs:
        raise ConfigError(f"{where} has no knobs", hint="add a table: [slim] with macs = [1.0, 0.5], for example")
    return Space(knobs=knobs)


def read(path: Path) -> Space:
    """Read a space from TOML: a table for each step, lists of values in it.

    Raises:
        ConfigError: It cannot be read, or as `space`.
    """
    document = read_toml(path, what="search space")
    given: dict[str, Any] = {}
    for table, knobs in document.items():
        if not isinstance(knobs, Mapping):
            raise ConfigError(f"{path}: '{table}' must be a table", hint=f"write [{table}] and its knobs below")
        given |= {f"{table}.{key}": values for key, values in knobs.items()}
    return space(given, where=str(path))


def _values(name: str, given: Any, where: str) -> tuple[Value, ...]:
    if not isinstance(given, list | tuple) or not given:
        raise ConfigError(f"{where}: {name} must be a list with at least one value, got {given!r}")
    values = tuple(_value(name, one, where) for one in given)
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ConfigError(f"{where}: {name} has {twice!r} twice")
    return values


def _value(name: str, given: Any, where: str) -> Value:
    kind = KNOBS[name]
    value: Any = tuple(given) if isinstance(given, list) else given
    if tuple in kind.kinds:
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            raise ConfigError(f"{where}: a value of {name} is a list of layer names, got {given!r}")
        return value
    wrong_bool = isinstance(value, bool) and bool not in kind.kinds
    if wrong_bool or not isinstance(value, kind.kinds):
        raise ConfigError(
            f"{where}: {name} takes {' or '.join(k.__name__ for k in kind.kinds)}, got {given!r}", hint=kind.what
        )
    if kind.choices and value not in kind.choices:
        raise unknown_name(f"value of {name}", str(value), map(str, kind.choices))
    if float in kind.kinds:
        value = float(given)
    if name.rsplit(".", 1)[-1] in ("macs", "bytes", "energy", "min_share", "width", "size") and not 0 < value <= 1:
        raise ConfigError(f"{where}: {name} is a share above 0, 1 at most, got {value:g}", hint=kind.what)
    if name == "prune.sparsity" and not 0 <= value < 1:
        raise ConfigError(f"{where}: {name} is a share from 0 to below 1, got {value:g}", hint=kind.what)
    if isinstance(value, int | float) and value < 0:
        raise ConfigError(f"{where}: {name} must not be below 0, got {value:g}", hint=kind.what)
    counts = kind.neutral == 1 or name.endswith((".epochs", ".rounds"))
    if isinstance(value, int) and counts and value < 1:
        raise ConfigError(f"{where}: {name} must be 1 or more, got {value}", hint=kind.what)
    found: Value = value
    return found
