"""Taking out of an unpacked .tflite what nothing uses any more: conversions, operator codes, tensors and buffers."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.convert.tflite import flatbuffer


def compacted(model: Any) -> Any:
    """Return the model, changed: without unread conversions, unused codes, tensors and buffers.

    Signatures stay, but for those of tensors that are gone.
    """
    graph = model.subgraphs[0]
    _drop_conversions(model, graph)
    used = {int(i) for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0}
    order = sorted(used | {int(i) for i in (*graph.inputs, *graph.outputs)})
    place = {old: new for new, old in enumerate(order)} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in order]
    for op in graph.operators:
        op.inputs, op.outputs = _moved(op.inputs, place), _moved(op.outputs, place)
    graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
    model.signatureDefs = [one for one in model.signatureDefs or () if _renumbered(one, place)]
    _drop_codes(model, graph)
    _drop_buffers(model, graph)
    return model


def _renumbered(signature: Any, place: dict[int, int]) -> bool:
    """Give a signature's tensors their new numbers; False when one is gone."""
    named = [*(signature.inputs or ()), *(signature.outputs or ())]
    if not all(int(one.tensorIndex) in place for one in named):
        return False
    for one in named:
        one.tensorIndex = place[int(one.tensorIndex)]
    return True


def _moved(indices: Any, place: dict[int, int]) -> Any:
    return np.array([place[int(index)] for index in indices], np.int32)


def _drop_conversions(model: Any, graph: Any) -> None:
    kinds = flatbuffer.schema().BuiltinOperator
    codes = [flatbuffer.builtin(code) for code in model.operatorCodes]
    wanted = {int(i) for i in graph.outputs}
    kept = []
    for op in reversed(graph.operators):
        converts = codes[op.opcodeIndex] in (kinds.QUANTIZE, kinds.DEQUANTIZE)
        if converts and not wanted & {int(i) for i in op.outputs}:
            continue
        wanted |= {int(i) for i in op.inputs}
        kept.append(op)
    graph.operators = kept[::-1]


def _drop_codes(model: Any, graph: Any) -> None:
    """Readers refuse a file for the version of an operator's code, used or not."""
    order = sorted({int(op.opcodeIndex) for op in graph.operators})
    place = {old: new for new, old in enumerate(order)}
    model.operatorCodes = [model.operatorCodes[old] for old in order]
    for op in graph.operators:
        op.opcodeIndex = place[int(op.opcodeIndex)]


def _drop_buffers(model: Any, graph: Any) -> None:
    """Buffer 0 is the empty one, by the schema's rule, and stays."""
    holders = [*graph.tensors, *(model.metadata or ())]
    order = sorted({0, *(int(holder.buffer) for holder in holders)})
    place = {old: new for new, old in enumerate(order)}
    model.buffers = [model.buffers[old] for old in order]
    for holder in holders:
        holder.buffer = place[int(holder.buffer)]
    model.metadataBuffer = []
