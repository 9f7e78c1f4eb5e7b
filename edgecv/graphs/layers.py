"""Names of the source layers that operators come from."""

from __future__ import annotations

from edgecv.graphs import Graph, Op


def layer_names(graph: Graph, layer_map: tuple[str, ...]) -> tuple[str, ...]:
    """Return a layer name per operator, "" where none is known.

    Args:
        graph: The file's graph.
        layer_map: From the file's manifest, one name per operator; used only when it fits the graph.
    """
    derived = tuple(_from_tensor(graph, op) for op in graph.ops)
    if len(layer_map) != len(graph.ops):
        return derived
    return tuple(known or guess for known, guess in zip(layer_map, derived, strict=True))


def _from_tensor(graph: Graph, op: Op) -> str:
    # Converters name a tensor after the graph node it came from, "model/conv2d/BiasAdd", and join fused ones by ";".
    outputs = graph.outputs_of(op)
    scopes = outputs[0].name.split(";")[0].strip("/").split("/") if outputs else []
    return scopes[-2] if len(scopes) > 1 else ""
