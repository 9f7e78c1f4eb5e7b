"""Damaging ONNX files, archives, images and arrays where their format would otherwise refuse them at the door."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.raw import ODD_NUMBERS, damaged, damaged_json

ODD_ARRAYS: tuple[Callable[[np.ndarray], np.ndarray], ...] = (
    lambda a: a[:0],
    lambda a: a[: max(1, len(a) // 2)],
    lambda a: a.reshape(-1),
    lambda a: a[..., None],
    lambda a: a.astype(np.float64) * np.nan,
    lambda a: a.astype(np.float64) * np.inf,
    lambda a: a.astype(np.int64) - 1000,
    lambda a: a.astype(np.complex64),
    lambda a: a.astype(str),
    lambda a: a.astype(bool),
    lambda a: a.astype("datetime64[s]") if a.dtype.kind in "iu" else a.astype("S3"),
    lambda a: np.array(7),
    lambda a: np.zeros((3, 0, 2), np.float32),
)


def damaged_onnx(data: bytes, rng: random.Random) -> bytes:
    """Return an .onnx with one to three fields changed, or damaged bytes."""
    import onnx

    if rng.random() < 0.3:
        return damaged(data, rng)
    while True:
        model = onnx.load_from_string(data)
        try:
            for _ in range(rng.randint(1, 3)):
                rng.choice(_ONNX)(model, rng)
            return bytes(model.SerializeToString())
        except Exception:  # a value that the format cannot hold, or a field of one that is gone: draw again
            continue


def _node_ends(model: Any, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    names = rng.choice((node.input, node.output))
    kind = rng.randrange(4)
    if kind == 0:
        del names[:]
    elif kind == 1:
        names.pop(rng.randrange(len(names)))
    elif kind == 2:
        names.append(rng.choice(("", "x", "nowhere", "y")))
    else:
        names[rng.randrange(len(names))] = rng.choice(("", "x", "y", "nowhere", "w"))


def _node_kind(model: Any, rng: random.Random) -> None:
    node = rng.choice(model.graph.node)
    if rng.random() < 0.7:
        node.op_type = rng.choice(("Conv", "Gemm", "Reshape", "If", "Loop", "Nothing", "", "Softmax", "Resize", "Cast"))
    else:
        node.domain = rng.choice(("com.microsoft", "x", "ai.onnx.ml"))


def _attribute(model: Any, rng: random.Random) -> None:
    import onnx

    node = rng.choice(model.graph.node)
    if node.attribute and rng.random() < 0.7:
        found = rng.choice(node.attribute)
        found.i, found.f = rng.choice(ODD_NUMBERS[:13]), rng.choice((0.0, -1.0, float("nan"), 1e30))
        if found.ints:
            found.ints[rng.randrange(len(found.ints))] = rng.choice(ODD_NUMBERS[:13])
        found.type = rng.choice((found.type, found.type, rng.randrange(14)))
    else:
        name = rng.choice(("axis", "group", "kernel_shape", "pads", "strides", "to"))
        value = rng.choice((0, -1, 99, [0], [-1, -1], [2**40], "x", 1.5))
        node.attribute.append(onnx.helper.make_attribute(name, value))


def _initializer(model: Any, rng: random.Random) -> None:
    tensor = rng.choice(model.graph.initializer)
    kind = rng.randrange(5)
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: rng.randrange(len(tensor.raw_data) + 1)]
    elif kind == 1:
        tensor.data_type = rng.randrange(30)
    elif kind == 2:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice((0, -1, 1, 7, 1 << 20, 1 << 40))
    elif kind == 3:
        tensor.data_location = 1
        tensor.external_data.add(key="location", value=rng.choice(("../../etc/passwd", "/dev/zero", "gone.bin")))
    else:
        tensor.name = rng.choice(("", "x", "y", "other"))


def _value(model: Any, rng: random.Random) -> None:
    graph = model.graph
    value = rng.choice([*graph.input, *graph.output, *graph.value_info])
    kind = rng.randrange(4)
    if kind == 0:
        value.type.tensor_type.elem_type = rng.randrange(30)
    elif kind == 1:
        value.type.tensor_type.shape.dim[0].dim_value = rng.choice((0, -1, 2, 1 << 40))
    elif kind == 2:
        value.type.tensor_type.shape.dim.pop()
    else:
        value.name = rng.choice(("", "x", "y", "nowhere"))


def _header(model: Any, rng: random.Random) -> None:
    kind = rng.randrange(5)
    if kind == 0:
        model.ir_version = rng.choice((0, 1, 3, 99, 2**40))
    elif kind == 1:
        model.opset_import[0].version = rng.choice((0, 1, 6, 99, -1))
    elif kind == 2:
        del model.opset_import[:]
    elif kind == 3:
        del rng.choice((model.graph.input, model.graph.output, model.graph.node))[:]
    else:
        nodes = list(model.graph.node)
        rng.shuffle(nodes)
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _properties(model: Any, rng: random.Random) -> None:
    for entry in model.metadata_props:
        entry.value = damaged_json(entry.value, rng)


_ONNX = (_node_ends, _node_ends, _node_kind, _attribute, _attribute, _initializer, _initializer, _value, _header,
         _properties)  # fmt: skip


def damaged_archive(data: bytes, rng: random.Random) -> bytes:
    """Return a zip archive (.keras, .npz) with one member damaged, missing, repeated or absurdly large."""
    if rng.random() < 0.25:
        return damaged(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    kind = rng.randrange(8)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[rng.choice(("../x", "/x", "x", f"{name}_"))] = members.pop(name)
    elif kind == 2:
        members[name] = rng.choice((b"", b"null", b"[]", b"{}", b"\xff" * 9))
    elif name.endswith(".json"):
        members[name] = damaged_json(members[name].decode(), rng).encode("utf-8", "replace")
    elif name.endswith(".npy"):
        members[name] = damaged_npy(members[name], rng)
    else:
        members[name] = damaged(members[name], rng)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members.items():
            archive.writestr(zipfile.ZipInfo(member), content)  # without the time, which would tell two runs apart
    return out.getvalue()


def damaged_npy(data: bytes, rng: random.Random) -> bytes:
    """Return an .npy with other values, another shape or type, or damaged bytes."""
    if rng.random() < 0.4:
        return damaged(data, rng)
    array = np.load(io.BytesIO(data))
    out = io.BytesIO()
    try:
        np.save(out, rng.choice(ODD_ARRAYS)(array))
    except (TypeError, ValueError, IndexError):  # not of this array
        return damaged(data, rng)
    return out.getvalue()


def damaged_png(data: bytes, rng: random.Random) -> bytes:
    """Return a PNG whose checksums fit again, so that what is behind them is read."""
    if rng.random() < 0.5:
        return damaged(data, rng)
    chunks, at = [], 8
    while at + 12 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    place = rng.randrange(len(chunks))
    kind, content = chunks[place]
    if kind == b"IHDR" and rng.random() < 0.6:
        width, height, *rest = struct.unpack(">IIBBBBB", content)
        sizes = (0, 1, width, height, 65535, 2**31 - 1)
        rest[:2] = rng.choice((rest[:2], [16, 2], [1, 0], [8, 6], [4, 3], [99, 9]))
        content = struct.pack(">IIBBBBB", rng.choice(sizes), rng.choice(sizes), *rest)
    else:
        content = damaged(content, rng)
    chunks[place] = kind, content
    if rng.random() < 0.2:
        rng.shuffle(chunks)
    return data[:8] + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
