"""The memory that TensorFlow Lite's planner gives to a graph's activations."""

from __future__ import annotations

from dataclasses import dataclass

from edgecv.graphs.ir import Graph

_ALIGNMENT = 64  # kDefaultArenaAlignment, tensorflow/lite/util.h
_SHARES_INPUT = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "BITCAST")


@dataclass(frozen=True, slots=True)
class _Block:
    """A tensor's place in time: operator indices, both inclusive; -1 is before the first."""

    size: int
    first: int
    last: int


def arena_bytes(graph: Graph) -> int | None:
    """Return the size of the arena for the tensors that are not in the file, in bytes.

    Each tensor lives from the operator that writes it to the last one that reads it; graph inputs and outputs live
    throughout. Largest first, each goes to the smallest gap that fits, at multiples of 64 bytes; an operator that
    only renames its input shares its memory. Kernels' scratch buffers and delegates' own memory are not in it.

    Returns:
        Bytes, or None when a size is unknown.

    Source: tensorflow/lite/arena_planner.cc and simple_memory_arena.cc.
    """
    blocks = _blocks(graph)
    if any(block.size == 0 for block in blocks):
        return None
    order = sorted(blocks, key=lambda b: (not _always(b, len(graph.ops)), -b.size, b.first))
    placed: list[tuple[int, _Block]] = []
    for block in order:
        placed.append((_place(block, placed), block))
    return max((offset + block.size for offset, block in placed), default=0)


def _blocks(graph: Graph) -> list[_Block]:
    first: dict[int, int] = dict.fromkeys(graph.inputs, -1)
    last: dict[int, int] = dict.fromkeys((*graph.inputs, *graph.outputs), len(graph.ops))
    owner: dict[int, int] = {}
    for op in graph.ops:
        for t in op.outputs:
            if t >= 0:
                owner[t] = _owner(graph, op.op, op.inputs, t, owner)
                first.setdefault(owner[t], op.index)
                end = last.get(t, op.index)
                last[owner[t]] = max(last.get(owner[t], -1), end, op.index)
        for t in op.inputs:
            if t >= 0 and not graph.tensors[t].is_constant:
                root = owner.get(t, t)
                first.setdefault(root, -1)
                last[root] = max(last.get(root, -1), op.index)
    return [_Block(graph.tensors[t].size_bytes, start, last[t]) for t, start in first.items()]


def _owner(graph: Graph, name: str, inputs: tuple[int, ...], output: int, owner: dict[int, int]) -> int:
    source = inputs[0] if inputs else -1
    shares = name in _SHARES_INPUT and source >= 0 and not graph.tensors[source].is_constant
    if not shares or source in graph.inputs or graph.tensors[source].size_bytes != graph.tensors[output].size_bytes:
        return output
    return owner.get(source, source)


def _always(block: _Block, n_ops: int) -> bool:
    return block.first <= 0 and block.last >= n_ops


def _place(block: _Block, placed: list[tuple[int, _Block]]) -> int:
    alive = sorted((o, b.size) for o, b in placed if b.first <= block.last and block.first <= b.last)
    best, best_gap, cursor = -1, -1, 0
    for offset, size in alive:
        gap = offset - cursor
        if gap >= block.size and (best < 0 or gap < best_gap):
            best, best_gap = cursor, gap
        cursor = max(cursor, _align(offset + size))
    return best if best >= 0 else cursor


def _align(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
