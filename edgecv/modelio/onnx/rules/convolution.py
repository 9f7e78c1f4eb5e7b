"""Convolutions and pools: windows over maps, with ONNX's padding.

Source: Conv, ConvTranspose, MaxPool and AveragePool in ONNX's Operators.md; tensorflow's "same" in its documentation of
tf.nn.convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.modelio import env
from edgecv.modelio.onnx.building import Building, Value
from edgecv.modelio.onnx.layout import CHANNELS_LAST
from edgecv.modelio.onnx.net import Array, Node, Refused

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Axis:
    """A window along one axis.

    Attributes:
        size: Of the map.
        kernel: Of the window.
        stride: Between windows.
        dilation: Between the values of a window.
        before: Values that are padded in front.
        declared: That are padded behind, as the node says.
        out: How many windows there are.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    declared: int
    out: int

    @property
    def reach(self) -> int:
        """How many values a window spans."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def behind(self) -> int:
        """Values that have to be padded behind, so that the last window is full; never less than none."""
        return max(0, (self.out - 1) * self.stride + self.reach - self.size - self.before)

    @property
    def is_same(self) -> bool:
        """Whether tensorflow's "same" does it."""
        out = -(-self.size // self.stride)
        total = max(0, (out - 1) * self.stride + self.reach - self.size)
        return self.out == out and self.before == total // 2 and self.behind == total - total // 2

    @property
    def is_valid(self) -> bool:
        """Whether nothing is padded."""
        return self.before == 0 and self.behind == 0 and self.out == (self.size - self.reach) // self.stride + 1


def windows(b: Building, node: Node, kernel: Sequence[int]) -> tuple[Axis, ...]:
    """Return the windows of a node along height and width."""
    sizes, rank = b.shape(node.inputs[0])[2:], len(kernel)
    out = b.shape(node.outputs[0])[2:]
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    pads, auto = node.get("pads", [0] * 2 * rank), node.get("auto_pad", "NOTSET")
    found = []
    for place in range(rank):
        reach = (kernel[place] - 1) * dilations[place] + 1
        before, behind = pads[place], pads[place + rank]
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max(0, (out[place] - 1) * strides[place] + reach - sizes[place])
            before = total // 2 if auto == "SAME_UPPER" else total - total // 2
            behind = total - before
        elif auto == "VALID":
            before = behind = 0
        if before < 0 or behind < 0:
            raise Refused("it pads by less than nothing")
        found.append(Axis(sizes[place], kernel[place], strides[place], dilations[place], before, behind, out[place]))
    return tuple(found)


def padded(b: Building, node: Node, x: Any, axes: Sequence[Axis]) -> tuple[Any, str]:
    """Return a map with zeros around it where keras' "same" does not put them, and the padding of the layer."""
    if all(axis.is_valid for axis in axes):
        return x, "valid"
    if all(axis.is_same for axis in axes):
        return x, "same"
    return zeros(b, node, x, tuple((axis.before, axis.behind) for axis in axes)), "valid"


def zeros(b: Building, node: Node, x: Any, pads: Pads) -> Any:
    """Return a map with zeros around it."""
    layers = env.keras().layers
    if len(pads) == 1:
        return b.layer(node, layers.ZeroPadding1D, x, pads[0], suffix="pad")
    return b.layer(node, layers.ZeroPadding2D, x, pads, suffix="pad")


def conv(b: Building, node: Node) -> Value:
    """Return a convolution: plain, grouped or depthwise."""
    kernel = b.fixed(node, 1, "kernel")
    if kernel.ndim not in (3, 4):
        raise Refused(f"it convolves over {kernel.ndim - 2} axes; 1 and 2 are known")
    axes = windows(b, node, kernel.shape[2:])
    bias = b.constant(node, 2)
    if bias is None and b.net.has(node, 2):
        raise Refused("its bias is computed in the graph")
    strides = tuple(axis.stride for axis in axes)
    # Keras refuses strides beside dilation: every window is computed, and every n-th taken.
    thinned = max(strides) > 1 and max(axis.dilation for axis in axes) > 1
    depthwise = _is_depthwise(b, node, kernel)
    if thinned or (depthwise and len(set(strides)) > 1):
        dense = tuple(_unstrided(axis) for axis in axes)
        x, padding = padded(b, node, b.maps(node.inputs[0]), dense)
        x = _convolved(b, node, x, kernel, bias, dense, padding, depthwise)
        pool = env.keras().layers.MaxPooling2D
        if kernel.ndim == 3:
            raise Refused("it has strides beside a dilation over one axis")
        return Value(b.layer(node, pool, x, 1, strides=strides, suffix="every"), CHANNELS_LAST)
    x, padding = padded(b, node, b.maps(node.inputs[0]), axes)
    x = _convolved(b, node, x, kernel, bias, axes, padding, depthwise)
    return Value(x, CHANNELS_LAST if kernel.ndim == 4 else (0, 2, 1))


def _unstrided(axis: Axis) -> Axis:
    out = (axis.out - 1) * axis.stride + 1
    return Axis(axis.size, axis.kernel, 1, axis.dilation, axis.before, axis.declared, out)


def _is_depthwise(b: Building, node: Node, kernel: Array) -> bool:
    channels = b.shape(node.inputs[0])[1]
    return bool(node.get("group", 1) == channels > 1 and kernel.shape[1] == 1 and kernel.ndim == 4)


def _convolved(
    b: Building,
    node: Node,
    x: Any,
    kernel: Array,
    bias: Array | None,
    axes: Sequence[Axis],
    padding: str,
    depthwise: bool,
) -> Any:
    layers, held = env.keras().layers, [] if bias is None else [bias]
    settings: dict[str, Any] = {
        "strides": tuple(axis.stride for axis in axes),
        "padding": padding,
        "dilation_rate": tuple(axis.dilation for axis in axes),
        "use_bias": bias is not None,
    }
    size = kernel.shape[2:]
    if depthwise:
        channels = b.shape(node.inputs[0])[1]
        weights = kernel.reshape(channels, -1, *size).transpose(2, 3, 0, 1)
        settings |= {"depth_multiplier": weights.shape[3]}
        return b.layer(node, layers.DepthwiseConv2D, x, size, weights=[weights, *held], **settings)
    make = layers.Conv2D if len(size) == 2 else layers.Conv1D
    weights = kernel.transpose(*range(2, kernel.ndim), 1, 0)
    groups = int(node.get("group", 1))
    return b.layer(node, make, x, len(kernel), size, groups=groups, weights=[weights, *held], **settings)


def conv_transpose(b: Building, node: Node) -> Value:
    """Return a transposed convolution, cropped as its padding says."""
    kernel, bias = b.fixed(node, 1, "kernel"), b.constant(node, 2)
    if kernel.ndim != 4:
        raise Refused(f"it convolves over {kernel.ndim - 2} axes; 2 are known")
    strides = node.get("strides", [1, 1])
    given, out = b.shape(node.inputs[0])[2:], b.shape(node.outputs[0])[2:]
    kernel = _dilated(kernel, node.get("dilations", [1, 1]))
    before = _cropped_before(node, given, out, kernel.shape[2:], strides)
    kernel = _reaching(kernel, [c + o - (n - 1) * s for c, o, n, s in zip(before, out, given, strides, strict=True)])
    size = kernel.shape[2:]
    # Keras' "valid" gives in * stride + max(kernel - stride, 0).
    full = [n * s + max(k - s, 0) for n, s, k in zip(given, strides, size, strict=True)]
    crops = [(c, f - c - o) for c, f, o in zip(before, full, out, strict=True)]
    same = [
        o == n * s and c == (k - s) // 2 and k >= s
        for o, n, s, k, c in zip(out, given, strides, size, before, strict=True)
    ]
    layers = env.keras().layers
    x = b.layer(
        node,
        layers.Conv2DTranspose,
        b.maps(node.inputs[0]),
        b.shape(node.outputs[0])[1],
        size,
        strides=tuple(strides),
        padding="same" if all(same) else "valid",
        use_bias=bias is not None,
        weights=[_ungrouped(kernel, int(node.get("group", 1))), *([] if bias is None else [bias])],
    )
    if not all(same) and any(c != (0, 0) for c in crops):
        x = b.layer(node, layers.Cropping2D, x, tuple(crops), suffix="crop")
    return Value(x, CHANNELS_LAST)


def _dilated(kernel: Array, dilations: Sequence[int]) -> Array:
    """Return a kernel with zeros between its weights, which says the same undilated: TFLite has no other form."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel.shape[2:], dilations, strict=True)]
    full = np.zeros((*kernel.shape[:2], *reach), kernel.dtype)
    full[:, :, :: dilations[0], :: dilations[1]] = kernel
    return full


def _reaching(kernel: Array, needed: Sequence[int]) -> Array:
    """Return a kernel with zeros behind it, so that its last window reaches as far as the output padding does."""
    more = [max(0, wanted - k) for wanted, k in zip(needed, kernel.shape[2:], strict=True)]
    return np.pad(kernel, [(0, 0), (0, 0), *((0, one) for one in more)])


def _cropped_before(
    node: Node, given: Sequence[int], out: Sequence[int], size: Sequence[int], strides: Sequence[int]
) -> list[int]:
    auto, extra = node.get("auto_pad", "NOTSET"), node.get("output_padding", [0, 0])
    if auto in ("SAME_UPPER", "SAME_LOWER") or "output_shape" in node.attributes:
        total = [
            max(0, s * (n - 1) + e + k - o) for s, n, e, k, o in zip(strides, given, extra, size, out, strict=True)
        ]
        return [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in total]
    return [0, 0] if auto == "VALID" else list(node.get("pads", [0, 0, 0, 0])[:2])


def _ungrouped(kernel: Array, groups: int) -> Array:
    """From (channels, filters / groups, h, w) to keras' (h, w, filters, channels); between groups lie zeros."""
    if groups == 1:
        return kernel.transpose(2, 3, 1, 0)
    channels, filters = kernel.shape[0], kernel.shape[1]
    full = np.zeros((*kernel.shape[2:], filters * groups, channels), np.float32)
    each = channels // groups
    for group in range(groups):
        part = kernel[group * each : (group + 1) * each].transpose(2, 3, 1, 0)
        full[:, :, group * filters : (group + 1) * filters, group * each : (group + 1) * each] = part
    return full


def max_pool(b: Building, node: Node) -> Value:
    """Return a maximum pool. What is padded never wins: zeros where nothing is negative, else values of the window."""
    if len(node.outputs) > 1 and any(name in b.consumers for name in node.outputs[1:]):
        raise Refused("its indices are used")
    axes = _pool_axes(b, node)
    if max(axis.dilation for axis in axes) > 1:
        raise Refused("it is dilated")
    layers, x = env.keras().layers, b.maps(node.inputs[0])
    size, strides = tuple(a.kernel for a in axes), tuple(a.stride for a in axes)
    if all(axis.is_valid for axis in axes) or all(axis.is_same for axis in axes):
        padding = "valid" if all(axis.is_valid for axis in axes) else "same"
        return Value(b.layer(node, layers.MaxPooling2D, x, size, strides=strides, padding=padding), CHANNELS_LAST)
    pads = tuple((axis.before, axis.behind) for axis in axes)
    if node.inputs[0] in b.nonnegative:
        x = zeros(b, node, x, pads)
    elif all(axis.before == (axis.kernel - 1) // 2 and axis.out == -(-axis.size // axis.stride) for axis in axes):
        x = b.layer(node, layers.MaxPooling2D, x, size, strides=1, padding="same", suffix="windows")
        return Value(b.layer(node, layers.MaxPooling2D, x, 1, strides=strides), CHANNELS_LAST)
    elif all(2 * max(pair) <= axis.kernel for pair, axis in zip(pads, axes, strict=True)):
        # A mirrored value lies in the same window as the one that it mirrors.
        x = b.function(node, "pad", [x], pad_width=[[0, 0], *map(list, pads), [0, 0]], mode="symmetric", name="pad")
    else:
        raise Refused("it pads by more than half its window")
    return Value(b.layer(node, layers.MaxPooling2D, x, size, strides=strides), CHANNELS_LAST)


def _pool_axes(b: Building, node: Node) -> tuple[Axis, ...]:
    kernel = node.get("kernel_shape", [])
    if len(kernel) != 2 or len(b.shape(node.inputs[0])) != 4:
        raise Refused(f"it pools over {len(kernel)} axes; 2 are known")
    return windows(b, node, kernel)


def average_pool(b: Building, node: Node) -> Value:
    """Return an average pool; where borders count fewer values than a window has, they are scaled."""
    axes, layers = _pool_axes(b, node), env.keras().layers
    x = b.maps(node.inputs[0])
    whole = all(axis.out == 1 and axis.is_valid and axis.kernel == axis.size for axis in axes)
    if whole:
        return Value(b.layer(node, layers.GlobalAveragePooling2D, x, keepdims=True), CHANNELS_LAST)
    size, strides = tuple(a.kernel for a in axes), tuple(a.stride for a in axes)
    if max(axis.dilation for axis in axes) > 1:
        raise Refused("it is dilated")
    counted = [_counted(axis, bool(node.get("count_include_pad", 0))) for axis in axes]
    inside = [_counted(axis, False) for axis in axes]
    same = all(axis.is_same for axis in axes)
    if same and all((one == two).all() for one, two in zip(counted, inside, strict=True)):
        return Value(b.layer(node, layers.AveragePooling2D, x, size, strides=strides, padding="same"), CHANNELS_LAST)
    if not all(axis.is_valid for axis in axes):
        x = zeros(b, node, x, tuple((axis.before, axis.behind) for axis in axes))
    x = b.layer(node, layers.AveragePooling2D, x, size, strides=strides)
    scale = math.prod(size) / np.multiply.outer(counted[0], counted[1])
    if (scale != 1).any():
        x = b.function(node, "multiply", [x], scale.astype(np.float32)[None, :, :, None], name="borders")
    return Value(x, CHANNELS_LAST)


def _counted(axis: Axis, pads: bool) -> Array:
    """Return how many values each window divides by."""
    starts = np.arange(axis.out) * axis.stride - axis.before
    low, high = (-axis.before, axis.size + axis.declared) if pads else (0, axis.size)
    return np.minimum(starts + axis.kernel, high) - np.maximum(starts, low)


def global_pool(b: Building, node: Node) -> Value:
    """Return an average or a maximum over height and width."""
    layers = env.keras().layers
    if len(b.shape(node.inputs[0])) != 4:
        raise Refused(f"it pools over {len(b.shape(node.inputs[0])) - 2} axes; 2 are known")
    make = layers.GlobalAveragePooling2D if node.op == "GlobalAveragePool" else layers.GlobalMaxPooling2D
    return Value(b.layer(node, make, b.maps(node.inputs[0]), keepdims=True), CHANNELS_LAST)


RULES = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "MaxPool": max_pool,
    "AveragePool": average_pool,
    "GlobalAveragePool": global_pool,
    "GlobalMaxPool": global_pool,
}
