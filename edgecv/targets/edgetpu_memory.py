"""Which weights an Edge TPU keeps in its on-chip memory, and which it fetches from the host at each inference."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.graphs import Graph, Op
from edgecv.profiles import TargetProfile
from edgecv.results import ParameterBytes
from edgecv.targets.table import limit

_CONVOLUTIONS = ("CONV_2D", "TRANSPOSE_CONV")
_UNCOUNTED = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "edgetpu-custom-op")


def parameter_bytes(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> ParameterBytes:
    """Predict the parameter memory of the mapped operators.

    Whole operators are cached in order until the memory is full; the rest is streamed, and so is a fully connected
    layer with very many inputs. Unknown (None) when a recurrent layer or an already compiled part is mapped: their
    layout is not known.

    Source: fitted to the parameter sizes inside published files of compilers with minimum runtime 10 to 14: exact or
    within 3 % where convolutions and fully connected layers hold the weights (benchmarks/edgetpu_score.py shows it).
    """
    if any(op.op in _UNCOUNTED for op in mapped):
        return ParameterBytes(on_chip=None, streamed=None)
    on_chip = streamed = 0
    for op in mapped:
        size = layer_bytes(graph, op)
        if _always_streamed(graph, op, profile) or on_chip + size > limit(profile, "cache_bytes"):
            streamed += size
        else:
            on_chip += size
    return ParameterBytes(on_chip=on_chip, streamed=streamed)


def layer_bytes(graph: Graph, op: Op) -> int:
    """Return the bytes that one operator's weights take in the chip's layout; 0 for operators without weights.

    Output channels are padded to a multiple of 16, above 64 to a multiple of 64, and input channels to a multiple
    of 4. Each output channel adds 8 bytes when weights have a scale per channel, else 4 for its bias; a depthwise
    kernel takes 4 bytes a tap, and adds 4.
    """
    if op.op not in (*_CONVOLUTIONS, "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
        return 0
    weights = graph.tensors[op.inputs[1]]
    shape = weights.shape
    has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
    extra = 8 if len(weights.scales) > 1 else 4 * has_bias
    if op.op == "DEPTHWISE_CONV_2D":
        return _rows(shape[3]) * (shape[1] * shape[2] * 4 + min(extra, 4))
    taps = shape[1] * shape[2] if op.op in _CONVOLUTIONS else 1
    return _rows(shape[0]) * (taps * _pad(shape[-1], 4) + extra)


def _always_streamed(graph: Graph, op: Op, profile: TargetProfile) -> bool:
    inputs = graph.tensors[op.inputs[1]].shape[-1] if op.op == "FULLY_CONNECTED" else 0
    return inputs > limit(profile, "cached_inputs")


def _rows(channels: int) -> int:
    return _pad(channels, 64) if channels > 64 else _pad(channels, 16)


def _pad(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
