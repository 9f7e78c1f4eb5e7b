"""What an int8 file rounds, layer by layer, as edits of the float file that it was made from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.diagnose.rounding import Edit, Rounding, affine
from edgecv.graphs import Graph, Op, Tensor, constant, naming_operators, read_tflite
from edgecv.graphs.pool_windows import as_pool
from edgecv.runtime.container import read_manifest

Array = np.ndarray[Any, Any]
Key = tuple[str, str, int]

INPUT = "input"
"""What the rounding of the network's input is called, which belongs to no layer."""
CHANNEL_AXIS: Mapping[str, int] = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0, "DEPTHWISE_CONV_2D": 3}
"""Axis of a weight tensor that counts output channels. Source: the TensorFlow Lite 8-bit quantisation specification."""
_DIFFERENT = 2.0
"""Steps: rounding moves a weight by half a step, equalised or adapted rounding by one or two."""
_WEIGHTS = ("int8", "uint8", "int4")
# These hand values on as they are, when their output's scale is their input's.
_MOVES = frozenset(
    ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE", "SPLIT")
    + ("GATHER", "TILE", "PACK", "UNPACK", "CONCATENATION", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR")
    + ("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantisedLayer:
    """One layer of both files.

    Attributes:
        layer: Source layer; "input" for the rounding of the network's input, "operator 7" where no name is known.
        op: The operator that says what it is: the one with weights, else the last.
        float_ops: Its operators in the float file, indices in order.
        int8_ops: Its operators in the int8 file, likewise.
        edit: What makes the float file round as the int8 file does here.
        weights: Places of its stored weights in `edit.constants`, with their scales, (1,) or one per channel.
    """

    layer: str
    op: str
    float_ops: tuple[int, ...]
    int8_ops: tuple[int, ...]
    edit: Edit
    weights: Mapping[tuple[int, int], Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Both files, layer by layer in the order of execution.

    Attributes:
        left_out: Layers of the int8 file whose rounding cannot be put into the float file, with the reason.
    """

    layers: tuple[QuantisedLayer, ...]
    left_out: Mapping[str, str]


def match(float_file: Path, int8_file: Path) -> Matched:
    """Match the operators of both files and read what the int8 file rounds.

    Raises:
        UnsupportedModelError: A file says nothing of its layers, the two have none in common, or their weights are of
            different networks.
    """
    graphs = [read_tflite(path) for path in (float_file, int8_file)]
    with naming_operators(*graphs):
        return _matched(graphs, float_file, int8_file)


def _matched(graphs: Sequence[Graph], float_file: Path, int8_file: Path) -> Matched:
    maps = [layers_of(path) for path in (float_file, int8_file)]
    pairs, left_out = _pairs(graphs, maps)
    if not pairs:
        raise UnsupportedModelError(
            f"{float_file} and {int8_file} have no layer in common", hint="give files of one model"
        )
    layers = [_input(graphs)] if graphs[1].inputs else []
    layers += [_layer(name, graphs, ops) for name, ops in pairs.items()]
    for layer in layers:
        _check_weights(layer, graphs[0], int8_file)
    return Matched(layers=tuple(x for x in layers if x.edit.constants or x.edit.outputs), left_out=left_out)


def layers_of(path: Path) -> tuple[str, ...]:
    """Return the source layer of every operator of an edgecv file. Raises UnsupportedModelError when it has none."""
    manifest, count = read_manifest(path), len(read_tflite(path).ops)
    if manifest is None or not manifest.layer_map:
        raise UnsupportedModelError(f"{path} does not say which layer each operator came from: edgecv did not write it")
    if len(manifest.layer_map) != count:
        raise UnsupportedModelError(
            f"{path} names the layers of {len(manifest.layer_map)} operators, and has {count}",
            hint="something changed it after edgecv wrote it: convert the model anew",
        )
    return manifest.layer_map


def _pairs(
    graphs: Sequence[Graph], maps: Sequence[tuple[str, ...]]
) -> tuple[dict[str, list[tuple[Op, Op]]], dict[str, str]]:
    """Pair the n-th operator of a kind in a layer with that in the other file; boundary conversions do not count."""
    keyed = [_keyed(graph, layers) for graph, layers in zip(graphs, maps, strict=True)]
    sizes = [Counter(key[:2] for key in ops) for ops in keyed]
    pairs: dict[str, list[tuple[Op, Op]]] = {}
    left_out: dict[str, str] = {}
    for key, op in keyed[1].items():
        name, twin = key[0] or f"operator {op.index}", keyed[0].get(key)
        if twin is None or sizes[0][key[:2]] != sizes[1][key[:2]]:
            left_out[name] = f"the float file computes it with other operators than {op.op}"
        elif [graphs[0].tensors[i].shape for i in twin.outputs] != [graphs[1].tensors[i].shape for i in op.outputs]:
            left_out[name] = f"its {op.op} gives another shape in the float file"
        else:
            pairs.setdefault(name, []).append((twin, op))
    return {name: ops for name, ops in pairs.items() if name not in left_out}, left_out


def _keyed(graph: Graph, layers: tuple[str, ...]) -> dict[Key, Op]:
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[Key, Op] = {}
    for op, layer in zip((as_pool(graph, op) for op in graph.ops), layers, strict=True):
        if op.op in ("QUANTIZE", "DEQUANTIZE"):
            continue
        found[layer, op.op, counts[layer, op.op]] = op
        counts[layer, op.op] += 1
    return found


def _input(graphs: Sequence[Graph]) -> QuantisedLayer:
    plain, quantised = graphs
    index = quantised.inputs[0]
    reader = next((op for op in quantised.ops if index in op.inputs and op.op == "QUANTIZE"), None)
    tensor = quantised.tensors[index]
    if not tensor.scales and reader is not None:
        tensor = quantised.tensors[reader.outputs[0]]
    outputs = {plain.inputs[0]: _rounding(tensor)} if tensor.scales else {}
    ops = (reader.index,) if reader is not None else ()
    return QuantisedLayer(layer=INPUT, op="QUANTIZE", float_ops=(), int8_ops=ops, edit=Edit(outputs=outputs))


def _layer(name: str, graphs: Sequence[Graph], ops: Sequence[tuple[Op, Op]]) -> QuantisedLayer:
    constants: dict[tuple[int, int], Array] = {}
    outputs: dict[int, Rounding] = {}
    weights: dict[tuple[int, int], Array] = {}
    for twin, op in ops:
        for position, index in enumerate(op.inputs):
            tensor = graphs[1].tensor(index)
            if tensor is not None and tensor.is_constant and tensor.scales and _is_float(graphs[0], twin, position):
                place = (twin.index, position)
                constants[place] = _real(graphs[1], tensor)
                if tensor.dtype in _WEIGHTS and op.op in CHANNEL_AXIS:
                    weights[place] = np.array(tensor.scales)
        if not _moves(graphs[1], op):
            pairs = zip(twin.outputs, (graphs[1].tensors[i] for i in op.outputs), strict=True)
            outputs |= {index: _rounding(tensor) for index, tensor in pairs if tensor.scales}
    telling = next((op for _, op in ops if op.op in CHANNEL_AXIS), ops[-1][1])
    return QuantisedLayer(
        layer=name,
        op=telling.op,
        float_ops=tuple(twin.index for twin, _ in ops),
        int8_ops=tuple(op.index for _, op in ops),
        edit=Edit(constants=constants, outputs=outputs),
        weights=weights,
    )


def _is_float(graph: Graph, op: Op, position: int) -> bool:
    tensor = graph.tensor(op.inputs[position]) if position < len(op.inputs) else None
    return tensor is not None and tensor.is_constant and tensor.dtype == "float32"


def _moves(graph: Graph, op: Op) -> bool:
    if op.op not in _MOVES:
        return False
    before = [t for t in graph.inputs_of(op) if not t.is_constant]
    scales = {(t.scales, t.zero_points) for t in (*before, *graph.outputs_of(op))}
    return len(scales) == 1


def _rounding(tensor: Tensor) -> Rounding:
    limits = np.iinfo(tensor.dtype)
    return affine(tensor.scales[0], tensor.zero_points[0], low=int(limits.min), high=int(limits.max))


def _real(graph: Graph, tensor: Tensor) -> Array:
    """Return the values that stored integers stand for, float32 of the tensor's shape."""
    shape = [1] * len(tensor.shape)
    if len(tensor.scales) > 1:
        shape[tensor.quantized_dimension] = -1
    scale, zero = (np.reshape(values, shape) for values in (tensor.scales, tensor.zero_points))
    real: Array = (constant(graph, tensor.index).astype(np.float64) - zero) * scale
    return real.astype(np.float32).reshape(tensor.shape)


def _check_weights(layer: QuantisedLayer, graph: Graph, int8_file: Path) -> None:
    """Refuse two files of which one was trained on: rounding changes few weights by more than a step."""
    for (op, position), scales in layer.weights.items():
        plain, stored = constant(graph, graph.ops[op].inputs[position]), layer.edit.constants[op, position]
        shape = [1] * plain.ndim
        shape[CHANNEL_AXIS[graph.ops[op].op]] = -1
        if np.median(np.abs(plain - stored) / scales.reshape(shape)) > _DIFFERENT:
            raise UnsupportedModelError(
                f"the weights of '{layer.layer}' in {int8_file} are not the float file's, rounded",
                hint="give the float32 file of the very model that was quantised; after training with fake "
                "quantisation there is none, and only the noise per layer can be compared",
            )
