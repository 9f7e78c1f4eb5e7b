"""keras to ONNX: float32, float16, dynamic, and int8 as a QDQ graph; fixed batch 1, NHWC input.

int8 is made from the int8 .tflite: every tensor keeps its scale and zero point, so a PTQ or QAT model answers alike in
both formats (up to one output step: interpreters round differently), and one calibration mechanism serves both.
ONNX Runtime's own `quantize_static` would calibrate again, knows fewer estimators, and cannot take QAT ranges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgecv.convert.built import Built
from edgecv.convert.chatter import conversion
from edgecv.convert.freeze import static_input
from edgecv.convert.onnx_names import canonicalize
from edgecv.convert.onnx_unsigned import with_unsigned_activations
from edgecv.manifest import TensorInfo
from edgecv.modelio import env
from edgecv.optional import require

SCHEMES = ("float32", "float16", "dynamic", "int8")
OPSET = 17
"""Of ONNX 1.12: ONNX Runtime 1.12 and newer run it, and it has everything that these graphs use."""


def convert_float(model: Any, scheme: str, output_names: tuple[str, ...]) -> Built:
    """Return the .onnx of a keras model, with float32 inputs and outputs.

    Args:
        model: tf_keras, one static float32 input.
        scheme: "float32"; "float16" (weights and computation in half); "dynamic" (8-bit weights, activations
            quantised at run time). Inputs and outputs are float32.
        output_names: The outputs' names in the file.

    Raises:
        UnsupportedModelError: The input is not static.
        ConversionError: tf2onnx fails.
    """
    name, shape = static_input(model)
    tf, tf2onnx = env.tensorflow(), require("tf2onnx", why="to convert to ONNX")
    with conversion(f"tf2onnx failed on '{model.name}'"), _grouped_convolutions_inline():
        signature = [tf.TensorSpec(shape, tf.float32, name=name)]
        proto, _ = tf2onnx.convert.from_keras(model, input_signature=signature, opset=OPSET)
        if scheme == "float16":
            half = require("onnxruntime.transformers.float16", why="to convert to float16")
            proto = half.convert_float_to_float16(proto, keep_io_types=True)
        elif scheme == "dynamic":
            proto = _dynamic(proto)
    names = _finish(proto, (name,), output_names)
    inputs = (TensorInfo(name=name, shape=shape, dtype="float32"),)
    shapes = [_dims(value) for value in proto.graph.output]
    outputs = tuple(TensorInfo(name=n, shape=s, dtype="float32") for n, s in zip(output_names, shapes, strict=True))
    steps = (None,) * len(outputs)
    return Built(data=_bytes(proto), inputs=inputs, outputs=outputs, steps=steps, op_names=names)


@contextmanager
def _grouped_convolutions_inline() -> Iterator[None]:
    """Trace grouped convolutions as operators: Keras puts each in a compiled function, which ONNX cannot hold."""
    method = "_jit_compiled_convolution_op"
    base = next(kind for kind in env.keras().layers.Conv2D.__mro__ if method in vars(kind))
    compiled = vars(base)[method]
    setattr(base, method, base.convolution_op)
    try:
        yield
    finally:
        setattr(base, method, compiled)


def _dynamic(proto: Any) -> Any:
    """Return the model with 8-bit weights in its convolutions and dense layers.

    The weights are uint8 with a zero point: ONNX Runtime's CPU has no ConvInteger for signed ones.
    """
    quantization = require("onnxruntime.quantization", why="to quantise ONNX weights")
    shapes = require("onnxruntime.quantization.shape_inference", why="to quantise ONNX weights")
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, path = (str(Path(folder) / name) for name in ("float.onnx", "prepared.onnx", "dynamic.onnx"))
        Path(source).write_bytes(proto.SerializeToString())
        shapes.quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantization.quantize_dynamic(prepared, path, weight_type=quantization.QuantType.QUInt8)
        return require("onnx", why="to read ONNX files").load(path)


def convert_int8(twin: Built) -> Built:
    """Return the QDQ .onnx of an int8 .tflite: the same numbers in ONNX's QuantizeLinear and DequantizeLinear.

    Weights are int8, activations uint8, which ONNX Runtime computes in integers on every processor.

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
    with_unsigned_activations(proto)
    names = _finish(proto, tuple(i.name for i in twin.inputs), tuple(o.name for o in twin.outputs))
    return Built(data=_bytes(proto), inputs=twin.inputs, outputs=twin.outputs, steps=twin.steps, op_names=names)


def _finish(proto: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Put the graph in its final form, in place; return what tells the source of each operator."""
    onnx = require("onnx", why="to check ONNX files")
    sources = canonicalize(proto, inputs, outputs)
    with conversion("the ONNX checker refuses the converted model"):
        onnx.checker.check_model(proto, full_check=True)
    return sources


def _bytes(proto: Any) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))


def _dims(value: Any) -> tuple[int, ...]:
    return tuple(int(dim.dim_value) for dim in value.type.tensor_type.shape.dim)
