"""Where an int8 file loses accuracy: the quantisation noise at the output of each layer, against the float file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose.all_tensors import AllTensors
from edgecv.diagnose.quantised_layers import layers_of
from edgecv.graphs import Graph, naming_operators, read_tflite
from edgecv.graphs.pool_windows import as_pool

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerNoise:
    """The noise at one layer's output.

    Attributes:
        layer: Source layer.
        op: Operator of the int8 file that writes the output.
        sqnr_db: Signal to quantisation noise there, decibels, noise of all layers before included; None when the int8
            output is equal to the float one.
        lost_db: How much lower that is than at the layer's noisiest input: what the layer itself adds. None for the
            first layers, and where a figure is missing.
        range: Smallest and largest real value that the output's integers can hold.
        seen: Smallest and largest value of the float file.
    """

    layer: str
    op: str
    sqnr_db: float | None
    lost_db: float | None
    range: tuple[float, float]
    seen: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Pair:
    """A layer's output in both files."""

    layer: str
    op: int
    float_tensor: int
    int8_tensor: int


def layer_noise(
    float_file: Path, int8_file: Path, inputs: Iterable[Sequence[Array]], *, total: int, reporter: Reporter = QUIET
) -> tuple[LayerNoise, ...]:
    """Run both files on the same inputs, operator by operator, and compare what each layer gives.

    Args:
        float_file: A float32 .tflite of edgecv.
        int8_file: An int8 .tflite of the same model.
        inputs: Preprocessed samples, a float32 tensor with batch 1 for each input of the file.
        total: Their number, for the progress bar.
        reporter: Told of each sample.

    Returns:
        One record per layer that both files have, in the order of execution.

    Raises:
        UnsupportedModelError: A file says nothing of its layers, or the two have none in common.
        CrashError: A file ends the process that runs it.
        DataError: There are no inputs.
    """
    graphs = [read_tflite(path) for path in (float_file, int8_file)]
    with naming_operators(*graphs):
        pairs = _pairs(graphs, [layers_of(path) for path in (float_file, int8_file)], (float_file, int8_file))
    sums = [Sums() for _ in pairs]
    with (
        AllTensors(float_file) as reference,
        AllTensors(int8_file) as candidate,
        reporter.bar("compare layers", total) as advance,
    ):
        for sample in inputs:
            reference.run(sample)
            candidate.run(sample)
            for pair, tally in zip(pairs, sums, strict=True):
                tally.add(*_outputs(pair, reference, candidate))
            advance()
    if not sums[0].count:
        raise DataError("there is nothing to compare on", hint="give a data set with samples")
    with naming_operators(*graphs):
        return _records(graphs[1], pairs, sums)


def _outputs(pair: _Pair, reference: AllTensors, candidate: AllTensors) -> tuple[Array, Array]:
    expected, got = reference.value(pair.float_tensor), candidate.value(pair.int8_tensor)
    if expected.shape != got.shape:  # whatever the files promise
        raise UnsupportedModelError(
            f"layer '{pair.layer}' gives {expected.shape} in the float file and {got.shape} in the int8 file",
            hint="a file is damaged, or they are of different models",
        )
    return expected, got


def _pairs(graphs: Sequence[Graph], maps: Sequence[tuple[str, ...]], paths: tuple[Path, Path]) -> list[_Pair]:
    """Match the last operator of each layer; conversions at the boundary do not count."""
    lasts = [
        {layer: op for op, layer in zip(graph.ops, layers, strict=True) if layer and "QUANTIZE" not in op.op}
        for graph, layers in zip(graphs, maps, strict=True)
    ]
    pairs = []
    for layer, op in sorted(lasts[1].items(), key=lambda item: item[1].index):
        twin = lasts[0].get(layer)
        if twin is None or graphs[0].tensors[twin.outputs[0]].shape != graphs[1].tensors[op.outputs[0]].shape:
            continue
        pairs.append(_Pair(layer, op.index, twin.outputs[0], op.outputs[0]))
    if not pairs:
        raise UnsupportedModelError(
            f"{paths[0]} and {paths[1]} have no layer in common", hint="give files of one model"
        )
    return pairs


class Sums:
    """What the signal to noise ratio and the range are made of, added up over samples."""

    def __init__(self) -> None:
        self.count = 0
        self.total = self.squares = self.noise = 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, expected: Array, got: Array) -> None:
        self.count += expected.size
        self.total += float(expected.sum())
        self.squares += float(np.square(expected).sum())
        self.noise += float(np.square(expected - got).sum())
        self.low, self.high = min(self.low, float(expected.min())), max(self.high, float(expected.max()))

    def sqnr_db(self) -> float | None:
        """Signal with its mean taken out, over the noise; Oppenheim & Schafer, section 4.8."""
        signal = self.squares - self.total**2 / self.count
        if self.noise == 0 or signal <= 0:
            return None
        return 10 * math.log10(signal / self.noise)


def _records(graph: Graph, pairs: Sequence[_Pair], sums: Sequence[Sums]) -> tuple[LayerNoise, ...]:
    ratios = {pair.int8_tensor: tally.sqnr_db() for pair, tally in zip(pairs, sums, strict=True)}
    made_by = {index: op for op in graph.ops for index in op.outputs}
    records = []
    for pair, tally in zip(pairs, sums, strict=True):
        before = _before(graph, pair, ratios, made_by)
        here, op = ratios[pair.int8_tensor], graph.ops[pair.op]
        lost = max(0.0, min(before) - here) if before and here is not None else None
        records.append(
            LayerNoise(
                layer=pair.layer,
                op=as_pool(graph, op).op,
                sqnr_db=here,
                lost_db=lost,
                range=_range(graph, pair.int8_tensor),
                seen=(tally.low, tally.high),
            )
        )
    return tuple(records)


def _before(graph: Graph, pair: _Pair, ratios: dict[int, float | None], made_by: dict[int, Any]) -> list[float]:
    """Return the ratios at the nearest measured tensors that a layer's output is computed from."""
    found, queue, seen = [], list(graph.ops[pair.op].inputs), set()
    while queue:
        index = queue.pop()
        if index in seen or index < 0:
            continue
        seen.add(index)
        ratio = ratios.get(index)
        if ratio is not None:
            found.append(ratio)
        elif index in made_by:
            queue += made_by[index].inputs
    return found


def _range(graph: Graph, index: int) -> tuple[float, float]:
    tensor = graph.tensors[index]
    if not tensor.scales:
        return -math.inf, math.inf
    scale, zero, limits = tensor.scales[0], tensor.zero_points[0], np.iinfo(tensor.dtype)
    return (int(limits.min) - zero) * scale, (int(limits.max) - zero) * scale
