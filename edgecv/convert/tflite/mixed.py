"""Static quantisation beyond plain int8: named layers kept in float32, and 16-bit activations.

The float file's activations get their ranges, and TensorFlow Lite's MLIR quantiser is told which operators to leave
alone, or to make activations int16. What comes out is checked operator by operator: a layer that was to stay float and
did not is an error. Operators without an integer kernel stay float by themselves: see `stays_float`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.convert.check.stays_float import CONVERSIONS, in_float
from edgecv.convert.layers import op_layers
from edgecv.convert.quiet import conversion
from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.ranges import Range, with_ranges
from edgecv.core.errors import ConfigError, ConversionError, unknown_name
from edgecv.graphs import Graph, Op, constant, read_tflite
from edgecv.modelio import env

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
INT32_MAX = 2**31 - 1
MOST_STEPS = 2.0**46
"""Of an int64 bias. Source: kernels/internal/common.cc, MultiplyByQuantizedMultiplier for int64: sums below 2**47."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a file is quantised.

    Attributes:
        io_dtype: Of inputs and outputs: "int8", "uint8" or "float32".
        per_channel: One scale per output channel of the weights, else one per tensor.
        name: Of the model, for messages.
    """

    io_dtype: str
    per_channel: bool
    name: str


def quantize(
    data: bytes,
    ranges: Mapping[int, Range],
    how: How,
    *,
    kept: Collection[int] = (),
    activations: str = "int8",
    unchecked: Collection[int] = (),
) -> bytes:
    """Return the quantised file for a float one and its activation ranges.

    Args:
        data: The float .tflite.
        ranges: Tensor index to (min, max).
        how: Types, granularity and the model's name.
        kept: Indices of operators of `data` that stay in float32.
        activations: "int8" or "int16"; weights are int8 in both.
        unchecked: Operators of `data` that may come out in any type.

    Raises:
        ConversionError: The quantiser fails, or did not do to an operator what was asked.
    """
    tf = env.tensorflow()
    from tensorflow.lite.python.convert import _types_pb2, mlir_quantize

    graph = read_tflite(data)
    names = {graph.tensors[graph.ops[index].outputs[0]].name for index in kept}
    inference = {"int8": _types_pb2.QUANTIZED_INT8, "int16": _types_pb2.QUANTIZED_INT16}[activations]
    with conversion(f"the {activations} quantiser failed on '{how.name}'"):
        quantised = bytes(
            mlir_quantize(
                _ranged(data, graph, ranges, frozenset(kept), symmetric=activations == "int16"),
                disable_per_channel=not how.per_channel,
                disable_per_channel_for_dense_layers=not how.per_channel,
                fully_quantize=False,
                inference_type=inference,
                denylisted_nodes=sorted(names) or None,
                input_data_type=tf.dtypes.as_dtype(how.io_dtype),
                output_data_type=tf.dtypes.as_dtype(how.io_dtype),
            )
        )
    if activations == "int16":
        quantised = _as_kernels_want(quantised, graph)
    _check(read_tflite(quantised), graph, frozenset(kept), frozenset(unchecked))
    return quantised


def kept_ops(graph: Graph, patterns: Sequence[str], model: Any) -> tuple[int, ...]:
    """Return the operators of a float file that compute the layers which stay float.

    Args:
        graph: The float file, with the converter's operator names.
        patterns: Names of source layers; `*`, `?` and `[…]` are wildcards. A layer in a nested model is "outer/inner".
        model: The keras model that the file was made from.

    Raises:
        ConfigError: A pattern names no layer with an operator, the hint has the nearest name, or all are named.
    """
    chosen = named_ops(graph, patterns, model)
    if len(chosen) == len(graph.ops):
        raise ConfigError("every layer was asked to stay float", hint="name fewer layers, or use --scheme float32")
    return chosen


def named_ops(graph: Graph, patterns: Sequence[str], model: Any) -> tuple[int, ...]:
    """Return the operators of a float file that compute the layers which patterns name; see `kept_ops`."""
    layers = op_layers(graph, model)
    known = sorted({layer for found in layers for layer in found})
    chosen: set[int] = set()
    for pattern in patterns:
        matched = {layer for layer in known if fnmatch.fnmatchcase(layer, pattern)}
        if not matched:
            _refuse(pattern, known)
        chosen |= {index for index, found in enumerate(layers) if matched & found}
    return tuple(sorted(chosen))


def _refuse(pattern: str, known: Sequence[str]) -> None:
    if any(character in pattern for character in "*?["):
        raise ConfigError(
            f"no layer with an operator of its own matches '{pattern}'", hint=f"such layers: {', '.join(known)}"
        )
    raise unknown_name("layer with an operator of its own", pattern, known)


def _ranged(data: bytes, graph: Graph, ranges: Mapping[int, Range], kept: frozenset[int], *, symmetric: bool) -> bytes:
    """Return the file with ranges in its tensors' records; between two operators that stay float there is none."""
    inside = _between(graph, kept)
    outside = {index: one for index, one in ranges.items() if index not in inside}
    if symmetric:
        outside = {index: (min(low, -high), max(-low, high)) for index, (low, high) in outside.items()}
    return with_ranges(data, outside)


def _between(graph: Graph, kept: frozenset[int]) -> frozenset[int]:
    made = {index for op in graph.ops if op.index in kept for index in op.outputs}
    taken = {index for op in graph.ops if op.index not in kept for index in op.inputs}
    return frozenset(made - taken - set(graph.outputs))


def _as_kernels_want(data: bytes, source: Graph) -> bytes:
    """Return a file with int16 activations in the form that their kernels compute.

    The quantiser puts some zero points at -1, since the middle of -32768..32767 is no integer, stores biases as int32
    without saying so in the operator, which cuts off those of channels with small weights, leaves additions at the old
    scales of powers of two, and gives LOGISTIC the step of an unsigned type.
    Source: TFLite's 16x8 specification: activations with zero_point 0, biases int64; schema.fbs, AddOptions and
    SubOptions: pot_scale_int16; kernels/activations.cc, SigmoidPrepare: int16 results have the scale 2**-15.
    """
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph, kinds = model.subgraphs[0], generated.TensorType
    read = read_tflite(data)
    _coarser(model, graph, read, kinds)
    for tensor in graph.tensors:
        if tensor.type == kinds.INT16 and tensor.quantization is not None:
            points = tensor.quantization.zeroPoint
            tensor.quantization.zeroPoint = None if points is None else np.zeros(len(points), np.int64)
    biases = _float_biases(read, source)
    for op, seen in zip(graph.operators, read.ops, strict=True):
        if hasattr(op.builtinOptions, "potScaleInt16"):
            op.builtinOptions.potScaleInt16 = False
        place = bias_place(seen)
        if place is not None and graph.tensors[int(op.inputs[place.values])].type == kinds.INT16:
            weights, bias = (graph.tensors[int(op.inputs[index])] for index in (1, place.bias))
            if seen.index in biases:
                _coarser_channels(model, weights, bias, biases[seen.index])
            _widen(model, bias, biases.get(seen.index), kinds)
    return flatbuffer.pack(model)


@dataclass(frozen=True, slots=True)
class Place:
    """Which inputs of an operator with weights, which are the second, hold its values and its bias."""

    values: int
    bias: int


def bias_place(op: Op) -> Place | None:
    """Return where the bias of an operator is; None when it has none."""
    if op.op not in WEIGHTED:
        return None
    place = Place(2, 3) if op.op == "TRANSPOSE_CONV" else Place(0, 2)
    return place if len(op.inputs) > place.bias and op.inputs[place.bias] >= 0 else None


def _float_biases(graph: Graph, source: Graph) -> dict[int, Any]:
    """Return the bias of each operator of the quantised file in float32, from the float file of the same operators."""
    ours = [op for op in graph.ops if op.op not in CONVERSIONS]
    if [op.op for op in ours] != [op.op for op in source.ops]:
        return {}
    found = {}
    for op, twin in zip(ours, source.ops, strict=True):
        place = bias_place(twin)
        if place is not None and source.tensors[twin.inputs[place.bias]].is_constant:
            found[op.index] = constant(source, twin.inputs[place.bias]).astype(np.float64).reshape(-1)
    return found


def _coarser(model: Any, graph: Any, read: Graph, kinds: Any) -> None:
    """Double the steps of 2**-16, which hold no more than 0.5, and those of biases that are made of them."""
    doubled = set()
    for index, tensor in enumerate(graph.tensors):
        record = tensor.quantization
        has_scale = tensor.type == kinds.INT16 and record is not None and record.scale is not None
        if has_scale and float(record.scale[0]) == 2.0**-16:
            record.scale = np.array([2.0**-15], np.float32)
            doubled.add(index)
    for seen, op in zip(read.ops, graph.operators, strict=True):
        place = bias_place(seen)
        if place is None or int(op.inputs[place.values]) not in doubled:
            continue
        index = int(op.inputs[place.bias])
        tensor = graph.tensors[index]
        if tensor.type == kinds.INT32 and tensor.quantization is not None and tensor.quantization.scale is not None:
            store(model, tensor, np.rint(_integers(model, tensor) / 2).astype(np.int32))
            tensor.quantization.scale = np.asarray(tensor.quantization.scale, np.float32) * np.float32(2)


def _coarser_channels(model: Any, weights: Any, bias: Any, real: Any) -> None:
    """Enlarge, in place, the scales of channels whose bias would be more than the kernels multiply.

    Their weights are next to nothing beside the bias, and so are what they lose.
    """
    scales = [tensor.quantization and tensor.quantization.scale for tensor in (weights, bias)]
    if any(scale is None or len(scale) != len(real) for scale in scales):
        return
    steps = np.abs(real) / np.asarray(bias.quantization.scale, np.float64)
    over = steps > MOST_STEPS
    if not over.any():
        return
    factors = np.where(over, 2.0 ** np.ceil(np.log2(np.maximum(steps, 1) / MOST_STEPS)), 1.0)
    for tensor in (weights, bias):
        tensor.quantization.scale = (np.asarray(tensor.quantization.scale) * factors).astype(np.float32)
    values = np.frombuffer(np.asarray(model.buffers[weights.buffer].data, np.uint8).tobytes(), np.int8)
    shape = [1] * len(weights.shape)
    shape[int(weights.quantization.quantizedDimension)] = len(real)
    store(model, weights, np.rint(values.reshape(weights.shape) / factors.reshape(shape)).astype(np.int8))


def _widen(model: Any, bias: Any, real: Any, kinds: Any) -> None:
    """Store an int32 bias as int64, from its float values where they are known."""
    if bias.type != kinds.INT32 or bias.quantization is None or bias.quantization.scale is None:
        return
    values = _integers(model, bias).astype(np.int64)
    if real is not None and len(real) == len(values):
        values = np.rint(real / np.asarray(bias.quantization.scale, np.float64)).astype(np.int64)
    elif np.any(np.abs(values) >= INT32_MAX):
        raise ConversionError(
            "a bias does not fit int32 in the quantiser's file, and its float value is not at hand",
            hint="use --scheme int8, or keep the layer in float",
        )
    store(model, bias, values)
    bias.type = kinds.INT64


def _integers(model: Any, tensor: Any) -> Any:
    return np.frombuffer(np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes(), np.int32)


def store(model: Any, tensor: Any, values: Any) -> None:
    """Put values into a tensor's buffer; into one of its own where another tensor uses that too."""
    fresh = flatbuffer.schema().BufferT()
    fresh.data = np.frombuffer(values.tobytes(), np.uint8)
    if sum(other.buffer == tensor.buffer for other in model.subgraphs[0].tensors) > 1:
        model.buffers.append(fresh)
        tensor.buffer = len(model.buffers) - 1
    else:
        model.buffers[tensor.buffer] = fresh


def _check(graph: Graph, source: Graph, kept: frozenset[int], unchecked: frozenset[int]) -> None:
    """Check that the operators `kept` compute in float32, and that each operator in float has float weights.

    Args:
        graph: The quantised file.
        source: The float file.
        kept: Operators of `source`.
        unchecked: Likewise, those that are passed over.
    """
    computing = frozenset(index for index in kept if in_float(source, source.ops[index]))
    float_ops, others = _places(graph, source, computing), _places(graph, source, unchecked)
    for op in graph.ops:
        name, is_float = graph.tensors[op.outputs[0]].name, in_float(graph, op)
        if op.op in CONVERSIONS or op.index in others:
            continue
        if not is_float and op.index in float_ops:
            raise ConversionError(f"{op.op} '{name}' was to stay float and became {graph.tensors[op.outputs[0]].dtype}")
        if is_float and any(graph.tensors[index].dtype == "int8" for index in op.inputs if index >= 0):
            raise ConversionError(f"{op.op} '{name}' was to stay float, and the quantiser made its weights int8")


def _places(graph: Graph, source: Graph, ops: frozenset[int]) -> frozenset[int]:
    """Return where operators of the float file are in the quantised one: by their order, which the quantiser keeps.

    Where it made other operators, by the names of their results; one that moved behind a conversion got a digit.
    """
    ours = [op for op in graph.ops if op.op not in CONVERSIONS]
    if [op.op for op in ours] == [op.op for op in source.ops]:
        return frozenset(ours[index].index for index in ops)
    wanted = {source.tensors[source.ops[index].outputs[0]].name for index in ops}
    known = frozenset(tensor.name for tensor in source.tensors)
    names = {op.index: graph.tensors[op.outputs[0]].name for op in ours}
    return frozenset(
        index for index, name in names.items() if (name if name in known else name.rstrip("0123456789")) in wanted
    )
