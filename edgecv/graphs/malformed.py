"""What malformed operators and tensors raise, turned into one error that names the file and them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs.ir import Graph, Op, Tensor

# What code that trusts an operator runs into: missing inputs, sizes of zero, options of another kind, absurd numbers.
_RAISED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)


@contextlib.contextmanager
def naming_operators(*graphs: Graph) -> Iterator[None]:
    """Turn what code raises over an operator or a tensor of these graphs into an error with its name.

    Whatever reads operators trusts that a convolution has weights, an axis a size, and a tensor with a scale integers.
    A file need not keep to that, and checking each use apart would miss some. What is named is what the failing code
    held at the time, an operator before a tensor; what is raised where neither was held passes unchanged.

    Raises:
        UnsupportedModelError: An operator or a tensor is malformed; chained from what it raised.
    """
    try:
        yield
    except _RAISED as error:
        found = _held_at(error.__traceback__, graphs)
        if found is None:
            raise
        graph, part = found
        what = _operator(graph, part) if isinstance(part, Op) else _tensor(part)
        raise UnsupportedModelError(
            f"{graph.where or 'the model'} is malformed: {what} that its kind has ({type(error).__name__}: {error})",
            hint="the file is damaged, or its converter is at fault: convert the model anew",
        ) from error


def _operator(graph: Graph, op: Op) -> str:
    names = [name for name in (tensor.name for tensor in graph.outputs_of(op)) if name]
    named = f" that writes '{names[0]}'" if names else ""
    return f"operator {op.index}, {op.op}{named}, lacks the inputs, sizes or options"


def _tensor(tensor: Tensor) -> str:
    return f"tensor {tensor.index} '{tensor.name}', {tensor.dtype}, lacks the type, shape or quantisation"


def _held_at(traceback: TracebackType | None, graphs: tuple[Graph, ...]) -> tuple[Graph, Op | Tensor] | None:
    """Return the operator that the innermost frame held, with its graph; where none did, the tensor."""
    found: dict[type, tuple[Graph, Op | Tensor]] = {}
    while traceback is not None:
        held: list[Any] = list(traceback.tb_frame.f_locals.values())
        for graph in graphs:
            for value in held:
                if isinstance(value, (Op, Tensor)) and _belongs(value, graph):
                    found[type(value)] = graph, value
        traceback = traceback.tb_next
    return found.get(Op) or found.get(Tensor)


def _belongs(part: Op | Tensor, graph: Graph) -> bool:
    among: tuple[Op | Tensor, ...] = graph.ops if isinstance(part, Op) else graph.tensors
    return 0 <= part.index < len(among) and among[part.index] is part
