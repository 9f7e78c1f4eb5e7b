"""One form for equal ONNX graphs: order, names, and nothing that a reader can infer."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from edgecv.convert.layers import telling_parts
from edgecv.core.errors import ConversionError

_COUNTER = re.compile(r"__\d+")
_CONVERSIONS = ("QuantizeLinear", "DequantizeLinear")
_GRAPH_ATTRIBUTES = (5, 10)  # AttributeProto.GRAPH and .GRAPHS


def canonicalize(proto: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[str, ...]:
    """Sort and rename a model in place, so that equal models give equal bytes.

    tf2onnx numbers names with a counter that runs for the life of the process ("scale__31"). Here nodes keep the first
    of their names without the number, repeated ones are counted in the graph's order, and conversions have none; values
    between nodes are "v0", "v1", …, constants "c0", "c1", … by first use, which also keeps small files small; inputs
    and outputs get the names given.

    Args:
        proto: An onnx ModelProto without control flow.
        inputs: Names of the graph's inputs, in order.
        outputs: Names of the graph's outputs, in order.

    Returns:
        For each node, in order, what tells its source: its name, or, for conversions, that of a neighbour.

    Raises:
        ConversionError: The graph has control flow, or another number of inputs or outputs.
    """
    graph = proto.graph
    if any(attribute.type in _GRAPH_ATTRIBUTES for node in graph.node for attribute in node.attribute):
        raise ConversionError("the converted ONNX model has control flow, which devices do not take")
    _sort(graph)
    names, called, taken = _value_names(graph, inputs, outputs), _sources(graph), set[str]()
    for node, source in zip(graph.node, called, strict=True):
        node.input[:] = [names[value] for value in node.input]
        node.output[:] = [names[value] for value in node.output]
        node.name = "" if node.op_type in _CONVERSIONS else _unique(next(iter(telling_parts(source)), ""), taken)
        node.attribute.sort(key=lambda attribute: str(attribute.name))
        # An empty string that is set takes other bytes than one that is not.
        for field in ("domain", "doc_string"):
            if not getattr(node, field):
                node.ClearField(field)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names[value.name]
    graph.initializer.sort(key=lambda tensor: int(tensor.name[1:]))
    del graph.value_info[:]
    graph.name, graph.doc_string = "edgecv", ""
    return called


def _value_names(graph: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> dict[str, str]:
    constants = {tensor.name for tensor in graph.initializer}
    fed = [value.name for value in graph.input if value.name not in constants]
    made = [value.name for value in graph.output]
    if len(fed) != len(inputs) or len(made) != len(outputs):
        raise ConversionError(f"the ONNX model has inputs {fed} and outputs {made}, expected {inputs} and {outputs}")
    names = {"": "", **dict(zip(fed, inputs, strict=True)), **dict(zip(made, outputs, strict=True))}
    used = [name for node in graph.node for name in (*node.input, *node.output)]
    for name in used:
        if name not in names:
            names[name] = f"{'c' if name in constants else 'v'}{len(names)}"
    return names


def _sources(graph: Any) -> tuple[str, ...]:
    """Return a name for each node, not yet unique.

    tf2onnx merges equal conversions and keeps the name of either, and calls what it puts in after its type (the Relu of
    a fused convolution). Those are called after the node that makes their value, or, for a constant, the first that
    takes it.
    """
    made_by = {value: node for node in graph.node for value in node.output}
    taken_by = {value: node for node in reversed(graph.node) for value in node.input}

    def source(node: Any) -> str:
        other = node
        while other is not None and _is_put_in(other):
            other = made_by.get(other.input[0])
        other = other or taken_by.get(node.output[0], node)
        return str(_COUNTER.sub("", other.name))

    return tuple(source(node) for node in graph.node)


def _is_put_in(node: Any) -> bool:
    return node.op_type in _CONVERSIONS or _COUNTER.sub("", node.name) == node.op_type


def _sort(graph: Any) -> None:
    """Order nodes by a depth-first walk from the outputs: what a node reads comes before it, in its inputs' order.

    The result depends on the graph alone, not on the order that the converter's passes left; what no output needs goes.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    ordered: list[Any] = []
    entered: set[str] = set()
    stack = [(made_by[value.name], False) for value in reversed(graph.output) if value.name in made_by]
    while stack:
        node, inputs_done = stack.pop()
        if inputs_done:
            ordered.append(node)
        elif node.output[0] not in entered:
            entered.add(node.output[0])
            stack.append((node, True))
            stack.extend((made_by[name], False) for name in reversed(node.input) if name in made_by)
    # In place: weights are large, and what a message has held is not freed before the message is.
    place = {node.output[0]: index for index, node in enumerate(ordered)}
    _keep(graph.node, lambda node: node.output[0] in place)
    graph.node.sort(key=lambda node: place[node.output[0]])
    used = {name for node in graph.node for name in node.input}
    _keep(graph.initializer, lambda tensor: tensor.name in used)


def _keep(field: Any, wanted: Callable[[Any], bool]) -> None:
    for index in reversed(range(len(field))):
        if not wanted(field[index]):
            del field[index]


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
