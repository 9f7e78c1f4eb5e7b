"""Damaging .tflite files through their schema, so that the result is a flatbuffer again, and wrong inside."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.fuzz.raw import ODD_NUMBERS, damaged, damaged_json

MANIFEST = b"edgecv"
_BUILTINS = sorted(v for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_"))


def damaged_tflite(data: bytes, rng: random.Random) -> bytes:
    """Return a .tflite with one to three fields changed; every fourth one gets damaged bytes instead, or as well."""
    if rng.random() < 0.2:
        return damaged(data, rng)
    while True:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
        try:
            for _ in range(rng.randint(1, 3)):
                rng.choice(_FIELDS)(model, rng)
            packed = _packed(model)
        except Exception:  # a value that no flatbuffer can hold, or a field of one that is gone: draw again
            continue
        return damaged(packed, rng) if rng.random() < 0.05 else packed


def _packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _tensor(model: Any, rng: random.Random) -> Any:
    return rng.choice(rng.choice(model.subgraphs).tensors)


def _operator(model: Any, rng: random.Random) -> Any:
    return rng.choice(model.subgraphs[0].operators)


def _shape(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    name = rng.choice(("shape", "shape", "shape", "shapeSignature"))
    tensor_shape = getattr(tensor, name)
    sizes = [] if tensor_shape is None else [int(size) for size in tensor_shape]
    kind = rng.randrange(4)
    if kind == 0 and sizes:
        sizes.pop(rng.randrange(len(sizes)))
    elif kind == 1:
        sizes.insert(rng.randrange(len(sizes) + 1), rng.choice((0, 1, 3)))
    elif kind == 2 and sizes:
        sizes[rng.randrange(len(sizes))] = rng.choice((0, -1, 1, 2, 3, 5, 1000, 1 << 20, 2**31 - 1))
    else:
        sizes = rng.choice(([], [0], [1] * 9, [1 << 16, 1 << 16]))
    setattr(tensor, name, np.array(sizes, np.int32))


def _type(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).type = rng.randrange(24)


def _buffer_index(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).buffer = rng.choice((0, 1, len(model.buffers) - 1, len(model.buffers), 1 << 20))


def _name(model: Any, rng: random.Random) -> None:
    _tensor(model, rng).name = rng.choice((b"", b"\xff\xfe", b"x", b"/", b";;", b"a" * 4000, None))


def _quantisation(model: Any, rng: random.Random) -> None:
    tensor = _tensor(model, rng)
    if tensor.quantization is None or rng.random() < 0.2:
        tensor.quantization = rng.choice((None, schema.QuantizationParametersT()))
    if tensor.quantization is None:
        return
    scales = rng.choice(([], [0.0], [float("nan")], [float("inf")], [-1.0], [1e-40], [0.1] * 3, [0.1] * 1000))
    zeros = rng.choice(([], [0], [2**40], [-(2**63)], [0] * 3, [1] * 1000))
    if rng.random() < 0.7:
        tensor.quantization.scale = np.array(scales, np.float32)
    if rng.random() < 0.7:
        tensor.quantization.zeroPoint = np.array(zeros, np.int64)
    tensor.quantization.quantizedDimension = rng.choice((0, 1, 3, 4, -1, 1000))


def _buffer(model: Any, rng: random.Random) -> None:
    buffer = rng.choice(model.buffers)
    data = b"" if buffer.data is None else bytes(bytearray(buffer.data))
    size = rng.choice((0, 1, max(0, len(data) - 1), len(data) // 2, len(data) + 1, len(data) * 2))
    changed = (data * 3)[:size] if rng.random() < 0.5 else damaged(data, rng)
    buffer.data = np.frombuffer(changed, np.uint8)


def _ends(name: str) -> Callable[[Any, random.Random], None]:
    def change(model: Any, rng: random.Random) -> None:
        holder = _operator(model, rng) if rng.random() < 0.85 else model.subgraphs[0]
        n = len(model.subgraphs[0].tensors)
        kept = getattr(holder, name)
        places = [] if kept is None else [int(place) for place in kept]
        kind = rng.randrange(6)
        if kind == 0:
            places = []
        elif kind == 1 and places:
            places.pop(rng.randrange(len(places)))
        elif kind == 2:
            places.append(rng.randrange(-1, n))
        elif kind == 3 and places:
            places[rng.randrange(len(places))] = rng.choice((-1, n - 1, n, -2, 1 << 30))
        elif kind == 4 and places:
            places[rng.randrange(len(places))] = rng.randrange(n)
        else:
            rng.shuffle(places)
        setattr(holder, name, np.array(places, np.int32))

    return change


def _code(model: Any, rng: random.Random) -> None:
    code = rng.choice(model.operatorCodes)
    kind = rng.randrange(4)
    if kind == 0:
        code.version = rng.choice((0, 1, 2, 3, 100, -1))
    elif kind == 1:
        code.builtinCode, code.customCode = schema.BuiltinOperator.CUSTOM, rng.choice((None, b"", b"\xff", b"FlexX"))
    else:
        code.builtinCode = rng.choice((*_BUILTINS, 10_000, -1))
        code.deprecatedBuiltinCode = min(max(code.builtinCode, -1), 127)


def _opcode_index(model: Any, rng: random.Random) -> None:
    n = len(model.operatorCodes)
    _operator(model, rng).opcodeIndex = rng.choice((*range(n), n, 1 << 20))


def _options(model: Any, rng: random.Random) -> None:
    operator = _operator(model, rng)
    if operator.builtinOptions is None or rng.random() < 0.3:
        kinds = [kind for kind in vars(schema.BuiltinOptions) if not kind.startswith("_") and kind != "NONE"]
        kind = rng.choice([*kinds, "NONE"])
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        operator.builtinOptions = None if kind == "NONE" else getattr(schema, f"{kind}T")()
        return
    numbers = [key for key, value in vars(operator.builtinOptions).items() if isinstance(value, (int, float))]
    if numbers:
        setattr(operator.builtinOptions, rng.choice(numbers), rng.choice(ODD_NUMBERS[:13]))


def _order(model: Any, rng: random.Random) -> None:
    operators = model.subgraphs[0].operators
    kind = rng.randrange(4)
    if kind == 0:
        rng.shuffle(operators)
    elif kind == 1 and len(operators) > 1:
        operators.pop(rng.randrange(len(operators)))
    elif kind == 2:
        operators.insert(rng.randrange(len(operators)), rng.choice(operators))
    else:
        model.subgraphs.append(rng.choice(model.subgraphs))


def _missing(model: Any, rng: random.Random) -> None:
    """Leave a whole table out."""
    graph = model.subgraphs[0]
    holder, name = rng.choice(
        ((model, "buffers"), (model, "operatorCodes"), (model, "metadata"), (graph, "tensors"), (graph, "operators"))
    )
    setattr(holder, name, rng.choice((None, [])))


def _metadata(model: Any, rng: random.Random) -> None:
    for entry in model.metadata or ():
        if rng.random() < 0.4:
            entry.buffer = rng.choice((0, 1, len(model.buffers), 1 << 31))
        elif entry.name == MANIFEST and entry.buffer < len(model.buffers):
            text = bytes(bytearray(model.buffers[entry.buffer].data)).decode()
            changed = damaged_json(text, rng).encode("utf-8", "replace")
            model.buffers[entry.buffer].data = np.frombuffer(changed, np.uint8)


_FIELDS: tuple[Callable[[Any, random.Random], None], ...] = (
    _shape, _shape, _type, _buffer_index, _name, _quantisation, _quantisation, _buffer, _ends("inputs"),
    _ends("inputs"), _ends("inputs"), _ends("outputs"), _code, _opcode_index, _options, _options, _order, _missing,
    _metadata, _metadata,
)  # fmt: skip
