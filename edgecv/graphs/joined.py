"""Outputs in which probabilities share one quantisation step with values of another size: boxes beside scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs.ir import Graph, Op, Tensor, constant

JOINS = frozenset({"CONCATENATION", "PACK", "Concat", "QLinearConcat"})
MOVES = frozenset(
    {
        "RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "SLICE", "STRIDED_SLICE", "SPLIT", "SPLIT_V", "UNPACK",
        "GATHER", "QUANTIZE", "DEQUANTIZE", "CAST",
        "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Slice", "Split", "Gather",
        "QuantizeLinear", "DequantizeLinear", "Cast",
    }
)  # fmt: skip
"""Operators that leave values what they are."""
PROBABILITIES = frozenset(
    {"LOGISTIC", "SOFTMAX", "Sigmoid", "Softmax", "HardSigmoid", "QLinearSigmoid", "QLinearSoftmax"}
)
ENDINGS = {
    "SOFTMAX": "softmax", "Softmax": "softmax", "QLinearSoftmax": "softmax",
    "LOGISTIC": "sigmoid", "Sigmoid": "sigmoid", "QLinearSigmoid": "sigmoid",
}  # fmt: skip
PRODUCTS = frozenset({"MUL", "Mul", "QLinearMul"})
LARGEST = frozenset({"REDUCE_MAX", "ReduceMax"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """An output that holds probabilities beside other values.

    Attributes:
        output: Name of the output.
        place: Among the file's outputs.
        tensor: Name of the tensor in which they are joined.
        step: Of its quantisation, real units: the coarsest one between where probabilities are made and the output.
        probabilities: Names of the tensors that are probabilities.
        others: Names of those that are not.
    """

    output: str
    place: int
    tensor: str
    step: float
    probabilities: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _End:
    """Where a walk back from an output ends: the tensor, and the coarsest step on the way."""

    index: int
    step: float


def joined_outputs(graph: Graph) -> tuple[Joined, ...]:
    """Return the quantised outputs that a concatenation makes of probabilities and of something else.

    Only what is moved, and not computed with, between the concatenation and the output counts, so that concatenations
    inside a network are none. Probabilities are what a sigmoid or a softmax gives, and products of such.
    """
    return tuple(_joined(graph))


def output_steps(graph: Graph) -> tuple[float | None, ...]:
    """Return the coarsest quantisation step on the way to each output; None where it is not quantised."""
    made_by = _makers(graph)
    return tuple(_Walk(graph, made_by, index).step for index in graph.outputs)


def ends_in(graph: Graph, output: int) -> tuple[str, int]:
    """Return what gives an output, looking through what only moves its values, and which of its results it is.

    "softmax", "sigmoid", the name of an operator that is no builtin, or "linear".
    """
    made_by = _makers(graph)
    index = output
    for _ in graph.ops:
        op = made_by.get(index)
        if op is None:
            break
        if op.is_custom:
            return op.op, op.outputs.index(index)
        sources = _sources(op) if op.op in MOVES else ()
        if not sources:
            return ENDINGS.get(op.op, "linear"), op.outputs.index(index)
        index = sources[0]
    return "linear", 0


def _joined(graph: Graph) -> Iterator[Joined]:
    made_by = _makers(graph)
    for place, output in enumerate(graph.outputs):
        walk = _Walk(graph, made_by, output)
        likely = [end for end in walk.ends if _is_probability(graph, made_by, end.index)]
        others = [end for end in walk.ends if end not in likely and not graph.tensors[end.index].is_constant]
        step = max((end.step for end in likely), default=0.0)
        if walk.join is not None and others and step > 0:
            yield Joined(
                output=graph.tensors[output].name,
                place=place,
                tensor=graph.tensors[walk.join.outputs[0]].name,
                step=step,
                probabilities=tuple(graph.tensors[end.index].name for end in likely),
                others=tuple(graph.tensors[end.index].name for end in others),
            )


def _makers(graph: Graph) -> dict[int, Op]:
    return {index: op for op in graph.ops for index in op.outputs if index >= 0}


class _Walk:
    """From an output back to what is computed.

    Attributes:
        ends: Tensors that are not only moved or joined.
        join: The first concatenation that was met, that nearest to the output.
        step: The coarsest quantisation step in front of the first concatenation, or of all where there is none.
    """

    def __init__(self, graph: Graph, made_by: dict[int, Op], output: int) -> None:
        self.ends: list[_End] = []
        self.join: Op | None = None
        self.step: float | None = None
        seen, left = {output}, [(output, 0.0)]
        while left:
            index, coarsest = left.pop()
            op = made_by.get(index)
            step = max(coarsest, _step_of(graph, graph.tensors[index], op))
            if self.join is None:
                self.step = step or None
            sources = () if op is None else _sources(op)
            if op is not None and op.op in JOINS:
                self.join = self.join or op
            if not sources:
                self.ends.append(_End(index, step))
            for source in sources:
                if source not in seen:
                    seen.add(source)
                    left.append((source, step))


def _sources(op: Op) -> tuple[int, ...]:
    """Return the tensors whose values an operator only moves or joins; none for an operator that computes."""
    if op.op == "QLinearConcat":  # scale and zero point of the output, then a value, a scale and a zero point each
        return tuple(index for index in op.inputs[2::3] if index >= 0)
    if op.op in JOINS:
        return tuple(index for index in op.inputs if index >= 0)
    if op.op in MOVES:
        return tuple(index for index in op.inputs[1 if op.op == "SPLIT" else 0 :][:1] if index >= 0)
    return ()


def _step_of(graph: Graph, tensor: Tensor, op: Op | None) -> float:
    """Return the one step of a tensor, or that which its ONNX operator gives it; 0 where there is none."""
    if tensor.scales:
        return tensor.scales[0] if len(tensor.scales) == 1 else 0.0
    place = {"QuantizeLinear": 1, "DequantizeLinear": 1, "QLinearConcat": 0}.get(op.op if op is not None else "")
    if op is None or place is None or place >= len(op.inputs):
        return 0.0
    scale = graph.tensor(op.inputs[place])
    if scale is None or not scale.is_constant or scale.elements != 1:
        return 0.0
    try:
        return float(constant(graph, scale.index).item())
    except UnsupportedModelError:  # its values are in another file
        return 0.0


def _is_probability(graph: Graph, made_by: dict[int, Op], index: int, depth: int = 8) -> bool:
    """Say whether a tensor holds probabilities: a sigmoid or softmax, moved, multiplied, or the largest of some."""
    while (op := made_by.get(index)) is not None and depth > 0:
        depth -= 1
        if op.op in PROBABILITIES:
            return True
        if op.op in PRODUCTS:
            places = (0, 3) if op.op == "QLinearMul" else (0, 1)
            factors = [op.inputs[place] for place in places if place < len(op.inputs)]
            return len(factors) == 2 and all(
                one >= 0 and _is_probability(graph, made_by, one, depth) for one in factors
            )
        sources = op.inputs[:1] if op.op in LARGEST else _sources(op) if op.op in MOVES else ()
        if not sources or sources[0] < 0:
            return False
        index = sources[0]
    return False
