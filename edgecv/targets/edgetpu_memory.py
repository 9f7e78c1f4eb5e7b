"""Which weights an Edge TPU keeps in its on-chip memory, and which it fetches from the host at each inference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgecv.graphs import Graph, Op, constant
from edgecv.targets.table import limit
from edgecv.values.inspection import ParameterBytes
from edgecv.values.profiles import TargetProfile

_CONVOLUTIONS = ("CONV_2D", "TRANSPOSE_CONV")
_WEIGHTED = (*_CONVOLUTIONS, "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")
_LANES = 64
UNCOUNTED = ("UNIDIRECTIONAL_SEQUENCE_LSTM", "LSTM", "edgetpu-custom-op")


def parameter_bytes(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> ParameterBytes:
    """Predict the parameter memory of the mapped operators.

    Whole operators are cached in order until the memory is full; the rest is streamed, and so is a fully connected
    layer with very many inputs. Unknown (None) when a recurrent layer or an already compiled part is mapped: their
    layout is not known.

    Source: fitted to the parameter sizes inside published files of compilers with minimum runtime 10 to 14
    (benchmarks/edgetpu_score.py shows how well), and to the memory that published logs name.
    """
    if any(op.op in UNCOUNTED for op in mapped):
        return ParameterBytes(on_chip=None, streamed=None)
    away = streamed_ops(graph, mapped, profile)
    kept = [op for op in mapped if op.index not in away]
    return ParameterBytes(
        on_chip=sum(layer_bytes(graph, op) for op in kept),
        streamed=sum(layer_bytes(graph, op) for op in mapped if op.index in away),
        on_chip_memory=sum(memory_bytes(graph, op) for op in kept),
    )


def streamed_ops(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> frozenset[int]:
    """Return the indices of the operators whose weights do not stay on the chip."""
    away, memory = set(), 0
    for op in mapped:
        occupied = memory_bytes(graph, op)
        if _always_streamed(graph, op, profile) or memory + occupied > limit(profile, "cache_bytes"):
            away.add(op.index)
        else:
            memory += occupied
    return frozenset(away)


def on_the_edge(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> bool:
    """Say whether published sizes of the memory for weights leave it open which of them are streamed."""
    ends = (with_cache(profile, limit(profile, f"cache_bytes_{end}")) for end in ("least", "most"))
    return len({streamed_ops(graph, mapped, end) for end in ends}) > 1


def with_cache(profile: TargetProfile, size: float) -> TargetProfile:
    """Return the target with so many bytes of memory for weights."""
    return replace(profile, limits={**profile.limits, "cache_bytes": size})


def softmax_table_bytes(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> int:
    """Return the bytes of the tables that the newest compiler adds for the mapped SOFTMAX; earlier ones add none.

    A count of classes that is a multiple of 16 has none. The line between the two counts that were seen, 10 and 1001,
    is a guess.
    """
    counts = [graph.inputs_of(op)[0].shape[-1] for op in mapped if op.op == "SOFTMAX"]
    first, each = limit(profile, "softmax_table_bytes"), limit(profile, "softmax_table_bytes_per_class")
    return round(sum(first + each * count for count in counts if count % 16))


def shared_weights(graph: Graph, mapped: Sequence[Op]) -> dict[int, int]:
    """Return the weights that several of the mapped operators use, by tensor index, with the number of users."""
    uses = Counter(op.inputs[1] for op in mapped if op.op in _WEIGHTED)
    return {index: count for index, count in uses.items() if count > 1}


def layer_bytes(graph: Graph, op: Op) -> int:
    """Return the bytes that one operator's weights take in the compiled file; 0 for operators without weights.

    Output channels are padded to a multiple of 16, above 64 to a multiple of 64, and input channels to a multiple
    of 4. Each output channel adds 8 bytes when weights have a scale per channel, else 4 for its bias, which a
    convolution drops when it is all zeros. A depthwise kernel takes 4 bytes a tap for each channel, padded to a
    multiple of 8 channels with one scale (exact in five published files) and of 16 with a scale per channel.
    """
    layout = _layout(graph, op)
    return 0 if layout is None else layout.rows * layout.row_bytes


def memory_bytes(graph: Graph, op: Op) -> int:
    """Return the bytes of on-chip memory that one operator's weights occupy: always whole groups of 64 channels.

    It is what the compiler's log calls "On-chip memory used": 78,592 bytes (0.0750 MiB) for five 3x3 convolutions of
    32 channels, whose weights take 39,296 bytes in the compiled file.
    """
    layout = _layout(graph, op)
    return 0 if layout is None else _pad(layout.channels, _LANES) * layout.row_bytes


@dataclass(frozen=True, slots=True)
class _Layout:
    """How an operator's weights are stored: `rows` of `row_bytes` each, for `channels` output channels."""

    channels: int
    rows: int
    row_bytes: int


def _layout(graph: Graph, op: Op) -> _Layout | None:
    if op.op not in _WEIGHTED:
        return None
    weights = graph.tensors[op.inputs[1]]
    shape, per_channel = weights.shape, len(weights.scales) > 1
    if op.op == "DEPTHWISE_CONV_2D":
        extra = 4 * per_channel + 4 * _has_bias(graph, op)
        rows = _pad(shape[3], 16 if per_channel else 8)
        return _Layout(shape[3], rows, shape[1] * shape[2] * 4 + max(extra, 4))
    taps = shape[1] * shape[2] if op.op in _CONVOLUTIONS else 1
    extra = 8 if per_channel else 4 * _has_bias(graph, op)
    return _Layout(shape[0], _rows(shape[0]), taps * _pad(shape[-1], 4) + extra)


def _has_bias(graph: Graph, op: Op) -> bool:
    position = 3 if op.op == "TRANSPOSE_CONV" else 2
    index = op.inputs[position] if len(op.inputs) > position else -1
    if index < 0:
        return False
    if op.op == "FULLY_CONNECTED":
        return True
    return not graph.tensors[index].is_constant or bool(np.any(constant(graph, index)))


def _always_streamed(graph: Graph, op: Op, profile: TargetProfile) -> bool:
    inputs = graph.tensors[op.inputs[1]].shape[-1] if op.op == "FULLY_CONNECTED" else 0
    return inputs > limit(profile, "cached_inputs")


def _rows(channels: int) -> int:
    return _pad(channels, _LANES) if channels > _LANES else _pad(channels, 16)


def _pad(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
