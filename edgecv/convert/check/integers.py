"""Whether a file holds the integers that learned rounding chose, weight for weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecv.convert.layers import op_layers
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.int4 import VERSIONS, unpacked
from edgecv.core.errors import ConversionError
from edgecv.graphs import read_tflite

Array = np.ndarray[Any, Any]


def check_chosen(data: bytes, chosen: Mapping[str, Array], model: Any) -> int:
    """Check a file's stored weights; return how many layers were compared.

    Args:
        data: A quantised .tflite with the converter's operator names.
        chosen: Layer to its integers in keras' layout.
        model: The keras model that the file was made from.

    Raises:
        ConversionError: A weight differs; the message names the layer.
    """
    stored = stored_weights(data, model)
    for layer, integers in chosen.items():
        if layer not in stored:
            continue  # computed in float, by request
        found, expected = stored[layer], _file_layout(integers, stored[layer].shape)
        wrong = int(np.sum(found != expected))
        if wrong:
            raise ConversionError(
                f"{wrong} of {found.size} weights of layer '{layer}' are not the integers that were chosen for it",
                hint="this is a defect of edgecv: please report it with the model",
            )
    return len(chosen.keys() & stored.keys())


def stored_weights(data: bytes, model: Any) -> dict[str, Array]:
    """Return the int8 or int4 weights of every layer with a kernel, int8 in the file's layout."""
    graph, content = read_tflite(data), flatbuffer.unpack(data)
    found: dict[str, Array] = {}
    for op, layers in zip(graph.ops, op_layers(graph, model), strict=True):
        tensor = graph.tensors[op.inputs[1]] if op.op in VERSIONS else None
        if tensor is None or tensor.dtype not in ("int8", "int4"):
            continue
        raw = np.asarray(content.buffers[content.subgraphs[0].tensors[tensor.index].buffer].data, np.uint8)
        values = unpacked(raw, tensor.elements) if tensor.dtype == "int4" else np.frombuffer(raw.tobytes(), np.int8)
        found.update(dict.fromkeys(layers, values.reshape(tensor.shape)))
    return found


def _file_layout(integers: Array, shape: tuple[int, ...]) -> Array:
    """Return keras' kernel as TFLite lays it out: output channels first, for depthwise kernels last."""
    if integers.ndim == 2:
        return integers.T.reshape(shape)
    if shape[0] == 1 and shape[-1] == integers.shape[2] * integers.shape[3] and shape[1:3] == integers.shape[:2]:
        depthwise = integers.reshape(shape)
        return depthwise if integers.shape[3] == 1 or shape[-1] != integers.shape[3] else _conv(integers)
    return _conv(integers).reshape(shape)


def _conv(integers: Array) -> Array:
    return np.moveaxis(integers, -1, 0)
