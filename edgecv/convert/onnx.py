"""keras to ONNX: float32, float16, and int8 as a QDQ graph; fixed batch 1, NHWC input.

int8 is made from the int8 .tflite: every tensor keeps its scale and zero point, so a PTQ or QAT model answers alike in
both formats (up to one output step: interpreters round differently), and one calibration mechanism serves both.
ONNX Runtime's own `quantize_static` would calibrate again, knows fewer estimators, and cannot take QAT ranges.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from edgecv.convert.built import Built
from edgecv.convert.chatter import conversion
from edgecv.convert.freeze import static_input
from edgecv.errors import ConversionError
from edgecv.manifest import TensorInfo
from edgecv.modelio import env
from edgecv.optional import require

SCHEMES = ("float32", "float16", "int8")
OPSET = 17
"""Of ONNX 1.12: ONNX Runtime 1.12 and newer run it, and it has everything that these graphs use."""

_COUNTER = re.compile(r"__\d+")


def convert_float(model: Any, scheme: str, output_names: tuple[str, ...]) -> Built:
    """Return the .onnx of a keras model, with float32 inputs and outputs.

    Args:
        model: tf_keras, one static float32 input.
        scheme: "float32", or "float16": weights and computation in half, inputs and outputs float32.
        output_names: The outputs' names in the file.

    Raises:
        UnsupportedModelError: The input is not static.
        ConversionError: tf2onnx fails.
    """
    name, shape = static_input(model)
    tf, tf2onnx = env.tensorflow(), require("tf2onnx", why="to convert to ONNX")
    with conversion(f"tf2onnx failed on '{model.name}'"):
        signature = [tf.TensorSpec(shape, tf.float32, name=name)]
        proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
        if scheme == "float16":
            half = require("onnxruntime.transformers.float16", why="to convert to float16")
            proto = half.convert_float_to_float16(proto, keep_io_types=True)
    data = _finish(proto, (name,), output_names)
    inputs = (TensorInfo(name=name, shape=shape, dtype="float32"),)
    shapes = [_dims(value) for value in proto.graph.output]
    outputs = tuple(TensorInfo(name=n, shape=s, dtype="float32") for n, s in zip(output_names, shapes, strict=True))
    return Built(data=data, inputs=inputs, outputs=outputs, steps=(None,) * len(outputs))


def convert_int8(twin: Built) -> Built:
    """Return the QDQ .onnx of an int8 .tflite: the same numbers in ONNX's QuantizeLinear and DequantizeLinear.

    Args:
        twin: The int8 .tflite; its inputs and outputs are "int8" or "float32".

    Raises:
        ConversionError: tf2onnx fails.
    """
    tf2onnx = require("tf2onnx", why="to convert to ONNX")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "twin.tflite"
        path.write_bytes(twin.data)
        with conversion("tf2onnx failed on the int8 model"):
            proto, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET)
    data = _finish(proto, tuple(i.name for i in twin.inputs), tuple(o.name for o in twin.outputs))
    return Built(data=data, inputs=twin.inputs, outputs=twin.outputs, steps=twin.steps)


def _finish(proto: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    onnx = require("onnx", why="to check ONNX files")
    canonical_names(proto, inputs, outputs)
    with conversion("the ONNX checker refuses the converted model"):
        onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))


def _dims(value: Any) -> tuple[int, ...]:
    return tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)


def canonical_names(proto: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
    """Rename nodes and values in place, so that equal models give equal bytes.

    tf2onnx numbers names with a counter that runs for the life of the process ("scale__31"); here the number goes
    and repeated names are counted in the graph's own order. Inputs and outputs get the names asked for.

    Raises:
        ConversionError: The graph has control flow, or another number of inputs or outputs.
    """
    graph = proto.graph
    if any(attribute.type in (5, 10) for node in graph.node for attribute in node.attribute):
        raise ConversionError("the converted ONNX model has control flow, which devices do not take")
    names = _Renamer(reserved=(*inputs, *outputs))
    names.fix([value.name for value in graph.input], inputs)
    names.fix([value.name for value in graph.output], outputs)
    for node in graph.node:
        node.input[:] = [names.value(name) for name in node.input]
        node.output[:] = [names.value(name) for name in node.output]
        node.name = names.node(node.name)
    _rename_rest(graph, names)


def _rename_rest(graph: Any, names: _Renamer) -> None:
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.value(value.name)
    constants = sorted(graph.initializer, key=lambda tensor: tensor.name)
    del graph.initializer[:]
    graph.initializer.extend(constants)
    # Shapes of inner values can be inferred; tf2onnx lists them in no fixed order.
    del graph.value_info[:]
    graph.name, graph.doc_string = "edgecv", ""


class _Renamer:
    """Old names to new ones, which are unique among values and, apart from these, among nodes."""

    def __init__(self, reserved: tuple[str, ...]) -> None:
        self._values = {"": ""}
        self._taken = set(reserved)
        self._nodes: set[str] = set()

    def fix(self, old: list[str], new: tuple[str, ...]) -> None:
        if len(old) != len(new):
            raise ConversionError(f"the converted ONNX model has the inputs or outputs {old}, expected {new}")
        self._values.update(zip(old, new, strict=True))

    def value(self, old: str) -> str:
        if old not in self._values:
            self._values[old] = _unique(_COUNTER.sub("", old), self._taken)
        return self._values[old]

    def node(self, old: str) -> str:
        return _unique(_COUNTER.sub("", old), self._nodes)


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
