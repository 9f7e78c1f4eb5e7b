"""What a malformed operator raises, turned into one error that names the file and the operator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.graphs.ir import Graph, Op

# What code that trusts an operator runs into: missing inputs, sizes of zero, options of another kind, absurd numbers.
_RAISED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, MemoryError, RecursionError)


@contextlib.contextmanager
def naming_operators(*graphs: Graph) -> Iterator[None]:
    """Turn what code raises over an operator of these graphs into an error with the operator's name.

    Whatever reads operators trusts that a convolution has weights and an axis a size. A file need not keep to that, and
    checking each use apart would miss some. The operator is the one that the failing code held at the time; what is
    raised where no operator of these graphs was held passes unchanged.

    Raises:
        UnsupportedModelError: An operator is malformed; chained from what it raised.
    """
    try:
        yield
    except _RAISED as error:
        found = _operator_at(error.__traceback__, graphs)
        if found is None:
            raise
        graph, op = found
        names = [name for name in (tensor.name for tensor in graph.outputs_of(op)) if name]
        named = f" that writes '{names[0]}'" if names else ""
        raise UnsupportedModelError(
            f"{graph.where or 'the model'} is malformed: operator {op.index}, {op.op}{named}, lacks the inputs, "
            f"sizes or options that its kind has ({type(error).__name__}: {error})",
            hint="the file is damaged, or its converter is at fault: convert the model anew",
        ) from error


def _operator_at(traceback: TracebackType | None, graphs: tuple[Graph, ...]) -> tuple[Graph, Op] | None:
    """Return the operator that the innermost frame held, with its graph."""
    found = None
    while traceback is not None:
        held: list[Any] = list(traceback.tb_frame.f_locals.values())
        for graph in graphs:
            own = [value for value in held if isinstance(value, Op) and _belongs(value, graph)]
            found = (graph, own[-1]) if own else found
        traceback = traceback.tb_next
    return found


def _belongs(op: Op, graph: Graph) -> bool:
    return 0 <= op.index < len(graph.ops) and graph.ops[op.index] is op
