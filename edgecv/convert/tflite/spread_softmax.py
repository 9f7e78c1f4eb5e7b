"""Softmax that 8 bits do not hold: over several axes, written out, or over so many values that most round to zero.

TFLite's SOFTMAX works over the last axis. Over several, Keras and others write it out in exponentials, a sum and a
logarithm or a quotient, each of which gets one scale for everything that it may be: next to nothing of the signal is
left. SOFTMAX itself has steps of 1/256, so that more than 256 values that are much alike have no step at all; as the
last operator it is what the model's user reads, inside a network others work with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgecv.graphs import Graph, Op

STEPS = 256
"""Of an int8 SOFTMAX, between 0 and 1."""
_BEFORE = frozenset({"SUB", "REDUCE_MAX", "EQUAL", "NOT_EQUAL", "SELECT", "SELECT_V2"})
"""What takes the largest value off before the exponentials, and checks it for infinity."""
_AFTER_LOG = frozenset({"ADD", "SUB", "EXP"})
_ENDS = frozenset({"RESHAPE", "QUANTIZE", "DEQUANTIZE", "TRANSPOSE", "SQUEEZE"})


def spread_softmax(graph: Graph) -> frozenset[int]:
    """Return the operators of a float file that are such a softmax, or a part of one."""
    uses: dict[int, list[Op]] = {}
    for op in graph.ops:
        for index in op.inputs:
            uses.setdefault(index, []).append(op)
    found: set[int] = set()
    for op in graph.ops:
        if op.op == "EXP":
            found |= _written_out(graph, op, uses)
        elif op.op == "SOFTMAX" and graph.inputs_of(op)[0].shape[-1] > STEPS and not _is_last(graph, op, uses):
            found.add(op.index)
    return frozenset(found)


def _written_out(graph: Graph, exponential: Op, uses: dict[int, list[Op]]) -> set[int]:
    """Return the operators around an EXP whose results are summed, and divided by the sum or its logarithm's EXP."""
    powers = exponential.outputs[0]
    sums = [op for op in uses.get(powers, ()) if op.op == "SUM"]
    behind: list[Op] = []
    for total in sums:
        for op in uses.get(total.outputs[0], ()):
            if op.op == "DIV":
                behind += [
                    op,
                    *(user for user in uses.get(op.outputs[0], ()) if user.op == "MUL" and powers in user.inputs),
                ]
            elif op.op == "LOG":
                behind += [
                    op,
                    *_reached(op, lambda one: (user for out in one.outputs for user in uses.get(out, ())), _AFTER_LOG),
                ]
    if not behind:
        return set()
    made_by = {index: op for op in graph.ops for index in op.outputs}
    before = _reached(exponential, lambda one: (made_by[index] for index in one.inputs if index in made_by), _BEFORE)
    return {op.index for op in (exponential, *sums, *behind, *before)}


def _reached(start: Op, neighbours: Callable[[Op], Iterable[Op]], kinds: frozenset[str]) -> list[Op]:
    """Return the operators of some kinds that are reached from one over operators of these kinds; EXP ends a way."""
    found: dict[int, Op] = {}
    pending = [start]
    while pending:
        for op in neighbours(pending.pop()):
            if op.op in kinds and op.index not in found:
                found[op.index] = op
                if op.op != "EXP":
                    pending.append(op)
    return list(found.values())


def _is_last(graph: Graph, op: Op, uses: dict[int, list[Op]]) -> bool:
    """Say whether nothing computes with an operator's result."""
    pending = list(op.outputs)
    while pending:
        for user in uses.get(pending.pop(), ()):
            if user.op not in _ENDS:
                return False
            pending += user.outputs
    return True
