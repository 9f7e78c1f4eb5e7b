"""Operators in the forms that an older reader takes: the same integers, by other operators.

The Edge TPU's compiler reads files with TensorFlow Lite 2.6, and rejects a whole file for one operator of a later
version. Which versions a target reads, and which operators it takes only without a fused activation or with one row of
outputs, stands in its data; what is written in their place, here:

    TRANSPOSE_CONV with a fused ReLU    TRANSPOSE_CONV, and a RELU where the 8-bit range does not clip by itself
    a pool with a fused ReLU            likewise
    CONV_2D in groups                   DEPTHWISE_CONV_2D, or SPLIT, one CONV_2D for each group, CONCATENATION
    TILE                                CONCATENATION of the copies
    FULLY_CONNECTED on several rows     CONV_2D with a 1x1 kernel

Source: tensorflow/lite/tools/versioning/op_version.cc and runtime_version.cc: what each version stands for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.compaction import compacted
from edgecv.graphs import Op, read_tflite
from edgecv.values.profiles import OpRule, TargetProfile

MOST_GROUPS = 256
"""Convolutions that one is split into at most: each adds an operator."""
_CHANNELS = -1
_CLIPS = {"RELU": (0.0, math.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}

Rewrite = Callable[[Any, Any], "list[Any] | None"]
"""Takes a model and one of its operators; returns what stands in its place, None when it must stay as it is."""


def with_older_operators(data: bytes, targets: Sequence[TargetProfile]) -> bytes:
    """Return a .tflite without operators that one of the targets refuses for their form; else the file as it is.

    Args:
        data: With float32, int8 or uint8 activations; operators on others stay.
        targets: Their `ops` say what is refused.
    """
    chosen = {op.index: rewrite for op in read_tflite(data).ops if (rewrite := _rewrite(op, targets)) is not None}
    if not chosen:
        return data
    model = flatbuffer.unpack(data)
    graph = model.subgraphs[0]
    given = list(graph.operators)
    operators: list[Any] = []
    changed = False
    for index, op in enumerate(given):
        made = chosen[index](model, op) if index in chosen else None
        changed = changed or made is not None
        operators += [op] if made is None else made
    graph.operators = operators
    return flatbuffer.pack(compacted(model)) if changed else data


def _rewrite(op: Op, targets: Sequence[TargetProfile]) -> Rewrite | None:
    for profile in targets:
        rule = profile.ops.get(op.op)
        if rule is not None and not op.is_custom:
            found = _for_rule(op, rule)
            if found is not None:
                return found
    return None


def _for_rule(op: Op, rule: OpRule) -> Rewrite | None:
    if rule.max_version is not None and op.version > rule.max_version:
        return _TOO_NEW.get(op.op)
    fused = op.options.get("fused_activation_function", "NONE") != "NONE"
    if fused and "no_fused_activation" in rule.limits:
        return _unfused
    return _as_convolution if "one_row" in rule.limits and op.op == "FULLY_CONNECTED" else None


def _unfused(model: Any, op: Any) -> list[Any] | None:
    """Take the activation out of an operator; an operator of its own follows where the result's range is wider."""
    kinds = flatbuffer.schema().ActivationFunctionType
    numbers = {getattr(kinds, name): name for name in _CLIPS}
    fused = numbers.get(op.builtinOptions.fusedActivationFunction)
    result = _tensor(model, op.outputs[0])
    if fused is None or not _is_plain(result):
        return None
    op.builtinOptions.fusedActivationFunction = kinds.NONE
    if flatbuffer.builtin(model.operatorCodes[op.opcodeIndex]) == _number("TRANSPOSE_CONV"):
        # Version 3 has a bias, 2 is the first with int8.
        has_bias = len(op.inputs) > 3 and op.inputs[3] >= 0
        version = 3 if has_bias else 1 + _is_quantised(result)
        op.opcodeIndex = flatbuffer.opcode(model, _number("TRANSPOSE_CONV"), version)
    if _clips_itself(result, *_CLIPS[fused]):
        return [op]
    before = _like(model, result, b"/" + fused.lower().encode() + b"_of")
    end = int(op.outputs[0])
    op.outputs = np.array([before], np.int32)
    version = 1 if fused == "RELU_N1_TO_1" else 1 + _is_quantised(result)
    return [op, flatbuffer.operator(model, fused, version, (before,), end)]


def _clips_itself(tensor: Any, low: float, high: float) -> bool:
    """Say whether the ends of an 8-bit tensor's range clip at least as far in as an activation does."""
    if not _is_quantised(tensor):
        return False
    scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0])
    lowest = -128 if tensor.type == flatbuffer.schema().TensorType.INT8 else 0
    return zero + round(low / scale) <= lowest and (high == math.inf or zero + round(high / scale) >= lowest + 255)


def _ungrouped(model: Any, op: Any) -> list[Any] | None:
    """Return what computes a convolution in groups: one depthwise convolution, or one convolution for each group."""
    source, weights, result = (_tensor(model, index) for index in (op.inputs[0], op.inputs[1], op.outputs[0]))
    known = all(_is_plain(tensor) for tensor in (source, weights, result))
    bias = int(op.inputs[2]) if len(op.inputs) > 2 else -1
    fixed = [weights] if bias < 0 else [weights, _tensor(model, bias)]
    if not known or not all(_holds_values(model, tensor) for tensor in fixed):
        return None
    channels, each = int(source.shape[_CHANNELS]), int(weights.shape[_CHANNELS])
    if each == 0 or channels % each or int(weights.shape[0]) % (channels // each):
        return None
    groups = channels // each
    if each == 1:
        return [_depthwise(model, op, channels)]
    return _by_group(model, op, groups, bias) if groups <= MOST_GROUPS else None


def _depthwise(model: Any, op: Any, channels: int) -> Any:
    generated = flatbuffer.schema()
    weights = _tensor(model, op.inputs[1])
    outputs = int(weights.shape[0])
    values = np.moveaxis(_values(model, weights)[..., 0], 0, -1)[None]
    kernel = _constant(model, weights, b"/depthwise", values)
    if weights.quantization is not None:
        _tensor(model, kernel).quantization.quantizedDimension = 3
    version = 3 if _is_quantised(weights) else 2  # 2: with dilation
    inputs = (int(op.inputs[0]), kernel, *(int(index) for index in op.inputs[2:]))
    made = flatbuffer.operator(model, "DEPTHWISE_CONV_2D", version, inputs, int(op.outputs[0]))
    made.builtinOptionsType = generated.BuiltinOptions.DepthwiseConv2DOptions
    made.builtinOptions = generated.DepthwiseConv2DOptionsT()
    for name in ("padding", "strideW", "strideH", "fusedActivationFunction", "dilationWFactor", "dilationHFactor"):
        setattr(made.builtinOptions, name, getattr(op.builtinOptions, name))
    made.builtinOptions.depthMultiplier = outputs // channels
    return made


def _by_group(model: Any, op: Any, groups: int, bias: int) -> list[Any]:
    source, weights, result = (_tensor(model, index) for index in (op.inputs[0], op.inputs[1], op.outputs[0]))
    eight = 1 + _is_quantised(result)
    axis = _numbers(model, result.name, b"/axis", np.array(3, np.int32))
    parts = [_like(model, source, b"/group_%d" % at, channels=int(weights.shape[_CHANNELS])) for at in range(groups)]
    taken = flatbuffer.operator(model, "SPLIT", eight, (axis, int(op.inputs[0])), parts[0])
    taken.outputs = np.array(parts, np.int32)
    taken.builtinOptions.numSplits = groups
    step, made, answers = int(weights.shape[0]) // groups, [taken], []
    for at, part in enumerate(parts):
        rows = slice(at * step, (at + 1) * step)
        single = copy.copy(op)
        fixed = [_rows(model, index, rows, b"/group_%d" % at) for index in (int(op.inputs[1]), bias) if index >= 0]
        answers.append(_like(model, result, b"/group_%d" % at, channels=step))
        single.inputs, single.outputs = np.array([part, *fixed], np.int32), np.array(answers[-1:], np.int32)
        single.opcodeIndex = flatbuffer.opcode(model, _number("CONV_2D"), 3 if _is_quantised(weights) else 1)
        made.append(single)
    return [*made, _joined(model, answers, 3, int(op.outputs[0]), eight)]


def _copies(model: Any, op: Any) -> list[Any] | None:
    """Return what joins the copies that TILE makes, one axis after the other."""
    given, times = _tensor(model, op.inputs[0]), _tensor(model, op.inputs[1])
    if not _is_plain(given) or not _holds_values(model, times):
        return None
    counts = [int(count) for count in _values(model, times).reshape(-1)]
    axes = [axis for axis, count in enumerate(counts) if count > 1]
    if not axes:
        return None
    made, current = [], int(op.inputs[0])
    for axis in axes:
        end = int(op.outputs[0])
        if axis != axes[-1]:
            end = _like(model, _tensor(model, current), b"/copies_%d" % axis)
            shape = np.array(given.shape if current == int(op.inputs[0]) else _tensor(model, current).shape, np.int32)
            shape[axis] *= counts[axis]
            _tensor(model, end).shape = shape
        made.append(_joined(model, [current] * counts[axis], axis, end, 1 + _is_quantised(given)))
        current = end
    return made


def _as_convolution(model: Any, op: Any) -> list[Any] | None:
    """Return a 1x1 convolution over the rows of a fully connected layer; None when it has one row."""
    generated = flatbuffer.schema()
    source, weights, result = (_tensor(model, index) for index in (op.inputs[0], op.inputs[1], op.outputs[0]))
    rows, features = math.prod(int(size) for size in result.shape[:-1]), int(weights.shape[1])
    shaped = not op.builtinOptions.keepNumDims
    known = all(map(_is_plain, (source, weights, result))) and _holds_values(model, weights)
    if (rows == 1 and shaped) or not known or op.builtinOptions.weightsFormat:
        return None
    maps = len(source.shape) == 4 and len(result.shape) == 4
    made, given, end = [], int(op.inputs[0]), int(op.outputs[0])
    kernel = _constant(model, weights, b"/1x1", _values(model, weights)[:, None, None, :])
    if not maps:
        flat = _like(model, source, b"/rows")
        _tensor(model, flat).shape = np.array([1, 1, rows, features], np.int32)
        made.append(_reshape(model, given, flat))
        given, end = flat, _like(model, result, b"/rows")
        _tensor(model, end).shape = np.array([1, 1, rows, int(weights.shape[0])], np.int32)
    inputs = (given, kernel, *(int(index) for index in op.inputs[2:] if index >= 0))
    single = flatbuffer.operator(model, "CONV_2D", 3 if _is_quantised(weights) else 1, inputs, end)
    single.builtinOptionsType = generated.BuiltinOptions.Conv2DOptions
    single.builtinOptions = generated.Conv2DOptionsT()
    options = single.builtinOptions
    options.strideW = options.strideH = options.dilationWFactor = options.dilationHFactor = 1
    options.padding = generated.Padding.VALID
    options.fusedActivationFunction = op.builtinOptions.fusedActivationFunction
    made.append(single)
    return made if maps else [*made, _reshape(model, end, int(op.outputs[0]))]


_TOO_NEW: dict[str, Rewrite] = {"TRANSPOSE_CONV": _unfused, "CONV_2D": _ungrouped, "TILE": _copies}
"""What is done about an operator whose version a target does not read."""


def _reshape(model: Any, given: int, end: int) -> Any:
    result = _tensor(model, end)
    shape = _numbers(model, result.name, b"/shape", np.array(result.shape, np.int32))
    made = flatbuffer.operator(model, "RESHAPE", 1, (given, shape), end)
    made.builtinOptions.newShape = np.array(result.shape, np.int32)
    return made


def _joined(model: Any, parts: Sequence[int], axis: int, end: int, version: int) -> Any:
    made = flatbuffer.operator(model, "CONCATENATION", version, parts, end)
    made.builtinOptions.axis = axis
    return made


def _number(kind: str) -> int:
    return int(getattr(flatbuffer.schema().BuiltinOperator, kind))


def _tensor(model: Any, index: int) -> Any:
    return model.subgraphs[0].tensors[int(index)]


def _is_plain(tensor: Any) -> bool:
    kinds = flatbuffer.schema().TensorType
    return tensor.type == kinds.FLOAT32 or (tensor.type in (kinds.INT8, kinds.UINT8) and _is_quantised(tensor))


def _is_quantised(tensor: Any) -> bool:
    return tensor.quantization is not None and tensor.quantization.scale is not None


def _holds_values(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _values(model: Any, tensor: Any) -> Any:
    kinds = flatbuffer.schema().TensorType
    types = {kinds.FLOAT32: np.float32, kinds.INT8: np.int8, kinds.UINT8: np.uint8, kinds.INT32: np.int32}
    data = np.asarray(model.buffers[tensor.buffer].data, np.uint8).tobytes()
    return np.frombuffer(data, types[tensor.type]).reshape([int(size) for size in tensor.shape])


def _like(model: Any, tensor: Any, suffix: bytes, *, channels: int | None = None) -> int:
    """Add a computed tensor like another one, of so many channels; returns its index."""
    fresh = copy.copy(tensor)
    fresh.name, fresh.buffer, fresh.shapeSignature = bytes(tensor.name) + suffix, 0, None
    fresh.shape = np.array(tensor.shape, np.int32)
    if channels is not None:
        fresh.shape[_CHANNELS] = channels
    model.subgraphs[0].tensors.append(fresh)
    return len(model.subgraphs[0].tensors) - 1


def _constant(model: Any, tensor: Any, suffix: bytes, values: Any) -> int:
    """Add a constant with a tensor's quantisation and other values; returns its index."""
    index = _like(model, tensor, suffix)
    fresh = _tensor(model, index)
    fresh.shape, fresh.buffer = np.array(values.shape, np.int32), flatbuffer.add_buffer(model, values)
    fresh.quantization = copy.copy(tensor.quantization)
    return index


def _numbers(model: Any, name: Any, suffix: bytes, values: Any) -> int:
    fresh = flatbuffer.schema().TensorT()
    fresh.name, fresh.type = bytes(name) + suffix, flatbuffer.schema().TensorType.INT32
    fresh.shape, fresh.buffer = np.array(values.shape, np.int32), flatbuffer.add_buffer(model, values)
    model.subgraphs[0].tensors.append(fresh)
    return len(model.subgraphs[0].tensors) - 1


def _rows(model: Any, index: int, rows: slice, suffix: bytes) -> int:
    """Add some output channels of weights or a bias, with their scales; returns the index."""
    tensor = _tensor(model, index)
    made = _constant(model, tensor, suffix, np.ascontiguousarray(_values(model, tensor)[rows]))
    record = _tensor(model, made).quantization
    if record is not None and record.scale is not None and len(record.scale) > 1:
        record.scale = np.asarray(record.scale)[rows]
        record.zeroPoint = None if record.zeroPoint is None else np.asarray(record.zeroPoint)[rows]
    return made
