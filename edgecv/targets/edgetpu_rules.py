"""The Edge TPU compiler's conditions on single operators, by the names that targets/edgetpu.toml uses.

Each takes the graph, the operator and the profile, and returns a Refusal, or None when the condition holds.

Sources: the compiler's table of supported operations (Coral, "TensorFlow models on the Edge TPU"; restated by Axis,
"Supported operations" for ARTPEC-7), and logs that people published of compiler versions 1.0 to 16.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgecv.errors import UnsupportedModelError
from edgecv.graphs import Graph, Op, Tensor, constant
from edgecv.profiles import TargetProfile
from edgecv.registry import Registry
from edgecv.results import Certainty
from edgecv.targets.table import limit

# The compiler's own words.
MAPPED = "Mapped to Edge TPU"
LIMITED = "Operation is otherwise supported, but not mapped due to some unspecified limitation"
SECOND_SUBGRAPH = "More than one subgraph is not supported"
UNSUPPORTED = "Operation not supported"
OLD_VERSION = "Operation version not supported"
WRONG_TYPE = "Operation is working on an unsupported data type"
WRONG_RANK = "Tensor has unsupported rank (up to 3 innermost dimensions mapped)"
NOT_CONSTANT = "Filter, bias, or other param is not constant at compile-time"
IMPRECISE_RESIZE = "Image-interpolation layer won't run precisely enough on Edge TPU"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an operator does not map."""

    status: str = LIMITED
    reason: str
    certainty: Certainty = "certain"


Condition = Callable[[Graph, Op, TargetProfile], "Refusal | None"]

CONDITIONS: Registry[Condition] = Registry("Edge TPU condition")


def condition(function: Condition) -> Condition:
    """Register a condition under its function's name."""
    return CONDITIONS.add(function.__name__, function)


@condition
def no_fused_activation(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """No activation is fused into the operator."""
    fused = op.options.get("fused_activation_function", "NONE")
    if fused == "NONE":
        return None
    return Refusal(reason=f"{op.op} must not have a fused activation; it has {fused}", certainty="likely")


@condition
def uniform_dilation(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Dilation is the same in x and y, unless the kernel has one row or one column."""
    x, y = op.options.get("dilation_w_factor", 1), op.options.get("dilation_h_factor", 1)
    kernel = graph.tensors[op.inputs[1]].shape
    if x == y or 1 in kernel[1:3]:
        return None
    return Refusal(reason=f"dilation must be the same in x and y; it is {x} and {y}", certainty="likely")


@condition
def constant_parameters(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Weights and bias, the second and third input, are in the file."""
    return _not_constant(graph, op.inputs[1:3])


@condition
def constant_filter(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """A transposed convolution's weights and bias, the second and fourth input, are in the file."""
    return _not_constant(graph, (op.inputs[1], *op.inputs[3:4]))


def _not_constant(graph: Graph, indices: tuple[int, ...]) -> Refusal | None:
    parameters = [graph.tensors[i] for i in indices if i >= 0]
    computed = [t.name for t in parameters if not t.is_constant]
    if not computed:
        return None
    return Refusal(status=NOT_CONSTANT, reason=f"'{computed[0]}' is computed at run time; it must be in the file")


@condition
def default_weights_format(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Fully connected weights are not shuffled."""
    found = op.options.get("weights_format", "DEFAULT")
    return None if found == "DEFAULT" else Refusal(reason=f"weights format must be DEFAULT; it is {found}")


@condition
def one_row(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """A fully connected layer has one row of outputs, and does not keep leading dimensions."""
    if op.options.get("keep_num_dims"):
        return Refusal(status=OLD_VERSION, reason="keep_num_dims is not supported: flatten the input first")
    output = graph.outputs_of(op)[0]
    rows = math.prod(output.shape[:-1])
    if rows == 1:
        return None
    reason = f"its output has {rows} rows; only one is supported, as for any fully connected layer with 2-D output"
    return Refusal(reason=reason)


@condition
def concatenated_constant(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """A constant is concatenated only to one other input, and is all zeros."""
    inputs = graph.inputs_of(op)
    constants = [t for t in inputs if t.is_constant]
    if not constants:
        return None
    if len(inputs) != 2:
        return Refusal(reason=f"a constant input is supported with one other input; it has {len(inputs)} inputs")
    return None if _is_zero(graph, constants[0]) else Refusal(reason="a constant input must be all zeros")


def _is_zero(graph: Graph, tensor: Tensor) -> bool:
    values = constant(graph, tensor.index)
    return bool(np.all(values == (tensor.zero_points[0] if tensor.zero_points else 0)))


@condition
def plain_strided_slice(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """No ellipsis and no new axis."""
    masks = [name for name in ("ellipsis_mask", "new_axis_mask") if op.options.get(name)]
    return Refusal(reason=f"{masks[0]} must be 0") if masks else None


@condition
def keeps_batch(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """The batch dimension is not reduced, padded, packed or split."""
    axes = _axes(graph, op)
    if axes is None:
        return Refusal(status=NOT_CONSTANT, reason="its axes are computed at run time; they must be in the file")
    if 0 not in axes:
        return None
    return Refusal(reason=f"{op.op} on the batch dimension is not supported", certainty="likely")


def _axes(graph: Graph, op: Op) -> set[int] | None:
    """Return the axes that an operator works along, counted from 0; None when they are not in the file."""
    if op.op == "PACK":
        return {int(op.options.get("axis", 0)) % (len(graph.outputs_of(op)[0].shape))}
    source, parameter = (1, 0) if op.op == "SPLIT" else (0, 1)
    rank = len(graph.tensors[op.inputs[source]].shape)
    values = _values(graph, op, parameter)
    if values is None:
        return None
    if op.op == "PAD":
        return {axis for axis, amounts in enumerate(values.reshape(-1, 2)) if amounts.any()}
    return {int(axis) % max(rank, 1) for axis in values.reshape(-1)}


def _values(graph: Graph, op: Op, position: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None:
    index = op.inputs[position] if position < len(op.inputs) else -1
    if index < 0 or not graph.tensors[index].is_constant:
        return None
    try:
        return constant(graph, index).astype(np.int64)
    except UnsupportedModelError:
        return None


@condition
def mean_depth(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """A mean over channels takes a multiple of 4 of them; one over a large plane needs at least 4 channels."""
    shape = graph.inputs_of(op)[0].shape
    axes = _axes(graph, op) or set()
    if len(shape) - 1 in axes and shape[-1] % 4:
        return Refusal(reason=f"a mean over channels needs a multiple of 4 of them; there are {shape[-1]}")
    plane = math.prod(shape[-3:-1])
    if shape[-1] < 4 and plane > limit(profile, "mean_plane_elements"):
        reason = f"a mean over a plane of {plane} elements with {shape[-1]} channels is not mapped"
        return Refusal(reason=reason, certainty="likely")
    return None


@condition
def channel_alpha(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """PReLU's alpha differs by channel only."""
    alpha = graph.tensors[op.inputs[1]].shape
    if math.prod(alpha[:-1]) == 1:
        return None
    return Refusal(reason=f"alpha has shape {alpha}; only its last size may exceed 1 (Keras: shared_axes=[1, 2])")


@condition
def fits_tile(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Tensors without a y extent are not spread over tiles, so each fits the memory of one."""
    most = int(limit(profile, "tile_bytes"))
    return _size_refusal(graph, op, most, "a tensor without height stays in the memory of one tile")


@condition
def transpose_fits(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Both sides of a transposition fit the memory of one tile."""
    most = int(limit(profile, "transpose_elements"))
    biggest = max(t.elements for t in (*graph.inputs_of(op)[:1], *graph.outputs_of(op)))
    if biggest <= most:
        return None
    return Refusal(reason=f"transposing {biggest} elements; at most about {most} are mapped", certainty="likely")


def _size_refusal(graph: Graph, op: Op, most: int, why: str) -> Refusal | None:
    tensors = [t for t in (*graph.inputs_of(op), *graph.outputs_of(op)) if not t.is_constant and _is_flat(t)]
    biggest = max((t.elements for t in tensors), default=0)
    if biggest <= most:
        return None
    return Refusal(reason=f"{why}: {biggest} elements, at most {most} fit", certainty="likely")


def _is_flat(tensor: Tensor) -> bool:
    return len(tensor.shape) < 3 or tensor.shape[-3] == 1


@condition
def precise_resize(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Resizing enlarges by a small factor, and the result fits the chip's memory."""
    before, after = graph.inputs_of(op)[0].shape, graph.outputs_of(op)[0].shape
    factor = max(a / b for a, b in zip(after[1:3], before[1:3], strict=True))
    most = limit(profile, "resize_factor")
    if factor > most:
        reason = f"it enlarges {factor:.1f} times; at most about {most:.0f} times is precise enough"
        return Refusal(status=IMPRECISE_RESIZE, reason=reason, certainty="likely")
    size, memory = math.prod(after), int(limit(profile, "resize_output_bytes"))
    if size >= memory:
        return Refusal(reason=f"its output of {size} bytes does not fit into {memory} bytes", certainty="likely")
    return None
