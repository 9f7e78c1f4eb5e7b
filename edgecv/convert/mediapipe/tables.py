"""FlatBuffers by slot numbers: a table is a mapping from the place of a field in its schema to a value.

There is no generated code for TFLite's metadata schemas in any package that the toolchain has, and none is needed to
write a dozen small tables.

Source: the FlatBuffers binary format, https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union

from edgecv.core.optional import require

Number = Literal["int8", "bool", "uint32", "int32", "float32"]
ALIGNMENT = 16
"""Of bytes that hold a FlatBuffer of their own."""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number; an enum and the type of a union are "int8"."""

    kind: Number
    value: float


@dataclass(frozen=True, slots=True)
class Numbers:
    """A vector of numbers."""

    kind: Number
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; fields that are left out have their schema's default."""

    fields: Mapping[int, Field]


Field = Union[str, bytes, Scalar, Numbers, Table, tuple[str, ...], tuple[Table, ...]]


def written(root: Table, identifier: bytes) -> bytes:
    """Return a root table as a FlatBuffer with its four-byte file identifier; the same table gives the same bytes."""
    builder = require("flatbuffers", why="to write TFLite metadata").Builder(1024)
    builder.Finish(_table(builder, root), identifier)
    return bytes(builder.Output())


def _table(builder: Any, table: Table) -> int:
    """Write a table behind what it points to, and return its offset."""
    offsets = {slot: _offset(builder, field) for slot, field in table.fields.items() if not isinstance(field, Scalar)}
    builder.StartObject(max(table.fields, default=-1) + 1)
    for slot, field in table.fields.items():
        # Even a default is written, so that what a reader finds does not hang on the schema's defaults.
        if isinstance(field, Scalar):
            _prepend(builder, field.kind)(_native(field.kind, field.value))
        else:
            builder.PrependUOffsetTRelative(offsets[slot])
        builder.Slot(slot)
    return int(builder.EndObject())


def _offset(builder: Any, field: Field) -> int:
    if isinstance(field, str):
        return int(builder.CreateString(field))
    if isinstance(field, bytes):
        return _bytes(builder, field)
    if isinstance(field, Table):
        return _table(builder, field)
    if isinstance(field, Numbers):
        values = [_native(field.kind, value) for value in field.values]
        return _vector(builder, values, 1 if field.kind in ("int8", "bool") else 4, _prepend(builder, field.kind))
    assert isinstance(field, tuple)
    offsets = [_offset(builder, one) for one in field]
    return _vector(builder, offsets, 4, builder.PrependUOffsetTRelative)


def _vector(builder: Any, values: Sequence[Any], size: int, prepend: Callable[[Any], None]) -> int:
    builder.StartVector(size, len(values), size)
    for value in reversed(values):
        prepend(value)
    return int(builder.EndVector())


def _bytes(builder: Any, content: bytes) -> int:
    builder.StartVector(1, len(content), ALIGNMENT)
    builder.head = builder.head - len(content)
    builder.Bytes[builder.head : builder.head + len(content)] = content
    return int(builder.EndVector())


def _prepend(builder: Any, kind: Number) -> Callable[[Any], None]:
    found: Callable[[Any], None] = getattr(builder, f"Prepend{kind.title()}")
    return found


def _native(kind: Number, value: float) -> Any:
    return float(value) if kind == "float32" else bool(value) if kind == "bool" else int(value)
