"""Whether a pruned network's zeros save time: what XNNPACK's sparse kernels would compute of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.convert.converted import converted_tflite
from edgecv.convert.freeze import freeze
from edgecv.convert.layers import layer_map
from edgecv.convert.tflite.converter import convert_float
from edgecv.convert.tflite.sparse_rules import Judgement, Verdict, judge
from edgecv.core.errors import ConversionError, UnsupportedModelError
from edgecv.core.progress import Reporter
from edgecv.graphs import read_tflite

WHERE = "Arm processors; x86 only without AVX"


@dataclass(frozen=True, slots=True, kw_only=True)
class SparseKernels:
    """What zeros are worth in time: which 1x1 convolutions of a sparse float32 file XNNPACK computes sparse.

    By XNNPACK's rules, not measured: `edgecv bench --profile` on an Arm device shows "SPMM" for each.

    Attributes:
        layers: One entry for each 1x1 convolution.
        sparse: How many have a sparse kernel, on `where`; with 0, zeros save no time anywhere.
        where: Processors for which XNNPACK has these kernels; elsewhere all are computed dense.
        danger: Where a sparse file would be computed wrongly, so that none is written; "" where nowhere.
    """

    layers: tuple[Verdict, ...]
    sparse: int
    danger: str
    where: str = WHERE


def of_file(path: Path, layers: tuple[str, ...]) -> SparseKernels:
    """Judge a float32 .tflite with the source layer of each of its operators."""
    return _told(judge(read_tflite(path), layers))


def of_model(model: Any, reporter: Reporter) -> SparseKernels | None:
    """Judge what a float model would become; None, with a warning, where it does not convert."""
    try:
        data = convert_float(freeze(model), "float32")
        graph = read_tflite(data)
        return _told(judge(graph, layer_map(graph, converted_tflite(data).op_names, model)))
    except (ConversionError, UnsupportedModelError) as error:
        reporter.warn(f"not known whether zeros make it faster: {error}")
        return None


def _told(found: Judgement) -> SparseKernels:
    return SparseKernels(layers=found.verdicts, sparse=found.sparse, danger=found.danger)
