"""From a file's operators back to the source's layers, by the names that converters carry along.

TensorFlow names an operation by the path of the layers that call it ("lenet5/c1/Conv2D"); converters keep the names of
everything they fuse, joined by ";". A layer inside a nested model is told by its path ("backbone/conv1").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgecv.graphs import Graph
from edgecv.modelio.boundary import output_names
from edgecv.modelio.layer_names import PART

_WRAPPERS = ("QuantizeWrapper", "QuantizeWrapperV2", "PruneLowMagnitude")
_QUANTIZERS = ("QuantizeLayer",)
# The operation that names a fused group: its weights are the group's.
_KERNELS = ("Conv2D", "depthwise", "MatMul", "conv2d_transpose", "separable_conv2d")
_MOVES = ("Transpose", "Reshape", "Identity")
_BOUNDARY = ("QUANTIZE", "DEQUANTIZE", "QuantizeLinear", "DequantizeLinear", "Cast")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTree:
    """The layers of a model by the name that TensorFlow's paths use.

    Attributes:
        name: The source layer's own name; "" for one that has none (an inserted quantiser).
        children: Of a nested model, by path component.
    """

    name: str
    children: Mapping[str, LayerTree] = field(default_factory=dict)


def layer_tree(model: Any) -> LayerTree:
    """Return the tree of a keras model; wrappers of tfmot stand for the layer they wrap."""
    return LayerTree(name=model.name, children={layer.name: _node(layer) for layer in model.layers})


def _node(layer: Any) -> LayerTree:
    kind = type(layer).__name__
    if kind in _QUANTIZERS:
        return LayerTree(name="")
    inner = layer.layer if kind in _WRAPPERS else layer
    nested = getattr(inner, "layers", ())
    return LayerTree(name=inner.name.split(PART)[0], children={child.name: _node(child) for child in nested})


def layer_map(graph: Graph, names: Sequence[str], model: Any) -> tuple[str, ...]:
    """Return the source layer of every operator of a file, in order; "" where none is known.

    The operators that compute an output belong to the output's layer, a conversion at the boundary included.

    Args:
        graph: The converted file.
        names: For each operator, what its converter called it.
        model: The keras model that it was made from.
    """
    tree, outputs = layer_tree(model), output_names(model)
    # An .onnx moves an output's channels last, behind the operator that computes it and no longer bears its name.
    ends, moved = _ends(graph, outputs), _ends(graph, outputs, (*_BOUNDARY, *_MOVES))
    return tuple(
        ends.get(op.index) or resolve(name, tree) or moved.get(op.index, "")
        for op, name in zip(graph.ops, names, strict=True)
    )


def op_layers(graph: Graph, model: Any) -> tuple[frozenset[str], ...]:
    """Return all source layers that each operator of a file as the converter left it has a part of, in order.

    A convolution with its activation fused belongs to both layers.

    Args:
        graph: Of the converter: its tensors still have its names, but for the outputs.
        model: The keras model that it was made from.
    """
    tree = layer_tree(model)
    ends = _ends(graph, output_names(model))
    found = []
    for op in graph.ops:
        parts = graph.tensors[op.outputs[0]].name.split(";")
        layers = {_descend(part.split("/"), tree) for part in parts if part} | {ends.get(op.index, "")}
        found.append(frozenset(layers - {""}))
    return tuple(found)


def _ends(graph: Graph, outputs: tuple[str, ...], passed: Sequence[str] = _BOUNDARY) -> dict[int, str]:
    made_by = {index: op for op in graph.ops for index in op.outputs}
    found: dict[int, str] = {}
    for index, layer in zip(graph.outputs, outputs, strict=True):
        op = made_by.get(index)
        while op is not None:
            found[op.index] = layer
            op = made_by.get(op.inputs[0]) if op.op in passed else None
    return found


def resolve(name: str, tree: LayerTree) -> str:
    """Return the layer that a tensor name points to, "" when it points to none.

    Args:
        name: "model/layer/Operation", or several joined by ";", of which the one with weights decides.
        tree: Of the source model.
    """
    for part in telling_parts(name):
        found = _descend(part.split("/"), tree)
        if found:
            return found
    return ""


def telling_parts(name: str) -> list[str]:
    """Return the names that a tensor's name joins, the one with weights first."""
    parts = [part for part in name.split(";") if part]
    return sorted(parts, key=lambda part: not part.rsplit("/", 1)[-1].startswith(_KERNELS))


def _descend(components: list[str], tree: LayerTree) -> str:
    path: list[str] = []
    node: LayerTree | None = tree
    if components and components[0] not in tree.children:
        components = components[1:]
    for component in components:
        child = _child(node, component) if node else None
        if child is None:
            break
        path.append(child.name)
        node = child
    return "/".join(path) if all(path) else ""


def _child(node: LayerTree, component: str) -> LayerTree | None:
    # A layer that is called again gets "_1", "_2", … in TensorFlow's paths.
    return node.children.get(component) or node.children.get(re.sub(r"_\d+$", "", component))
