"""The Edge TPU compiler's conditions on single operators, by the names that targets/edgetpu.toml uses.

Each takes the graph, the operator and the profile, and returns a Refusal, a Doubt (nobody has published what the
compiler does at this size), or None when the condition holds.

Sources: the compiler's table of supported operations (Coral, "TensorFlow models on the Edge TPU"; restated by Axis,
"Supported operations" for ARTPEC-7), and logs that people published of compiler versions 1.0 to 16.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.registry import Registry
from edgecv.graphs import Graph, Op, Tensor, constant
from edgecv.targets.table import limit
from edgecv.values.inspection import Certainty
from edgecv.values.profiles import TargetProfile

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
    """Why an operator does not map; `cause` names it in the target's `advice`."""

    status: str = LIMITED
    reason: str
    certainty: Certainty = "certain"
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Why nothing published tells whether an operator maps, though the rules say that it does."""

    reason: str


Condition = Callable[[Graph, Op, TargetProfile], "Refusal | Doubt | None"]

CONDITIONS: Registry[Condition] = Registry("Edge TPU condition")


def condition(function: Condition) -> Condition:
    """Register a condition under its function's name."""
    return CONDITIONS.add(function.__name__, function)


def _documented(reason: str) -> Refusal:
    # In the compiler's documentation, and not seen in a published log.
    return Refusal(reason=reason, certainty="likely")


@condition
def no_fused_activation(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """No activation is fused into the operator."""
    fused = op.options.get("fused_activation_function", "NONE")
    if fused == "NONE":
        return None
    return _documented(f"{op.op} must not have a fused activation; it has {fused}")


@condition
def uniform_dilation(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Dilation is the same in x and y, unless the kernel has one row or one column."""
    x, y = op.options.get("dilation_w_factor", 1), op.options.get("dilation_h_factor", 1)
    kernel = graph.tensors[op.inputs[1]].shape
    if x == y or 1 in kernel[1:3]:
        return None
    return _documented(f"dilation must be the same in x and y; it is {x} and {y}")


@condition
def constant_parameters(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """Weights and bias, the second and third input, are in the file."""
    return _not_constant(graph, op.inputs[1:3])


@condition
def constant_filter(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """A transposed convolution's weights and bias, the second and fourth input, are in the file."""
    return _not_constant(graph, (op.inputs[1], *op.inputs[3:4]))


def bounded(
    profile: TargetProfile, name: str, value: float, reason: str, status: str = LIMITED
) -> Refusal | Doubt | None:
    """Compare a size with the limit `name` of the profile.

    The limit NAME itself is the rule. NAME_mapped is the largest value seen mapped and NAME_refused the smallest one
    seen refused: between the two the data leave the verdict open, and its certainty is "unknown".
    """
    if value > limit(profile, name):
        open_ = value < limit(profile, f"{name}_refused")
        return Refusal(status=status, reason=reason, certainty="unknown" if open_ else "likely", cause=name)
    seen = limit(profile, f"{name}_mapped")
    if value > seen:
        return Doubt(reason=f"{value:g} is more than the {seen:g} that was seen mapped ({name} in the target's data)")
    return None


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
    return None if found == "DEFAULT" else _documented(f"weights format must be DEFAULT; it is {found}")


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
        return _documented(f"a constant input is supported with one other input; it has {len(inputs)} inputs")
    return None if _is_zero(graph, constants[0]) else _documented("a constant input must be all zeros")


def _is_zero(graph: Graph, tensor: Tensor) -> bool:
    values = constant(graph, tensor.index)
    return bool(np.all(values == (tensor.zero_points[0] if tensor.zero_points else 0)))


@condition
def plain_strided_slice(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """No ellipsis and no new axis."""
    masks = [name for name in ("ellipsis_mask", "new_axis_mask") if op.options.get(name)]
    return _documented(f"{masks[0]} must be 0") if masks else None


@condition
def keeps_batch(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """The batch dimension is not reduced, padded, packed or split."""
    axes = _axes(graph, op)
    if axes is None:
        return Refusal(status=NOT_CONSTANT, reason="its axes are computed at run time; they must be in the file")
    if 0 not in axes:
        return None
    return _documented(f"{op.op} on the batch dimension is not supported")


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
def mean_depth(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | Doubt | None:
    """A mean over channels takes a multiple of 4 of them; one over a large plane needs at least 4 channels."""
    shape = graph.inputs_of(op)[0].shape
    axes = _axes(graph, op) or set()
    if len(shape) - 1 in axes and shape[-1] % 4:
        return _documented(f"a mean over channels needs a multiple of 4 of them; there are {shape[-1]}")
    if shape[-1] >= 4:
        return None
    plane = math.prod(shape[-3:-1])
    reason = f"a mean over a plane of {plane} elements with {shape[-1]} channels is not mapped"
    return bounded(profile, "mean_plane_elements", plane, reason)


@condition
def channel_alpha(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | None:
    """PReLU's alpha differs by channel only."""
    alpha = graph.tensors[op.inputs[1]].shape
    if math.prod(alpha[:-1]) == 1:
        return None
    return _documented(f"alpha has shape {alpha}; only its last size may exceed 1 (Keras: shared_axes=[1, 2])")


@condition
def fits_tile(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | Doubt | None:
    """Tensors without a y extent are not spread over tiles, so each fits the memory of one."""
    tensors = [t for t in (*graph.inputs_of(op), *graph.outputs_of(op)) if not t.is_constant and _is_flat(t)]
    biggest = max((t.elements for t in tensors), default=0)
    most = int(limit(profile, "tile_bytes"))
    reason = f"a tensor without height stays in the memory of one tile: {biggest} elements, at most {most} fit"
    return bounded(profile, "tile_bytes", biggest, reason)


def _is_flat(tensor: Tensor) -> bool:
    return len(tensor.shape) < 3 or tensor.shape[-3] == 1


@condition
def transpose_fits(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | Doubt | None:
    """Both sides of a transposition fit the memory of one tile."""
    biggest = max(t.elements for t in (*graph.inputs_of(op)[:1], *graph.outputs_of(op)))
    most = int(limit(profile, "transpose_elements"))
    reason = f"transposing {biggest} elements; at most about {most} are mapped"
    return bounded(profile, "transpose_elements", biggest, reason)


@condition
def precise_resize(graph: Graph, op: Op, profile: TargetProfile) -> Refusal | Doubt | None:
    """Resizing enlarges by a small factor, and the result fits the chip's memory."""
    before, after = graph.inputs_of(op)[0].shape, graph.outputs_of(op)[0].shape
    factor = max(a / b for a, b in zip(after[1:3], before[1:3], strict=True))
    most, memory = limit(profile, "resize_factor"), int(limit(profile, "resize_output_bytes"))
    reason = f"it enlarges {factor:.1f} times; at most about {most:.0f} times is precise enough"
    size = math.prod(after)
    large = f"its output of {size} bytes does not fit into {memory} bytes"
    return worst(
        bounded(profile, "resize_factor", factor, reason, IMPRECISE_RESIZE),
        bounded(profile, "resize_output_bytes", size, large),
    )


def activations(graph: Graph, op: Op) -> list[Tensor]:
    """Return the tensors of an operator that are computed at run time, but for recurrent state."""
    tensors = (*graph.inputs_of(op), *graph.outputs_of(op))
    return [t for t in tensors if not t.is_constant and not t.is_variable]


def worst(*found: Refusal | Doubt | None) -> Refusal | Doubt | None:
    """Return the first refusal, else the first doubt, else None."""
    refusals = (one for one in found if isinstance(one, Refusal))
    return next(refusals, None) or next((one for one in found if one is not None), None)
