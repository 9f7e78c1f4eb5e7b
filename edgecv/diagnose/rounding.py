"""A float .tflite in which some layers round as they do in an int8 file: what quantising just these costs.

The weights of such a layer are replaced by the real values of stored ones, and what it gives passes through
`min(max(round(x / scale), low), high) * scale`, written with the float operators MUL, ROUND, MAXIMUM and MINIMUM, with
one scale for the tensor or one per channel. The file still computes in float, so it simulates an int8 file: sums of
products are not rounded to their 32-bit accumulator's steps, which are finer than any scale here.

Source: Jacob et al. 2018 (arXiv 1712.05877), equation 1, shifted by the zero point.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """The values that a tensor may take: k * scale for the integers k from low to high.

    Attributes:
        scale: In the tensor's unit, float64, (1,) or one per channel, (channels,).
        low: Smallest integer, of each scale: -128 minus the zero point for int8.
        high: Largest one.
    """

    scale: Array
    low: Array
    high: Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What rounding one layer changes in the float file.

    Attributes:
        constants: (operator's index, position among its inputs) to the values it shall read there, float32.
        outputs: Tensor index to the values that it may take.
    """

    constants: Mapping[tuple[int, int], Array] = field(default_factory=dict)
    outputs: Mapping[int, Rounding] = field(default_factory=dict)


def affine(scale: float, zero_point: int, *, low: int = -128, high: int = 127) -> Rounding:
    """Return the values of a tensor with one scale: int8, unless other limits are given."""
    return Rounding(scale=np.array([scale]), low=np.array([low - zero_point]), high=np.array([high - zero_point]))


def rounded(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return the float file with all the edits; an output that is edited keeps its place among the outputs."""
    return _Editor(data).apply(list(edits))


class _Editor:
    """Builds the changed graph in one walk over the operators."""

    def __init__(self, data: bytes) -> None:
        self.model = flatbuffer.unpack(data)
        self.generated = flatbuffer.schema()
        self.graph = self.model.subgraphs[0]
        self.operators: list[Any] = []
        self.renamed: dict[int, int] = {}

    def apply(self, edits: list[Edit]) -> bytes:
        constants = {place: values for edit in edits for place, values in edit.constants.items()}
        outputs = {index: rounding for edit in edits for index, rounding in edit.outputs.items()}
        for index in self.graph.inputs:
            self._round(int(index), outputs)
        for position, operator in enumerate(self.graph.operators):
            operator.inputs = np.array([self.renamed.get(int(i), int(i)) for i in operator.inputs], np.int32)
            for place in [place for place in constants if place[0] == position]:
                operator.inputs[place[1]] = self._constant(constants[place])
            self.operators.append(operator)
            for index in operator.outputs:
                self._round(int(index), outputs)
        self.graph.operators = self.operators
        self.graph.outputs = np.array([self.renamed.get(int(i), int(i)) for i in self.graph.outputs], np.int32)
        # Neither names the tensors as they are now; nothing here reads them.
        self.model.signatureDefs, self.model.metadata = [], []
        return flatbuffer.pack(self.model)

    def _round(self, index: int, outputs: Mapping[int, Rounding]) -> None:
        rounding = outputs.get(index)
        if rounding is None:
            return
        value = index
        for name, operand in (
            ("MUL", 1 / rounding.scale),
            ("ROUND", None),
            ("MAXIMUM", rounding.low),
            ("MINIMUM", rounding.high),
            ("MUL", rounding.scale),
        ):
            value = self._operator(name, value, None if operand is None else self._constant(operand), like=index)
        self.renamed[index] = value

    def _operator(self, name: str, value: int, operand: int | None, *, like: int) -> int:
        operator = self.generated.OperatorT()
        operator.opcodeIndex = flatbuffer.opcode(self.model, getattr(self.generated.BuiltinOperator, name), 1)
        operator.inputs = np.array([value] if operand is None else [value, operand], np.int32)
        result = self._tensor(self.graph.tensors[like].shape, buffer=0)
        operator.outputs = np.array([result], np.int32)
        kind = {"MUL": "Mul", "MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum"}.get(name)
        if kind is not None:
            operator.builtinOptionsType = getattr(self.generated.BuiltinOptions, f"{kind}Options")
            operator.builtinOptions = getattr(self.generated, f"{kind}OptionsT")()
        self.operators.append(operator)
        return result

    def _constant(self, values: Array) -> int:
        buffer = self.generated.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        return self._tensor(values.shape, buffer=len(self.model.buffers) - 1)

    def _tensor(self, shape: Iterable[int], *, buffer: int) -> int:
        tensor = self.generated.TensorT()
        tensor.shape = np.array([int(size) for size in shape], np.int32)
        tensor.type, tensor.buffer = self.generated.TensorType.FLOAT32, buffer
        tensor.name = f"rounding/{len(self.graph.tensors)}".encode()
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1
