"""int4 weights in a static int8 file: half the bytes of its kernels.

Weights that learned rounding put on a 4-bit grid come through the int8 quantiser as multiples of 127/7 on the 8-bit
one, exactly enough to be told; they are stored as packed INT4, with the scale of their own grid, and the int32 biases
follow. Activations stay int8.

Source: TFLite schema, TensorType INT4, and the kernels of CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED, which unpack
two weights a byte, the first in the low half (tensorflow/lite/kernels/internal/portable_tensor_utils.h), and the
operator versions of tensorflow/compiler/mlir/lite/tools/versioning/op_version.cc.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.compress.weight_grid import largest
from edgecv.convert.tflite import flatbuffer
from edgecv.core.errors import ConversionError

Array = np.ndarray[Any, Any]
VERSIONS = {"CONV_2D": 7, "DEPTHWISE_CONV_2D": 7, "FULLY_CONNECTED": 10}
"""Operators with an int8 kernel for int4 weights, and the version that has it."""

RATIO = largest(8) / largest(4)
ON_GRID = 0.03
"""Rounding a multiple of 127/7 to an integer moves it by at most half a step: 0.5 * 7 / 127 of a 4-bit step."""


def with_int4_weights(data: bytes) -> bytes:
    """Return an int8 .tflite with the weights that lie on a 4-bit grid stored as int4; others stay int8.

    Raises:
        ConversionError: No weights lie on one.
    """
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph, done = model.subgraphs[0], set()
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = _NAMES(generated).get(flatbuffer.builtin(code), "")
        if kind not in VERSIONS or graph.tensors[op.inputs[1]].type != generated.TensorType.INT8:
            if kind not in VERSIONS or int(op.inputs[1]) not in done:
                continue
        elif not _store(model, graph, op, generated):
            continue
        done.add(int(op.inputs[1]))
        version = max(int(code.version), VERSIONS[kind])
        op.opcodeIndex = flatbuffer.opcode(model, flatbuffer.builtin(code), version)
    if not done:
        raise ConversionError("no weights lie on a 4-bit grid", hint="int4 files are made with learned rounding")
    return flatbuffer.pack(model)


def _NAMES(generated: Any) -> dict[int, str]:
    return {getattr(generated.BuiltinOperator, name): name for name in VERSIONS}


def _store(model: Any, graph: Any, op: Any, generated: Any) -> bool:
    """Store one operator's weights as int4 and its bias to match; say whether they lie on a 4-bit grid."""
    weights = graph.tensors[op.inputs[1]]
    buffer = model.buffers[weights.buffer]
    steps = _values(buffer, np.int8) / RATIO
    if np.abs(steps - np.rint(steps)).max() > ON_GRID:
        return False
    buffer.data = packed(np.rint(steps).astype(np.int8))
    weights.type = generated.TensorType.INT4
    weights.quantization.scale = _scaled(weights.quantization.scale)
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = graph.tensors[op.inputs[2]]
        values = np.rint(_values(model.buffers[bias.buffer], np.int32) / RATIO).astype(np.int32)
        model.buffers[bias.buffer].data = np.frombuffer(values.tobytes(), np.uint8)
        bias.quantization.scale = _scaled(bias.quantization.scale)
    return True


def _scaled(scales: Any) -> Array:
    return (np.asarray(scales, np.float64) * RATIO).astype(np.float32)


def _values(buffer: Any, dtype: Any) -> Array:
    return np.frombuffer(np.asarray(buffer.data, np.uint8).tobytes(), dtype)


def packed(values: Array) -> Array:
    """Return 4-bit integers (-8..7), two a byte, the first in the low half; uint8."""
    halves = values.reshape(-1).astype(np.uint8) & 15
    if len(halves) % 2:
        halves = np.append(halves, np.uint8(0))
    return np.asarray(halves[0::2] | (halves[1::2] << 4), np.uint8)


def unpacked(data: Array, count: int) -> Array:
    """Return `count` 4-bit integers of packed bytes, int8: the inverse of `packed`."""
    halves = np.stack([data & 15, data >> 4], axis=-1).reshape(-1)[:count].astype(np.int8)
    return np.asarray(np.where(halves > 7, halves - 16, halves), np.int8)
