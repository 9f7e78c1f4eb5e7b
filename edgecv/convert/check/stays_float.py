"""What a file of integers computes in float, by whose wish, and what that costs."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecv.convert.layers import op_layers
from edgecv.core.errors import ConversionError
from edgecv.graphs import Graph, Op, macs

CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
REPLACEMENTS: Mapping[str, str] = {
    "LOCAL_RESPONSE_NORMALIZATION": "use the variant without it, or batch normalisation",
    "CAST": "use ReLU without a threshold",
    "POW": "multiply or take the square root",
}
"""What to train with in place of operators that TFLite has no integer kernel for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FloatOperator:
    """An operator that computes in float inside a file of integers.

    Attributes:
        op: "LOCAL_RESPONSE_NORMALIZATION".
        layer: Source layer; "" where none is known.
        asked: Whether the layer was named, to stay in float; else TFLite has no integer kernel.
    """

    op: str
    layer: str
    asked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StaysFloat:
    """What of a file of integers is in float.

    Attributes:
        operators: In the file's order.
        of: Operators of the file, without conversions.
        macs_share: Of the file's multiply-accumulates, 0..1.
        quantize: QUANTIZE operators behind them; those of the file's inputs do not count.
        dequantize: DEQUANTIZE operators in front of them; those of the file's outputs do not count.
    """

    operators: tuple[FloatOperator, ...]
    of: int
    macs_share: float
    quantize: int
    dequantize: int

    @property
    def unasked(self) -> tuple[FloatOperator, ...]:
        """Those that nobody asked to stay in float."""
        return tuple(one for one in self.operators if not one.asked)

    @property
    def cost(self) -> str:
        """For a person: "1 of 9 operators, 0.0 % of the multiply-accumulates, 1 DEQUANTIZE and 1 QUANTIZE"."""
        return (
            f"{len(self.operators)} of {self.of} operators, {self.macs_share:.1%} of the multiply-accumulates, "
            f"{self.dequantize} DEQUANTIZE and {self.quantize} QUANTIZE around them"
        )


def stays_float(graph: Graph, model: Any, asked: Sequence[str] = ()) -> StaysFloat | None:
    """Return what of a file of integers is in float; None when nothing is.

    Args:
        graph: Of the .tflite, as the quantiser left it.
        model: The keras model that it was made from.
        asked: Patterns of source layers that were to stay in float.
    """
    computing = [op for op in graph.ops if op.op not in CONVERSIONS]
    left = [op for op in computing if in_float(graph, op)]
    if not left:
        return None
    layers = op_layers(graph, model)
    total = sum(macs(graph, op) for op in computing)
    return StaysFloat(
        operators=tuple(_operator(op, layers[op.index], asked) for op in left),
        of=len(computing),
        macs_share=sum(macs(graph, op) for op in left) / total if total else 0.0,
        quantize=_between(graph, "QUANTIZE", graph.inputs),
        dequantize=_between(graph, "DEQUANTIZE", graph.outputs),
    )


def in_float(graph: Graph, op: Op) -> bool:
    """Say whether an operator takes or gives float values."""
    return any(graph.tensors[index].dtype == "float32" for index in (*op.inputs, *op.outputs) if index >= 0)


def named(layers: Collection[str], patterns: Sequence[str]) -> bool:
    """Say whether one of some layers is named by one of some patterns."""
    return any(fnmatch.fnmatchcase(layer, pattern) for layer in layers for pattern in patterns)


def words(operators: Sequence[FloatOperator]) -> str:
    """Return operators with their layers, for a person: "ELU (a, b), POW (c)"."""
    found: dict[str, list[str]] = {}
    for one in operators:
        found.setdefault(one.op, []).append(one.layer or "no layer of its own")
    return ", ".join(f"{op} ({', '.join(dict.fromkeys(layers))})" for op, layers in found.items())


def refuse(found: StaysFloat | None, scheme: str) -> None:
    """Raise ConversionError when an operator would stay in float.

    Args:
        found: Of the file.
        scheme: Of the file, for the message.
    """
    if found is None:
        return
    kinds = dict.fromkeys(one.op for one in found.operators)
    helps = [f"{REPLACEMENTS[kind]} in place of {kind}" for kind in kinds if kind in REPLACEMENTS]
    ways = helps or [f"use layers whose operators have {scheme} kernels"]
    raise ConversionError(
        f"TFLite has no {scheme} kernel for {words(found.operators)}; they would be {found.cost}",
        hint=f"{'; '.join(ways)}, and train on; or leave --strict-int8 out: the file then computes them in float",
    )


def _operator(op: Op, layers: frozenset[str], asked: Sequence[str]) -> FloatOperator:
    return FloatOperator(op=op.op, layer=", ".join(sorted(layers)), asked=named(layers, asked))


def _between(graph: Graph, kind: str, boundary: Sequence[int]) -> int:
    """Count conversions of a kind between float and integers that do not stand at the file's boundary."""
    ours = [op for op in graph.ops if op.op == kind and in_float(graph, op)]
    return sum(not {*op.inputs, *op.outputs} & set(boundary) for op in ours)
