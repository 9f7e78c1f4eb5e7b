"""Operators that tf2onnx does not know, taught to it: GELU and clipped activations, and HardSwish.

GELU and the others become operators of opset 17; ONNX has Gelu from opset 20 on only. HardSwish is written by tf2onnx,
which moves no transposition between NHWC and NCHW through it, so that each one stood between two of them.
Source: Hendrycks, Gimpel 2016, "Gaussian Error Linear Units", section 2, for GELU and its approximation by tanh.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from edgecv.core.optional import require

_ELEMENTWISE = ("HardSigmoid", "HardSwish")
_CLIPPED = {"TFL_RELU_0_TO_1": (0.0, 1.0), "TFL_RELU_N1_TO_1": (-1.0, 1.0)}


@functools.cache
def teach() -> None:
    """Register the operators with tf2onnx; once is enough."""
    register = require("tf2onnx.handler", why="to convert to ONNX").tfl_op

    optimizer = require("tf2onnx.optimizer.transpose_optimizer", why="to convert to ONNX").TransposeOptimizer
    initialize = optimizer._initialize_handlers

    def with_elementwise(self: Any) -> None:
        initialize(self)
        for kind in _ELEMENTWISE:
            self._handler_map.setdefault(kind, self._simple_through_handler)

    optimizer._initialize_handlers = with_elementwise
    _teach_fused_clips()

    @register(["TFL_GELU"])
    class Gelu:
        @classmethod
        def version_9(cls, graph: Any, node: Any, **_: Any) -> None:
            _replace(graph, node, _by_tanh if node.get_attr_value("approximate", 0) else _by_erf)

    @register(list(_CLIPPED))
    class Clipped:
        @classmethod
        def version_11(cls, graph: Any, node: Any, **_: Any) -> None:
            low, high = _CLIPPED[node.type]
            _replace(graph, node, lambda build: build("Clip", build.value, build.constant(low), build.constant(high)))


def _teach_fused_clips() -> None:
    """Let tf2onnx take RELU_N1_TO_1 and RELU_0_TO_1 out of the operators that they are fused into, as it does RELU."""
    names = ("tfl_math", "tfl_nn", "tfl_tensor", "tfl_controlflow", "tfl_direct", "tfl_postprocess")
    modules = [require(f"tf2onnx.tflite_handlers.{name}", why="to convert to ONNX") for name in names]
    known = modules[0].separate_fused_activation_function

    def separate(graph: Any, node: Any) -> None:
        fused = "TFL_" + node.attr["fused_activation_function"].s.decode()
        if fused not in _CLIPPED:
            known(graph, node)
            return
        del node.attr["fused_activation_function"]
        make_name = require("tf2onnx.utils", why="to convert to ONNX").make_name
        bounds = [graph.make_const(make_name(node.name), np.float32(value)).output[0] for value in _CLIPPED[fused]]
        output = node.output[0]
        shape, dtype = graph.get_shape(output), graph.get_dtype(output)
        clip = graph.make_node("Clip", [output, *bounds], name=make_name(node.name), shapes=[shape], dtypes=[dtype])
        graph.insert_node_on_output(clip, output)

    for module in modules:
        if hasattr(module, "separate_fused_activation_function"):
            module.separate_fused_activation_function = separate


def nearest_by_present_rules(proto: Any) -> None:
    """Rewrite, in place, how tf2onnx resizes to the nearest pixel: its mode is deprecated from opset 13 on.

    Pixel x of the larger map takes floor((x + 1/2) / scale), which is what rounding half up of the pixels' centres,
    (x + 1/2) / scale - 1/2, gives.
    """
    helper = require("onnx", why="to convert to ONNX").helper
    present = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    for node in proto.graph.node:
        if any(one.name in present and one.s == b"tf_half_pixel_for_nn" for one in node.attribute):
            kept = [one for one in node.attribute if one.name not in present]
            del node.attribute[:]
            node.attribute.extend([*kept, *(helper.make_attribute(*pair) for pair in present.items())])


def with_whole_sizes(proto: Any) -> None:
    """Give, in place, resizing by a fraction its sizes: by a scale, 7 / 12 in float32 makes 6 of 12.

    Source: ONNX operators, Resize: output_dimension = floor(input_dimension * scale).
    """
    onnx = require("onnx", why="to convert to ONNX")
    constants = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    scaled = [node for node in proto.graph.node if node.op_type == "Resize" and node.input[2] in constants]
    for node in [node for node in scaled if (constants[node.input[2]] % 1).any()]:
        # Anew for each: what comes behind the one before was inferred of a wrong size.
        del proto.graph.value_info[:]
        shapes = _shapes(onnx.shape_inference.infer_shapes(proto).graph)
        wanted = np.round(np.array(shapes[node.input[0]]) * constants[node.input[2]]).astype(np.int64)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(wanted, f"{node.name}_sizes"))
        roi = node.input[1]
        del node.input[1:]
        node.input.extend([roi, "", f"{node.name}_sizes"])


def _shapes(graph: Any) -> dict[str, list[int]]:
    values = [*graph.value_info, *graph.input, *graph.output]
    return {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}


def without_negative_pads(proto: Any) -> None:
    """Rewrite, in place, transposed convolutions whose output is larger than their steps make it.

    tf2onnx gives them negative pads, which the checker refuses. What lacks is at the end, as in TensorFlow, and ONNX
    calls it output_padding.
    Source: ONNX operators, ConvTranspose: size = stride (n - 1) + output_padding + (k - 1) dilation + 1 - pads.
    """
    helper = require("onnx", why="to convert to ONNX").helper
    for node in proto.graph.node:
        given = {one.name: one for one in node.attribute}
        if node.op_type != "ConvTranspose" or "pads" not in given or min(given["pads"].ints) >= 0:
            continue
        pads, axes = list(given["pads"].ints), len(given["pads"].ints) // 2
        more = [max(0, -(pads[axis] + pads[axis + axes])) for axis in range(axes)]
        for axis in range(axes):
            if more[axis]:
                pads[axis] = pads[axis + axes] = 0
        known = list(given["output_padding"].ints) if "output_padding" in given else [0] * axes
        padding = [own + further for own, further in zip(known, more, strict=True)]
        kept = [one for one in node.attribute if one.name not in ("pads", "output_padding")]
        del node.attribute[:]
        named = {"pads": pads, "output_padding": padding}
        node.attribute.extend([*kept, *(helper.make_attribute(*pair) for pair in named.items())])


class _Builder:
    """Adds nodes to a graph of tf2onnx; called with an operator and its inputs, it returns the output's name."""

    def __init__(self, graph: Any, node: Any) -> None:
        self._graph, self._node = graph, node
        self.value: str = node.input[0]
        self._dtype, self._shape = graph.get_dtype(node.output[0]), graph.get_shape(node.output[0])

    def constant(self, value: float) -> str:
        name = require("tf2onnx.utils", why="to convert to ONNX").make_name(self._node.name)
        return str(self._graph.make_const(name, np.float32(value)).output[0])

    def __call__(self, operator: str, *inputs: str) -> str:
        # Every part carries the operator's name, which leads to its source layer.
        name = require("tf2onnx.utils", why="to convert to ONNX").make_name(self._node.name)
        made = self._graph.make_node(operator, list(inputs), name=name, dtypes=[self._dtype], shapes=[self._shape])
        return str(made.output[0])


def _replace(graph: Any, node: Any, compute: Any) -> None:
    result = compute(_Builder(graph, node))
    graph.replace_all_inputs(node.output[0], result)
    graph.remove_node(node.name)


def _by_erf(build: _Builder) -> str:
    """Compute x / 2 * (1 + erf(x / sqrt(2)))."""
    inner = build("Erf", build("Mul", build.value, build.constant(1 / math.sqrt(2))))
    return _gated(build, inner)


def _by_tanh(build: _Builder) -> str:
    """Compute x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))."""
    cube = build("Mul", build.value, build("Mul", build.value, build.value))
    total = build("Add", build.value, build("Mul", cube, build.constant(0.044715)))
    return _gated(build, build("Tanh", build("Mul", total, build.constant(math.sqrt(2 / math.pi)))))


def _gated(build: _Builder, inner: str) -> str:
    half = build("Mul", build.value, build.constant(0.5))
    return build("Mul", half, build("Add", inner, build.constant(1.0)))
