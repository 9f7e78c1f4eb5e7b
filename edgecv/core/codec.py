"""Strict mapping <-> frozen dataclass, for TOML files, manifests and reports alike.

Runs on Python 3.9, so dataclasses that the runtime decodes spell optional types `Optional[int]`, not `int | None`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import math
import typing
from functools import lru_cache
from typing import Any, Dict, Iterable, Type, TypeVar, Union

from edgecv.core.errors import ConfigError, nearest

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Return `value` as JSON data: dataclasses to dicts, tuples to lists; None, str, bool, int, float as they are.

    Raises:
        ConfigError: A float is NaN or infinite (JSON has neither), or a type has no JSON form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, collections.abc.Mapping):
        return {str(k): encode(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"cannot write the non-finite number {value} as JSON", hint="use None for an unknown figure")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise ConfigError(f"cannot write a {type(value).__name__} as JSON")


def decode(cls: Type[T], data: Any, *, where: str, known: Iterable[str] = ()) -> T:
    """Build the frozen dataclass `cls` from a mapping, strictly.

    Args:
        cls: A dataclass whose fields are str, bool, int, float, tuples, Mappings, Optionals, or dataclasses of these.
        data: The parsed JSON or TOML.
        where: What is being read, for messages: a path, or "manifest of m.tflite".
        known: What whoever wrote it may call keys, when these are not all fields, or are others; for messages.

    Raises:
        ConfigError: An unknown key (with the nearest match), a missing key, or a value of the wrong type.
    """
    if not isinstance(data, collections.abc.Mapping):
        raise ConfigError(f"{where}: expected a table, got {type(data).__name__}")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            names = tuple(known) or tuple(fields)
            match = nearest(str(key), names)
            guess = f"did you mean '{match}'? " if match else ""
            raise ConfigError(f"{where}: unknown key '{key}'", hint=f"{guess}known keys: {', '.join(names) or 'none'}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise ConfigError(f"{where}: the key '{name}' is missing", hint=f"known keys: {', '.join(fields)}")
    hints = _hints(typing.cast(Any, cls))
    return cls(**{key: _value(hints[key], value, f"{where}: {key}") for key, value in data.items()})


@lru_cache(maxsize=256)
def _hints(cls: Any) -> Dict[str, Any]:
    """The types of a dataclass's fields: reading them takes ten times as long as all the rest."""
    return typing.get_type_hints(cls)


def _value(kind: Any, value: Any, where: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if _is_union(origin):
        return None if value is None else _value(next(a for a in args if a is not type(None)), value, where)
    if origin is typing.Literal:
        return _literal(args, value, where)
    if origin is tuple:
        return _tuple(args, value, where)
    if origin in (dict, collections.abc.Mapping):
        _expect(isinstance(value, collections.abc.Mapping), "a table", value, where)
        return {str(k): _value(args[1], v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(kind):
        return decode(typing.cast(Any, kind), value, where=where)
    return _scalar(kind, value, where)


def _is_union(origin: Any) -> bool:
    return origin is Union or getattr(origin, "__name__", "") == "UnionType"


def _literal(args: Any, value: Any, where: str) -> Any:
    if value not in args:
        match = nearest(str(value), [str(a) for a in args])
        guess = f"did you mean '{match}'? " if match else ""
        raise ConfigError(f"{where}: unknown value '{value}'", hint=f"{guess}known: {', '.join(map(str, args))}")
    return value


def _tuple(args: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, (list, tuple)), "a list", value, where)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_value(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    _expect(len(value) == len(args), f"a list of {len(args)}", value, where)
    return tuple(_value(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, value)))


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    wrong_bool = isinstance(value, bool) and kind is not bool
    _expect(isinstance(value, kind) and not wrong_bool, f"a {kind.__name__}", value, where)
    return value


def _expect(condition: bool, expected: str, value: Any, where: str) -> None:
    if not condition:
        raise ConfigError(f"{where}: expected {expected}, got {value!r}")
