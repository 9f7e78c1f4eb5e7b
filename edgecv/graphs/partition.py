"""How TensorFlow Lite cuts a graph into parts that a delegate takes and parts that it leaves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from edgecv.graphs.ir import Graph, Op


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """Operators that run together.

    Attributes:
        supported: Whether the delegate could take them.
        ops: Operator indices in order of assignment.
    """

    supported: bool
    ops: tuple[int, ...]


def partition(graph: Graph, supported: Collection[int]) -> tuple[Subset, ...]:
    """Cut `graph` into subsets as a delegate would see them, in order of execution.

    An operator is ready when all its inputs come from the file, from graph inputs or from earlier subsets, or from
    the current one. The first ready operator gives a subset its kind, and the subset then takes every ready operator
    of that kind, skipping others, until none is left.

    Args:
        graph: The graph; only its operators' inputs and outputs matter.
        supported: Indices of the operators that the delegate can take.

    Source: PartitionGraphIntoIndependentNodeSubsets (greedy), tensorflow/lite/graph_info.cc.
    """
    takes = set(supported)
    waiting = [op for op in graph.ops]
    unready = {t for op in graph.ops for t in op.outputs if t >= 0}
    subsets: list[Subset] = []
    while waiting:
        first = next((op for op in waiting if _ready(op, unready)), None)
        if first is None:  # a cycle: not a graph that can run; what is left runs nowhere
            break
        kind = first.index in takes
        taken = _collect(waiting, unready, takes, kind)
        subsets.append(Subset(supported=kind, ops=tuple(taken)))
        done = set(taken)
        waiting = [op for op in waiting if op.index not in done]
    return tuple(subsets)


def _collect(waiting: list[Op], unready: set[int], takes: set[int], kind: bool) -> list[int]:
    taken: list[int] = []
    left = [op for op in waiting if (op.index in takes) == kind]
    progress = True
    while progress:
        ready = []
        for op in left:
            if _ready(op, unready):
                unready.difference_update(op.outputs)
                ready.append(op.index)
        taken += ready
        progress = bool(ready)
        left = [op for op in left if op.index not in set(ready)]
    return taken


def _ready(op: Op, unready: set[int]) -> bool:
    return not any(t in unready for t in op.inputs)
