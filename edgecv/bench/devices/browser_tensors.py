"""A file's tensors beside those that a browser's interpreter shows: order and quantisation.

Interpreters in browsers tell names, types and shapes, in an order of their own, and no scales. The file is here too,
and says the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs import Graph, Tensor, read_graph
from edgecv.graphs.signatures import signature
from edgecv.values.manifest import TensorInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How a file's tensors and a browser's belong together.

    Attributes:
        inputs: In the file's order, with quantisation, as a native interpreter shows them.
        outputs: Likewise.
        given: For each input in the browser's order, its place among the file's.
        read: For each output in the file's order, its place among the browser's.
    """

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    given: tuple[int, ...]
    read: tuple[int, ...]


def places(file: Path, inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]) -> Places:
    """Match a browser's tensors with the file's.

    Args:
        file: The model, on this host.
        inputs: As the browser lists them: name, dtype and shape of each.
        outputs: Likewise.

    Raises:
        UnsupportedModelError: A name, a type or a shape is not that of the file.
    """
    graph = read_graph(file)
    if graph.format == "onnx":
        names_in = {graph.tensors[index].name: index for index in graph.inputs}
        names_out = {graph.tensors[index].name: index for index in graph.outputs}
    else:
        named = signature(file)
        names_in, names_out = dict(named.inputs), dict(named.outputs)
    shown_in = [_index(one, names_in, graph, file) for one in inputs]
    shown_out = [_index(one, names_out, graph, file) for one in outputs]
    if sorted(shown_in) != sorted(graph.inputs) or sorted(shown_out) != sorted(graph.outputs):
        raise UnsupportedModelError(
            f"{file}: the browser shows {len(inputs)} inputs and {len(outputs)} outputs that are not the file's "
            f"{len(graph.inputs)} and {len(graph.outputs)}",
            hint="its signature may leave some out; convert it again",
        )
    return Places(
        inputs=tuple(_info(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_info(graph.tensors[index]) for index in graph.outputs),
        given=tuple(list(graph.inputs).index(index) for index in shown_in),
        read=tuple(shown_out.index(index) for index in graph.outputs),
    )


def _index(shown: Mapping[str, Any], names: Mapping[str, int], graph: Graph, file: Path) -> int:
    name = str(shown["name"])
    if name not in names:
        raise UnsupportedModelError(
            f"{file}: the browser shows a tensor '{name}', and the file has {', '.join(sorted(names))}"
        )
    info = _info(graph.tensors[names[name]])
    seen = (str(shown["dtype"]), tuple(int(size) for size in shown["shape"]))
    if seen != (info.dtype, info.shape):
        raise UnsupportedModelError(
            f"{file}: tensor '{name}' is {info.dtype} {info.shape}, and the browser shows {seen[0]} {seen[1]}"
        )
    return names[name]


def _info(tensor: Tensor) -> TensorInfo:
    """Return a tensor as native interpreters show it: open sizes as 1, one scale or none."""
    single = len(tensor.scales) == 1
    return TensorInfo(
        name=tensor.name,
        shape=tuple(max(1, size) for size in tensor.shape),
        dtype=tensor.dtype,
        scale=tensor.scales[0] if single else None,
        zero_point=tensor.zero_points[0] if single else None,
    )
