"""The operators of a float32 file as XNNPACK sees them, and what each can be in a part with sparse kernels.

Source: XNNPACK, src/subgraph.c, xnn_check_nchw_compatibility; the fusion of constant pads into convolutions in
xnn_subgraph_fusion of the same file; src/subgraph/convolution-2d.c for SAME padding, which is made explicit at stride 1
only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs import Graph, Op, constant

UNARY = frozenset({
    "ABS", "CEIL", "ELU", "FLOOR", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "NEG", "RELU", "RELU6", "RELU_N1_TO_1",
    "ROUND", "SQUARE",
})  # fmt: skip
BINARY = frozenset({"ADD", "MUL"})
BEGINNING = "a part begins with a 3x3 convolution of stride 2 over 3 channels"
WITH_KERNEL = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """What an operator can be.

    Attributes:
        begins: The convolution that turns maps of pixels into maps of channels.
        inside: It computes on maps of channels.
        ends: It turns them back.
        reason: Why none of these.
    """

    begins: bool = False
    inside: bool = False
    ends: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator, with a pad before it that XNNPACK makes part of it.

    Attributes:
        op: Index in the file.
        words: Name for a person: "CONV_2D #3".
        inputs: Tensors that are computed; constants are left out.
        kernel: Tensor of its weights; -1 without.
        pointwise: It is a convolution of 1x1.
    """

    op: int
    words: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    kernel: int
    pointwise: bool
    role: Role


def nodes(graph: Graph, layers: Sequence[str] = ()) -> list[Node]:
    """Return the nodes of a file, in its order; DENSIFY operators are read through.

    `layers`: source layer of each operator, for their names; empty where none is known.

    Raises:
        UnsupportedModelError: The file is not a float32 .tflite.
    """
    if graph.format != "tflite":
        raise UnsupportedModelError(f"{graph.where}: sparse kernels are for .tflite files")
    dense = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.op == "DENSIFY"}
    pads = _pads(graph)
    fused = {op.inputs[0] for op in graph.ops if _fuses(op, pads)}
    return [
        _node(graph, op, _words(op, layers), dense, pads)
        for op in graph.ops
        if op.op != "DENSIFY" and not (op.op == "PAD" and op.outputs[0] in fused)
    ]


Pads = dict[int, tuple[int, tuple[int, ...]]]


def _words(op: Op, layers: Sequence[str]) -> str:
    layer = layers[op.index] if layers else ""
    return f"{op.op} '{layer}'" if layer else f"{op.op} #{op.index}"


def _node(graph: Graph, op: Op, words: str, dense: dict[int, int], pads: Pads) -> Node:
    inputs = tuple(i for i in op.inputs if i >= 0 and i not in dense and not graph.tensors[i].is_constant)
    kernel = -1
    padding: tuple[int, ...] = (0, 0, 0, 0)
    if op.op in WITH_KERNEL:
        kernel = dense.get(op.inputs[1], op.inputs[1])
        if _fuses(op, pads):
            source, padding = pads[op.inputs[0]]
            inputs = (source, *inputs[1:])
    role = _role(graph, op, words, kernel, padding)
    shape = graph.tensors[kernel].shape if kernel >= 0 else ()
    pointwise = op.op == "CONV_2D" and shape[1:3] == (1, 1) and graph.tensors[kernel].is_constant
    return Node(
        op=op.index, words=words, inputs=inputs, outputs=op.outputs, kernel=kernel, pointwise=pointwise, role=role
    )


def _pads(graph: Graph) -> Pads:
    """Return, for the result of each PAD of maps that one operator reads, its input and (top, bottom, left, right)."""
    readers = [index for op in graph.ops for index in op.inputs]
    found = {}
    for op in graph.ops:
        if op.op == "PAD" and graph.tensors[op.inputs[1]].is_constant and len(graph.tensors[op.inputs[0]].shape) == 4:
            widths = np.asarray(constant(graph, op.inputs[1]))
            if not widths[[0, 3]].any() and readers.count(op.outputs[0]) == 1 and op.outputs[0] not in graph.outputs:
                found[op.outputs[0]] = (op.inputs[0], tuple(int(width) for width in widths[1:3].reshape(-1)))
    return found


def _fuses(op: Op, pads: Pads) -> bool:
    return op.op in WITH_KERNEL and op.inputs[0] in pads and op.options.get("padding") == "VALID"


def _role(graph: Graph, op: Op, words: str, kernel: int, padding: tuple[int, ...]) -> Role:
    if any(graph.tensors[i].dtype != "float32" for i in (op.inputs[0], *op.outputs)):
        return Role(reason=f"{words} is not float32")
    rank = len(graph.tensors[op.inputs[0]].shape)
    if op.op in WITH_KERNEL:
        shape = graph.tensors[kernel].shape
        return _RULES[op.op](graph, op, words, shape, _padding(op, shape, padding))
    if op.op == "MEAN" and rank == 4 and _axes(graph, op) == (1, 2):
        return Role(inside=True, ends=True)
    if op.op == "DEPTH_TO_SPACE":
        return Role(ends=True)
    if (op.op in UNARY and rank == 4) or (op.op in BINARY and _broadcasts(graph, op)):
        return Role(inside=True)
    if op.op == "RESIZE_BILINEAR" and min(graph.tensors[op.inputs[0]].shape[1:3]) > 1:
        return Role(inside=True)
    return Role(reason=f"{words} has no kernel for maps of channels")


def _axes(graph: Graph, op: Op) -> tuple[int, ...]:
    axes = np.asarray(constant(graph, op.inputs[1])).reshape(-1) if graph.tensors[op.inputs[1]].is_constant else ()
    return tuple(sorted(int(axis) % 4 for axis in axes))


def _broadcasts(graph: Graph, op: Op) -> bool:
    """Say whether a sum or product has two maps, of which a constant one is a scalar or a vector."""
    tensors = [graph.tensors[index] for index in op.inputs]
    vectors = all(sum(size != 1 for size in t.shape) <= 1 for t in tensors if t.is_constant)
    return vectors and all(len(tensor.shape) == 4 for tensor in tensors)


def _padding(op: Op, kernel: tuple[int, ...], padded: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return (top, bottom, left, right); None for SAME with a stride, which XNNPACK keeps as such."""
    if op.options.get("padding") != "SAME":
        return padded
    if (op.options.get("stride_h"), op.options.get("stride_w")) != (1, 1):
        return None
    return tuple(part for size in kernel[1:3] for part in ((size - 1) // 2, size - 1 - (size - 1) // 2))


def _convolution(graph: Graph, op: Op, words: str, kernel: tuple[int, ...], padding: tuple[int, ...] | None) -> Role:
    strides = (op.options["stride_h"], op.options["stride_w"])
    channels = graph.tensors[op.inputs[0]].shape[-1]
    if kernel[3] != channels or _dilated(op):
        return Role(reason=f"{words} is dilated or has groups")
    if kernel[1:3] == (1, 1):
        plain = strides == (1, 1) and padding == (0, 0, 0, 0)
        return Role(inside=True) if plain else Role(reason=f"{words} has a stride or padding, and is 1x1")
    if kernel[1:3] != (3, 3) or strides != (2, 2) or channels != 3:
        what = f"{kernel[1]}x{kernel[2]} over {channels} channels with stride {strides[0]}"
        return Role(reason=f"{words} is {what}; {BEGINNING}")
    if padding != (1, 1, 1, 1):
        return Role(reason=_padded(words, padding, 1))
    return Role(begins=True)


def _depthwise(graph: Graph, op: Op, words: str, kernel: tuple[int, ...], padding: tuple[int, ...] | None) -> Role:
    strides = (op.options["stride_h"], op.options["stride_w"])
    if kernel[3] != graph.tensors[op.inputs[0]].shape[-1] or _dilated(op):
        return Role(reason=f"{words} is dilated or has a depth multiplier")
    if kernel[1:3] not in ((3, 3), (5, 5)) or strides not in ((1, 1), (2, 2)):
        return Role(reason=f"{words} is {kernel[1]}x{kernel[2]} with stride {strides[0]}, not 3x3 or 5x5 with 1 or 2")
    wanted = kernel[1] // 2
    return Role(inside=True) if padding == (wanted,) * 4 else Role(reason=_padded(words, padding, wanted))


def _dilated(op: Op) -> bool:
    return (op.options.get("dilation_h_factor", 1), op.options.get("dilation_w_factor", 1)) != (1, 1)


def _padded(words: str, padding: tuple[int, ...] | None, wanted: int) -> str:
    has = "padding 'same' at stride 2" if padding is None else f"padding {padding} (top, bottom, left, right)"
    return f"{words} has {has}; it must be {wanted} on each side: ZeroPadding2D({wanted}) and padding 'valid'"


_RULES: dict[str, Callable[[Graph, Op, str, tuple[int, ...], tuple[int, ...] | None], Role]] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
}
