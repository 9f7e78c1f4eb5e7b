"""A model file's computation graph, read-only and format-neutral."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgecv.core.errors import UnsupportedModelError

GraphFormat = Literal["tflite", "onnx", "cascade"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        index: Position in the file's first subgraph.
        name: In the file, "" when it has none.
        shape: As planned by the file; a dimension that it leaves open is 1 in TFLite and -1 in ONNX.
        shape_signature: `shape` with -1 for every dimension that is open.
        dtype: numpy name, or "string", "int4", "uint4", "int2", "bfloat16", "resource", … where numpy has none.
        is_constant: Its values are in the file.
        size_bytes: Of its values; 0 when the size is open or the type has no fixed size.
        scales: real = (stored - zero_point) * scale; one for the tensor, or one per channel; empty: not quantised.
        zero_points: One per scale.
        quantized_dimension: Axis of the per-channel scales.
        is_variable: Keeps its values between inferences (recurrent state).
    """

    index: int
    name: str
    shape: tuple[int, ...]
    shape_signature: tuple[int, ...]
    dtype: str
    is_constant: bool
    size_bytes: int
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    is_variable: bool = False

    @property
    def elements(self) -> int:
        """Number of elements of `shape`; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def is_static(self) -> bool:
        """Whether every dimension is known from the file."""
        return all(size >= 0 for size in self.shape_signature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Op:
    """One operator.

    Attributes:
        index: Position in the file's first subgraph, which is the order of execution.
        op: "CONV_2D" (TFLite builtin, or the custom code), "Conv" (ONNX).
        version: Operator version (TFLite) or opset (ONNX).
        inputs: Tensor indices; -1 for an optional input left out.
        outputs: Tensor indices.
        options: snake_case (TFLite) or ONNX attribute names to plain values; enums by name.
        is_custom: Not an operator of the format's standard set.
    """

    index: int
    op: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    is_custom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The first subgraph of a model file.

    Attributes:
        where: The file, for messages.
        size_bytes: Of the file.
        half: Whether CPUs with float16 arithmetic compute it in float16: see `edgecv.graphs.reduced_precision`.
        load_constant: Tensor index to its stored values; use `constant`.
    """

    format: GraphFormat
    ops: tuple[Op, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    n_subgraphs: int = 1
    where: str = ""
    size_bytes: int = 0
    half: bool = False
    load_constant: Callable[[int], np.ndarray[Any, Any]] | None = field(default=None, repr=False, compare=False)

    def tensor(self, index: int) -> Tensor | None:
        """Return the tensor at `index`, or None for -1 (an optional input left out)."""
        return self.tensors[index] if index >= 0 else None

    def inputs_of(self, op: Op) -> tuple[Tensor, ...]:
        """Return the tensors that `op` reads, without optional ones left out."""
        return tuple(self.tensors[i] for i in op.inputs if i >= 0)

    def outputs_of(self, op: Op) -> tuple[Tensor, ...]:
        """Return the tensors that `op` writes."""
        return tuple(self.tensors[i] for i in op.outputs if i >= 0)


def constant(graph: Graph, tensor_index: int) -> np.ndarray[Any, Any]:
    """Return the stored values of a constant tensor: read-only, of its shape, quantised values as they are.

    4-bit values come as int8. Nothing is copied where the file's bytes can be viewed as they are.

    Raises:
        UnsupportedModelError: The tensor is not constant, or its type has no array form (strings).
    """
    tensor = graph.tensors[tensor_index]
    if not tensor.is_constant or graph.load_constant is None:
        raise UnsupportedModelError(f"{graph.where}: tensor {tensor_index} '{tensor.name}' is not a constant")
    return graph.load_constant(tensor_index)
