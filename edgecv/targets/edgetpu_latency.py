"""Predicting how long an Edge TPU takes for the part of a file that it runs: transfers, arithmetic, streamed weights.

The constants are data: `[latency]` of targets/edgetpu.toml, fitted by benchmarks/edgetpu_latency.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgecv.core.errors import ConfigError
from edgecv.graphs import Graph, Op
from edgecv.targets.edgetpu_memory import UNCOUNTED, layer_bytes, streamed_ops, with_cache
from edgecv.targets.table import limit
from edgecv.values.inspection import PredictedLatency
from edgecv.values.profiles import TargetProfile

_MULTIPLIERS = 4096
_RENAMING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What operators ask of the chip.

    Attributes:
        cycles: Of the array of 64 x 64 multipliers, by convolutions and fully connected layers: output channels in
            groups of 64, input channels in groups of 4.
        taps: Multiplications of depthwise kernels, channels in groups of 64.
        moved: Elements that every other operator reads and writes.
    """

    cycles: float = 0.0
    taps: float = 0.0
    moved: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(cycles=self.cycles + other.cycles, taps=self.taps + other.taps, moved=self.moved + other.moved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one inference costs, whatever the chip's and the link's speed. Bytes and elements.

    Attributes:
        cached: Work before the first operator whose weights are streamed.
        streaming: Work from that operator on, during which weights arrive.
        streamed: Bytes of those weights.
        inputs: Bytes sent to the chip; `outputs` bytes fetched from it.
    """

    cached: Work
    streaming: Work
    streamed: int
    inputs: int
    outputs: int


def predict(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> PredictedLatency | None:
    """Predict the time of the mapped operators with a USB 3 stick.

    Returns:
        Milliseconds with a band: the largest error of a network that was left out of the fit, the slowest and fastest
        published output link, the least and the most memory that published logs show for weights. None when the
        target's file has no constants, or an operator's cost is unknown (recurrent layers, compiled parts).
    """
    if not profile.latency or not mapped or any(op.op in UNCOUNTED for op in mapped):
        return None
    times = time_of(load(graph, mapped, profile), profile.latency)
    fewest, most = (with_cache(profile, limit(profile, f"cache_bytes_{end}")) for end in ("most", "least"))
    return PredictedLatency(
        ms=sum(times.values()),
        low_ms=_bound(load(graph, mapped, fewest), profile.latency, "fast_output_mb_per_s", 1),
        high_ms=_bound(load(graph, mapped, most), profile.latency, "slow_output_mb_per_s", -1),
        parts_ms=times,
        median_error=profile.latency["median_error"],
    )


def _bound(asked: Load, constants: Mapping[str, float], link: str, sign: int) -> float:
    times = time_of(asked, constants)
    known = sum(times.values()) - times["outputs"]
    return known / (1 + sign * constants["largest_error"]) + _ms(asked.outputs, constants[link])


def time_of(work: Load, constants: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds of each part of an inference; their sum is the prediction.

    Weights that do not fit the chip arrive while it computes, from the first operator that needs one:
    T = floor + in / B_in + C(cached) + max(C(streaming), streamed / B_stream) + out / B_out.

    Raises:
        ConfigError: A constant is missing.
    """
    try:
        compute, hidden = (_compute_ms(part, constants) for part in (work.cached, work.streaming))
        stream = _ms(work.streamed, constants["stream_mb_per_s"])
        return {
            "overhead": constants["floor_ms"],
            "inputs": _ms(work.inputs, constants["input_mb_per_s"]),
            "compute": compute + hidden,
            "waiting for weights": max(0.0, stream - hidden),
            "outputs": _ms(work.outputs, constants["output_mb_per_s"]),
        }
    except KeyError as error:
        raise ConfigError(f"[latency] lacks {error}", hint="see targets/edgetpu.toml for its keys") from error


def _compute_ms(work: Work, constants: Mapping[str, float]) -> float:
    return (
        work.cycles / (constants["array_mhz"] * 1e3)
        + _ms(work.taps, constants["depthwise_m_per_s"])
        + _ms(work.moved, constants["moved_mb_per_s"])
    )


def _ms(count: float, millions_per_second: float) -> float:
    return count / (millions_per_second * 1e3)


def load(graph: Graph, mapped: Sequence[Op], profile: TargetProfile) -> Load:
    """Add up what the mapped operators cost; every element counts as a byte, so a float file gives its int8 load."""
    streamed = streamed_ops(graph, mapped, profile)
    first = next((place for place, op in enumerate(mapped) if op.index in streamed), len(mapped))
    inputs, outputs = _boundary(graph, mapped)
    return Load(
        cached=sum((work_of(graph, op) for op in mapped[:first]), Work()),
        streaming=sum((work_of(graph, op) for op in mapped[first:]), Work()),
        streamed=sum(layer_bytes(graph, op) for op in mapped if op.index in streamed),
        inputs=inputs,
        outputs=outputs,
    )


def work_of(graph: Graph, op: Op) -> Work:
    """Return what one operator asks of the chip.

    Source: a convolution of 32 to 32 channels takes twice the cycles of its multiplications, as published times of
    sequences of such layers show (see docs/targets/edgetpu.md).
    """
    output = graph.outputs_of(op)[0]
    if op.op in ("CONV_2D", "FULLY_CONNECTED"):
        rows, *taps, depth = graph.tensors[op.inputs[1]].shape
        positions = math.prod(output.shape[:-1])
        return Work(cycles=positions * math.prod(taps) * _pad(depth, 4) * _pad(rows, 64) / _MULTIPLIERS)
    if op.op == "TRANSPOSE_CONV":
        rows, *taps, depth = graph.tensors[op.inputs[1]].shape
        positions = math.prod(graph.tensors[op.inputs[2]].shape[:-1])
        return Work(cycles=positions * math.prod(taps) * _pad(depth, 4) * _pad(rows, 64) / _MULTIPLIERS)
    if op.op == "DEPTHWISE_CONV_2D":
        _, height, width, channels = graph.tensors[op.inputs[1]].shape
        return Work(taps=math.prod(output.shape[:-1]) * height * width * _pad(channels, 64))
    if op.op in _RENAMING:
        return Work()
    read = sum(t.elements for t in graph.inputs_of(op) if not t.is_constant)
    return Work(moved=read + sum(t.elements for t in graph.outputs_of(op)))


def _boundary(graph: Graph, mapped: Sequence[Op]) -> tuple[int, int]:
    """Return the elements that enter and leave the mapped part, each tensor once."""
    inside = {op.index for op in mapped}
    made = {t for op in mapped for t in op.outputs if t >= 0}
    read = {t for op in mapped for t in op.inputs if t >= 0 and not _stays(graph, t)}
    used = {t for op in graph.ops if op.index not in inside for t in op.inputs} | set(graph.outputs)
    return _elements(graph, read - made), _elements(graph, made & used)


def _stays(graph: Graph, index: int) -> bool:
    return graph.tensors[index].is_constant or graph.tensors[index].is_variable


def _elements(graph: Graph, indices: set[int]) -> int:
    return sum(graph.tensors[index].elements for index in indices)


def _pad(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple
