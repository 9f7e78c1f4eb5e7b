"""int8 operators that XNNPACK leaves to the interpreter's own kernels, in forms that it takes.

RELU and RELU6 as QUANTIZE. Such an operator stands alone where something else reads its input too, as in pre-activated
residual blocks. Its result's zero point is -128, so that the integers end where the function does: bringing the input
to the result's scale, which is all that QUANTIZE does, is the same function. XNNPACK takes it when the input's scale is
at least 2^-8 and at most 2^7 times the result's.

AVERAGE_POOL_2D as DEPTHWISE_CONV_2D with equal weights, where no window reaches over the map's edge.

Sources: TensorFlow Lite, kernels/activations.cc, QuantizedReluX; kernels/quantize.cc; delegates/xnnpack,
VisitQuantizeNode and VisitAveragePool2DNode.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.graphs.pool_windows import CONVOLUTION, POOL, WINDOW

ENDS = {"RELU": None, "RELU6": 6.0}
"""By the operator: where it cuts large values off."""
_LOWEST, _HIGHEST = -128, 127
_QUANTIZE, _DEPTHWISE = 2, 3
"""Versions: the first with int8."""
_SMALLEST, _LARGEST = 2.0**-8, 2.0**7
_WEIGHT = 64
"""Of a pool's convolution, a power of two: the ratio of the scales is exact where the window's size is one too."""


def in_forms_of_xnnpack(data: bytes) -> bytes:
    """Return an int8 .tflite with these operators in XNNPACK's forms, where they equal them; others as they are."""
    model, generated = flatbuffer.unpack(data), flatbuffer.schema()
    graph = model.subgraphs[0]
    kinds = {getattr(generated.BuiltinOperator, name): name for name in (*ENDS, POOL)}
    found: dict[int, Any] = {}
    for place, op in enumerate(graph.operators):
        kind = kinds.get(flatbuffer.builtin(model.operatorCodes[op.opcodeIndex]))
        if kind is None or not _is_int8(graph, op):
            continue
        if kind in ENDS and _equals_requantising(graph, op, ENDS[kind]):
            found[place] = flatbuffer.operator(model, "QUANTIZE", _QUANTIZE, op.inputs, int(op.outputs[0]))
        elif kind == POOL and _stays_inside(graph, op):
            found[place] = _convolution(model, op)
    if not found:
        return data
    graph.operators = [found.get(place, op) for place, op in enumerate(graph.operators)]
    return flatbuffer.pack(model)


def _is_int8(graph: Any, op: Any) -> bool:
    ends = graph.tensors[int(op.inputs[0])], graph.tensors[int(op.outputs[0])]
    return {end.type for end in ends} == {flatbuffer.schema().TensorType.INT8}


def _equals_requantising(graph: Any, op: Any, end: float | None) -> bool:
    """Say whether the result's integers, from -128 to 127, stand for no value outside the function's."""
    given, made = graph.tensors[int(op.inputs[0])], graph.tensors[int(op.outputs[0])]
    step = float(made.quantization.scale[0])
    if int(made.quantization.zeroPoint[0]) != _LOWEST or (end is not None and round(end / step) < _HIGHEST - _LOWEST):
        return False
    return _SMALLEST <= float(given.quantization.scale[0]) / step <= _LARGEST


def _stays_inside(graph: Any, op: Any) -> bool:
    """Say whether all windows of a pool have the same number of values, and each a result of its own."""
    options, generated = op.builtinOptions, flatbuffer.schema()
    if options.fusedActivationFunction != generated.ActivationFunctionType.NONE:
        return False
    if options.padding == generated.Padding.VALID:
        return True
    _, *size, _ = (int(side) for side in graph.tensors[int(op.inputs[0])].shape)
    window, step = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
    return window == step and all(side % one == 0 for side, one in zip(size, window, strict=True))


def _convolution(model: Any, op: Any) -> Any:
    """Return the convolution of a pool's window, and add its weights and its bias of zeros to the file."""
    generated, graph, pool = flatbuffer.schema(), model.subgraphs[0], op.builtinOptions
    source, result = int(op.inputs[0]), int(op.outputs[0])
    given, name = graph.tensors[source], graph.tensors[result].name
    channels, window = int(given.shape[3]), (pool.filterHeight, pool.filterWidth)
    step = 1.0 / (_WEIGHT * window[0] * window[1])
    weights = np.full((1, *window, channels), _WEIGHT, np.int8)
    bias, bias_step = np.zeros(channels, np.int32), step * float(given.quantization.scale[0])
    inputs = (
        source,
        _constant(model, name, WINDOW.encode(), weights, generated.TensorType.INT8, step),
        _constant(model, name, b"/bias", bias, generated.TensorType.INT32, bias_step),
    )
    made = flatbuffer.operator(model, CONVOLUTION, _DEPTHWISE, inputs, result)
    options = generated.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = pool.padding, 1
    options.strideH, options.strideW = pool.strideH, pool.strideW
    options.dilationHFactor = options.dilationWFactor = 1
    made.builtinOptionsType, made.builtinOptions = generated.BuiltinOptions.DepthwiseConv2DOptions, options
    return made


def _constant(model: Any, name: Any, suffix: bytes, values: Any, kind: int, step: float) -> int:
    """Add a constant with one scale; returns its index."""
    generated, graph = flatbuffer.schema(), model.subgraphs[0]
    tensor = generated.TensorT()
    tensor.name = (name.encode() if isinstance(name, str) else bytes(name)) + suffix
    tensor.shape, tensor.type = np.array(values.shape, np.int32), kind
    tensor.buffer = flatbuffer.add_buffer(model, values)
    tensor.quantization = generated.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([step], np.float32), np.zeros(1, np.int64)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
