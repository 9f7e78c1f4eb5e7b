"""TFLite to ONNX: float32, float16, dynamic, and int8 as a QDQ graph; fixed batch 1, NHWC input.

Every .onnx is made from the .tflite of the same network. In int8 every tensor keeps its scale and zero point, so a PTQ
or QAT model answers alike in both formats (up to one output step: interpreters round differently), and one calibration
mechanism serves both; ONNX Runtime's own `quantize_static` would calibrate again, knows fewer estimators, and cannot
take QAT ranges. In float batch normalisation is folded already, and tf2onnx need not freeze the keras model once more,
which takes sixty copies of the weights in memory (benchmarks/conversion_memory.py).
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecv.convert.converted import Converted
from edgecv.convert.onnx.names import canonicalize
from edgecv.convert.onnx.operators import nearest_by_present_rules, teach, with_whole_sizes, without_negative_pads
from edgecv.convert.onnx.own_zero_points import with_own_zero_points
from edgecv.convert.onnx.unsigned import with_unsigned_activations
from edgecv.convert.quiet import conversion
from edgecv.convert.tflite.explicit_shapes import with_explicit_shapes
from edgecv.core.optional import require

OPSET = 17
"""Of ONNX 1.12: ONNX Runtime 1.12 and newer run it, and it has everything that these graphs use."""


def convert(twin: Converted, scheme: str) -> Converted:
    """Return the .onnx of a .tflite, with the same inputs and outputs.

    In int8 weights are int8 and activations uint8, which ONNX Runtime computes in integers on every processor.

    Args:
        twin: A float32 .tflite; for scheme "int8" an int8 one, whose inputs and outputs are "int8" or "float32".
        scheme: Of `SCHEMES`. "float16" computes in half; "dynamic" has 8-bit weights, and activations that are
            quantised at run time. Inputs and outputs of both stay float32.

    Raises:
        ConversionError: tf2onnx fails.
    """
    teach()
    with tempfile.TemporaryDirectory() as folder, conversion("tf2onnx failed"), _collected():
        path = Path(folder) / "twin.tflite"
        path.write_bytes(with_explicit_shapes(twin.data))
        proto, _ = require("tf2onnx", why="to convert to ONNX").convert.from_tflite(str(path), opset=OPSET)
    nearest_by_present_rules(proto)
    without_negative_pads(proto)
    with_whole_sizes(proto)
    proto = _SCHEMES[scheme](proto)
    names = _finish(proto, tuple(i.name for i in twin.inputs), tuple(o.name for o in twin.outputs))
    return replace(twin, data=_bytes(proto), op_names=names)


@contextmanager
def _collected() -> Iterator[None]:
    """Collect garbage before each of tf2onnx's passes and at the end.

    Each leaves behind a copy of the graph that refers to itself. What is there before is frozen, so that a collection
    looks at these copies only.
    """
    base = require("tf2onnx.optimizer.optimizer_base", why="to convert to ONNX").GraphOptimizerBase
    optimize = base.optimize

    def after_collection(*arguments: Any) -> Any:
        gc.collect()
        return optimize(*arguments)

    gc.freeze()
    base.optimize = after_collection
    try:
        yield
    finally:
        base.optimize = optimize
        gc.collect()
        gc.unfreeze()


def _float32(proto: Any) -> Any:
    return proto


def _float16(proto: Any) -> Any:
    half = require("onnxruntime.transformers.float16", why="to convert to float16")
    return half.convert_float_to_float16(proto, keep_io_types=True)


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


def _int8(proto: Any) -> Any:
    with_unsigned_activations(proto)
    with_own_zero_points(proto)
    return proto


_SCHEMES: dict[str, Callable[[Any], Any]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _int8,
}
SCHEMES = tuple(_SCHEMES)


def _finish(proto: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Put the graph in its final form, in place; return what tells the source of each operator."""
    onnx = require("onnx", why="to check ONNX files")
    sources = canonicalize(proto, inputs, outputs)
    with conversion("the ONNX checker refuses the converted model"):
        onnx.checker.check_model(proto, full_check=True)
    return sources


def _bytes(proto: Any) -> bytes:
    return bytes(proto.SerializeToString(deterministic=True))
