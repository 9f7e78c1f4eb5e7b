"""What a model file is, and the manifest inside it, read without any package: plain bounds-checked byte readers.

A device that has one interpreter can so read the manifest of its files, and no damaged file gets as far as native code
that might crash on it.
"""

from __future__ import annotations

import contextlib
import functools
import mmap
import os
import struct
from typing import Any, Dict, Iterator, List, Optional, Tuple, Union

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.values.bundle import MEMBER as BUNDLE_MEMBER
from edgecv.values.bundle import Bundle
from edgecv.values.bundle import from_json as bundle_from_json
from edgecv.values.manifest import KEY, Manifest, from_json
from edgecv.values.specs import Format

Buffer = Union[bytes, mmap.mmap]

KERAS_MEMBER = "edgecv.json"
_HINT = "the file is damaged, incomplete, or not a model; copy or convert it again"
_BLOCK = 1 << 20
_MANIFEST_LIMIT = 1 << 28  # bytes; far above any manifest, far below what would exhaust a device


_LICENCE_LIMIT = 1 << 16  # bytes; cascades begin with a few kilobytes of licence


class _Damaged(Exception):
    """A byte reader left the file, or met something that its format forbids."""


def sniff(path: PathLike) -> Format:
    """Return the format of a model file, by its content and not its name.

    Raises:
        ConfigError: It does not exist, is a folder, or cannot be read.
        UnsupportedModelError: It is empty, truncated, or no .tflite, .onnx, .keras or .edgecv file, and no cascade of
            OpenCV.
    """
    with _mapped(path) as data:
        return _sniff(data, path)


def read_manifest(path: PathLike) -> Optional[Manifest]:
    """Return the manifest embedded in a .tflite, .onnx, .keras or .edgecv file, or None when it has none.

    Cascades have one that is the same for all.

    Raises:
        ConfigError: The file does not exist, is a folder, or cannot be read.
        UnsupportedModelError: The file or its manifest is damaged, or the manifest is of a newer schema.
    """
    with _mapped(path) as data:
        format = _sniff(data, path)
        if format == "cascade":
            from edgecv.tasks.detection.cascades import manifest_of  # here, since few files are cascades

            return manifest_of(path)
        text = _zip_entry(path) if format in ("keras", "bundle") else _guard(path, format, _READERS[format], data)
    return None if text is None else _parse(text, path)


def check_tflite(path: PathLike) -> None:
    """Check that every table, vector and buffer of a .tflite lies inside the file.

    Raises:
        UnsupportedModelError: One does not: the file is truncated or damaged.
    """
    with _mapped(path) as data:
        _guard(path, "tflite", _walk_tflite, data)


def _parse(raw: bytes, path: PathLike) -> Manifest:
    where = os.fspath(path)
    try:
        return from_json(raw.rstrip(b"\0").decode("utf-8"), where=where)
    except EdgecvError:
        raise
    except (UnicodeDecodeError, TypeError, KeyError, RecursionError, OverflowError, MemoryError) as error:
        raise UnsupportedModelError(f"{where}: its edgecv manifest cannot be read: {error}", hint=_HINT) from error


@contextlib.contextmanager
def _mapped(path: PathLike) -> Iterator[Buffer]:
    """Map the file, so that a large model is not read for a few kilobytes of manifest."""
    name = os.fspath(path)
    if not os.path.exists(name):
        raise ConfigError(f"model {name} does not exist", hint="check the path")
    if os.path.isdir(name):
        raise ConfigError(f"{name} is a folder, expected a model file", hint="a SavedModel must be converted first")
    try:
        if os.path.getsize(name) == 0:
            raise UnsupportedModelError(f"{name} is empty", hint=_HINT)
        with open(name, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data
    except OSError as error:
        raise ConfigError(f"model {name} cannot be read: {error.strerror}", hint="check its permissions") from error


def _sniff(data: Buffer, path: PathLike) -> Format:
    name = os.fspath(path)
    if data[4:8] == b"TFL3":
        return "tflite"
    if data[:4] == b"PK\x03\x04":
        return _archive_kind(path)
    if data[:1] == b"<" and b"<opencv_storage" in data[:_LICENCE_LIMIT]:
        return "cascade"
    if data[:4] == b"\x89HDF":
        raise UnsupportedModelError(
            f"{name} is an HDF5 file, which the runtime does not open",
            hint="convert it: edgecv convert FILE.h5 --format tflite",
        )
    try:
        fields = {number for number, _ in _fields(data, 0, len(data), _MODEL_WIRES)}
    except _Damaged as error:
        raise UnsupportedModelError(
            f"{name} is not a readable .tflite, .onnx or .keras file: {error}", hint=_HINT
        ) from error
    if not {1, 7} <= fields:
        raise UnsupportedModelError(f"{name} is no ONNX model: it has no graph or no IR version", hint=_HINT)
    return "onnx"


def _guard(path: PathLike, format: str, read: Any, data: Buffer) -> Any:
    try:
        return read(data)
    except (_Damaged, struct.error) as error:
        raise UnsupportedModelError(
            f"{os.fspath(path)} is a damaged or truncated {format} file: {error}", hint=_HINT
        ) from error


# --- FlatBuffers (.tflite). Source: the FlatBuffers binary format, https://flatbuffers.dev/internals/, and the
# field order of TFLite's schema.fbs.

_OPERATOR_CODES, _SUBGRAPHS, _BUFFERS, _METADATA = 1, 2, 4, 6  # fields of Model
_TENSORS, _ENDS, _OPERATORS = 0, (1, 2), 3  # fields of SubGraph; the ends are its inputs and outputs
_QUANTIZATION = 4  # field of Tensor
_OPTIONS = 4  # field of Operator


def _u32(data: Buffer, at: int) -> int:
    return int(struct.unpack("<I", _slice(data, at, 4))[0])


def _slice(data: Buffer, at: int, size: int) -> bytes:
    if at < 0 or size < 0 or at + size > len(data):
        raise _Damaged(f"bytes {at}..{at + size} lie beyond its end at {len(data)}")
    return data[at : at + size]


def _field(data: Buffer, table: int, index: int) -> Optional[int]:
    """Return where a table's field stands, or None when it is left at its default."""
    vtable = table - int(struct.unpack("<i", _slice(data, table, 4))[0])
    size, table_size = struct.unpack("<HH", _slice(data, vtable, 4))
    _slice(data, vtable, size)
    _slice(data, table, table_size)
    entry = 4 + 2 * index
    if entry + 2 > size:
        return None
    offset = int(struct.unpack("<H", _slice(data, vtable + entry, 2))[0])
    return table + offset if offset else None


def _vector(data: Buffer, table: int, index: int, item: int) -> Tuple[int, int]:
    """Return start and length of a table's vector field of `item`-byte elements; (0, 0) when absent."""
    at = _field(data, table, index)
    if at is None:
        return 0, 0
    start = at + _u32(data, at)
    count = _u32(data, start)
    if count * item > len(data) - start - 4:
        raise _Damaged(f"a vector of {count} elements at byte {start} lies beyond its end at {len(data)}")
    return start + 4, count


def _tables(data: Buffer, table: int, index: int) -> List[int]:
    start, count = _vector(data, table, index, 4)
    return [at + _u32(data, at) for at in range(start, start + 4 * count, 4)]


def _bytes(data: Buffer, table: int, index: int) -> bytes:
    start, count = _vector(data, table, index, 1)
    return _slice(data, start, count)


def _tflite_entry(data: Buffer) -> Optional[bytes]:
    root = _u32(data, 0)
    for entry in _tables(data, root, _METADATA):
        if _bytes(data, entry, 0) == KEY.encode():
            at = _field(data, entry, 1)
            return _buffer(data, root, 0 if at is None else _u32(data, at))
    return None


def _buffer(data: Buffer, root: int, index: int) -> bytes:
    buffers = _tables(data, root, _BUFFERS)
    if index >= len(buffers):
        raise _Damaged(f"buffer {index} of {len(buffers)} is asked for")
    outside = _outside(data, buffers[index])
    return _slice(data, *outside) if outside[1] else _bytes(data, buffers[index], 0)


def _outside(data: Buffer, table: int) -> Tuple[int, int]:
    """Return offset and size of a buffer kept after the flatbuffer, as files above 2 GB have; (0, 0) for none."""
    found = [_field(data, table, index) for index in (1, 2)]
    offset, size = (0 if at is None else int(struct.unpack("<Q", _slice(data, at, 8))[0]) for at in found)
    return (offset, size) if offset > 1 else (0, 0)


def _walk_tflite(data: Buffer) -> None:
    """Touch everything that an interpreter reads to build the graph."""
    root = _u32(data, 0)
    for buffer in _tables(data, root, _BUFFERS):
        _vector(data, buffer, 0, 1)
        offset, size = _outside(data, buffer)
        if offset + size > len(data):
            raise _Damaged(f"a buffer at byte {offset} lies beyond its end at {len(data)}")
    for code in _tables(data, root, _OPERATOR_CODES):
        _vector(data, code, 1, 1)
    for entry in _tables(data, root, _METADATA):
        _vector(data, entry, 0, 1)
    for graph in _tables(data, root, _SUBGRAPHS):
        _walk_subgraph(data, graph)


def _walk_subgraph(data: Buffer, graph: int) -> None:
    for field in _ENDS:
        _vector(data, graph, field, 4)
    for tensor in _tables(data, graph, _TENSORS):
        _vector(data, tensor, 0, 4)
        _vector(data, tensor, 3, 1)
        at = _field(data, tensor, _QUANTIZATION)
        if at is not None:
            _vector(data, at + _u32(data, at), 2, 4)
            _vector(data, at + _u32(data, at), 3, 8)
    for operator in _tables(data, graph, _OPERATORS):
        _vector(data, operator, 1, 4)
        _vector(data, operator, 2, 4)
        at = _field(data, operator, _OPTIONS)
        if at is not None:
            _field(data, at + _u32(data, at), 0)


# --- Protocol buffers (.onnx). Source: the protobuf wire format, https://protobuf.dev/programming-guides/encoding/,
# and the field numbers of onnx.proto.

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# Fields of ModelProto. A text file that happens to parse as protobuf has others, or these with another wire type.
_MODEL_WIRES: Dict[int, int] = {
    1: _VARINT,  # ir_version
    2: _LENGTH,  # producer_name
    3: _LENGTH,  # producer_version
    4: _LENGTH,  # domain
    5: _VARINT,  # model_version
    6: _LENGTH,  # doc_string
    7: _LENGTH,  # graph
    8: _LENGTH,  # opset_import
    14: _LENGTH,  # metadata_props
    20: _LENGTH,  # training_info
    25: _LENGTH,  # functions
    26: _LENGTH,  # configuration
}


def _varint(data: Buffer, at: int, end: int) -> Tuple[int, int]:
    """Return a base-128 number and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise _Damaged(f"a number at byte {at} lies beyond its end at {end}")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _Damaged(f"the number before byte {at} has more than 10 bytes")


def _fields(data: Buffer, at: int, end: int, wires: Dict[int, int]) -> Iterator[Tuple[int, Tuple[int, int]]]:
    """Yield each field's number and the span of its content, checking its wire type against `wires`."""
    while at < end:
        key, start = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wires.get(number) != wire:
            raise _Damaged(f"byte {at} starts no field of the format")
        if wire == _LENGTH:
            size, start = _varint(data, start, end)
            stop = start + size
        else:
            _, stop = _varint(data, start, end)
        if stop > end:
            raise _Damaged(f"a field at byte {at} ends at {stop}, beyond its end at {end}")
        yield number, (start, stop)
        at = stop


def _onnx_entry(data: Buffer) -> Optional[bytes]:
    for number, span in _fields(data, 0, len(data), _MODEL_WIRES):
        if number == 14:
            found = dict(_fields(data, span[0], span[1], {1: _LENGTH, 2: _LENGTH}))
            entry = {key: data[start:stop] for key, (start, stop) in found.items()}
            if entry.get(1) == KEY.encode():
                return entry.get(2, b"")
    return None


# --- Zip archives (.keras, .edgecv)


def read_bundle(path: PathLike) -> Bundle:
    """Return what a bundle says of its parts.

    Raises:
        ConfigError: The file does not exist, or cannot be read.
        UnsupportedModelError: It is no bundle, damaged, or of a newer schema.
    """
    if sniff(path) != "bundle":
        raise UnsupportedModelError(f"{os.fspath(path)} is no bundle", hint="make one with edgecv convert")
    raw: bytes = _zip(path, lambda archive: _read_member(archive, BUNDLE_MEMBER))
    return _bundle_of(raw, path)


def unpack_bundle(path: PathLike, folder: PathLike) -> Dict[str, str]:
    """Write the parts of a bundle to a folder, and return role -> path.

    Raises:
        ConfigError: The file does not exist, or the folder cannot be written.
        UnsupportedModelError: It is no bundle, or damaged.
    """
    found = read_bundle(path)
    for name in found.parts.values():
        if os.path.basename(name) != name or name in ("", ".", ".."):
            raise UnsupportedModelError(f"{os.fspath(path)}: the part '{name}' is no plain file name", hint=_HINT)
    written = {role: os.path.join(os.fspath(folder), name) for role, name in found.parts.items()}
    _zip(path, lambda archive: _write_members(archive, list(written.values())))
    return written


def _bundle_of(raw: bytes, path: PathLike) -> Bundle:
    where = os.fspath(path)
    try:
        return bundle_from_json(raw.decode("utf-8"), where=where)
    except (UnicodeDecodeError, RecursionError, OverflowError, MemoryError) as error:
        raise UnsupportedModelError(f"{where}: its {BUNDLE_MEMBER} cannot be read: {error}", hint=_HINT) from error


def _archive_kind(path: PathLike) -> Format:
    names = _names(path)
    if BUNDLE_MEMBER in names:
        return "bundle"
    if "config.json" not in names:
        raise UnsupportedModelError(f"{os.fspath(path)} is a zip archive without a Keras model", hint=_HINT)
    return "keras"


def _names(path: PathLike) -> List[str]:
    return list(_zip(path, lambda archive: archive.namelist()))


def _zip_entry(path: PathLike) -> Optional[bytes]:
    if KERAS_MEMBER not in _names(path):
        return None
    member: bytes = _zip(path, lambda archive: _read_member(archive, KERAS_MEMBER))
    return member


def _read_member(archive: Any, name: str) -> bytes:
    if archive.getinfo(name).file_size > _MANIFEST_LIMIT:
        raise _Damaged(f"its member {name} is larger than {_MANIFEST_LIMIT} bytes")
    return bytes(archive.read(name))


def _write_members(archive: Any, paths: List[str]) -> None:
    for path in paths:
        info = archive.getinfo(os.path.basename(path))
        if info.compress_type != 0:  # so that a small file cannot grow into one that fills the disk
            raise _Damaged(f"its member {info.filename} is compressed, expected a stored one")
        with archive.open(info) as source:
            _write_blocks(source, path)


def _write_blocks(source: Any, path: str) -> None:
    try:
        with open(path, "wb") as target:
            for block in iter(functools.partial(source.read, _BLOCK), b""):
                target.write(block)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="is there room left?") from error


def _zip(path: PathLike, use: Any) -> Any:
    import zipfile  # here, since most devices never open an archive and would pay for the import

    try:
        with zipfile.ZipFile(os.fspath(path)) as archive:
            return use(archive)
    except EdgecvError:
        raise
    # zipfile and zlib answer damage with some ten kinds of exceptions.
    except Exception as error:
        raise UnsupportedModelError(
            f"{os.fspath(path)} is a damaged or truncated archive: {error}", hint=_HINT
        ) from error


_READERS: Dict[str, Any] = {"tflite": _tflite_entry, "onnx": _onnx_entry}
