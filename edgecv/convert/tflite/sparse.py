"""Zeros of a pruned float32 file, left out of it: TFLite's sparse tensors.

A kernel becomes a sparse constant, and a DENSIFY operator hands it to its convolution or dense layer: what the stock
converter writes too. Interpreters fill in the zeros once, when they start; XNNPACK then computes with the dense kernel,
or, where all that `sparse_rules` says holds, with sparse kernels. The answers do not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.convert.tflite.sparse_rules import judge
from edgecv.core.errors import ConversionError
from edgecv.graphs import Graph, compressed, constant, read_tflite

KINDS = ("CONV_2D", "FULLY_CONNECTED")
DENSIFY_BYTES = 160
"""What a DENSIFY operator, its second tensor and the record of its sparsity take in the file, about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseFile:
    """A file with sparse kernels.

    Attributes:
        data: The file.
        kernels: How many are stored sparse.
    """

    data: bytes
    kernels: int


def with_sparse_weights(data: bytes, layers: Sequence[str] = ()) -> SparseFile:
    """Return a float32 .tflite with every kernel sparse that takes fewer bytes so.

    `layers`: source layer of each operator, for messages; empty where none is known.

    Raises:
        ConversionError: There is none, or XNNPACK would compute the file wrongly on Arm.
    """
    graph, model = read_tflite(data), flatbuffer.unpack(data)
    danger = judge(graph, layers).danger
    if danger:
        raise ConversionError(
            f"with its kernels stored sparse, XNNPACK would give wrong answers on Arm: {danger}",
            hint="change that layer as it says, or convert without --sparse: the dense file is right everywhere",
        )
    rows = {index: compressed(constant(graph, index)) for index in _kernels(graph)}
    smaller = {i: one for i, one in rows.items() if one.nbytes + DENSIFY_BYTES < graph.tensors[i].size_bytes}
    if not smaller:
        raise ConversionError(
            "no kernel takes fewer bytes with its zeros left out",
            hint="prune first: edgecv prune --sparsity 0.8; about a quarter of zeros is where it begins",
        )
    densify = [_sparse(model, index, one, graph) for index, one in smaller.items()]
    model.subgraphs[0].operators = [*densify, *model.subgraphs[0].operators]
    return SparseFile(data=flatbuffer.pack(model), kernels=len(smaller))


def _kernels(graph: Graph) -> list[int]:
    """Return the constant float32 kernels that only such operators read, as their kernel."""
    readers: dict[int, list[tuple[str, int]]] = {}
    for op in graph.ops:
        for place, index in enumerate(op.inputs):
            readers.setdefault(index, []).append((op.op, place))
    found = []
    for index, uses in readers.items():
        tensor = graph.tensor(index)
        if tensor is None or not tensor.is_constant or tensor.dtype != "float32" or len(tensor.shape) not in (2, 4):
            continue
        if all(kind in KINDS and place == 1 for kind, place in uses):
            found.append(index)
    return found


def _sparse(model: Any, index: int, rows: Any, graph: Graph) -> Any:
    """Make a tensor sparse, put a dense one in its place for its readers, and return the operator between the two."""
    generated, subgraph = flatbuffer.schema(), model.subgraphs[0]
    stored = subgraph.tensors[index]
    filled = generated.TensorT()
    filled.shape, filled.type, filled.buffer, filled.name = stored.shape, stored.type, 0, stored.name
    filled.hasRank = stored.hasRank
    subgraph.tensors.append(filled)
    for op in subgraph.operators:
        op.inputs = np.array([len(subgraph.tensors) - 1 if one == index else one for one in op.inputs], np.int32)
    stored.buffer, stored.name = _buffer(model, stored.buffer, rows.values), stored.name + b"/sparse"
    stored.sparsity = _parameters(generated, graph.tensors[index].shape, rows)
    return flatbuffer.operator(model, "DENSIFY", 1, (index,), len(subgraph.tensors) - 1)


def _buffer(model: Any, index: int, values: Any) -> int:
    """Store values in the place of a buffer, or in a new one when another tensor reads it too; return which."""
    if sum(tensor.buffer == index for tensor in model.subgraphs[0].tensors) > 1:
        model.buffers.append(flatbuffer.schema().BufferT())
        index = len(model.buffers) - 1
    model.buffers[index].data = np.frombuffer(values.tobytes(), np.uint8)
    return index


def _parameters(generated: Any, shape: tuple[int, ...], rows: Any) -> Any:
    parameters = generated.SparsityParametersT()
    parameters.traversalOrder, parameters.blockMap = np.arange(len(shape), dtype=np.int32), []
    dimensions = [generated.DimensionMetadataT() for _ in shape]
    for size, dimension in zip(shape[:-1], dimensions, strict=False):
        dimension.format, dimension.denseSize = generated.DimensionType.DENSE, size
    last, kinds = dimensions[-1], generated.SparseIndexVector
    last.format = generated.DimensionType.SPARSE_CSR
    last.arraySegmentsType, last.arraySegments = _vector(generated, kinds, rows.segments)
    last.arrayIndicesType, last.arrayIndices = _vector(generated, kinds, rows.indices)
    parameters.dimMetadata = dimensions
    return parameters


def _vector(generated: Any, kinds: Any, values: Any) -> tuple[int, Any]:
    name = {1: "Uint8Vector", 2: "Uint16Vector", 4: "Int32Vector"}[values.dtype.itemsize]
    vector = getattr(generated, f"{name}T")()
    vector.values = values
    return getattr(kinds, name), vector
